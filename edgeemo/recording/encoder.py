"""Encodes a recording's video in a thread of its own. Used by the recorder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, Full, Queue

from edgeemo.types import Result, Sink

log = logging.getLogger(__name__)

QUEUE = 24  # pictures that wait for the encoder
POLL_S = 0.2
CLOSE_S = 10.0


class VideoEncoder:
    """Never makes whoever gives it pictures wait; after an error it drops them.

    Args:
        sink: is written and closed by the thread.
        on_error: told of what ended the video, in the encoder's thread.

    Attributes:
        left_out: pictures that were dropped because the encoder was too slow.
    """

    def __init__(self, sink: Sink, on_error: Callable[[Exception], None]) -> None:
        self.left_out = 0
        self._sink = sink
        self._on_error = on_error
        self._pictures: Queue[Result] = Queue(QUEUE)
        self._ending = threading.Event()
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeemo-video", daemon=True)
        self._thread.start()

    @property
    def working(self) -> bool:
        """Whether pictures still reach the file."""
        return self._thread.is_alive() and not self._failed.is_set() and not self._ending.is_set()

    def put(self, result: Result) -> None:
        if not self.working:
            return
        try:
            self._pictures.put_nowait(result)
        except Full:
            self.left_out += 1
            log.debug("the encoder is too slow; a picture was left out")

    def end(self) -> None:
        """Take no more pictures; what waits is still written. Does not wait."""
        self._ending.set()

    def close(self, timeout: float = CLOSE_S) -> None:
        """Write what waits and close the sink.

        Raises:
            TimeoutError: that takes longer than `timeout` seconds; the thread is left behind.
        """
        self.end()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the video was not finished within {timeout:.0f} s")

    def _run(self) -> None:
        errors: list[Exception] = []
        for step in (self._write_all, self._sink.close):
            try:
                step()
            except Exception as error:  # whatever it is: the recorder has to know
                self._failed.set()
                errors.append(error)
        if errors:
            # closing fails because of what came before
            self._on_error(errors[0])

    def _write_all(self) -> None:
        while True:
            try:
                result = self._pictures.get(timeout=POLL_S)
            except Empty:
                if self._ending.is_set():
                    return
                continue
            self._sink.write(result)
