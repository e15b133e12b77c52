"""Add markers of another program to results, in the media time of each source. Called by `runner`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter, time

from edgeemo.types import Marker, MarkerSource, Result


class MarkerFeed:
    """Adds every marker to the next result of every source.

    Args:
        source: source of the markers; None: no markers.
    """

    def __init__(self, source: MarkerSource | None) -> None:
        self._source = source
        self._waiting: dict[str, list[tuple[float, str]]] = {}

    def add_to(self, result: Result, name: str, names: Iterable[str]) -> Result:
        """Add the markers that arrived since the last result of the same source.

        The capture time of a live frame is known, so a marker gets its exact media time, also between two frames and if
        results are late. Frames of a file have no capture time, so the marker is put at this frame.

        Args:
            name: name of the result's source.
            names: names of all sources.
        """
        if self._source is None:
            return result
        came = self._source.take()
        for each in names if came else ():
            self._waiting.setdefault(each, []).extend(came)
        waiting = self._waiting.pop(name, [])
        if not waiting:
            return result
        frame, offset = result.frame, time() - perf_counter()
        markers = [
            Marker(
                frame.time if frame.captured is None else frame.time + moment - frame.captured,
                label,
                wall=moment + offset,
            )
            for moment, label in waiting
        ]
        return replace(result, markers=tuple(markers))

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
