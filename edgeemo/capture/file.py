"""A video file: every frame, in media time."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeemo.capture.container import is_cut_off, lacks_index
from edgeemo.capture.decoder import Decoder, open_video
from edgeemo.errors import SourceError
from edgeemo.types import Frame

log = logging.getLogger(__name__)

RETRIES = 1000  # reads after a failed one: damaged packets are passed over; at the real end they take 0.5 ms in all
LONGEST_WAIT_S = 0.5  # whoever stops the source waits for this at most
LATE_S = 0.1  # a paced source that is later leaves frames out, because the machine is too slow
PAUSE_S = 1.0  # one that is even this late was paused


class VideoFile:
    """A file that FFmpeg reads.

    With `paced` it plays at its own speed: a frame comes when it is due; if whoever reads is too slow, frames are left
    out (the index shows the gap), and after a pause it goes on where it was. `live` is False all the same, for a
    pause must not run past the end of the clip.

    Raises:
        SourceError: the file is missing, no video, or ends before it should; then its frames came first.
    """

    live = False
    pause_s = 0.0

    def __init__(self, path: Path, *, name: str = "", loop: bool = False, paced: bool = False) -> None:
        self.name = name or path.name
        self._path = path
        self._loop = loop
        self._paced = paced
        if not path.is_file():
            raise SourceError(f"{path} is no file; check the path")

    def frames(self) -> Iterator[Frame]:
        clock = MediaClock()
        pace = Pace() if self._paced else None
        index = 0
        while True:
            decoder, cut = self._open()
            clock.begin(1 / decoder.fps)
            first = index
            failed = 0
            try:
                while failed <= (0 if cut else RETRIES):
                    if not decoder.grab():
                        failed += 1
                        continue
                    if failed:
                        log.warning("%s is damaged after frame %d; went on behind that", self._path, index - first)
                    failed = 0
                    at = clock.tick(decoder.time)
                    index += 1
                    if pace is not None and pace.is_late(at):
                        continue
                    image = decoder.image()
                    if image is None:
                        continue
                    if pace is not None:
                        pace.wait(at)
                    yield Frame(image, index - 1, at, self.name)
            finally:
                decoder.close()
            self._expect_all(index - first, decoder.count, cut)
            if not self._loop:
                return

    def _open(self) -> tuple[Decoder, bool]:
        path = self._path
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
            cut = is_cut_off(path)
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}; check the file's permissions") from error
        if empty:
            raise SourceError(f"{path} is empty; copy or record it again")
        # FFmpeg would take what stands before a colon for a protocol
        decoder = open_video(os.path.abspath(path))
        if decoder is not None and decoder.codec != "ansi":  # FFmpeg plays text files
            return decoder, cut
        if decoder is not None:
            decoder.close()
        if cut or lacks_index(path):
            raise SourceError(_nothing_left(path))
        raise SourceError(f"{path} is no video that FFmpeg can read; give a video file such as .mp4, .mkv or .avi")

    def _expect_all(self, decoded: int, count: int, cut: bool) -> None:
        of_all = f" of {count}" if count >= decoded else ""
        if not decoded and cut:
            raise SourceError(_nothing_left(self._path))
        if not decoded:
            raise SourceError(f"{self._path} has no frame that can be decoded; copy or record it again")
        if cut and (not count or decoded < count):
            raise SourceError(
                f"{self._path} breaks off after frame {decoded}{of_all}: the file is not complete; "
                "copy or record it again"
            )
        log.debug("%s: %d%s frames decoded", self._path, decoded, of_all)


class MediaClock:
    """Strictly increasing seconds from a container's time stamps; where those fail, one period a frame."""

    def __init__(self) -> None:
        self._period = 0.04
        self._start = 0.0
        self._origin: float | None = None
        self._last: float | None = None

    def begin(self, period: float) -> None:
        """A new file begins, one period after the last frame so far."""
        self._period = period
        self._start = 0.0 if self._last is None else self._last + period
        self._origin = None

    def tick(self, stamp: float) -> float:
        """The time of the next frame, whose own time stamp is `stamp` seconds."""
        if self._origin is None:
            self._origin = stamp if math.isfinite(stamp) else 0.0
            at = self._start
        else:
            at = self._start + stamp - self._origin
        if self._last is not None and not (math.isfinite(at) and at > self._last):
            at = self._last + self._period
        self._last = at
        return at


class Pace:
    """Holds media time back to the pace of a clock.

    Args:
        now, sleep: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._now = now
        self._sleep = sleep
        self._offset: float | None = None  # of the clock from media time

    def is_late(self, at: float) -> bool:
        """Whether the frame of media time `at` was due too long ago to be shown; after a pause the pace begins anew."""
        now = self._now()
        if self._offset is None or now - self._offset - at > PAUSE_S:
            self._offset = now - at
        return now - self._offset - at > LATE_S

    def wait(self, at: float) -> None:
        """Sleep until media time `at` is due; of a gap in the video not longer than `LONGEST_WAIT_S`."""
        if self._offset is None:
            self._offset = self._now() - at
        left = self._offset + at - self._now()
        if left > LONGEST_WAIT_S:
            self._offset -= left - LONGEST_WAIT_S
            left = LONGEST_WAIT_S
        if left > 0:
            self._sleep(left)


def _nothing_left(path: Path) -> str:
    return f"{path} is not complete: it breaks off before any frame can be read from it; copy or record it again"
