"""One source in a thread: opened, read, watched, and opened again or ended. Several belong to a `Runner`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic, perf_counter, time
from typing import Any

from edgeemo.capture.playhead import Playhead, Seekable
from edgeemo.config import ServiceConfig
from edgeemo.errors import EdgeemoError
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.run.status import Rate
from edgeemo.types import Frame, Source, SourceStatus, State

log = logging.getLogger(__name__)

POLL_S = 0.1
STOP_S = 1.0  # for a source that is read alone to let go
HISTORY = 64
READ_AHEAD = 4  # frames of a file that are decoded while the ones before are recognised
READ_AHEAD_BYTES = 16 << 20  # of their pictures, beyond the first one


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame on its way to the runner.

    Attributes:
        at: when it was captured, by `perf_counter`.
        must_arrive: its source is not live: no result of it may be dropped.
    """

    frame: Frame
    at: float
    must_arrive: bool


class SourceWorker:
    """Reads a source in a thread, and tells how it is.

    Of a live source only the newest frame counts; untaken ones are dropped and counted. Any other source waits until
    each frame was taken.

    With `reopen` a source that is lost is opened again, for as long as it takes; index and time of its frames go on,
    they carry the worker's name as `origin` and the wall clock. Without, the first error ends it and is kept in
    `failure`, and frames stay as the source made them.

    Args:
        name: what the source is called.
        opener: makes the source; raises `SourceError` while it is not there.
        wake: set when a frame has come or the source has ended.
        first: the source, where it was made already, so that a mistake in its address came out before.
        newest_only: treat the source as live although it is not (a file that plays at its own speed).

    Attributes:
        history: the latest (time, state), by the monotonic clock.
        failure: what ended a source that is not opened again; None: nothing did.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Source],
        wake: threading.Event,
        config: ServiceConfig,
        *,
        first: Source | None = None,
        reopen: bool = True,
        newest_only: bool = False,
    ) -> None:
        self.name = name
        self.history: deque[tuple[float, State]] = deque(maxlen=HISTORY)
        self.failure: Exception | None = None
        self._opener = opener
        self._first = self._source = first
        self._wake = wake
        self._config = config
        self._reopen = reopen
        self._newest_only = newest_only
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._box: Mailbox[Captured] = Mailbox(newest_only=True)
        self._state = State.CONNECTING
        self._began = monotonic()
        self._changed = self._began
        self._heard = self._began
        self._index = 0
        self._captured = self._processed = self._dropped = self._connects = self._faces = self._damaged = 0
        self._error = ""
        self._decoder = ""
        self._finite = False
        self._left_behind = False
        self._arrivals = Rate()
        self._results = Rate()
        self._thread = self._new_thread()

    def start(self) -> None:
        self.history.append((monotonic(), self._state))
        self._thread.start()

    @property
    def started(self) -> bool:
        return bool(self.history)

    def take(self) -> Captured | None:
        """The newest frame that was not taken, or None; doesn't wait."""
        try:
            return self._box.take(timeout=0)
        except (TimeoutError, Closed):
            return None

    def done(self, faces: int) -> None:
        """A frame that was taken has been recognised."""
        with self._lock:
            self._processed += 1
            self._faces = faces
            self._results.add(monotonic())

    @property
    def must_arrive(self) -> bool:
        """No frame of the source may be dropped."""
        return self._finite and not self._newest_only

    @property
    def playhead(self) -> Playhead | None:
        """What winds the source; None where it cannot be wound."""
        return self._source.playhead if isinstance(self._source, Seekable) else None

    @property
    def ended(self) -> bool:
        """Nothing more will come, and everything was taken."""
        with self._lock:
            return self._state is State.ENDED and self._captured <= self._processed + self._dropped_so_far()

    @property
    def dropped(self) -> int:
        """Frames that nobody took."""
        with self._lock:
            return self._dropped_so_far()

    @property
    def damaged(self) -> int:
        """Pictures that were lost or decoded with errors."""
        return self._damaged

    def check(self) -> None:
        """Notice silence: call it a few times per second."""
        now = monotonic()
        with self._lock:
            silent = now - self._heard
            if self._state is State.LIVE and silent > self._config.stalled_s:
                self._enter(State.STALLED)
            hangs = self._state in (State.STALLED, State.CONNECTING) and silent > self._config.hang_s
            if hangs and self._reopen and not self._stop.is_set():
                # its thread is caught in a driver; whatever it still gives is not taken any more
                self._lose("nothing came, and it cannot be interrupted")
                self._thread = self._new_thread()
                self._heard = now
                self._thread.start()

    def status(self) -> SourceStatus:
        now = monotonic()
        with self._lock:
            dropped = self._dropped_so_far()
            return SourceStatus(
                self.name,
                self._state,
                since_s=now - self._changed,
                captured=self._captured,
                processed=self._processed,
                dropped=dropped,
                waiting=max(0, self._captured - self._processed - dropped),
                camera_fps=self._arrivals.at(now),
                process_fps=self._results.at(now),
                faces=self._faces if self._state is State.LIVE else 0,
                connects=self._connects,
                error=self._error,
                decoder=self._decoder,
                damaged=self._damaged,
            )

    def begin_stopping(self) -> None:
        self._stop.set()
        self._box.close()
        if self.playhead is not None:
            self.playhead.held = False

    def stop(self, timeout: float) -> bool:
        """End the thread and release the source; may be called twice.

        Returns:
            False if it still waits for a device or the network; it is waited for once only.
        """
        self.begin_stopping()
        if self._thread.ident is not None and self._thread is not threading.current_thread() and not self._left_behind:
            self._thread.join(max(0.0, timeout))
            if self._thread.is_alive():
                self._left_behind = True
                log.warning("source %s did not stop within %.1f s; it is left behind", self.name, timeout)
        return not self._thread.is_alive()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=f"capture {self.name}", daemon=True)

    def _current(self) -> bool:
        return not self._stop.is_set() and threading.current_thread() is self._thread

    def _run(self) -> None:
        pause = self._config.backoff_s
        while self._current():
            frames_before = self._captured
            with self._lock:
                self._heard = monotonic()
                if self._state is not State.CONNECTING:
                    self._enter(State.CONNECTING)
            failure: Exception | None = None
            try:
                self._play()
            except Exception as error:
                failure = error
            if not self._current():
                return
            gave = self._captured - frames_before
            # begun again, a damaged file would give the same results twice
            if not self._reopen or (self._finite and (failure is None or gave)):
                self._end(failure)
                return
            if failure is not None and not isinstance(failure, EdgeemoError):
                log.error("source %s failed", self.name, exc_info=failure)
            pause = self._config.backoff_s if gave > 1 else min(2 * pause, self._config.backoff_max_s)
            with self._lock:
                self._lose(_line(failure) if failure is not None else f"{self.name} ended")
                self._enter(State.BACK_OFF)
            self._stop.wait(pause)

    def _end(self, failure: Exception | None) -> None:
        with self._lock:
            if failure is not None and self._reopen:
                self._lose(_line(failure))
            elif failure is not None:
                self._error, self.failure = _line(failure), failure
            self._enter(State.ENDED)
        self._wake.set()

    def _play(self) -> None:
        """Open the source and hand its frames over to its end."""
        source, self._first = self._first or self._opener(), None
        self._source = source
        newest_only = source.live or self._newest_only
        self._finite = not source.live
        opened = monotonic()
        base, offset = self._index, opened - self._began if newest_only else 0.0
        expected = 0
        frames = source.frames()
        box: Mailbox[Captured] | None = None
        try:
            for frame in frames:
                captured_at = perf_counter()
                if not self._current():
                    return
                if box is None:
                    ahead = 1 if newest_only else min(READ_AHEAD, 1 + READ_AHEAD_BYTES // frame.image.nbytes)
                    box = self._connected(Mailbox(newest_only=newest_only, size=ahead), source.decoder)
                with self._lock:
                    # a player that is late leaves frames out
                    left_out = max(0, frame.index - expected)
                    expected = frame.index + 1
                    self._captured += 1 + left_out
                    self._dropped += left_out
                    self._damaged += frame.damage
                    self._index = base + expected
                    self._heard = monotonic()
                    self._arrivals.add(self._heard)
                    if self._state is not State.LIVE:
                        self._enter(State.LIVE)
                changes: dict[str, Any] = {"captured": captured_at} if newest_only else {}
                if self._reopen:
                    changes |= {"index": base + frame.index, "time": offset + frame.time}
                    changes |= {"origin": self.name, "wall": time()}
                frame = replace(frame, **changes) if changes else frame
                if not self._hand_over(box, Captured(frame, captured_at, not newest_only)):
                    return
                if source.pause_s and self._stop.wait(source.pause_s):
                    return
        finally:
            # not left to the garbage collector: it may hold a device
            if isinstance(frames, Generator):
                frames.close()

    def _connected(self, box: Mailbox[Captured], decoder: str) -> Mailbox[Captured]:
        with self._lock:
            left = self.take()
            self._dropped += self._box.dropped + (left is not None)
            self._box = box
            self._connects += 1
            self._error = ""
            self._decoder = decoder
            if self._connects > 1:
                log.warning("source %s is live again", self.name)
            return box

    def _hand_over(self, box: Mailbox[Captured], captured: Captured) -> bool:
        while self._current():
            try:
                box.put(captured, timeout=POLL_S)
            except TimeoutError:
                self._heard = monotonic()
                continue
            except Closed:
                return False
            self._wake.set()
            return True
        return False

    def _lose(self, why: str) -> None:
        if why != self._error:
            log.warning("source %s: %s", self.name, why)
        self._error = why
        self._enter(State.LOST)

    def _enter(self, state: State) -> None:
        self._state = state
        self._changed = monotonic()
        self.history.append((self._changed, state))
        log.info("source %s: %s", self.name, state.value)

    def _dropped_so_far(self) -> int:
        return self._dropped + self._box.dropped


def read(source: Source, resources: ExitStack) -> Iterator[Frame]:
    """The frames of a single source, read in a thread that `resources` ends: of a live one the newest, else all.

    Raises:
        Exception: what the source raised, after its last frame.
    """
    wake = threading.Event()
    worker = SourceWorker(source.name, lambda: source, wake, ServiceConfig(), first=source, reopen=False)
    worker.start()
    resources.callback(worker.stop, STOP_S)
    while not worker.ended:
        captured = worker.take()
        if captured is None:
            wake.wait(POLL_S)
            wake.clear()
            continue
        worker.done(0)
        yield captured.frame
    if worker.failure is not None:
        raise worker.failure


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
