"""Add markers of another program to results, in the media time of each source. Called by `runner`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter, time

from edgeemo.types import Frame, Marker, MarkerSource, Result

MOST_WAITING = 10_000  # per source without results; when it is full, the oldest is dropped
PAUSED_S = 1.0  # if the next frame of a file comes this long after a marker, the file was paused


class MarkerFeed:
    """Adds every marker to the next result of every source.

    Args:
        source: source of the markers; None: no markers.
    """

    def __init__(self, source: MarkerSource | None) -> None:
        self._source = source
        self._waiting: dict[str, deque[tuple[float, str]]] = {}

    def add_to(self, result: Result, name: str, names: Iterable[str], *, played: float | None = None) -> Result:
        """Add the markers that arrived since the last result of the same source.

        The capture time of a live frame is known, so a marker gets its exact media time, also between two frames and if
        results are late. The same holds for files played in real time, except while they are paused. Frames of
        files read as fast as possible have no such time, so the marker gets the time of the current frame.

        Args:
            name: name of the result's source.
            names: names of all sources.
            played: time at which the frame of a file was played, by `perf_counter`; None: it was not played.
        """
        if self._source is None:
            return result
        came = self._source.take()
        for each in names if came else ():
            self._waiting.setdefault(each, deque(maxlen=MOST_WAITING)).extend(came)
        waiting = self._waiting.pop(name, ())
        if not waiting:
            return result
        offset = time() - perf_counter()
        markers = (
            Marker(_media_time(result.frame, moment, played), label, wall=moment + offset) for moment, label in waiting
        )
        return replace(result, markers=tuple(markers))

    def close(self) -> None:
        if self._source is not None:
            self._source.close()


def _media_time(frame: Frame, moment: float, played: float | None) -> float:
    if frame.captured is not None:
        return frame.time + moment - frame.captured
    if played is not None and abs(moment - played) <= PAUSED_S:
        return frame.time + moment - played
    return frame.time
