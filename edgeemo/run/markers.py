"""Gives the markers of another program to results, in the media time of each source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter, time

from edgeemo.types import Marker, MarkerSource, Result


class MarkerFeed:
    """Every source gets every marker, with its next result.

    Args:
        source: where they come from; None: nowhere.
    """

    def __init__(self, source: MarkerSource | None) -> None:
        self._source = source
        self._waiting: dict[str, list[tuple[float, str]]] = {}

    def add_to(self, result: Result, name: str, names: Iterable[str]) -> Result:
        """The result with the markers that came since the last one of its source.

        A live frame tells which moment its media time is, so a marker is placed exactly, wherever between two frames it
        falls and however late results come. Of a file, which has no moments, it is placed at this frame.

        Args:
            name: of the result's source. names: of all sources.
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
