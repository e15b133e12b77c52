"""One source in a thread: opens, reads and watches it, and reopens or ends it. A `Runner` has one per source."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic, perf_counter, time
from typing import Any

from edgeemo.capture.playhead import Playhead
from edgeemo.config import ServiceConfig
from edgeemo.errors import EdgeemoError
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.run.status import Rate
from edgeemo.system.faults import FaultLog
from edgeemo.types import Frame, Source, SourceStatus, State
from engines.standard import told

log = logging.getLogger(__name__)

POLL_S = 0.1
MOST_STUCK = 3  # threads of one source blocked in a driver; each new one would most likely block, too
STOP_S = 1.0  # time-out for stopping a single source
HISTORY = 64
READ_AHEAD = 4  # frames of a file decoded ahead of recognition
LEAST_STEP_S = 0.04  # from the last frame of a source to the first one of the file that replaces it
READ_AHEAD_BYTES = 16 << 20  # limit for the pictures decoded ahead, not counting the first one


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame in flight to the runner.

    Attributes:
        at: when it was captured, by `perf_counter`.
        must_arrive: its source is not live, so its result may not be dropped.
    """

    frame: Frame
    at: float
    must_arrive: bool


class SourceWorker:
    """Reads a source in a thread and reports its state.

    Of a live source only the newest frame is kept; frames not taken in time are dropped and counted. Any other source
    waits until each frame is taken.

    With `reopen`, a lost source is reopened without a time limit. Index and time of its frames continue; frames get the
    worker's name as `origin` and the wall clock. Without `reopen`, the first error ends it and is kept in `failure`,
    and frames are passed on unchanged.

    Args:
        name: name of the source.
        opener: makes the source; raises `SourceError` while it is not available.
        wake: set when a frame has arrived or the source has ended.
        first: the source, if the caller has made it (to get errors in its address early); else None.
        newest_only: keep only the newest frame, as of a live source, for a file that plays in real time.
        paced: the file plays in real time, so frames decoded ahead would be shown late.

    Attributes:
        history: the latest (time, state), by the monotonic clock.
        failure: the error that ended a source without `reopen`; None if there was none.
        cut_short: the error that ended a file with `reopen`; None if there was none.
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
        paced: bool = False,
    ) -> None:
        self.name = name
        self.history: deque[tuple[float, State]] = deque(maxlen=HISTORY)
        self.failure: Exception | None = None
        self.cut_short: Exception | None = None
        self._opener = opener
        self._first = self._source = first
        self._wake = wake
        self._config = config
        self._reopen = reopen
        self._newest_only = newest_only
        self._paced = paced
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._box: Mailbox[Captured] = Mailbox(newest_only=True)
        self._state = State.CONNECTING
        self._began = monotonic()
        self._changed = self._began
        self._heard = self._began
        self._index = 0
        self._time = self._base_time = 0.0  # media time of the newest frame, and the least one of the next source
        self._patience = 1.0  # factor of `hang_s` while a file is opened
        self._captured = self._processed = self._dropped = self._connects = self._faces = self._damaged = 0
        self._error = ""
        self._faults = FaultLog(log, f"source {name}", f"source {name} is live")
        self._decoder = ""
        self._finite = False
        self._left_behind = False
        self._arrivals = Rate()
        self._results = Rate()
        self._stuck: list[threading.Thread] = []
        self._thread = self._new_thread()

    def continue_from(self, other: SourceWorker) -> None:
        """Continue index and time of a stopped worker of the same name. Call it before `start`; needs `reopen`."""
        self._index, self._began = other._index, other._began
        self._base_time = other._time + LEAST_STEP_S if other._index else 0.0

    def start(self) -> None:
        self.history.append((monotonic(), self._state))
        self._thread.start()

    @property
    def started(self) -> bool:
        return bool(self.history)

    def take(self) -> Captured | None:
        """The newest frame not yet taken, or None; does not wait."""
        try:
            return self._box.take(timeout=0)
        except (TimeoutError, Closed):
            return None

    def done(self, faces: int) -> None:
        """Report that a taken frame was recognised, with this number of faces."""
        with self._lock:
            self._processed += 1
            self._faces = faces
            self._results.add(monotonic())

    @property
    def finite(self) -> bool:
        """Whether its source is known to be a file."""
        return self._finite

    @property
    def must_arrive(self) -> bool:
        """Whether no frame of the source may be dropped."""
        return self._finite and not self._newest_only

    @property
    def playhead(self) -> Playhead | None:
        """Seek and speed control of the source; None if it has none."""
        playhead: Playhead | None = getattr(self._source, "playhead", None)
        return playhead

    @property
    def ended(self) -> bool:
        """Whether the source has ended and all of its frames were taken."""
        with self._lock:
            return self._state is State.ENDED and self._captured <= self._processed + self._dropped_so_far()

    @property
    def dropped(self) -> int:
        """Number of frames that were not taken."""
        with self._lock:
            return self._dropped_so_far()

    @property
    def damaged(self) -> int:
        """Number of pictures that were lost or decoded with errors."""
        return self._damaged

    def check(self) -> None:
        """Detect a source that delivers nothing; call it a few times per second."""
        now = monotonic()
        with self._lock:
            self._faults.check()
            silent = now - self._heard
            if self._state is State.LIVE and silent > self._config.stalled_s:
                self._enter(State.STALLED)
            # a file is not opened again after its first frame: that would deliver the same results twice
            may_reopen = self._state is State.CONNECTING or (self._state is State.STALLED and not self._finite)
            hangs = may_reopen and silent > self._config.hang_s * self._patience
            self._stuck = [thread for thread in self._stuck if thread.is_alive()]
            if hangs and self._reopen and not self._stop.is_set() and len(self._stuck) < MOST_STUCK:
                # its thread is blocked in a driver; later frames of it are ignored
                self._lose("no frames arrived, and its driver cannot be interrupted")
                if self._finite:  # a large file on a slow drive may only need more time
                    self._patience *= 2
                self._stuck.append(self._thread)
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
            False if it still waits for a device or the network; further calls do not wait again.
        """
        self.begin_stopping()
        if self._thread.ident is not None and self._thread is not threading.current_thread() and not self._left_behind:
            self._thread.join(max(0.0, timeout))
            if self._thread.is_alive():
                self._left_behind = True
                log.warning("source %s did not stop within %.1f s; its thread keeps running", self.name, timeout)
        return not any(thread.is_alive() for thread in (self._thread, *self._stuck))

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
            # reopening a damaged file would deliver the same results twice
            if not self._reopen or (self._finite and (failure is None or gave)):
                self._end(failure)
                return
            pause = self._config.backoff_s if gave > 1 else min(2 * pause, self._config.backoff_max_s)
            with self._lock:
                self._lose(_line(failure) if failure is not None else f"{self.name} ended", failure)
                self._enter(State.BACK_OFF)
            self._stop.wait(pause)

    def _end(self, failure: Exception | None) -> None:
        with self._lock:
            if failure is not None and self._reopen:
                self._lose(_line(failure))
                self.cut_short = failure
            elif failure is not None:
                self._error, self.failure = _line(failure), failure
            self._enter(State.ENDED)
        self._wake.set()

    def _play(self) -> None:
        """Open the source and deliver its frames until it ends."""
        source, self._first = self._first or self._opener(), None
        self._source = source
        newest_only = source.live or self._newest_only
        self._finite = not source.live
        opened = monotonic()
        base = self._index
        offset = max(opened - self._began if newest_only else 0.0, self._base_time)
        expected = 0
        frames = source.frames()
        box: Mailbox[Captured] | None = None
        try:
            for frame in frames:
                captured_at = perf_counter()
                if not self._current():
                    return
                if box is None:
                    few = newest_only or self._paced
                    ahead = 1 if few else min(READ_AHEAD, 1 + READ_AHEAD_BYTES // frame.image.nbytes)
                    box = self._connected(Mailbox(newest_only=newest_only, size=ahead), source.decoder)
                with self._lock:
                    # a late player skips frames
                    left_out = max(0, frame.index - expected)
                    expected = frame.index + 1
                    self._captured += 1 + left_out
                    self._dropped += left_out
                    self._damaged += frame.damage
                    self._index, self._time = base + expected, offset + frame.time
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
            # close it now, because it may hold a device
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
            self._faults.end()
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

    def _lose(self, why: str, failure: Exception | None = None) -> None:
        expected = failure is None or told(failure, EdgeemoError)
        self._faults.begin(why, trace=None if expected else failure)
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
    """The frames of a single source: only the newest if it is live, else all. `resources` ends the reading thread.

    Raises:
        Exception: the source's error, after its last frame.
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
