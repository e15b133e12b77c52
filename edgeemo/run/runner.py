"""Run a configuration: newest frames of all sources -> one call of the engine -> sinks. Made by `run.open`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import monotonic, time
from types import TracebackType

from edgeemo.capture.playhead import Playhead
from edgeemo.config import Config
from edgeemo.errors import EdgeemoError, SinkError
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.run.setup import (
    FLUSH_S,
    PROGRESS_S,
    STOP_S,
    Assembler,
    Lane,
    Parts,
    Setup,
    close_sinks,
    retire,
    stop_sources,
)
from edgeemo.run.source_worker import Captured
from edgeemo.run.status import Tally
from edgeemo.sinks import ReaderGone
from edgeemo.stages.pipeline import DETECT_TIMEOUT_S, Found, finish_together, step_together
from edgeemo.system.process import usable_cpus
from edgeemo.system.sd_notify import Notifier
from edgeemo.types import Counters, Marker, Result, Sink, Status
from engines.standard import told

log = logging.getLogger(__name__)

POLL_S = 0.1  # interval for checking the stop event
DRAIN_S = 0.005  # interval for checking whether the sinks have written everything
AHEAD = 3  # frames of a file that are in detection or wait for the engine
PACED_AHEAD = 2  # the same for a file that plays in real time; more frames would delay the picture
CHECK_S = 0.25  # interval for checking the sources
IDLE_S = 2.0  # time for the loop to end after `close` from another thread


@dataclass(frozen=True, eq=False)
class Ahead:
    """A frame whose faces another thread detects and tracks."""

    lane: Lane
    captured: Captured
    found: Future[Found]


class Runner:
    """Runs one or several sources through one engine into sinks and optionally a window.

    It works in rounds. A round takes at most one frame from every source (from a live source the newest), detects faces
    in parallel and recognises them in one call. `run()` blocks; `start()` does the same in a background thread.

    With `config.source` the run ends with its source; an error of the source or of a sink also ends it and is raised by
    `run()`. With `config.sources` each source and sink that fails is reopened, and the run continues.

    Args:
        taken: called with a reloaded configuration after it took effect.

    Attributes:
        screen: mailbox with the newest result for a window, if `screen` was given; closed at the end, failed after an
            error.

    Raises:
        EdgeemoError: a mistake in the configuration; all opened stages are closed.
    """

    def __init__(
        self,
        config: Config,
        parts: Parts,
        *,
        screen: bool = False,
        notifier: Notifier | None = None,
        taken: Callable[[Config], object] = lambda config: None,
    ) -> None:
        self._taken = taken
        self.screen: Mailbox[Result] = Mailbox(newest_only=True, merge=_with_markers)
        self._shows = screen
        self._several = bool(config.sources)
        self._notifier = notifier or Notifier({})
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._steps = 0  # results to produce although the run is paused
        self._idle = threading.Event()
        self._idle.set()
        self._began = monotonic()
        self._started = time()
        self._tally = Tally()
        self._lock = threading.Lock()  # guards the running thread and the closed flag
        self._round_lock = threading.RLock()  # guards the setup during a round
        self._reload_lock = threading.Lock()
        self._loop_thread: threading.Thread | None = None
        self._background: threading.Thread | None = None
        self._closed = False
        self._left_behind = False
        self._attached: tuple[Sink, ...] = ()
        self._marked: tuple[Marker, ...] = ()  # for the sinks, with the next result
        self._raised: list[Exception] = []
        self._threads = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="edgeemo-detect")
        # one thread, so that frames stay in order
        self._detecting = ThreadPoolExecutor(1, thread_name_prefix="edgeemo-ahead")
        self._assembler = Assembler(parts, self._wake, self.status)
        self._ahead: deque[Ahead] = deque()
        self._setup: Setup | None = None  # None until it is open; sinks may ask for the status before
        self._setup = self._assembler.open(config)

    @property
    def _now(self) -> Setup:
        assert self._setup is not None
        return self._setup

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._now.config

    @property
    def source_name(self) -> str:
        return ", ".join(lane.worker.name for lane in self._now.lanes.values())

    @property
    def engine_description(self) -> str:
        """The engine in use; it changes during the run if a faster engine takes over."""
        now = self._now
        descriptions = {lane.pipeline.description for lane in now.lanes.values()}
        return descriptions.pop() if descriptions else now.classifier.description

    @property
    def engine_fingerprint(self) -> str:
        """Hash of the engine's files; another one means other outputs."""
        return self._now.classifier.fingerprint

    @property
    def labels(self) -> tuple[str, ...]:
        return self._now.classifier.labels

    def run(
        self,
        stop: threading.Event | None = None,
        reload: threading.Event | None = None,
        load: Callable[[], Config] | None = None,
    ) -> Counters:
        """Run until every source has ended, the limit of frames is reached or `stop` is set.

        Args:
            reload: when set, `load` reads the configuration again; a mistake in it is logged and the old one stays in
                use.

        Raises:
            EdgeemoError: a stage, the only source or one of its sinks failed; earlier results were written.
            ReaderGone: the reader of a sink's pipe closed it.
        """
        stop = stop or self._stop
        with self._lock:
            if self._closed:
                raise RuntimeError("the runner is closed")
            self._loop_thread = threading.current_thread()
            self._idle.clear()
        try:
            try:
                self._work(stop, reload, load)
            finally:
                self._left_behind |= not stop_sources(self._now.lanes.values(), STOP_S)
            self._drain(stop)
            self._raise_failures()
        except BaseException as error:
            self.screen.fail(error)
            raise
        finally:
            self._notifier.tell("STOPPING=1")
            self.screen.close()
            self._idle.set()
        return self.counters()

    def start(self) -> None:
        """`run` in the background; an error is raised to the reader of `screen`."""
        if self._background is not None:
            raise RuntimeError("a runner can be started once")
        self._background = threading.Thread(target=self._run_in_background, name="edgeemo-runner", daemon=True)
        self._background.start()

    def pause(self) -> None:
        """Take no frames: a file waits; frames of a live source are dropped."""
        self._going.clear()

    def resume(self) -> None:
        self._steps = 0
        self._going.set()
        self._wake.set()

    def step(self) -> None:
        """Produce one more result although the run is paused."""
        self._steps = 1
        self._wake.set()

    @property
    def playhead(self) -> Playhead | None:
        """Seek and speed control of the only source; None if it has none."""
        lanes = list(self._now.lanes.values())
        return lanes[0].worker.playhead if len(lanes) == 1 else None

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    def attach(self, sink: Sink) -> None:
        """Also write every result to this sink, beginning with the next frame, in the runner's thread.

        The sink must not block for long, its errors end the run, and the caller must close it.
        """
        with self._lock:
            self._attached = (*self._attached, sink)

    def detach(self, sink: Sink) -> None:
        """Give a sink no more results; one in flight may still arrive."""
        with self._lock:
            self._attached = tuple(each for each in self._attached if each is not sink)

    def mark(self, marker: Marker) -> None:
        """Give a marker of the window to the sinks of the configuration: at once or with the next result (see `Sink`).

        Attached sinks and `screen` do not get it: the window has shown and recorded it already.
        """
        with self._lock:
            self._marked = (*self._marked, marker)
        for sink in list(self._now.sinks.values()):
            if sink.takes_markers:
                sink.take_marker(marker)

    def counters(self) -> Counters:
        """Totals and recent rates; may be called from any thread."""
        workers = [lane.worker for lane in list(self._now.lanes.values())]
        return self._tally.counters(
            dropped=sum(worker.dropped for worker in workers),
            damaged=sum(worker.damaged for worker in workers),
            sink_ms=sum(sink.write_ms for sink in list(self._now.sinks.values())),
        )

    def cut_short(self) -> list[tuple[str, Exception]]:
        """Name and error of every file of `config.sources` that could not be read to its end."""
        workers = [lane.worker for lane in list(self._now.lanes.values())]
        return [(worker.name, worker.cut_short) for worker in workers if worker.cut_short is not None]

    def status(self) -> Status:
        """State of every source and sink; may be called from any thread."""
        if self._setup is None:
            return Status(started=self._started)
        return Status(
            engine=self.engine_description,
            started=self._started,
            uptime_s=monotonic() - self._began,
            sources=tuple(lane.worker.status() for lane in list(self._now.lanes.values())),
            sinks=tuple(sink.status() for sink in list(self._now.sinks.values())),
        )

    def close(self, timeout: float | None = None) -> bool:
        """Release the sources, write queued results and close all stages; may be called twice and from any thread.

        Args:
            timeout: seconds for stopping the sources (at most `STOP_S`) and again for the sinks. None: with
                `config.sources`, `FLUSH_S` for the sinks; with a single source, `PROGRESS_S` per result.

        Returns:
            False if a source or sink hangs; its thread keeps running.

        Raises:
            SinkError: a sink of a single source could not write its last results.
        """
        with self._lock:
            if self._closed:
                return not self._left_behind
            self._closed = True
        self._stop.set()
        self._going.set()
        self._wake.set()
        if self._loop_thread is not threading.current_thread() and not self._idle.wait(timeout or IDLE_S):
            # closing stages that a thread still uses would crash the process
            log.warning("the run did not end within %.1f s; its thread keeps running", timeout or IDLE_S)
            self._left_behind = True
            return False
        if self._background is not None and self._background is not threading.current_thread():
            self._background.join(timeout or IDLE_S)
        self._close_everything(timeout if timeout is not None else FLUSH_S if self._several else PROGRESS_S)
        self._raise_failures()
        return not self._left_behind

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except (SinkError, ReaderGone) as unwritten:
            # the exception being raised is more informative
            if error is None or (isinstance(error, ReaderGone) and isinstance(unwritten, SinkError)):
                raise
            log.warning("%s", " ".join(str(unwritten).split()))

    def apply(self, config: Config, *, reopen_engine: bool = True) -> None:
        """Switch to another configuration; parts that are the same in both continue. May be called from any
        thread.

        Persons keep their ids if the settings of detection and tracking are the same. Sinks in both configurations and
        attached sinks continue.

        Args:
            reopen_engine: reopen the engine even if its name is the same, because its files may have changed.

        Raises:
            EdgeemoError: a mistake in it; the old configuration stays in use.
        """
        with self._reload_lock:
            old = self._now
            writes = bool(old.sinks or self._attached)
            with self._round_lock:
                self._finish_ahead()  # before sinks are closed
            new = self._assembler.change(
                old, config, reopen_engine=reopen_engine, may_change_labels=self._several or not writes
            )
            with self._round_lock:
                self._finish_ahead()
                self._setup = new
            self._left_behind |= not retire(old, new)
            for name, lane in new.lanes.items():
                if not lane.worker.started:
                    if name in old.lanes:
                        lane.worker.continue_from(old.lanes[name].worker)
                    lane.worker.start()

    def _run_in_background(self) -> None:
        try:
            self.run()
        except ReaderGone:
            pass
        except Exception:
            log.debug("the run ended with an error", exc_info=True)

    def _work(self, stop: threading.Event, reload: threading.Event | None, load: Callable[[], Config] | None) -> None:
        for lane in self._now.lanes.values():
            lane.worker.start()
        self._notifier.tell("READY=1")
        checked = 0.0
        while not stop.is_set() and not self._stop.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            if self._going.is_set() or self._steps:
                self._round()
            now = monotonic()
            if now - checked >= CHECK_S:
                checked = now
                for lane in self._now.lanes.values():
                    lane.worker.check()
                self._notifier.feed()
                if reload is not None and load is not None and reload.is_set():
                    reload.clear()
                    self._reload(load)
            if self._is_done():
                break
        with self._round_lock:
            self._finish_ahead()

    def _is_done(self) -> bool:
        now = self._now
        if now.config.frames and self._tally.frames >= now.config.frames:
            return True
        if any(sink.failure is not None for sink in now.sinks.values()):
            return True
        return not self._ahead and all(lane.worker.ended for lane in now.lanes.values())

    def _round(self) -> None:
        with self._round_lock:
            now = self._now
            if len(now.lanes) == 1 and next(iter(now.lanes.values())).worker.must_arrive:
                self._overlapping_round(next(iter(now.lanes.values())))
                return
            self._finish_ahead()
            has_room = all(sink.has_room for sink in now.sinks.values())
            work: list[tuple[Lane, Captured]] = []
            for lane in now.lanes.values():
                if now.config.frames and self._tally.frames + len(work) >= now.config.frames:
                    break
                # a file waits for a slow sink; for a live source the sink's queue drops results
                if has_room or not lane.worker.must_arrive:
                    captured = lane.worker.take()
                    if captured is not None:
                        work.append((lane, captured))
            if not work:
                return
            results = step_together(
                [(lane.pipeline, captured.frame) for lane, captured in work], now.classifier, self._threads
            )
            for (lane, captured), result in zip(work, results, strict=True):
                self._deliver(lane, captured, result)

    def _overlapping_round(self, lane: Lane) -> None:
        """One file: another thread detects and tracks in the next frame while this thread classifies and delivers the
        last one.

        Results and their order are the same as without overlap.
        """
        now = self._now
        limit = now.config.frames
        most = PACED_AHEAD if lane.config.paced else AHEAD
        while len(self._ahead) < most and (not limit or self._tally.frames + len(self._ahead) < limit):
            captured = lane.worker.take() if all(sink.has_room for sink in now.sinks.values()) else None
            if captured is None:
                break
            self._ahead.append(Ahead(lane, captured, self._detecting.submit(lane.pipeline.find, captured.frame)))
        if self._ahead:
            self._wake.set()  # finish the other frames even if no further frame comes
            self._finish(self._ahead.popleft())

    def _finish_ahead(self) -> None:
        """Finish the frames given to the detecting thread."""
        while self._ahead:
            self._finish(self._ahead.popleft())

    def _finish(self, ahead: Ahead) -> None:
        found = ahead.found.result(DETECT_TIMEOUT_S)
        (result,) = finish_together([(ahead.lane.pipeline, found)], ahead.lane.pipeline.classifier)
        self._deliver(ahead.lane, ahead.captured, result)

    def _deliver(self, lane: Lane, captured: Captured, result: Result) -> None:
        playhead = lane.worker.playhead
        if playhead is None or not playhead.is_stale(result.frame.index):
            self._steps = 0
            now = self._now
            played = captured.at if lane.config.paced else None
            result = now.markers.add_to(result, lane.config.name, now.lanes, played=played)
            self._hand_out(result, captured)
        lane.worker.done(len(result.faces))
        self._tally.add(result, captured.at)

    def _hand_out(self, result: Result, captured: Captured) -> None:
        with self._lock:
            marked, self._marked = self._marked, ()
        bare: Result | None = None
        told = replace(result, markers=result.markers + marked) if marked else result
        for sink in self._now.sinks.values():
            given = told
            if not sink.pictures:
                given = bare = bare or told.without_picture()
            if marked and sink.takes_markers:
                given = replace(given, markers=result.markers)
            sink.offer(given, must_arrive=captured.must_arrive)
        for attached in self._attached:
            attached.write(result)
        if self._shows:
            try:
                self.screen.put(replace(result, frame=replace(result.frame, captured=captured.at)), timeout=0)
            except Closed:
                self._stop.set()

    def _drain(self, stop: threading.Event) -> None:
        """Let the sinks write all results, unless `stop` is set.

        With several sources a hanging sink is abandoned; with a single source the run waits for it as for a slow sink.
        """
        busy = [sink for sink in self._now.sinks.values() if sink.failure is None]
        for sink in busy:
            sink.flush()
        waiting, deadline = -1, monotonic() + PROGRESS_S
        while not stop.is_set() and not self._stop.is_set():
            busy = [sink for sink in busy if not sink.idle and sink.failure is None]
            if not busy or (self._several and monotonic() > deadline):
                break
            if (left := sum(sink.waiting for sink in busy)) != waiting:
                waiting, deadline = left, monotonic() + PROGRESS_S
            self._notifier.feed()
            stop.wait(DRAIN_S)
        self._tally.finish()

    def _raise_failures(self) -> None:
        """Raise the first error of the only source or its sinks that has not been raised yet."""
        for failure in sorted(self._now.failures(), key=lambda failure: isinstance(failure, ReaderGone)):
            if not any(failure is each for each in self._raised):
                self._raised.append(failure)
                raise failure

    def _close_everything(self, timeout: float) -> None:
        now = self._now
        self._left_behind |= not stop_sources(now.lanes.values(), min(timeout, STOP_S))
        self._left_behind |= not close_sinks(now.sinks.values(), timeout)
        self._threads.shutdown()
        self._detecting.shutdown(cancel_futures=True)
        for lane in now.lanes.values():
            lane.pipeline.close()
        now.classifier.close()
        now.markers.close()

    def _reload(self, load: Callable[[], Config]) -> None:
        self._notifier.tell(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1e6)}")
        before = self._now
        try:
            self.apply(load())
            self._taken(self.config)
            log.info("reloaded the configuration")
        except Exception as error:
            if self._now is not before and not isinstance(error, EdgeemoError):
                raise
            said = " ".join(str(error).split())
            trace = None if told(error, EdgeemoError) else error
            log.error("cannot reload the configuration, the old one stays in use: %s", said, exc_info=trace)
        finally:
            # logrotate sends SIGHUP after renaming files
            for sink in self._now.sinks.values():
                sink.reopen_file()
            self._notifier.tell("READY=1")


def _with_markers(old: Result, new: Result) -> Result:
    """The newer of two results, with the markers of the older one, which the window did not take."""
    return replace(new, markers=old.markers + new.markers) if old.markers else new
