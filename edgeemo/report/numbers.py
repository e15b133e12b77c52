"""The figures of a report, based on time, so that dropped frames have no influence. Called by `page` and the app."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeemo.recording import Marker, Recording, Track
from edgeemo.report.classes import UNSURE, folded, shown_class, shown_classes
from edgeemo.types import F32

AROUND_S = 2.0  # window before and after a marker
AWAY_S = 1.0  # after a longer absence of a face, its next row starts a new sequence


@dataclass(frozen=True)
class Shares:
    """Shares of a person's time.

    Attributes:
        seconds: visible time of the face.
        parts: shown class -> share of that time, with unsure time under `UNSURE`; they sum to 1.
    """

    seconds: float
    parts: dict[str, float]


def shares(track: Track, labels: tuple[str, ...], rows: npt.NDArray[np.bool_] | None = None) -> Shares:
    """Compute the shares of one person.

    Args:
        rows: (n,) mask of the rows to use; None: all.
    """
    chosen = np.ones(len(track), np.bool_) if rows is None else rows
    if not chosen.any():
        return Shares(0.0, {})
    held = np.where(chosen, track.seconds_of(AWAY_S), 0.0)
    seconds = total = float(held.sum())
    if total <= 0:
        # a single frame, or still pictures: all rows have the same weight
        held = chosen.astype(np.float64)
        total = float(held.sum())
    parts = dict.fromkeys(shown_classes(labels), 0.0)
    for column, label in enumerate(labels):
        parts[shown_class(label)] += float(held[(track.emotions == column) & ~track.unsure].sum()) / total
    parts[UNSURE] = float(held[track.unsure].sum()) / total
    return Shares(seconds, {label: part for label, part in parts.items() if part > 0})


def transitions(track: Track, labels: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """How often one expression followed another, most frequent first.

    Unsure rows are ignored; after an absence of the face a new sequence starts.
    """
    counts: dict[tuple[str, str], int] = {}
    shown = [shown_class(label) for label in labels]
    before = ""
    last = -np.inf
    for time, emotion, unsure in zip(track.times.tolist(), track.emotions.tolist(), track.unsure.tolist(), strict=True):
        if time - last > AWAY_S:
            before = ""
        last = time
        if unsure:
            continue
        if before and shown[emotion] != before:
            pair = before, shown[emotion]
            counts[pair] = counts.get(pair, 0) + 1
        before = shown[emotion]
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, eq=False)
class MarkerChange:
    """A person's probabilities around a marker.

    Attributes:
        before, after: (K,) mean probabilities over `AROUND_S` seconds; None if the face was not visible.
    """

    marker: Marker
    person: str
    before: F32 | None
    after: F32 | None

    def change(self) -> F32 | None:
        """(K,) after minus before."""
        if self.before is None or self.after is None:
            return None
        return np.asarray(self.after - self.before, np.float32)


def marker_changes(recording: Recording) -> list[MarkerChange]:
    """Each marker with each person visible near it."""
    found = []
    for marker in recording.markers:
        for track in recording.tracks:
            before = _mean(track, marker.time - AROUND_S, marker.time)
            after = _mean(track, marker.time, marker.time + AROUND_S)
            if before is not None or after is not None:
                found.append(MarkerChange(marker, track.person, before, after))
    return found


@dataclass(frozen=True)
class IntervalShares:
    """Shares of a person's time in an interval.

    Attributes:
        person: name of the person.
        seconds, parts: see `Shares`.
    """

    marker: Marker
    person: str
    seconds: float
    parts: dict[str, float]


def interval_shares(recording: Recording) -> list[IntervalShares]:
    """Each interval with each person visible during it."""
    found = []
    for marker in recording.markers:
        for track in recording.tracks if marker.duration > 0 else ():
            inside = rows_between(track, marker.time, marker.time + marker.duration)
            if inside.any():
                spent = shares(track, recording.labels, inside)
                found.append(IntervalShares(marker, track.person, spent.seconds, spent.parts))
    return found


@dataclass(frozen=True, eq=False)
class BinnedTrack:
    """A person's probabilities in equal bins of time.

    Attributes:
        edges: (B + 1,) seconds.
        values: (B, M) means of the M shown classes; NaN if the face was not visible.
        unsure: (B,) share of unsure rows; NaN likewise.
    """

    edges: npt.NDArray[np.float64]
    values: F32
    unsure: F32


def binned(track: Track, labels: tuple[str, ...], begin: float, seconds: float, bins: int) -> BinnedTrack:
    """Average a track in bins; an empty bin in a gap of up to `AWAY_S` repeats the bin before it."""
    edges = np.linspace(begin, begin + max(seconds, 1e-3), bins + 1)
    place = np.clip(np.searchsorted(edges, track.times, side="right") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    probabilities = folded(track.probabilities, labels)
    values = np.full((bins, probabilities.shape[1]), np.nan, np.float32)
    unsure = np.full(bins, np.nan, np.float32)
    seen = counts > 0
    for column in range(values.shape[1]):
        sums = np.bincount(place, weights=probabilities[:, column], minlength=bins)
        values[seen, column] = sums[seen] / counts[seen]
    unsure[seen] = np.bincount(place, weights=track.unsure, minlength=bins)[seen] / counts[seen]
    width = float(edges[1] - edges[0])
    patience = max(1, int(AWAY_S / width)) if width < AWAY_S else 0
    empty = 0
    for index in range(1, bins):
        empty = 0 if seen[index] else empty + 1
        if 0 < empty <= patience and not np.isnan(unsure[index - 1]) and seen[index : index + patience].any():
            values[index], unsure[index] = values[index - 1], unsure[index - 1]
    return BinnedTrack(edges, values, unsure)


def rows_between(track: Track, begin: float, end: float) -> npt.NDArray[np.bool_]:
    """(n,) mask of the rows from `begin` to before `end`, in media time."""
    return (track.times >= begin) & (track.times < end)


def _mean(track: Track, begin: float, end: float) -> F32 | None:
    inside = rows_between(track, begin, end)
    return np.asarray(track.probabilities[inside].mean(axis=0), np.float32) if inside.any() else None
