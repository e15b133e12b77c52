"""What the page shows of an analysis: a table per comparison, one of the persons, and how far the numbers go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from edgeemo.recording import Recording
from edgeemo.report.inference import F64, FEWEST, Analysis, Comparison, Difference, Observation, Sample
from edgeemo.report.plots import share_bar

MOST_PEOPLE = 60  # rows of the table of persons
MOST_TABLES = 12


@dataclass(frozen=True)
class Number:
    """A share or a difference in points, its 95 % interval where there is one, and an effect size likewise."""

    value: float
    low: float | None
    high: float | None
    effect: float | None = None


@dataclass(frozen=True)
class Column:
    name: str
    sample: Sample
    bar: Markup


@dataclass(frozen=True)
class Table:
    """One comparison.

    Attributes:
        differences: headings of the differences. rows: (class, means, differences) each. notes: lines below it.
    """

    title: str
    columns: Sequence[Column]
    differences: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Number], Sequence[Number]]]
    effects: bool
    notes: Sequence[str]


@dataclass(frozen=True)
class Compared:
    """Everything about an analysis.

    Attributes:
        keys: the shown classes that occur. people: their shares in this order. more: persons that are not shown.
        intervals: how many are on the page. fewest: units that they take. left_out: tables that are not shown.
        engines: their names, if the sessions have several.
    """

    tables: Sequence[Table]
    keys: Sequence[str]
    people: Sequence[tuple[Observation, Mapping[str, float]]]
    more: int
    several_groups: bool
    intervals: int
    left_out: int
    engines: Sequence[str]
    fewest: int = FEWEST


def compared(analysis: Analysis, recordings: Iterable[Recording]) -> Compared:
    """What to show of an analysis of some recordings."""
    tables = [_table(each, analysis.keys) for each in analysis.comparisons]
    whole = [each for each in analysis.observations if not each.condition]
    keys = [key for key in analysis.keys if any(each.spent.parts.get(key) for each in whole)]
    engines = sorted({recording.engine for recording in recordings if recording.engine})
    shown = tables[:MOST_TABLES]
    numbers = [number for table in shown for _, means, differences in table.rows for number in (*means, *differences)]
    return Compared(
        shown,
        keys,
        [(each, each.spent.parts) for each in whole[:MOST_PEOPLE]],
        max(0, len(whole) - MOST_PEOPLE),
        len({each.group for each in whole}) > 1,
        sum(number.low is not None for number in numbers),
        len(tables) - len(shown),
        engines if len(engines) > 1 else (),
    )


def _table(comparison: Comparison, keys: Sequence[str]) -> Table:
    highest = np.max([sample.mean for sample in comparison.samples], axis=0)
    order = [int(place) for place in np.argsort(-highest, kind="stable") if highest[place] > 0]
    title = comparison.title or ("Side by side" if len(comparison.samples) > 1 else "All sessions")
    first, *others = comparison.names
    return Table(
        title,
        [
            Column(name, sample, Markup(share_bar(_parts(sample, keys), f"Share of time, {title}, {name}")))
            for name, sample in zip(comparison.names, comparison.samples, strict=True)
        ],
        [f"{name} less {first}" for name in others],
        [
            (
                keys[place],
                [_number(100, sample.mean, sample.low, sample.high, place) for sample in comparison.samples],
                [_number(100, each.value, each.low, each.high, place, each.effect) for each in comparison.differences],
            )
            for place in order
        ],
        any(not np.isnan(each.effect).all() for each in comparison.differences),
        _notes(comparison),
    )


def _parts(sample: Sample, keys: Sequence[str]) -> dict[str, float]:
    return {key: float(part) for key, part in zip(keys, sample.mean, strict=True) if part > 0}


def _number(scale: float, value: F64, low: F64, high: F64, place: int, effect: F64 | None = None) -> Number:
    def known(values: F64, factor: float) -> float | None:
        return None if np.isnan(values[place]) else float(values[place]) * factor

    return Number(
        float(value[place]) * scale, known(low, scale), known(high, scale), None if effect is None else known(effect, 1)
    )


def _notes(comparison: Comparison) -> list[str]:
    few = [
        f"{name} {len(sample.units)}"
        for name, sample in zip(comparison.names, comparison.samples, strict=True)
        if len(sample.units) < FEWEST
    ]
    notes = []
    if few:
        notes.append(
            f"Independent units: {', '.join(few)}. With fewer than {FEWEST} no interval and no effect size is given: "
            "the numbers describe these sessions and no others."
        )
    notes += [_pairing(each, name) for name, each in zip(comparison.names[1:], comparison.differences, strict=True)]
    return [note for note in dict.fromkeys(notes) if note]


def _pairing(difference: Difference, name: str) -> str:
    if not difference.paired:
        return ""
    missing = f"; {difference.left_out} that are in one only are left out" if difference.left_out else ""
    return f"{name}: the difference is within the {difference.units} units that have both{missing}."
