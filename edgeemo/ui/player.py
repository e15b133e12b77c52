"""Opens, plays and closes pipelines without ever making the window wait: the one file of the window that talks to them.

One worker thread does whatever takes time, in order; a timer in the window's thread collects the results.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import Enum
from queue import Empty, SimpleQueue
from time import monotonic

from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal

from edgeemo.config import Config
from edgeemo.mailbox import Closed
from edgeemo.session import Session, Stats, open_session
from edgeemo.types import Sink

log = logging.getLogger(__name__)

Opener = Callable[[Config], Session]
Job = Callable[[], None]

__all__ = ["Opener", "Player", "State", "Stats", "analyse", "open_for_screen"]

BUSY_MS, IDLE_MS = 8, 50  # how often the timer looks, while pictures come and while none do
JOB_POLL_S = 1.0
CLOSE_S = 1.5  # what a session gets to end, out of the 2 s that closing the window may take


def open_for_screen(config: Config) -> Session:
    """The `Opener` of the real app."""
    return open_session(config, screen=True)


def analyse(
    opener: Opener, config: Config, sink_of: Callable[[tuple[str, ...], str], Sink], stop: threading.Event
) -> None:
    """Run every frame of a configuration's source into one sink; blocks until the end or until `stop` is set.

    Args:
        sink_of: makes the sink from the labels and the engine's description; it is closed here.

    Raises:
        EdgeemoError, EngineError: the source, the engine or the sink failed.
    """
    with opener(config) as session:
        sink = sink_of(session.labels, session.engine_description)
        try:
            session.attach(sink)
            session.run(stop)
        finally:
            sink.close()


class State(Enum):
    STOPPED = "stopped"
    OPENING = "opening"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"  # the source has come to its end
    FAILED = "failed"


class Player(QObject):
    """At most one session at a time, played into signals.

    Signals:
        changed: the state is another one.
        arrived: a Result to show.
        failed: the exception that ended or prevented a session; also one from closing it.
    """

    changed = pyqtSignal(State)
    arrived = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, opener: Opener, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._opener = opener
        self._state = State.STOPPED
        self._session: Session | None = None
        self._ticket = 0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: SimpleQueue[Job] = SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="edgeemo-window-worker", daemon=True)
        self._worker.start()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._collect)
        self._timer.start(IDLE_MS)

    @property
    def state(self) -> State:
        return self._state

    @property
    def source_name(self) -> str:
        return self._session.source_name if self._session is not None else ""

    @property
    def engine_description(self) -> str:
        return self._session.engine_description if self._session is not None else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the engine that runs; empty while none does."""
        return self._session.labels if self._session is not None else ()

    def attach(self, sink: Sink) -> bool:
        """Give the results of the session to a sink too; False where none plays."""
        if self._session is None:
            return False
        self._session.attach(sink)
        return True

    def detach(self, sink: Sink) -> None:
        if self._session is not None:
            self._session.detach(sink)

    def stats(self) -> Stats | None:
        """Figures of the session that plays; None without one."""
        return self._session.stats() if self._session is not None else None

    def open(self, config: Config) -> None:
        """Close what plays and play this instead. What was asked for last wins."""
        self._let_go()
        ticket = self._ticket
        self._set_state(State.OPENING)

        def job() -> None:
            if ticket != self._ticket:
                return
            try:
                session = self._opener(config)
            except Exception as error:
                caught = error
                self._done.put(lambda: self._fail(ticket, caught))
                return
            if ticket != self._ticket:
                session.close(CLOSE_S)
                return
            self._done.put(lambda: self._opened(ticket, session))

        self._jobs.put(job)

    def pause(self) -> None:
        if self._state is State.PLAYING and self._session is not None:
            self._session.pause()
            self._set_state(State.PAUSED)

    def resume(self) -> None:
        if self._state is State.PAUSED and self._session is not None:
            self._session.resume()
            self._set_state(State.PLAYING)

    def stop(self) -> None:
        """Close the session; a camera is let go."""
        self._let_go()
        self._set_state(State.STOPPED)

    def in_background(self, work: Job, then: Job, otherwise: Callable[[Exception], None]) -> None:
        """Do something slow in the worker, then `then` (or `otherwise`) in the window's thread."""

        def job() -> None:
            try:
                work()
            except Exception as error:
                caught = error
                self._done.put(lambda: otherwise(caught))
            else:
                self._done.put(then)

        self._jobs.put(job)

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Close everything and end every thread.

        Returns:
            Whether that was done in time; what hangs in a driver is left to the end of the process.
        """
        deadline = monotonic() + timeout
        self._timer.stop()
        self._let_go()
        self._jobs.put(None)
        self._worker.join(max(0.0, deadline - monotonic()))
        while True:
            # a session may have been opened just before
            try:
                self._done.get_nowait()()
            except Empty:
                break
        if self._worker.is_alive():
            log.warning("something did not end within %.0f s; it is left behind", timeout)
        return not self._worker.is_alive()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=JOB_POLL_S)
            except Empty:
                continue
            if job is None:
                return
            try:
                job()
            except Exception:
                log.exception("in the window's worker")

    def _let_go(self) -> None:
        self._ticket += 1
        session, self._session = self._session, None
        if session is not None:
            self._jobs.put(lambda: self._close(session))

    def _close(self, session: Session) -> None:
        try:
            session.close(CLOSE_S)
        except Exception as error:
            caught = error
            self._done.put(lambda: self.failed.emit(caught))

    def _opened(self, ticket: int, session: Session) -> None:
        if ticket != self._ticket:
            # it was never started, so this takes no time
            session.close(CLOSE_S)
            return
        self._session = session
        session.start()
        self._set_state(State.PLAYING)

    def _fail(self, ticket: int, error: Exception) -> None:
        if ticket != self._ticket:
            return
        self._let_go()
        self._set_state(State.FAILED)
        self.failed.emit(error)

    def _collect(self) -> None:
        while True:
            try:
                step = self._done.get_nowait()
            except Empty:
                break
            step()
        if self._session is None or self._state is not State.PLAYING:
            return
        try:
            result = self._session.screen.take(timeout=0)
        except TimeoutError:
            return
        except Closed:
            self._let_go()
            self._set_state(State.ENDED)
        except Exception as error:
            self._fail(self._ticket, error)
        else:
            self.arrived.emit(result)

    def _set_state(self, state: State) -> None:
        if state is self._state:
            return
        self._state = state
        if self._timer.isActive():
            self._timer.setInterval(BUSY_MS if state in (State.PLAYING, State.OPENING) else IDLE_MS)
        self.changed.emit(state)
