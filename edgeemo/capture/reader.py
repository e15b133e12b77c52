"""The capture thread: a source that runs beside whoever takes its frames."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType

from edgeemo.mailbox import Closed, Mailbox
from edgeemo.types import Frame, Source

log = logging.getLogger(__name__)

POLL_S = 0.1  # how soon a wait notices that it should stop
RECENT = 60  # frames over which the rate is taken


class Reader:
    """Runs a source in a thread, into `frames`.

    Of a live source the newest frame counts and untaken ones are dropped; of any other every frame is handed over, one
    at a time, and the source waits. An error of the source is raised by `frames.take`, after the last frame.

        with Reader(source) as reader:
            frame = reader.frames.take(timeout=1)

    Attributes:
        frames: where the frames arrive.
        captured: frames the source has given so far.
    """

    def __init__(self, source: Source) -> None:
        self.frames: Mailbox[Frame] = Mailbox(newest_only=source.live)
        self.captured = 0
        self._source = source
        self._pause_s = source.pause_s
        self._stop = threading.Event()
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._thread = threading.Thread(target=self._run, name=f"capture {source.name}", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that nobody took."""
        return self.frames.dropped

    @property
    def fps(self) -> float:
        """Frames a second of late, 0 before the second frame."""
        recent = list(self._recent)
        span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
        return (len(recent) - 1) / span if span > 0 else 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> bool:
        """End the thread and release the source; may be called twice.

        Returns:
            False if the thread still waits for a device or the network after `timeout` seconds. It ends by itself as
            soon as that wait does.
        """
        self._stop.set()
        self.frames.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("%s did not stop within %.1f s; it is left behind", self._source.name, timeout)
            return False
        return True

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        frames = self._source.frames()
        try:
            for frame in frames:
                self.captured += 1
                self._recent.append(time.monotonic())
                if not self._hand_over(frame) or self._stop.wait(self._pause_s):
                    return
            self.frames.close()
        except Closed:
            pass
        except BaseException as error:
            self.frames.fail(error)
        finally:
            close = getattr(frames, "close", None)  # generators have one, plain iterators do not
            if close is not None:
                close()

    def _hand_over(self, frame: Frame) -> bool:
        while not self._stop.is_set():
            try:
                self.frames.put(frame, timeout=POLL_S)
                return True
            except TimeoutError:
                continue
        return False
