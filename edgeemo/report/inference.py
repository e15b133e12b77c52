"""Statistics over sessions: means, intervals and effect sizes of groups and conditions. Called by `command` and `page`.

Neighbouring frames of a face, and faces that are visible together, are not independent samples. The statistical unit is
a session, or all sessions with the same named person. A unit has one value per expression: its share of the time in
which faces were visible.

Intervals: bootstrap over units (Efron and Tibshirani, 1993), with deviations scaled by sqrt(n / (n - 1)) and
percentiles moved from the normal distribution to Student's t. This corrects most of the percentile bootstrap's
narrowness in small samples (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 3). Effect
sizes: Hedges' g, the difference of means divided by the pooled standard deviation, corrected for few units (Hedges,
1981). For conditions of the same units it is g_av, which divides by the square root of the mean variance (Lakens,
2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, lgamma, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgeemo.recording import Marker, Recording, Track
from edgeemo.report.classes import UNSURE, shown_classes
from edgeemo.report.numbers import AROUND_S, Shares, rows_between, shares
from edgeemo.values import distinct

FEWEST = 5  # units; with fewer, the coverage of the intervals is too low
RESAMPLES = 4000
OUTSIDE = 0.025  # probability outside each end of an interval
Groups = Sequence[tuple[str, Sequence[Recording]]]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One person in one session.

    Attributes:
        group: name of the group.
        condition: a label; empty: the complete session.
        session, person: their names; of equal names of sessions, all but the first get a number.
        unit: number of the unit.
        spent: shares of the person's time.
        weight: seconds; still pictures, which have no duration, count a millionth each.
    """

    group: str
    condition: str
    session: str
    person: str
    unit: int
    spent: Shares
    weight: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The units of one group in one condition, n of them, with M expressions.

    Attributes:
        units: (n,) numbers of the units.
        values: (n, M) shares of time.
        people: number of persons; a person in two sessions counts twice.
        seconds: total visible time of faces.
        mean: (M,).
        deviation: (M,) standard deviation between units; NaN for a single unit.
        low, high: (M,) ends of the 95 % interval of the mean; NaN with fewer than `FEWEST` units or without deviation.
    """

    group: str
    condition: str
    units: npt.NDArray[np.int64]
    values: F64
    people: int
    seconds: float
    mean: F64
    deviation: F64
    low: F64
    high: F64


@dataclass(frozen=True, eq=False)
class Difference:
    """The difference of two samples, as shares of time.

    Attributes:
        paired: computed within the units that are in both samples; `units` is the number of these units, `left_out`
            the number of all others.
        value, low, high: (M,) difference of means and its 95 % interval; NaN as in `Sample`.
        effect: (M,) Hedges' g; NaN as in `Sample`.
    """

    sample: Sample
    base: Sample
    paired: bool
    units: int
    left_out: int
    value: F64
    low: F64
    high: F64
    effect: F64


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples to compare.

    Attributes:
        title: empty for complete sessions.
        names: names of the samples.
        differences: each further sample minus the first.
    """

    title: str
    names: Sequence[str]
    samples: Sequence[Sample]
    differences: Sequence[Difference]


@dataclass(frozen=True, eq=False)
class Analysis:
    """All comparisons.

    Attributes:
        keys: M shown classes.
        conditions: labels.
    """

    keys: tuple[str, ...]
    conditions: tuple[str, ...]
    observations: Sequence[Observation]
    comparisons: Sequence[Comparison]


