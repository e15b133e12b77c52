"""Read every frame of a video file, in media time. Called by `open_source`, `stream` and `edgeemo.batch`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeemo.capture.ffmpeg import FALLBACK_RATE, Video, expect_pyav, open_video
from edgeemo.capture.hardware_video import open_decoder
from edgeemo.capture.playhead import Playhead, go_to
from edgeemo.errors import SourceError
from edgeemo.types import Frame

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 0.5  # maximum sleep, so that the source can be stopped soon
LATE_S = 0.1  # delay from which a paced source skips frames, because the machine is too slow
PAUSE_S = 1.0  # a longer delay means that the source was paused
# first bytes of containers that need data at their end: a file without this data is cut off
BEGINNINGS = ((4, b"ftyp"), (0, b"RIFF"), (0, b"\x1aE\xdf\xa3"))
SHORTEST = 64  # bytes; no container is shorter


class VideoFile:
    """A video file, read by FFmpeg.

    With `paced` it plays in real time: each frame is delivered when it is due. If the reader is too slow, frames
    are skipped (the index shows the gap); after a pause, playback continues at the same place. `live` is still False:
    the clip must not continue during a pause. A paced file that does not loop has a `playhead` for seeks; after a seek
    the index continues to count.

    Args:
        stream: which of its video streams, from 0 on; None: the default one.

    Raises:
        SourceError: the file is missing or is not a video; or it ends too early, which is raised after its last frame.
    """

    live = False
    pause_s = 0.0

    def __init__(
        self, path: Path, *, name: str = "", loop: bool = False, paced: bool = False, stream: int | None = None
    ) -> None:
        self.name = name or path.name
        self._path = path
        self._loop = loop
        self._paced = paced
        self._stream = stream
        self._video: Video | None = None
        self.playhead = Playhead() if paced and not loop else None
        if not os.path.isfile(path):
            raise SourceError(f"{path} is not a file; check the path")

    @property
    def decoder(self) -> str:
        return self._video.decoder if self._video is not None else ""

    def frames(self) -> Iterator[Frame]:
        return play(self._open, str(self._path), self.name, loop=self._loop, paced=self._paced, playhead=self.playhead)

    def duration(self) -> float:
        """Duration in seconds from the container; 0 if it states none. Opens the file.

        Raises:
            SourceError: no frame of it can be read.
        """
        video = self._open()
        try:
            return video.count / video.fps
        finally:
            video.close()

    def count(self) -> int:
        """Number of frames from the container; 0 if it states none. Opens the file.

        Raises:
            SourceError: no frame of it can be read.
        """
        video = self._open()
        try:
            return video.count
        finally:
            video.close()

    def _open(self) -> Video:
        path = self._path
        try:
            with path.open("rb") as file:
                head = file.read(SHORTEST)
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}; check the file's permissions") from error
        if not head:
            raise SourceError(f"{path} is empty; copy or record it again")
        expect_pyav()
        try:
            # FFmpeg would take the text before a colon for a protocol
            self._video = video = open_video(os.path.abspath(path), stream=self._stream, make=open_decoder)
        except SourceError as error:
            raise SourceError(f"{path} {error}; give a video file such as .mp4, .mkv or .avi") from error
        if video is not None:
            return video
        if len(head) == SHORTEST and any(head[at:].startswith(mark) for at, mark in BEGINNINGS):
            raise SourceError(_nothing_left(str(path)))
        raise SourceError(f"{path} is not a video that FFmpeg can read; give a video file such as .mp4, .mkv or .avi")


def play(
    opener: Callable[[], Video],
    shown: str,
    name: str,
    *,
    loop: bool = False,
    paced: bool = False,
    playhead: Playhead | None = None,
) -> Iterator[Frame]:
    """Every frame of a finite video, in media time.

    Args:
        opener: opens the video; called again for each repetition of a loop.
        shown: its name in messages.
        name: name of the source.
        playhead: seeks and sets the speed.

    Raises:
        SourceError: it ends too early, or contains no frame.
    """
    playhead = playhead or Playhead()
    pace = Pace(playhead.now, playhead.sleep) if paced else None
    index, start = 0, 0.0
    while True:
        video = _opened(opener, shown, playhead, log.debug if index else log.warning)
        first, last = index, 0.0
        broken, cause = "", None
        try:
            while _grab(video, playhead, pace, index):
                last = video.time
                index += 1
                due = (start + last) / playhead.speed
                if pace is not None and pace.is_late(due):
                    continue
                image = video.image()
                if image is None:
                    continue
                if pace is not None:
                    pace.wait(due)
                yield Frame(image, index - 1, start + last, name, damage=video.take_damage())
            broken = video.missing()
        except OSError as error:
            broken, cause = str(error) or "reading failed", error
        finally:
            video.close()
        decoded = round(last * video.fps) + 1 if playhead.has_seeked else index - first
        try:
            _expect_all(video, shown, decoded, broken, cause, log.debug if first else log.warning)
        except SourceError as error:
            raise error from cause
        if not loop:
            return
        start += last + 1 / video.fps


def is_of_system(error: BaseException | None) -> bool:
    """Whether the operating system or the network failed, for example a disk; not the content of a file."""
    while error is not None:
        # FFmpeg's errors about the content are no OSErrors with a number
        if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno):
            return True
        error = error.__cause__
    return False


def _opened(opener: Callable[[], Video], shown: str, playhead: Playhead, tell: Callable[..., None]) -> Video:
    video = opener()
    video.reads_ahead = True
    playhead.duration = video.count / video.fps if video.can_seek else 0.0
    if not video.rate_is_stated:
        tell("%s has no timestamps and no frame rate; assuming %g frames per second", shown, FALLBACK_RATE)
    return video


def _grab(video: Video, playhead: Playhead, pace: Pace | None, index: int) -> bool:
    """Grab the frame at the playhead's target, or the next one without a target; False at the end."""
    target = playhead.take(index)
    if pace is not None and (target is not None or playhead.held or pace.speed != playhead.speed):
        pace.restart(playhead.speed)
    here = video.grab() if target is None else go_to(video, target)
    return here or (playhead.wait_at_end() and _grab(video, playhead, pace, index))


