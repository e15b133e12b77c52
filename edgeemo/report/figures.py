"""Write the numbers of an analysis as CSV, one number per row, for R, spreadsheets and the like.

row         person (in one session), mean (of a group in a condition) or difference (of two means)
title       title of the table on the page; empty for persons and complete sessions
group, condition                    of the sample
against, against_condition          of the subtracted sample, in rows of differences
session, person, unit               in rows of persons
units       number of units of a mean or difference
paired      1 if the same units are in both samples
seconds     visible time of faces
expression  a class, "other" or "unsure"
value       share of time, 0..1, or a difference of two shares
low, high   95 % interval; empty: unknown
deviation   standard deviation between units; empty: unknown
effect      Hedges' g; empty: unknown
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from edgeemo.columns import cell
from edgeemo.recording.atomic import atomic_draft
from edgeemo.report.inference import Analysis, Comparison

COLUMNS = (
    *("row", "title", "group", "condition", "against", "against_condition", "session", "person", "unit", "units"),
    *("paired", "seconds", "expression", "value", "low", "high", "deviation", "effect"),
)
Cells = dict[str, str | float]


def write_figures(analysis: Analysis, path: Path) -> int:
    """Write the numbers as CSV; the file appears when it is complete.

    Returns:
        Number of rows.

    Raises:
        RecordingError: it cannot be written.
    """
    rows = [*_people(analysis), *(row for each in analysis.comparisons for row in _compared(each, analysis.keys))]
    with atomic_draft(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return len(rows)


def _people(analysis: Analysis) -> Iterator[Cells]:
    for each in analysis.observations:
        for key in analysis.keys:
            yield {
                "row": "person",
                "group": each.group,
                "condition": each.condition,
                "session": each.session,
                "person": each.person,
                "unit": each.unit,
                "seconds": each.spent.seconds,
                "expression": key,
                "value": each.spent.parts.get(key, 0.0),
            }


def _compared(comparison: Comparison, keys: tuple[str, ...]) -> Iterator[Cells]:
    for sample in comparison.samples:
        about: Cells = {"row": "mean", "title": comparison.title, "group": sample.group, "condition": sample.condition}
        about |= {"units": len(sample.units), "seconds": sample.seconds}
        numbers = zip(keys, sample.mean, sample.low, sample.high, sample.deviation, strict=True)
        for key, value, low, high, deviation in numbers:
            yield about | {"expression": key, "value": value, "low": low, "high": high, "deviation": deviation}
    for each in comparison.differences:
        about = {"row": "difference", "title": comparison.title, "units": each.units, "paired": int(each.paired)}
        about |= {"group": each.sample.group, "condition": each.sample.condition}
        about |= {"against": each.base.group, "against_condition": each.base.condition}
        for key, value, low, high, effect in zip(keys, each.value, each.low, each.high, each.effect, strict=True):
            yield about | {"expression": key, "value": value, "low": low, "high": high, "effect": effect}


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, int):
        return str(value)
    return "" if value != value else f"{value:.6f}"
