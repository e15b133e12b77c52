"""One source that comes and goes: opened, watched, and opened again for as long as the service runs."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import monotonic, time

from edgeemo.config import ServiceConfig
from edgeemo.errors import EdgeemoError
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.types import Frame, Source, SourceStatus, State

log = logging.getLogger(__name__)

POLL_S = 0.1
RECENT_S = 5.0  # over which rates are taken
HISTORY = 64


class Supervisor:
    """Keeps a source running in a thread, and tells how it is.

    Its frames are renumbered, so that index and time go on when the source is opened again; `origin` is the name.

    Args:
        name: what the source is called.
        opener: makes the source; raises `SourceError` while it is not there.
        wake: set when a frame has come.
        live: treat the source as live although it is not (a file that plays at its own speed).

    Attributes:
        history: the latest (time, state), by the monotonic clock.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Source],
        wake: threading.Event,
        config: ServiceConfig,
        *,
        live: bool = False,
    ) -> None:
        self.name = name
        self.history: deque[tuple[float, State]] = deque(maxlen=HISTORY)
        self._opener = opener
        self._wake = wake
        self._config = config
        self._live = live
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._box: Mailbox[Frame] = Mailbox(newest_only=True)
        self._state = State.CONNECTING
        self._began = monotonic()
        self._changed = self._began
        self._heard = self._began
        self._index = 0
        self._captured = self._processed = self._dropped = self._connects = self._faces = 0
        self._error = ""
        self._finite = False
        self._arrivals = Rate()
        self._results = Rate()
        self._thread = self._new_thread()

    def start(self) -> None:
        self.history.append((monotonic(), self._state))
        self._thread.start()

    def take(self) -> Frame | None:
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
    def ended(self) -> bool:
        """Nothing more will come, and everything was taken."""
        with self._lock:
            return self._state is State.ENDED and self._captured <= self._processed + self._dropped_so_far()

    def check(self) -> None:
        """Notice silence: call it a few times a second."""
        now = monotonic()
        with self._lock:
            silent = now - self._heard
            if self._state is State.LIVE and silent > self._config.stalled_s:
                self._enter(State.STALLED)
            hangs = self._state in (State.STALLED, State.CONNECTING) and silent > self._config.hang_s
            if hangs and not self._stop.is_set():
                # its thread is caught in a driver; whatever it still gives is not taken any more
                self._fail("nothing came, and it cannot be interrupted")
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
            )

    def begin_stopping(self) -> None:
        self._stop.set()
        self._box.close()

    def stop(self, timeout: float) -> bool:
        """End the thread and release the source.

        Returns:
            False if it still waits for a device or the network.
        """
        self.begin_stopping()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout))
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
            try:
                finite = self._play()
                if not self._current():
                    return
                if finite:
                    with self._lock:
                        self._enter(State.ENDED)
                    self._wake.set()
                    return
                said = f"{self.name} ended"
            except Exception as error:
                if not self._current():
                    return
                said = " ".join(str(error).split()) or type(error).__name__
                if not isinstance(error, EdgeemoError):
                    log.exception("source %s failed", self.name)
            gave = self._captured - frames_before
            if gave and self._finite:
                # begun again, a damaged file would give the same results twice
                with self._lock:
                    self._fail(said)
                    self._enter(State.ENDED)
                self._wake.set()
                return
            pause = self._config.backoff_s if gave > 1 else min(2 * pause, self._config.backoff_max_s)
            with self._lock:
                self._fail(said)
                self._enter(State.BACK_OFF)
            self._stop.wait(pause)

    def _play(self) -> bool:
        """Open the source and hand its frames over to its end; True: it was a file and has none left."""
        source = self._opener()
        newest_only = source.live or self._live
        self._finite = not source.live
        opened = monotonic()
        base, offset = self._index, opened - self._began if newest_only else 0.0
        expected = 0
        frames = source.frames()
        box: Mailbox[Frame] | None = None
        try:
            for frame in frames:
                if not self._current():
                    return False
                if box is None:
                    box = self._connected(newest_only)
                with self._lock:
                    # a player that is late leaves frames out
                    left_out = max(0, frame.index - expected)
                    expected = frame.index + 1
                    self._captured += 1 + left_out
                    self._dropped += left_out
                    self._index = base + expected
                    self._heard = monotonic()
                    self._arrivals.add(self._heard)
                    if self._state is not State.LIVE:
                        self._enter(State.LIVE)
                named = replace(
                    frame, index=base + frame.index, time=offset + frame.time, origin=self.name, wall=time()
                )
                if not self._hand_over(box, named):
                    return False
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()
        return not source.live

    def _connected(self, newest_only: bool) -> Mailbox[Frame]:
        box: Mailbox[Frame] = Mailbox(newest_only=newest_only)
        with self._lock:
            left = self.take()
            self._dropped += self._box.dropped + (left is not None)
            self._box = box
            self._connects += 1
            self._error = ""
            if self._connects > 1:
                log.warning("source %s is live again", self.name)
            return box

    def _hand_over(self, box: Mailbox[Frame], frame: Frame) -> bool:
        while self._current():
            try:
                box.put(frame, timeout=POLL_S)
            except TimeoutError:
                self._heard = monotonic()
                continue
            except Closed:
                return False
            self._wake.set()
            return True
        return False

    def _fail(self, why: str) -> None:
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


class Rate:
    """Events a second of late."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=600)

    def add(self, now: float) -> None:
        self._times.append(now)

    def at(self, now: float) -> float:
        while self._times and now - self._times[0] > RECENT_S:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(now - self._times[0], 1e-6)
