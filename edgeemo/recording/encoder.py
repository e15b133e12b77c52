"""Encode a recording's video in a separate thread. Called by `recorder`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, Full, Queue

from edgeemo.types import Result, Sink

log = logging.getLogger(__name__)

QUEUE = 24  # length of the encoder's queue
POLL_S = 0.2
CLOSE_S = 10.0


class VideoEncoder:
    """Encodes pictures without ever blocking the caller; after an error it drops them.

    Args:
        sink: written and closed by the thread.
        on_error: called in the encoder's thread with the error that ended the video.

    Attributes:
        left_out: number of pictures dropped because the encoder was too slow.
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
        """Whether pictures are still written to the file."""
        return self._thread.is_alive() and not self._failed.is_set() and not self._ending.is_set()

    def put(self, result: Result) -> None:
        if not self.working:
            return
        try:
            self._pictures.put_nowait(result)
        except Full:
            self.left_out += 1
            log.debug("the encoder is too slow; dropped a picture")

    def end(self) -> None:
        """Accept no more pictures; the queue is still written. Returns at once."""
        self._ending.set()

    def close(self, timeout: float = CLOSE_S) -> None:
        """Write the queue and close the sink.

        Raises:
            TimeoutError: it took longer than `timeout` seconds; the thread keeps running.
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
            except Exception as error:  # report any error to the recorder
                self._failed.set()
                errors.append(error)
        if errors:
            # closing fails because of the earlier error
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