def analyse(groups: Groups, conditions: Sequence[str] = ()) -> Analysis:
    """Compare groups, and conditions within and between them.

    Args:
        groups: (name, sessions) each; if only some persons of a session are in a group, it has only their tracks.
        conditions: labels of intervals and markers; a marker without a duration counts for two seconds. Empty: the
            labels of all intervals.
    """
    recordings = [recording for _, members in groups for recording in members]
    labels = tuple(conditions) or interval_labels(recordings)
    shown = dict.fromkeys(key for recording in recordings for key in shown_classes(recording.labels))
    keys = (*shown, UNSURE)
    units = _units(recordings)
    names = distinct(name for name, _ in groups)
    called = {_key(recording): recording.name for recording in recordings}
    sessions = dict(zip(called, distinct(called.values()), strict=True))
    observed = [
        each
        for condition in ("", *labels)
        for name, (_, members) in zip(names, groups, strict=True)
        for recording in members
        for each in _observed(
            replace(recording, name=sessions[_key(recording)]), name, condition, units[_key(recording)]
        )
    ]
    samples = {(name, label): _sample(observed, name, label, keys) for name in names for label in ("", *labels)}
    made = [_comparison("", names, [samples[name, ""] for name in names])]
    if len(names) > 1:
        made += [_comparison(f"During {label}", names, [samples[name, label] for name in names]) for label in labels]
    for name in names:
        title = f"Conditions, {name}" if len(names) > 1 else "Conditions"
        made.append(_comparison(title, labels, [samples[name, label] for label in labels]))
    return Analysis(keys, labels, observed, [each for each in made if each.samples])


