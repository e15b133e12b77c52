"""A person's face at rest, and what is shown relative to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeemo.recording.recorder import baseline_of
from edgeemo.types import F32, Result
from edgeemo.ui.history import Series
from engines.spec import Emotion

TAKE_S = 10.0
LEAST_ROWS = 20  # a median of fewer rows says little


class Baselines:
    """At most one for each person. The raw values are never changed by it."""

    def __init__(self, labels: tuple[str, ...] = ()) -> None:
        self.labels = labels
        self._kept: dict[int, F32] = {}

    def of(self, person: int) -> F32 | None:
        """(K,) what the face shows at rest; None where it was not taken."""
        return self._kept.get(person)

    def keep(self, person: int, values: Mapping[str, float]) -> None:
        self._kept[person] = np.array([values.get(label, 0.0) for label in self.labels], np.float32)

    def forget(self, person: int) -> None:
        self._kept.pop(person, None)

    def words(self, result: Result, row: int) -> str:
        """For example "Against the face at rest: happiness +34, neutral -30"; empty without a baseline."""
        rest = self.of(int(result.faces.ids[row]))
        if rest is None:
            return ""
        change = result.probabilities[row] - rest
        columns = [column for column in np.argsort(-np.abs(change)).tolist()[:3] if abs(change[column]) >= 0.02]
        told = ", ".join(
            f"{Emotion.of(result.labels[column]).display.lower()} {change[column] * 100:+.0f}" for column in columns
        )
        return f"Against the face at rest: {told or 'no difference'}"


class Taking:
    """A baseline that is being taken, of the rows from a media time on.

    Args:
        person: whose. begin: media time in seconds.
    """

    def __init__(self, person: int, begin: float) -> None:
        self.person = person
        self.begin = begin

    def left(self, now: float) -> float:
        """Seconds still to go."""
        return max(0.0, self.begin + TAKE_S - now)

    def finish(self, series: Series, labels: tuple[str, ...]) -> dict[str, float] | None:
        """The face at rest, or None where the face was seen too rarely."""
        rows = series.values[series.times >= self.begin]
        return baseline_of(rows, labels) if len(rows) >= LEAST_ROWS else None
