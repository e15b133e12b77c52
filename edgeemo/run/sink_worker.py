"""One sink in its own thread behind a queue, so that a slow or broken sink delays no other. Made by a `Runner`."""

from __future__ import annotations

import logging
import statistics
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic, perf_counter

from edgeemo.errors import EdgeemoError
from edgeemo.sinks import ReaderGone
from edgeemo.system.faults import FaultLog
from edgeemo.types import Marker, Result, Sink, SinkStatus

log = logging.getLogger(__name__)

TICK_S = 0.2  # interval of `Sink.tick`
BATCH = 8  # results taken per wake-up if the source is a file: a wake-up costs the runner 0.3 ms of CPU
MAX_BYTES = 64 << 20  # limit for the pictures in a queue: eight of 8K video would take 800 MB
REOPEN_S = 1.0  # pause before a failed sink is reopened


class SinkWorker:
    """Runs a sink in a thread. `offer` never waits.

    When the queue is full, the oldest result of a live source is dropped and counted. Results of files are never
    dropped: the caller checks `has_room` first and lets the file wait.

    With `reopen`, a sink that raises is closed and reopened every second until that succeeds; results that come
    meanwhile are dropped and counted. Without `reopen`, its first error is kept in `failure` and nothing more is
    written.

    Args:
        name: for the log and the status.
        opener: opens the sink.
        size: length of the queue.
        first: a sink that the caller has opened, so that errors of opening it were raised to the caller.
        pictures: see `Sink`; None: as `first`.
        wake: called when there is room again and when `failure` was set.

    Attributes:
        pictures, takes_markers: see `Sink`.
        reopen: see above.
        failure: the error that ended it: `ReaderGone`, or without `reopen` any error.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Sink],
        *,
        size: int,
        first: Sink | None = None,
        pictures: bool | None = None,
        reopen: bool = True,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.pictures = (first is not None and first.pictures) if pictures is None else pictures
        self.takes_markers = first is not None and first.takes_markers
        self.failure: Exception | None = None
        self._opener = opener
        self._sink = first
        self._size = size
        # no batch of pictures: the encoder starts with the first one instead of waiting for eight
        self._batch = 1 if self.pictures else max(1, min(BATCH, size // 2))
        self.reopen = reopen
        self._wake = wake
        self._waiting: deque[tuple[Result, bool]] = deque()
        self._markers: list[Marker] = []
        self._changed = threading.Condition()
        self._busy = False
        self._closing = False
        self._abandoned = False
        self._written = 0
        self._dropped = 0
        self._lost = 0  # results lost by closed sinks
        self._kept = 0  # results kept on disk by the last closed sink
        self._reopens = False
        self._error = ""
        self._faults = FaultLog(log, f"sink {name}", f"sink {name} works again")
        self._retry_at = 0.0
        self._taken_ms: deque[float] = deque(maxlen=120)
        self._thread = threading.Thread(target=self._run, name=f"edgeemo-sink {name}", daemon=True)
        self._thread.start()

    def offer(self, result: Result, *, must_arrive: bool = False) -> None:
        """Put a result into the queue.

        Args:
            must_arrive: never drop it, even if the queue is full.
        """
        with self._changed:
            if self._closing:
                return
            while not must_arrive and self._is_full(result):
                self._dropped += 1
                droppable = next((row for row, (_, kept) in enumerate(self._waiting) if not kept), None)
                if droppable is None:
                    return
                del self._waiting[droppable]
            self._waiting.append((result, must_arrive))
            # wake the thread at once for a live result; results of a file wait for a batch or for the next tick
            if not must_arrive or len(self._waiting) >= self._batch:
                self._changed.notify()

    def take_marker(self, marker: Marker) -> None:
        """Give a marker to a sink that `takes_markers`; returns at once."""
        with self._changed:
            self._markers.append(marker)
            self._changed.notify()

    def flush(self) -> None:
        """Make the thread write its queue now; returns at once."""
        with self._changed:
            self._changed.notify()

    def reopen_file(self) -> None:
        """Make the sink reopen its files by name (after a rotation); returns at once."""
        with self._changed:
            self._reopens = True
            self._changed.notify()

    @property
    def has_room(self) -> bool:
        if not self.pictures:
            return len(self._waiting) < self._size  # without the lock, because it is called before every frame
        with self._changed:
            return not self._is_full()

    @property
    def waiting(self) -> int:
        """Number of queued results."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether the queue is empty and nothing is being written."""
        with self._changed:
            return not self._waiting and not self._busy

    @property
    def write_ms(self) -> float:
        """Median milliseconds of the latest writes; 0 before the first one."""
        recent = list(self._taken_ms)
        return statistics.median(recent) if recent else 0.0

    def status(self) -> SinkStatus:
        with self._changed:
            sink = self._sink
            fault = sink.fault if sink is not None else ""
            lost = self._lost + (sink.lost if sink is not None else 0)
            kept = sink.kept if sink is not None else self._kept
            arrived = max(0, self._written - lost - kept)
            return SinkStatus(self.name, arrived, self._dropped + lost, len(self._waiting), self._error or fault, kept)

    def begin_closing(self) -> None:
        """Start writing the queue and closing; several sinks can do so in parallel."""
        with self._changed:
            self._closing = True
            self._retry_at = 0.0  # a failed sink is tried a last time
            self._changed.notify()
            sink = self._sink
        if sink is not None:
            sink.stop_waiting()

    def close(self, timeout: float = 2.0) -> bool:
        """Wait for the end of `begin_closing`: at most `timeout` seconds.

        Without `reopen`, `timeout` starts again whenever a result leaves the queue.

        Returns:
            False if it hangs; its queue is lost then.
        """
        self.begin_closing()
        left = len(self._waiting)
        deadline = monotonic() + timeout
        while self._thread.is_alive() and (now := monotonic()) < deadline:
            self._thread.join(min(TICK_S, deadline - now))
            if not self.reopen and len(self._waiting) < left:
                # without `reopen` no result may be lost, so wait while there is progress
                left, deadline = len(self._waiting), monotonic() + timeout
        if self._thread.is_alive():
            self._abandoned = True
            log.warning("sink %s did not end within %.1f s; its thread keeps running", self.name, timeout)
            return False
        return True

    def _is_full(self, result: Result | None = None) -> bool:
        if len(self._waiting) >= self._size:
            return True
        if not self.pictures or not self._waiting:
            return False
        size = sum(each.frame.image.nbytes for each, _ in self._waiting)
        return size + (result.frame.image.nbytes if result is not None else 0) > MAX_BYTES

    def _run(self) -> None:
        ticked = monotonic()
        while not self._abandoned:
            with self._changed:
                if not self._waiting and not self._markers and not self._closing:
                    self._changed.wait(TICK_S)
                was_full = self._is_full()
                markers, self._markers = self._markers, []
                result = self._waiting.popleft()[0] if self._waiting else None
                self._busy = result is not None
                closing = self._closing
            if was_full:
                self._wake()
            if self._sink is None and self.reopen and monotonic() >= self._retry_at:
                self._guarded(self._open)
            if self._reopens and self._sink is not None:
                self._reopens = False
                self._guarded(self._sink.reopen)
            for marker in markers:
                if self._sink is not None:
                    self._guarded(partial(self._sink.take_marker, marker))
            if result is not None:
                self._write(result)
            if result is None or monotonic() - ticked >= TICK_S:
                ticked = monotonic()
                self._faults.check()
                if self._sink is not None:
                    self._guarded(self._sink.tick)
            if result is None and closing:
                break
        self._guarded(self._close)

    def _write(self, result: Result) -> None:
        sink = self._sink
        began = perf_counter()
        well = sink is not None and self._guarded(partial(sink.write, result))
        self._taken_ms.append((perf_counter() - began) * 1e3)
        with self._changed:
            self._written += well
            self._dropped += not well
            self._busy = False

    def _open(self) -> None:
        self._sink = self._opener()
        if self._closing:
            self._sink.stop_waiting()
        self._error = ""
        self._faults.end()

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            finally:
                self._lost += sink.lost
                self._kept = sink.kept

    def _guarded(self, action: Callable[[], None]) -> bool:
        """Run an action of the sink; if it fails, close the sink and reopen it later, or end."""
        try:
            action()
            return True
        except Exception as error:
            self._note(error)
        try:
            self._close()
        except Exception:
            log.debug("closing sink %s after an error", self.name, exc_info=True)
        self._retry_at = monotonic() + REOPEN_S
        return False

    def _note(self, error: Exception) -> None:
        said = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ReaderGone):
            said = "its reader has gone"
        elif self.reopen:
            self._faults.begin(said, trace=None if isinstance(error, EdgeemoError) else error)
        self._error = said
        if self.failure is None and (isinstance(error, ReaderGone) or not self.reopen):
            self.failure = error
            self._wake()