def interval_labels(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """The labels of intervals, sorted by number of sessions, then by start."""
    begins: dict[str, list[float]] = {}
    for recording in recordings:
        firsts: dict[str, float] = {}
        for marker in recording.markers:
            if marker.duration > 0 and marker.label:
                firsts.setdefault(marker.label, marker.time - recording.begin)
        for label, begin in firsts.items():
            begins.setdefault(label, []).append(begin)
    return tuple(sorted(begins, key=lambda label: (-len(begins[label]), float(np.mean(begins[label])), label)))


def _key(recording: Recording) -> tuple[str, str, str]:
    """The identity of a session: runs of one database differ in start or source."""
    return str(recording.path), recording.started, recording.source


def _units(recordings: Sequence[Recording]) -> dict[tuple[str, str, str], int]:
    """The unit of each session; sessions that share a named person, also indirectly, are one unit."""
    parent: dict[object, object] = {}

    def root(node: object) -> object:
        parent.setdefault(node, node)
        while parent[node] != node:
            node = parent[node]
        return node

    for recording in recordings:
        session = root(_key(recording))
        for track in recording.tracks:
            if track.name:
                parent[root(("person", track.name.casefold()))] = session = root(session)
    numbers: dict[object, int] = {}
    return {_key(recording): numbers.setdefault(root(_key(recording)), len(numbers) + 1) for recording in recordings}


def _observed(recording: Recording, group: str, condition: str, unit: int) -> list[Observation]:
    found = []
    for track in recording.tracks:
        rows = _inside(track, recording.markers, condition) if condition else np.ones(len(track), np.bool_)
        if rows.any():
            spent = shares(track, recording.labels, rows)
            weight = spent.seconds or float(rows.sum()) * 1e-6
            found.append(Observation(group, condition, recording.name, track.person, unit, spent, weight))
    return found


def _inside(track: Track, markers: Sequence[Marker], label: str) -> npt.NDArray[np.bool_]:
    """(n,) mask of the rows in the condition."""
    inside = np.zeros(len(track), np.bool_)
    for marker in markers:
        if marker.label == label:
            inside |= rows_between(track, marker.time, marker.time + (marker.duration or AROUND_S))
    return inside


def _sample(observed: Sequence[Observation], group: str, condition: str, keys: Sequence[str]) -> Sample:
    mine = [each for each in observed if (each.group, each.condition) == (group, condition)]
    units = sorted({each.unit for each in mine})
    values = np.zeros((len(units), len(keys)))
    weights = np.zeros(len(units))
    for each in mine:
        row = units.index(each.unit)
        values[row] += each.weight * np.array([each.spent.parts.get(key, 0.0) for key in keys])
        weights[row] += each.weight
    values /= weights[:, None]
    count = len(units)
    mean = values.mean(axis=0) if count else np.full(len(keys), np.nan)
    low, high = _interval(mean, _resampled(values), count - 1, count)
    return Sample(
        group,
        condition,
        np.array(units, np.int64),
        values,
        len(mine),
        sum(each.spent.seconds for each in mine),
        mean,
        _deviation(values),
        np.maximum(low, 0.0),
        np.minimum(high, 1.0),
    )


def _comparison(title: str, names: Sequence[str], samples: Sequence[Sample]) -> Comparison:
    seen = [(name, sample) for name, sample in zip(names, samples, strict=True) if len(sample.units)]
    differences = [_difference(sample, seen[0][1]) for _, sample in seen[1:]]
    return Comparison(title, [name for name, _ in seen], [sample for _, sample in seen], differences)


def _difference(sample: Sample, base: Sample) -> Difference:
    both, mine, others = np.intersect1d(sample.units, base.units, return_indices=True)
    if len(both):
        a, b = sample.values[mine], base.values[others]
        count, freedom = len(both), len(both) - 1
        resampled = _resampled(a - b)
        spread = np.sqrt((_deviation(a) ** 2 + _deviation(b) ** 2) / 2)
        left_out = len(sample.units) + len(base.units) - 2 * count
    else:
        a, b = sample.values, base.values
        count, freedom = min(len(a), len(b)), len(a) + len(b) - 2
        resampled = _resampled(a) - _resampled(b, seed=1)
        squares = ((a - a.mean(axis=0)) ** 2).sum(axis=0) + ((b - b.mean(axis=0)) ** 2).sum(axis=0)
        spread = np.sqrt(squares / freedom) if freedom else np.full(a.shape[1], np.nan)
        left_out = 0
    value = a.mean(axis=0) - b.mean(axis=0)
    low, high = _interval(value, resampled, freedom, count)
    effect = np.full(len(value), np.nan)
    if count >= FEWEST:
        varies = spread > 0
        effect[varies] = _correction(freedom) * value[varies] / spread[varies]
    units = count if len(both) else len(a) + len(b)
    return Difference(sample, base, len(both) > 0, units, left_out, value, low, high, effect)


def _resampled(values: F64, seed: int = 0) -> F64:
    """(R, M) deviations of the means of R resamples of n units, scaled to an unbiased standard error."""
    count = len(values)
    if count < 2:
        return np.zeros((1, values.shape[1]))
    # a fixed seed, so that the same sessions give the same page
    rows = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    return np.asarray((values[rows].mean(axis=1) - values.mean(axis=0)) * sqrt(count / (count - 1)))


def _interval(value: F64, resampled: F64, freedom: int, units: int) -> tuple[F64, F64]:
    """(M,) low and high of a value; NaN with too few units or if all units are equal."""
    nothing = np.full(len(value), np.nan)
    if units < FEWEST:
        return nothing, nothing
    level = NormalDist().cdf(-student_t(freedom))
    low, high = value + np.quantile(resampled, [level, 1 - level], axis=0)
    varies = resampled.std(axis=0) > 1e-9
    return np.where(varies, low, np.nan), np.where(varies, high, np.nan)


def _deviation(values: F64) -> F64:
    return np.asarray(values.std(axis=0, ddof=1)) if len(values) > 1 else np.full(values.shape[1], np.nan)


def _correction(freedom: int) -> float:
    """Hedges' exact correction for small samples."""
    return exp(lgamma(freedom / 2) - lgamma((freedom - 1) / 2)) / sqrt(freedom / 2)


def student_t(freedom: int) -> float:
    """The quantile 1 - `OUTSIDE` of Student's t: with t = sqrt(f) tan(a) the density of a is cos(a)^(f - 1)."""
    angles = np.linspace(0.0, np.pi / 2, 20001)
    weights = np.cos(angles) ** (freedom - 1)
    sums = np.concatenate([[0.0], np.cumsum(weights[1:] + weights[:-1])])
    return sqrt(freedom) * float(np.tan(np.interp(1 - 2 * OUTSIDE, sums / sums[-1], angles)))
