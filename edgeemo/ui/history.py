"""The results shown so far, as columns. Filled by `showing`, read by `timeline` and `neutral_baseline`."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeemo.palette import UNSURE
from edgeemo.recording import Marker, Recording
from edgeemo.types import F32, I64, Result

MOST_PEOPLE = 300
# rows per person, about two and a half hours at thirty frames per second; the oldest half is then deleted
MOST_ROWS = 1 << 18
SHORT_VISIT = 1 << 13  # number of rows (about five minutes) up to which a person's arrays grow by doubling
AWAY_S = 1.0  # no line is drawn across a longer absence
LEFT_S = 3.0  # a person absent for longer has left
F64 = npt.NDArray[np.float64]
# float16: steps of 0.0005 are invisible in a plot, and a long session takes two thirds of the memory
F32OrF16 = npt.NDArray[np.float32] | npt.NDArray[np.float16]
I8 = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Series:
    """One person: views into the history; do not modify or store them.

    Attributes:
        times: (n,) media time in seconds, increasing.
        values: (n, K).
        emotions: (n,) class indices.
        unsure: (n,).
    """

    times: F64
    values: F32OrF16
    emotions: I8
    unsure: npt.NDArray[np.bool_]


class History:
    """Grows by one row per face and frame; memory is limited.

    Args:
        labels: K class names.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.labels = tuple(labels)
        self.markers: list[Marker] = []
        self.begin: float | None = None
        self.end = 0.0
        self.rows = 0  # total number of rows added, to detect new ones
        self._people: dict[int, _Columns] = {}

    @classmethod
    def of(cls, recording: Recording) -> History:
        """The history of a complete recording."""
        made = cls(recording.labels)
        made.markers = list(recording.markers)
        made.begin, made.end = recording.begin, recording.begin + recording.seconds
        for track in recording.tracks:
            made._people[track.id] = _Columns.filled(track.times, track.probabilities, track.emotions, track.unsure)
            made.rows += len(track)
        return made

    @property
    def people(self) -> list[int]:
        return sorted(self._people)

    def add(self, result: Result) -> None:
        if self.begin is None:
            self.labels = result.labels
            self.begin = result.frame.time
        if result.frame.time < self.end:
            self._truncate(result.frame.time)
        self.begin = min(self.begin, result.frame.time)
        self.end = result.frame.time
        for row, person in enumerate(result.faces.ids.tolist()):
            columns = self._people.get(person)
            if columns is None:
                if len(self._people) >= MOST_PEOPLE:
                    # delete the person who has been absent for longest
                    del self._people[min(self._people, key=lambda each: self._people[each].last)]
                columns = self._people[person] = _Columns(len(self.labels))
            columns.append(
                result.frame.time,
                result.probabilities[row],
                self.labels.index(result.emotions[row]),
                bool(result.reasons(row)),
            )
            self.rows += 1

    def _truncate(self, time: float) -> None:
        """Delete everything from a media time on, because the file is played again from there."""
        for person, columns in list(self._people.items()):
            columns.cut(time)
            if not columns.count:
                del self._people[person]

    def shown_at(self, time: float, chosen: int | None = None) -> int | None:
        """The person to show at a media time.

        This is the selected person unless that person has left; else the first person present; else the last who left.
        """
        seen = {person: columns.seen_before(time) for person, columns in self._people.items()}
        here = sorted(person for person, last in seen.items() if time - last <= LEFT_S)
        if chosen in here or (chosen in seen and not here):
            return chosen
        return here[0] if here else max(seen, key=lambda person: (seen[person], -person), default=None)

    def series(self, person: int) -> Series:
        """The rows of one person; empty if the person is unknown."""
        columns = self._people.get(person)
        return (columns or _Columns(len(self.labels))).view()

    def values_at(self, person: int, time: float) -> F32 | None:
        """(K,) probabilities of the last row before a media time; None if the face was absent."""
        series = self.series(person)
        row = int(np.searchsorted(series.times, time, side="right")) - 1
        if row < 0 or time - series.times[row] > AWAY_S:
            return None
        return np.asarray(series.values[row], np.float32)

    def shares(self, person: int) -> list[tuple[str, float]]:
        """Shares of a person's time per label, in the engine's order, then of unsure time; empty for a single row."""
        columns = self._people.get(person)
        if columns is None or columns.held.sum() <= 0:
            return []
        return [
            (label, float(part))
            for label, part in zip((*self.labels, UNSURE), columns.held / columns.held.sum(), strict=True)
        ]


