"""Continue frame numbers, times and person numbers across a lost and reopened source. Used by `player`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np

from edgeemo.types import UNTRACKED, Marker, Result, Sink


@dataclass(frozen=True)
class RunPosition:
    """The position of a run.

    Attributes:
        frame: number of its newest frame.
        time: media time of this frame in seconds.
        at: clock time when it was recognised.
        person: the highest track id so far.
    """

    frame: int
    time: float
    at: float
    person: int


class Numbering(Sink):
    """Renumbers the results of one run. Attach it before any other sink.

    Args:
        after: end of the previous run; numbers and times continue from there. None: change nothing.
        now: returns seconds of a monotonic clock.

    Attributes:
        place: current position; `after` until the first result.
    """

    def __init__(self, after: RunPosition | None = None, now: Callable[[], float] = monotonic) -> None:
        self.place = after
        self._now = now
        self._after = after
        self._continues = False
        self._frames = self._persons = 0
        self._seconds = 0.0

    def write(self, result: Result) -> None:
        """Record the next result; called in the run's thread."""
        now = self._now()
        if self._after is not None:
            after, self._after, self._continues = self._after, None, True
            self._frames = after.frame + 1 - result.frame.index
            self._seconds = after.time + now - after.at - result.frame.time
            self._persons = after.person
        highest = self.place.person if self.place is not None else 0
        person = max([highest, *(number + self._persons for number in result.faces.ids.tolist())])
        self.place = RunPosition(result.frame.index + self._frames, result.frame.time + self._seconds, now, person)

    def close(self) -> None:
        return

    def of(self, result: Result) -> Result:
        """The renumbered version of a recorded result; the same object if nothing changes."""
        if not self._continues:
            return result
        frame = replace(result.frame, index=result.frame.index + self._frames, time=result.frame.time + self._seconds)
        ids = np.where(result.faces.ids == UNTRACKED, UNTRACKED, result.faces.ids + self._persons)
        markers = tuple(replace(marker, time=marker.time + self._seconds) for marker in result.markers)
        return replace(result, frame=frame, faces=replace(result.faces, ids=ids), markers=markers)

    def of_run(self, marker: Marker) -> Marker:
        """A marker of the window in the times of the run."""
        return replace(marker, time=marker.time - self._seconds)


class NumberedSink(Sink):
    """Passes renumbered results to another sink; the caller closes that sink."""

    def __init__(self, sink: Sink, numbering: Numbering) -> None:
        self.sink = sink
        self._numbering = numbering

    def write(self, result: Result) -> None:
        self.sink.write(self._numbering.of(result))

    def close(self) -> None:
        return
