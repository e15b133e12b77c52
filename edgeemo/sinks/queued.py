"""A sink in a thread of its own, behind a bounded queue: it may be slow or broken and holds nobody up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic

from edgeemo.errors import EdgeemoError
from edgeemo.sinks import ReaderGone
from edgeemo.types import Result, Sink, SinkStatus

log = logging.getLogger(__name__)

TICK_S = 0.2  # how often an idle sink may look after itself
MOST_BYTES = 64 << 20  # of pictures in a queue
REOPEN_S = 1.0  # pause before a sink that failed is opened again


class QueuedSink:
    """Runs a sink in a thread. `offer` never waits: when the queue is full its oldest result is dropped and counted.

    A sink that raises is closed and opened again every second until that works; what comes meanwhile is dropped and
    counted.

    Args:
        name: for the log and the status.
        opener: opens the sink.
        size: results that may wait.
        first: a sink that is open already, so that its mistakes came out before.
        pictures: the sink needs the frame's picture.
        gone: called when the reader of the sink's pipe has gone.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Sink],
        *,
        size: int,
        first: Sink | None = None,
        pictures: bool = False,
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.pictures = pictures
        self._opener = opener
        self._sink = first
        self._size = size
        self._gone = gone
        self._waiting: deque[Result] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._abandoned = False
        self._written = 0
        self._dropped = 0
        self._error = ""
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"edgeemo-sink {name}", daemon=True)
        self._thread.start()

    def offer(self, result: Result) -> None:
        with self._changed:
            if self._closing:
                return
            while self._waiting and (len(self._waiting) >= self._size or self._is_heavy(result)):
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(result)
            self._changed.notify()

    def status(self) -> SinkStatus:
        with self._changed:
            # what it says itself: a broker that is away, results that it had to drop
            fault, lost = (self._sink.fault, self._sink.lost) if self._sink is not None else ("", 0)
            return SinkStatus(self.name, self._written, self._dropped + lost, len(self._waiting), self._error or fault)

    def begin_closing(self) -> None:
        """Let it write what waits, and close; several sinks do so side by side."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def close(self, timeout: float = 2.0) -> bool:
        """Wait for that.

        Returns:
            False if it hangs; what waits in it is lost then.
        """
        self.begin_closing()
        self._thread.join(max(0.0, timeout))
        if self._thread.is_alive():
            self._abandoned = True
            log.warning("sink %s did not end within %.1f s; it is left behind", self.name, timeout)
            return False
        return True

    def _is_heavy(self, result: Result) -> bool:
        """Whether the queue's pictures would take too much memory with this one: eight of 8K are 800 MB."""
        if not self.pictures:
            return False
        return sum(each.frame.image.nbytes for each in (*self._waiting, result)) > MOST_BYTES

    def _run(self) -> None:
        ticked = monotonic()
        while not self._abandoned:
            with self._changed:
                if not self._waiting and not self._closing:
                    self._changed.wait(TICK_S)
                result = self._waiting.popleft() if self._waiting else None
                closing = self._closing
            if self._sink is None and (closing or monotonic() >= self._retry_at):
                self._guarded(self._open)
            if result is not None:
                sink = self._sink
                well = sink is not None and self._guarded(partial(sink.write, result))
                self._count(int(well), int(not well))
            if result is None or monotonic() - ticked >= TICK_S:
                ticked = monotonic()
                if self._sink is not None:
                    self._guarded(self._sink.tick)
            if result is None and closing:
                self._guarded(self._close)
                return

    def _open(self) -> None:
        self._sink = self._opener()
        if self._error:
            log.warning("sink %s works again", self.name)
            self._error = ""

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _guarded(self, action: Callable[[], None]) -> bool:
        """Do something with the sink; where it fails the sink is given up for now."""
        try:
            action()
            return True
        except ReaderGone:
            self._error = "its reader has gone"
            self._gone()
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            if said != self._error:
                log.warning("sink %s: %s", self.name, said, exc_info=not isinstance(error, EdgeemoError))
            self._error = said
        try:
            self._close()
        except Exception:
            log.debug("closing sink %s after an error", self.name, exc_info=True)
        self._retry_at = monotonic() + REOPEN_S
        return False

    def _count(self, written: int, dropped: int) -> None:
        with self._changed:
            self._written += written
            self._dropped += dropped