class _Columns:
    """Arrays that grow by doubling. They begin small, because many persons are visible for a moment only."""

    def __init__(self, classes: int, room: int = 32) -> None:
        self._times: F64 = np.zeros(room)
        self._values: F32OrF16 = np.zeros((room, classes), np.float16)
        self._emotions: I8 = np.zeros(room, np.int8)
        self._unsure = np.zeros(room, bool)
        self._count = 0
        # seconds per class, then unsure ones, as in reports; updated incrementally, because they are always shown
        self.held: F64 = np.zeros(classes + 1)

    @classmethod
    def filled(cls, times: F64, values: F32, emotions: I8 | I64, unsure: npt.NDArray[np.bool_]) -> _Columns:
        made = cls(values.shape[1], 1)
        made._times, made._values, made._emotions, made._unsure = times, values, emotions.astype(np.int8), unsure
        made._count = len(times)
        made._sum_held()
        return made

    def append(self, time: float, values: F32, emotion: int, unsure: bool) -> None:
        if self._count == len(self._times):
            self._make_room()
        if self._count:
            step = time - float(self._times[self._count - 1])
            if 0 < step <= AWAY_S:
                self.held[-1 if self._unsure[self._count - 1] else self._emotions[self._count - 1]] += step
        at = self._count
        self._times[at], self._values[at], self._emotions[at], self._unsure[at] = time, values, emotion, unsure
        self._count += 1

    @property
    def count(self) -> int:
        return self._count

    def cut(self, time: float) -> None:
        """Delete the rows from a media time on."""
        self._count = int(np.searchsorted(self._times[: self._count], time))
        self._sum_held()

    def _sum_held(self) -> None:
        steps, self.held = np.diff(self._times[: self._count]), np.zeros_like(self.held)
        places = np.where(self._unsure[: len(steps)], len(self.held) - 1, self._emotions[: len(steps)])
        np.add.at(self.held, places, np.where(steps <= AWAY_S, steps, 0.0))

    @property
    def last(self) -> float:
        """When the face was last visible."""
        return float(self._times[self._count - 1]) if self._count else 0.0

    def seen_before(self, time: float) -> float:
        """When the face was last visible up to a media time; -inf: never."""
        count = int(np.searchsorted(self._times[: self._count], time + 1e-6, side="right"))
        return float(self._times[count - 1]) if count else -np.inf

    def view(self) -> Series:
        n = self._count
        return Series(self._times[:n], self._values[:n], self._emotions[:n], self._unsure[:n])

    def _make_room(self) -> None:
        first = self._count // 2 if self._count >= MOST_ROWS else 0
        kept = self._count - first
        # allocate the full size at once, because repeated copies fragment memory
        room = MOST_ROWS if kept >= SHORT_VISIT else max(256, kept) * 2
        for name in ("_times", "_values", "_emotions", "_unsure"):
            old = getattr(self, name)
            shape = (room, *old.shape[1:])
            new = _lazy_zeros(shape, old.dtype) if room == MOST_ROWS else np.zeros(shape, old.dtype)
            new[:kept] = old[first : self._count]
            setattr(self, name, new)
        self._count = kept


def _lazy_zeros(shape: tuple[int, ...], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Zeros whose pages take memory only when written; `np.zeros` writes to pages that malloc reuses."""
    size = math.prod(shape)
    return np.frombuffer(mmap.mmap(-1, max(size * kind.itemsize, 1)), kind, size).reshape(shape)


def thinned(series: Series, begin: float, end: float, most: int) -> tuple[F64, F32]:
    """Reduce a time range for plotting: at most about `most` rows, NaN while the face was absent.

    Rows are averaged in bins, because decimation would drop peaks.

    Returns:
        (m,) times and (m, K) values.
    """
    first = max(int(np.searchsorted(series.times, begin)) - 1, 0)
    last = min(int(np.searchsorted(series.times, end, side="right")) + 1, len(series.times))
    stride = max(1, (last - first) // most)
    # fixed bins, so that the curve does not flicker while it moves
    first -= first % stride
    times, values = series.times[first:last], np.asarray(series.values[first:last], np.float32)
    if stride > 1:
        whole = len(times) // stride * stride
        times = times[:whole].reshape(-1, stride).mean(axis=1)
        values = np.asarray(values[:whole].reshape(-1, stride, values.shape[1]).mean(axis=1), np.float32)
    steps = np.diff(times)
    gaps = np.flatnonzero(steps > max(AWAY_S, 3 * float(np.median(steps)))) + 1 if len(steps) else np.zeros(0, np.int64)
    if len(gaps):
        times = np.insert(times, gaps, times[gaps] - 1e-3)
        values = np.insert(values, gaps, np.nan, axis=0)
    return times, values
