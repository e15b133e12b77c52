"""A video with the overlay burnt in."""

from __future__ import annotations

import shutil
import statistics
from itertools import pairwise
from time import monotonic

import cv2
import numpy as np

from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.output import writable
from edgeemo.types import U8, Result, Sink

# No H.264: the wheel's FFmpeg has no software encoder for it. Of these only Matroska is readable after a crash.
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
RATES = (15.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 120.0)
LOOK_AHEAD = 4  # frames from whose times the rate is taken; they are held in memory meanwhile
LONGEST_GAP_S = 10.0
SPARE_BYTES = 4 << 20


class VideoSink(Sink):
    """`video:PATH`: MPEG-4 in .mp4, .m4v, .mov or .mkv, motion JPEG in .avi.

    The rate is taken from the times of the first frames. Where frames were dropped the picture before is repeated, so
    that the video runs as long as its source did (gaps of more than 10 s are shortened). Pictures of another size
    are fitted into the size of the first one.
    """

    pictures = True

    def __init__(self, target: str, context: SinkContext) -> None:
        self._path = writable(target)
        suffix = self._path.suffix.lower()
        if suffix not in CODECS:
            # made by the check above
            if self._path.stat().st_size == 0:
                self._path.unlink()
            raise SinkError(f"cannot write a video to {self._path}: its name must end in {', '.join(CODECS)}")
        self._codec = CODECS[suffix]
        self._draw = context.draw
        self._waiting: list[tuple[float, U8]] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._rate = 0.0
        self._next_slot = 0
        self._zero = 0.0
        self._last: U8 | None = None
        self._checked = -1.0

    def write(self, result: Result) -> None:
        picture = self._draw(result)
        if self._writer is not None:
            self._encode(result.frame.time, picture)
            return
        self._waiting.append((result.frame.time, picture))
        if len(self._waiting) > LOOK_AHEAD:
            self._begin()

    def close(self) -> None:
        try:
            if self._writer is None and self._waiting:
                self._begin()
        finally:
            if self._writer is not None:
                self._writer.release()
                self._writer = None
                self._expect_space()
                self._expect_readable()

    def _begin(self) -> None:
        times = [time for time, _ in self._waiting]
        self._rate = rate_of(times)
        self._zero = times[0]
        first = self._waiting[0][1]
        # MPEG-4 wants even sides
        self._size = (max(2, first.shape[1] // 2 * 2), max(2, first.shape[0] // 2 * 2))
        self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*self._codec), self._rate, self._size)
        if not self._writer.isOpened():
            self._writer, self._waiting = None, []
            raise SinkError(
                f"cannot encode a video of {self._size[0]}x{self._size[1]} pixels into {self._path}; "
                "choose another path or a smaller source"
            )
        waiting, self._waiting = self._waiting, []
        for time, picture in waiting:
            self._encode(time, picture)

    def _encode(self, time: float, picture: U8) -> None:
        assert self._writer is not None
        self._expect_space()
        slot = round((time - self._zero) * self._rate)
        gap = slot - self._next_slot
        longest = round(LONGEST_GAP_S * self._rate)
        if gap > longest:
            self._zero += (gap - longest) / self._rate
            gap = longest
        if gap < 0 and self._last is not None:
            return
        if self._last is not None:
            for _ in range(gap):
                self._writer.write(self._last)
        self._last = fitted(picture, self._size)
        self._writer.write(self._last)
        self._next_slot += max(gap, 0) + 1

    def _expect_space(self) -> None:
        # OpenCV doesn't say when a write fails, so the room is watched
        now = monotonic()
        if self._writer is not None and now - self._checked < 1:
            return
        self._checked = now
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise SinkError(f"cannot go on writing {self._path}: its folder was moved or deleted") from error
        if free < SPARE_BYTES:
            if self._writer is not None:
                self._writer.release()
                self._writer = None
            raise SinkError(f"cannot go on writing {self._path}: the disk is full; what came before is kept")

    def _expect_readable(self) -> None:
        again = cv2.VideoCapture(str(self._path))
        readable = again.isOpened()
        again.release()
        if not readable:
            raise SinkError(
                f"{self._path} could not be finished, perhaps there was no room for its end; "
                "a name that ends in .mkv is readable up to such a break"
            )


def rate_of(times: list[float]) -> float:
    """Frames a second of a source, from the times of its first frames in seconds; a common rate where one is near."""
    steps = [after - before for before, after in pairwise(times) if after > before]
    if not steps:
        return 25.0
    usual = statistics.median(steps)
    # the mean undoes a container's rounding to milliseconds; a dropped frame's long step would spoil it
    rate = 1 / statistics.mean(step for step in steps if step < 1.5 * usual)
    rate = min(max(rate, 1.0), 240.0)
    nearest = min(RATES, key=lambda common: abs(common - rate))
    if abs(nearest - rate) < 0.005 * nearest:
        return nearest
    # MPEG-4 stores the rate as a fraction whose parts are at most 65535
    return round(rate, 3 if rate < 65 else 2)


def fitted(picture: U8, size: tuple[int, int]) -> U8:
    """A picture of any size, whole, in the middle of one of (width, height) pixels."""
    width, height = size
    have_height, have_width = picture.shape[:2]
    if (have_width, have_height) == size:
        return picture
    if 0 <= have_width - width <= 1 and 0 <= have_height - height <= 1:
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(width / have_width, height / have_height)
    inner = (max(1, min(width, round(have_width * scale))), max(1, min(height, round(have_height * scale))))
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return canvas
