"""Where a file that plays at its own speed goes next, and how fast; set by whoever watches, asked by its source."""

from __future__ import annotations

import threading
import time as clock
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgeemo.capture.ffmpeg import Video

STEPS_BACK_S = (0.0, 2.0, 10.0)  # where an index is coarse the demuxer may land behind the place that was asked for
POLL_S = 0.1  # how soon it is noticed that nobody holds it any more


@dataclass(frozen=True)
class Place:
    """A media time in seconds; with `before` the frame before the one of that time."""

    time: float
    before: bool = False


class Playhead:
    """Controls one source. All methods may be called from any thread.

    Attributes:
        duration: seconds as the container says; 0 where it does not or where the file cannot be wound.
        speed: how many times as fast as the file says.
        held: frames come when they are taken, none is left out (somebody looks at them one by one).
        wound: it was sent to another place at least once.
    """

    def __init__(self) -> None:
        self.duration = 0.0
        self.speed = 1.0
        self.held = self.wound = False
        self._lock = threading.Lock()
        self._moved = threading.Event()
        self._place: Place | None = None
        self._first = 0

    def seek(self, time: float, *, before: bool = False) -> None:
        """Go on at a media time; frames from elsewhere that are still on their way are stale from now on."""
        with self._lock:
            self._place = Place(max(0.0, time), before)
            self._moved.set()

    def take(self, index: int) -> Place | None:
        """Where to go on, once, with a frame of this number; None: with the next frame."""
        with self._lock:
            place, self._place = self._place, None
            self._moved.clear()
            if place is not None:
                self._first, self.wound = index, True
            return place

    def is_stale(self, index: int) -> bool:
        """Whether a frame was read before the latest `seek`."""
        with self._lock:
            return self._place is not None or index < self._first

    def rest(self) -> bool:
        """At the end: wait while it is held; whether it was sent to another place meanwhile."""
        while self.held and not self._moved.wait(POLL_S):
            pass
        return self.held and self._moved.is_set()

    def now(self) -> float:
        """Seconds of the clock that the file is held back to."""
        return clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for a frame to be due, or for the next `seek`."""
        self._moved.wait(seconds)


@runtime_checkable
class Seekable(Protocol):
    """A source that may be wound; `playhead` is None where it was opened to be read from beginning to end."""

    @property
    def playhead(self) -> Playhead | None: ...


def go_to(video: Video, place: Place) -> bool:
    """Grab the frame of a place, of one behind the end the last frame.

    Returns:
        False: the video has no frame.

    Raises:
        OSError: the file or the network failed.
    """
    at = _time_before(video, place.time) if place.before else place.time
    if _grab_at(video, at) or (video.time < at and _grab_at(video, video.time)):
        return True
    video.seek(0.0)
    return video.grab()


def _time_before(video: Video, at: float) -> float:
    """Time of the frame before the one of a time; of the first one that itself."""
    found = 0.0
    if _land(video, at - 0.5 / video.fps):
        while video.time < at - 1e-6:
            found = video.time
            if not video.grab():
                break
    return found


def _grab_at(video: Video, at: float) -> bool:
    """Grab the first frame from half a frame before a time on; False where there is none."""
    here = _land(video, at)
    while here and video.time < at - 0.5 / video.fps:
        here = video.grab()
    return here


def _land(video: Video, at: float) -> bool:
    """Grab a frame not behind a time, near it if the container allows that."""
    for back in (*STEPS_BACK_S, at):
        video.seek(at - back)
        if video.grab() and video.time <= at + 0.5 / video.fps:
            return True
    video.seek(0.0)
    return video.grab()