def _expect_all(
    video: Video, shown: str, decoded: int, broken: str, cause: OSError | None, tell: Callable[..., None]
) -> None:
    of_all = f" of {video.count}" if video.count >= decoded else ""
    if is_of_system(cause):
        place = f" after frame {decoded}{of_all}" if decoded else ""
        raise SourceError(f"{shown} cannot be read{place}: {broken}; check its disk or network, then try again")
    if not decoded and (broken or video.count):
        raise SourceError(_nothing_left(shown))
    if not decoded:
        raise SourceError(f"{shown} has no frame that can be decoded; copy or record it again")
    if broken:
        raise SourceError(
            f"{shown} is cut off after frame {decoded}{of_all}: the file is not complete ({broken}); "
            "copy or record it again"
        )
    if video.damage.count:
        pictures = "1 picture was" if video.damage.count == 1 else f"{video.damage.count} pictures were"
        tell("%s is damaged after frame %d; %s lost or decoded with errors", shown, video.damage.first, pictures)


class Pace:
    """Delays frames so that media time follows a clock.

    Args:
        now, sleep: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._now = now
        self._sleep = sleep
        self._offset: float | None = None  # clock minus media time
        self.speed = 1.0  # playback speed; media times are divided by it

    def restart(self, speed: float) -> None:
        """Make the next frame due now, and the following ones relative to it at that speed."""
        self._offset, self.speed = None, speed

    def is_late(self, at: float) -> bool:
        """Whether the frame of media time `at` is too late to be shown. After a pause, the pace restarts."""
        now = self._now()
        if self._offset is None or now - self._offset - at > PAUSE_S:
            self._offset = now - at
        return now - self._offset - at > LATE_S

    def wait(self, at: float) -> None:
        """Sleep until media time `at` is due; a longer gap in the video is shortened to `LONGEST_WAIT_S`."""
        if self._offset is None:
            self._offset = self._now() - at
        left = self._offset + at - self._now()
        if left > LONGEST_WAIT_S:
            self._offset -= left - LONGEST_WAIT_S
            left = LONGEST_WAIT_S
        if left > 0:
            self._sleep(left)


def _nothing_left(shown: str) -> str:
    return f"{shown} is not complete: it ends before its first frame can be read; copy or record it again"
