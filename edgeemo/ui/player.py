"""Open, play and close pipelines without blocking the window. Only this module of the app uses runners.

One worker thread opens and closes runs in order, another one reads and writes the user's files; a timer in the window's
thread collects the results.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from queue import Empty, SimpleQueue
from time import monotonic

from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal

from edgeemo.capture.playhead import Playhead
from edgeemo.config import Config
from edgeemo.mailbox import Closed
from edgeemo.run.open import open_runner
from edgeemo.run.runner import Runner
from edgeemo.types import Counters, Marker, Sink
from edgeemo.ui.numbering import NumberedSink, Numbering

log = logging.getLogger(__name__)

Opener = Callable[[Config], Runner]
Job = Callable[[], None]

__all__ = ["Counters", "Opener", "Player", "PlayerState", "analyse", "open_for_screen"]

BUSY_MS, IDLE_MS = 8, 50  # interval of the timer with and without new pictures
JOB_POLL_S = 1.0
STORE_S = 10.0  # time to write the user's files when the window closes
CLOSE_S = 1.5  # time for a run to end; closing the window may take 2 s


def open_for_screen(config: Config) -> Runner:
    """The `Opener` of the app."""
    return open_runner(config, screen=True)


def analyse(
    opener: Opener, config: Config, sink_of: Callable[[tuple[str, ...], str], Sink], stop: threading.Event
) -> None:
    """Process every frame of a source into one sink; blocks until the end or until `stop` is set.

    If `stop` is set while the source and the engine open, no sink is made.

    Args:
        sink_of: makes the sink from the labels and the engine's description; this function closes it.

    Raises:
        EdgeemoError, EngineError: the source, the engine or the sink failed.
    """
    # no markers from another program: they mark the present moment, not a time in the file
    with opener(replace(config, markers="")) as runner:
        if stop.is_set():
            return
        sink = sink_of(runner.labels, runner.engine_description)
        try:
            runner.attach(sink)
            runner.run(stop)
        finally:
            sink.close()


class PlayerState(Enum):
    STOPPED = "stopped"
    OPENING = "opening"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"  # the source has ended
    FAILED = "failed"


class Player(QObject):
    """Plays at most one run at a time and emits its results as signals.

    Signals:
        changed: the state changed.
        arrived: a Result to show.
        failed: the exception that ended or prevented a run, or came from closing it.

    Attributes:
        failure: the error of the latest run, set before its state becomes FAILED.
    """

    changed = pyqtSignal(PlayerState)
    arrived = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, opener: Opener, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._opener = opener
        self.failure: Exception | None = None
        self._state = PlayerState.STOPPED
        self._runner: Runner | None = None
        self._numbering = Numbering()
        self._attached: dict[Sink, NumberedSink] = {}
        self._ticket = 0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._files: SimpleQueue[Job | None] = SimpleQueue()
        self._done: SimpleQueue[Job] = SimpleQueue()
        self._beside: list[threading.Thread] = []
        self._closed = False
        self._worker = _worker(self._jobs, "edgeemo-window-worker")
        self._writer = _worker(self._files, "edgeemo-window-files")
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._collect)
        self._timer.start(IDLE_MS)

    @property
    def state(self) -> PlayerState:
        return self._state

    @property
    def source_name(self) -> str:
        return self._runner.source_name if self._runner is not None else ""

    @property
    def config(self) -> Config | None:
        """The configuration that plays; None if nothing plays."""
        return self._runner.config if self._runner is not None else None

    @property
    def engine_description(self) -> str:
        return self._runner.engine_description if self._runner is not None else ""

    @property
    def engine_fingerprint(self) -> str:
        """Hash of the engine's files; another one means other outputs; empty if nothing plays."""
        return self._runner.engine_fingerprint if self._runner is not None else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the engine in use; empty if nothing plays."""
        return self._runner.labels if self._runner is not None else ()

    @property
    def writes(self) -> bool:
        """Whether results go to a recording or to outputs."""
        return bool(self._attached) or bool(self.config is not None and self.config.sinks)

    def attach(self, sink: Sink) -> bool:
        """Also give the results to a sink; False if nothing plays."""
        if self._runner is None:
            return False
        self._attached[sink] = NumberedSink(sink, self._numbering)
        self._runner.attach(self._attached[sink])
        return True

    def detach(self, sink: Sink) -> None:
        attached = self._attached.pop(sink, None)
        if self._runner is not None and attached is not None:
            self._runner.detach(attached)

    def mark(self, marker: Marker) -> None:
        """Give a marker to the sinks of the configuration that plays."""
        if self._runner is not None:
            self._runner.mark(self._numbering.of_run(marker))

    def stats(self) -> Counters | None:
        """Counters of the run; None if nothing plays."""
        return self._runner.counters() if self._runner is not None else None

    def open(self, config: Config, *, go_on: bool = False) -> None:
        """Close the current run and play another configuration. The latest request wins.

        Args:
            go_on: the configuration reopens a lost source, so frame numbers, person numbers and times continue.
        """
        self._let_go()
        self._numbering = Numbering(self._numbering.place if go_on else None)
        ticket = self._ticket
        self._set_state(PlayerState.OPENING)

        def job() -> None:
            if ticket != self._ticket:
                return
            try:
                runner = self._opener(config)
            except Exception as error:
                caught = error
                self._done.put(lambda: self._fail(ticket, caught))
                return
            if ticket != self._ticket:
                runner.close(CLOSE_S)
                return
            self._done.put(lambda: self._opened(ticket, runner))

        self._jobs.put(job)

    def switch(self, config: Config, then: Job, otherwise: Callable[[Exception], None]) -> bool:
        """Change the engine, the smoothing or the limits below which a face is unsure; the source and all sinks,
        including a recording, continue.

        Returns:
            False if nothing plays; else `then` or `otherwise` is called, unless another configuration was opened
            meanwhile.
        """
        runner, ticket = self._runner, self._ticket
        if runner is None:
            return False

        def work() -> None:
            now = replace(runner.config, engine=config.engine, smooth=config.smooth, quality=config.quality)
            runner.apply(now, reopen_engine=False)

        def done() -> None:
            if ticket == self._ticket:
                then()

        def failed(error: Exception) -> None:
            if ticket == self._ticket:
                otherwise(error)

        self.in_background(work, done, failed)
        return True

    def pause(self) -> None:
        if self._state is PlayerState.PLAYING and self._runner is not None:
            self._runner.pause()
            self._set_state(PlayerState.PAUSED)

    def resume(self) -> None:
        if self._state is PlayerState.PAUSED and self._runner is not None:
            if self.playhead is not None:
                self.playhead.held = False
            self._runner.resume()
            self._set_state(PlayerState.PLAYING)

    @property
    def playhead(self) -> Playhead | None:
        """Seek control of the playing file; None if it cannot seek."""
        return self._runner.playhead if self._runner is not None else None

    def seek(self, time: float) -> None:
        """Continue at a media time of a file; while paused, show that frame."""
        playhead = self.playhead
        if playhead is not None:
            playhead.seek(time)
            if self._state is PlayerState.PAUSED:
                self._show_one(playhead)

    def step(self) -> None:
        """Show the next frame, while paused."""
        playhead = self.playhead
        if playhead is not None and self._state is PlayerState.PAUSED:
            self._show_one(playhead)

    def step_back(self, time: float) -> None:
        """Show the frame preceding the one at a media time, while paused."""
        playhead = self.playhead
        if playhead is not None and self._state is PlayerState.PAUSED:
            playhead.seek(time, before=True)
            self._show_one(playhead)

    def _show_one(self, playhead: Playhead) -> None:
        playhead.held = True
        if self._runner is not None:
            self._runner.step()

    def stop(self) -> None:
        """Close the run and release the camera."""
        self._let_go()
        self._set_state(PlayerState.STOPPED)

    def in_background(self, work: Job, then: Job, otherwise: Callable[[Exception], None]) -> None:
        """Run `work` in the worker, then `then` or `otherwise` in the window's thread. Closing does not wait for it."""
        self._jobs.put(self._job(work, then, otherwise))

    def with_files(self, work: Job, then: Job, otherwise: Callable[[Exception], None]) -> None:
        """As `in_background`, for the user's files: it waits for no source or engine, and closing waits for it."""
        self._files.put(self._job(work, then, otherwise))

    def beside(self, work: Job, then: Job, otherwise: Callable[[Exception], None]) -> None:
        """As `in_background`, but in a separate thread for long work; closing does not wait for its end."""
        if self._closed:
            return
        thread = threading.Thread(target=self._job(work, then, otherwise), name="edgeemo-beside", daemon=True)
        self._beside = [each for each in self._beside if each.is_alive()] + [thread]
        thread.start()

    def _job(self, work: Job, then: Job, otherwise: Callable[[Exception], None]) -> Job:
        def job() -> None:
            try:
                work()
            except Exception as error:
                caught = error
                self._done.put(lambda: otherwise(caught))
            else:
                self._done.put(then)

        return job

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Close everything and end every thread. Errors of work that ends meanwhile are passed on as usual.

        Returns:
            False if a thread still runs: it hangs, for example in a driver, or was started by `beside`.
        """
        deadline = monotonic() + timeout
        self._timer.stop()
        self._let_go()
        self._jobs.put(None)
        self._worker.join(max(0.0, deadline - monotonic()))
        self._finish_done()  # a runner may just have been opened, or a recorder, which is closed with the files
        self._files.put(None)
        self._writer.join(STORE_S)
        self._finish_done()
        for thread in self._beside:  # a short export may still end
            thread.join(max(0.0, deadline - monotonic()))
        self._closed = True
        self._finish_done()
        for thread, limit in ((self._worker, timeout), (self._writer, STORE_S)):
            if thread.is_alive():
                log.warning("a thread did not end within %.0f s; it keeps running", limit)
        return not any(thread.is_alive() for thread in (self._worker, self._writer, *self._beside))

    def _finish_done(self) -> None:
        while True:
            try:
                self._done.get_nowait()()
            except Empty:
                return

    def _let_go(self) -> None:
        self._ticket += 1
        runner, self._runner = self._runner, None
        if runner is not None:
            self._jobs.put(lambda: self._close(runner))

    def _close(self, runner: Runner) -> None:
        try:
            runner.close(CLOSE_S)
        except Exception as error:
            caught = error
            self._done.put(lambda: self.failed.emit(caught))

    def _opened(self, ticket: int, runner: Runner) -> None:
        if ticket != self._ticket:
            # fast, because it was never started
            runner.close(CLOSE_S)
            return
        self._runner = runner
        runner.attach(self._numbering)
        runner.start()
        self._set_state(PlayerState.PLAYING)

    def _fail(self, ticket: int, error: Exception) -> None:
        if ticket != self._ticket:
            return
        self._let_go()
        self.failure = error
        self._set_state(PlayerState.FAILED)
        self.failed.emit(error)

    def _collect(self) -> None:
        self._finish_done()
        # while a file is paused, results still come: of the frame in progress, and of frames that the user steps to
        steps = self._state is PlayerState.PAUSED and self.playhead is not None
        if self._runner is None or not (self._state is PlayerState.PLAYING or steps):
            return
        try:
            result = self._runner.screen.take(timeout=0)
        except TimeoutError:
            return
        except Closed:
            self._let_go()
            self._set_state(PlayerState.ENDED)
        except Exception as error:
            self._fail(self._ticket, error)
        else:
            if self.playhead is not None and self.playhead.is_stale(result.frame.index):
                return
            self.arrived.emit(self._numbering.of(result))

    def _set_state(self, state: PlayerState) -> None:
        if state is self._state:
            return
        self._state = state
        if self._timer.isActive():
            self._timer.setInterval(BUSY_MS if state in (PlayerState.PLAYING, PlayerState.OPENING) else IDLE_MS)
        self.changed.emit(state)


def _worker(jobs: SimpleQueue[Job | None], name: str) -> threading.Thread:
    """A thread that does the jobs in order, until one is None."""

    def work() -> None:
        while True:
            try:
                job = jobs.get(timeout=JOB_POLL_S)
            except Empty:
                continue
            if job is None:
                return
            try:
                job()
            except Exception:
                log.exception("in the thread %s", name)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
