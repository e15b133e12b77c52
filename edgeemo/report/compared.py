"""Prepare an analysis for the page: a table per comparison, one of the persons, and limits. Called by `page`."""

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
    """A share in percent, or a difference in percentage points, with optional 95 % interval and effect size."""

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
        differences: headings of the differences.
        rows: (class, means, differences) each.
        notes: lines below the table.
    """

    title: str
    columns: Sequence[Column]
    differences: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Number], Sequence[Number]]]
    effects: bool
    notes: Sequence[str]


@dataclass(frozen=True)
class Compared:
    """The content of the page about an analysis.

    Attributes:
        keys: the shown classes that occur.
        people: shares of the persons, in this order.
        more: number of persons not shown.
        intervals: number of intervals on the page.
        fewest: minimum number of units for an interval.
        left_out: number of tables not shown.
        engines: names of the engines, if the sessions have several.
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
    """Prepare an analysis of some recordings."""
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
    # the name of ungrouped sessions would list all of them
    names = comparison.names if comparison.title or len(comparison.names) > 1 else ["all sessions"]
    first, *others = names
    return Table(
        title,
        [
            Column(name, sample, Markup(share_bar(_parts(sample, keys), f"Share of time, {title}, {name}")))
            for name, sample in zip(names, comparison.samples, strict=True)
        ],
        [f"{name} less {first}" for name in others],
        [
            (
                keys[place],
                [_number(sample.mean, sample.low, sample.high, place) for sample in comparison.samples],
                [_number(each.value, each.low, each.high, place, each.effect) for each in comparison.differences],
            )
            for place in order
        ],
        any(not np.isnan(each.effect).all() for each in comparison.differences),
        _notes(comparison, names),
    )


def _parts(sample: Sample, keys: Sequence[str]) -> dict[str, float]:
    return {key: float(part) for key, part in zip(keys, sample.mean, strict=True) if part > 0}


def _number(value: F64, low: F64, high: F64, place: int, effect: F64 | None = None) -> Number:
    """One class of a sample or difference, shares in percent."""

    def known(values: F64, factor: float) -> float | None:
        return None if np.isnan(values[place]) else float(values[place]) * factor

    return Number(
        float(value[place]) * 100, known(low, 100), known(high, 100), None if effect is None else known(effect, 1)
    )


def _notes(comparison: Comparison, names: Sequence[str]) -> list[str]:
    few = [
        f"{name} {len(sample.units)}"
        for name, sample in zip(names, comparison.samples, strict=True)
        if len(sample.units) < FEWEST
    ]
    notes = []
    if few:
        notes.append(
            f"Independent units: {', '.join(few)}. With fewer than {FEWEST}, no intervals and effect sizes are given: "
            "the numbers describe only these sessions."
        )
    notes += [_pairing(each, name) for name, each in zip(names[1:], comparison.differences, strict=True)]
    return [note for note in dict.fromkeys(notes) if note]


def _pairing(difference: Difference, name: str) -> str:
    if not difference.paired:
        return ""
    units = "one unit that has" if difference.units == 1 else f"{difference.units} units that have"
    missing = f"; excluded are those that have only one ({difference.left_out})" if difference.left_out else ""
    return f"{name}: the difference is within the {units} both{missing}."
