"""Seek and speed control of a file that plays in real time. Set by the app's player, read by `file`."""

from __future__ import annotations

import threading
import time as clock
from dataclasses import dataclass

from edgeemo.capture.ffmpeg import Video

STEPS_BACK_S = (0.0, 2.0, 10.0)  # with a coarse index the demuxer may land after the target; then seek further back
POLL_S = 0.1  # interval for checking whether `held` was cleared


@dataclass(frozen=True)
class SeekTarget:
    """A seek target: the frame at a media time in seconds, or with `before` the frame preceding it."""

    time: float
    before: bool = False


class Playhead:
    """Seek and speed control of one source. All methods may be called from any thread.

    Attributes:
        duration: seconds from the container; 0 if it states none or if the file cannot seek.
        speed: playback speed; 1 is that of the file.
        held: frame-by-frame mode: a frame is read when the previous one is taken, and none is skipped.
        has_seeked: `seek` was applied at least once.
    """

    def __init__(self) -> None:
        self.duration = 0.0
        self.speed = 1.0
        self.held = self.has_seeked = False
        self._lock = threading.Lock()
        self._moved = threading.Event()
        self._target: SeekTarget | None = None
        self._first = 0

    def seek(self, time: float, *, before: bool = False) -> None:
        """Continue at a media time. Frames already read but not yet shown become stale."""
        with self._lock:
            self._target = SeekTarget(max(0.0, time), before)
            self._moved.set()

    def take(self, index: int) -> SeekTarget | None:
        """Take the pending seek target, whose frame will get the number `index`; None if there is none."""
        with self._lock:
            target, self._target = self._target, None
            self._moved.clear()
            if target is not None:
                self._first, self.has_seeked = index, True
            return target

    def is_stale(self, index: int) -> bool:
        """Whether a frame was read before the latest `seek`."""
        with self._lock:
            return self._target is not None or index < self._first

    def wait_at_end(self) -> bool:
        """At the end of the file: wait while `held`; returns whether there was a seek meanwhile."""
        while self.held and not self._moved.wait(POLL_S):
            pass
        return self.held and self._moved.is_set()

    def now(self) -> float:
        """Seconds of the clock that playback follows."""
        return clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds, or until the next `seek`."""
        self._moved.wait(seconds)


def go_to(video: Video, target: SeekTarget) -> bool:
    """Grab the frame at a seek target, or the last frame if the target is beyond the end.

    Returns:
        False: the video has no frame.

    Raises:
        OSError: the file or the network failed.
    """
    at = _time_before(video, target.time) if target.before else target.time
    if _grab_at(video, at) or (video.time < at and _grab_at(video, video.time)):
        return True
    video.seek(0.0)
    return video.grab()


def _time_before(video: Video, at: float) -> float:
    """Time of the frame before the one at `at`; the first frame's own time for the first frame."""
    found = 0.0
    if _land(video, at - 0.5 / video.fps):
        while video.time < at - 1e-6:
            found = video.time
            if not video.grab():
                break
    return found


def _grab_at(video: Video, at: float) -> bool:
    """Grab the first frame not earlier than `at` minus half a frame; False if there is none."""
    here = _land(video, at)
    while here and video.time < at - 0.5 / video.fps:
        here = video.grab()
    return here


def _land(video: Video, at: float) -> bool:
    """Grab a frame at or before `at`, as near to it as the container's index allows."""
    for back in (*STEPS_BACK_S, at):
        video.seek(at - back)
        if video.grab() and video.time <= at + 0.5 / video.fps:
            return True
    video.seek(0.0)
    return video.grab()
