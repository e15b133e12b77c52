"""Split a long video at key frames; each part starts with warm-up frames for the trackers. Called by `work`."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeemo.capture.ffmpeg import Video, open_video
from edgeemo.capture.file import VideoFile
from edgeemo.errors import SourceError
from edgeemo.types import Frame

WARM_UP_S = 12.0  # duration after which the slowest average of the smoother (3 s) has settled to 2 %
TOLERANCE_S = 1e-4
FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # containers with an index and presentation times


@dataclass(frozen=True)
class Part:
    """Frames `start` to `end` (exclusive) of a file, counted from 0.

    Attributes:
        key, key_time: number and media time of the key frame where decoding starts, at least `WARM_UP_S` before
            `start`.
        last: it is the last part.
        start_time, end_time: media times of the frames `start` and `end`. The seams follow the times, because numbers
            shift if the decoder loses a picture.
    """

    number: int
    start: int
    end: int
    key: int
    key_time: float
    last: bool
    start_time: float = 0.0
    end_time: float = math.inf


def split(path: Path, length_s: float) -> tuple[Part, ...]:
    """Parts of about equal length, at most slightly longer than `length_s`; () if the file is shorter or has no index.

    Only packets are read, nothing is decoded.
    """
    try:
        video = open_video(os.path.abspath(path))
    except SourceError:
        return ()
    if video is None:
        return ()
    try:
        if video.format not in FORMATS or not video.finite or video.count / video.fps <= length_s:
            return ()
        times, keys = video.index()
    finally:
        video.close()
    if len(keys) < 2 or times[-1] <= length_s:
        return ()
    return _parts(times, keys, math.ceil(times[-1] / length_s))


def _parts(times: npt.NDArray[np.float64], keys: npt.NDArray[np.int64], count: int) -> tuple[Part, ...]:
    """Split a video into up to `count` parts of about equal length, each from a key frame on.

    Args:
        times: media time of every frame.
        keys: numbers of the key frames.
    """
    wanted = np.arange(1, count) * times[-1] / count
    starts = sorted({0, *(int(keys[np.abs(times[keys] - at).argmin()]) for at in wanted)})
    parts = []
    for number, start in enumerate(starts):
        before = keys[times[keys] <= max(0.0, times[start] - WARM_UP_S)]
        key = int(before[-1]) if start and len(before) else 0
        last = number + 1 == len(starts)
        end = len(times) if last else starts[number + 1]
        end_time = math.inf if last else float(times[end])
        parts.append(Part(number, start, end, key, float(times[key]), last, float(times[start]), end_time))
    return tuple(parts)


class VideoPart(VideoFile):
    """The frames of one part including its warm-up, numbered and timed as in the complete file.

    Raises:
        SourceError: it is cut off, or decoding cannot start at a key frame of its index.
    """

    def __init__(self, path: Path, part: Part) -> None:
        super().__init__(path)
        self._part = part

    def frames(self) -> Iterator[Frame]:
        if self._part.number == 0:
            return self._until_end(super().frames())
        return self._later()

    def _until_end(self, frames: Iterator[Frame]) -> Generator[Frame, None, None]:
        for frame in frames:
            if frame.time > self._part.end_time - TOLERANCE_S:
                return
            yield frame

    def _later(self) -> Generator[Frame, None, None]:
        part, index = self._part, self._part.key - 1
        video = open_video(os.path.abspath(self._path))  # not a hardware decoder, which cannot seek
        if video is None:
            raise SourceError(f"{self._path} can no longer be read; check the file")
        video.reads_ahead = True
        try:
            video.seek(part.key_time)
            while video.grab() and video.time <= part.end_time - TOLERANCE_S:
                if video.time < part.key_time - TOLERANCE_S:
                    continue  # the demuxer started earlier
                if index < part.key and video.time > part.key_time + TOLERANCE_S:
                    raise SourceError(
                        f"{self._path} cannot be decoded from {part.key_time:.2f} s on; use --split-minutes 0"
                    )
                has_begun = video.time > part.start_time - TOLERANCE_S
                index = max(index + 1, part.start) if has_begun else index + 1
                image = video.image()
                if image is None:
                    continue
                yield Frame(image, index, video.time, self.name, damage=video.take_damage())
            self._expect_end(video, index)
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read after frame {index + 1}: {error}") from error
        finally:
            video.close()

    def _expect_end(self, video: Video, index: int) -> None:
        broken = video.missing() if self._part.last else ""
        if broken or (not self._part.last and video.time <= self._part.end_time - TOLERANCE_S):
            raise SourceError(
                f"{self._path} is cut off after frame {index + 1}: the file is not complete"
                f"{f' ({broken})' if broken else ''}; copy or record it again"
            )
