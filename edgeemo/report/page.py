"""Write the report: one HTML file with styles and plots, without scripts or external content.

The template page.html escapes all texts; `plots` makes the SVG plots. Called by `command` and the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from edgeemo.palette import DARK_CLASSES, LIGHT_CLASSES
from edgeemo.recording import Recording, Track
from edgeemo.recording.atomic import atomic_draft
from edgeemo.recording.people import described
from edgeemo.report.classes import folded, name_of, shown_classes
from edgeemo.report.compared import compared
from edgeemo.report.inference import Analysis, Groups, analyse
from edgeemo.report.markdown import to_html
from edgeemo.report.numbers import binned, interval_shares, marker_changes, shares, transitions
from edgeemo.report.plots import BINS, share_bar, timeline
from edgeemo.types import F32
from edgeemo.values import clock, date_time

MOST_PEOPLE = 12  # persons shown in detail; those visible most briefly share one line
MOST_PAIRS = 10
MOST_REASONS = 5
BRIEF_S = 0.5  # persons who are visible for a shorter time are not shown in detail
LEAST_SEEN = 0.03  # the legend has the classes whose probability reaches this in a frame
Changes = Sequence[tuple[str, float]]  # (class, percentage points)


@dataclass(frozen=True)
class _Person:
    name: str
    seconds: float
    bar: Markup
    timeline: Markup
    parts: Sequence[tuple[str, float]]
    transitions: Sequence[tuple[tuple[str, str], int]]
    more: int
    unsure: float
    reasons: Sequence[tuple[str, float]]
    relative: Changes | None


@dataclass(frozen=True)
class _Interval:
    label: str
    at: float
    lasts: float
    who: str
    seconds: float
    parts: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class _Marker:
    at: float
    label: str
    who: str
    changes: Changes = ()
    note: str = ""


@dataclass(frozen=True)
class _Session:
    name: str
    facts: Sequence[tuple[str, str]]
    missing: Sequence[str]
    people: Sequence[_Person]
    brief: int
    by_hand: Sequence[str]
    intervals: Sequence[_Interval]
    markers: Sequence[_Marker]


@dataclass(frozen=True)
class _Group:
    name: str
    sessions: Sequence[_Session]


def write_report(groups: Groups, path: Path, analysis: Analysis | None = None) -> Path:
    """Write the page; the file appears when it is complete.

    Raises:
        RecordingError: it cannot be written.
    """
    text = page(groups, analysis)
    with atomic_draft(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def page(groups: Groups, analysis: Analysis | None = None) -> str:
    """The report of one group of sessions, or of several groups side by side.

    Args:
        groups: (name, sessions) each; the name of a single group with one session is not shown.
        analysis: the comparison; None: computed from the groups.
    """
    sessions = [recording for _, members in groups for recording in members]
    if analysis is None and len(sessions) > 1:
        analysis = analyse(side_by_side(groups))
    cards = dict.fromkeys(recording.card for recording in sessions if recording.card.strip())
    return _template().render(
        title=_title(groups),
        style=Markup(_style()),
        legend=_legend(sessions),
        compared=compared(analysis, sessions) if analysis is not None and analysis.observations else None,
        # a group of one session already shows its name
        groups=[
            _Group("" if [each.name for each in members] == [name] else name, [_session(each) for each in members])
            for name, members in groups
        ],
        cards=[Markup(to_html(card)) for card in cards],  # escapes the card's text
    )


def side_by_side(groups: Groups) -> Groups:
    """Split a single group of two sessions into two groups; other groups are unchanged."""
    if len(groups) == 1 and len(groups[0][1]) == 2:
        return [(each.name, [each]) for each in groups[0][1]]
    return groups


def _title(groups: Groups) -> str:
    several = len(groups) > 1
    names = dict.fromkeys(
        name for group, members in groups for name in ([group] if several else [each.name for each in members])
    )
    shown = list(names)[:3]
    return " and ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "no session"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("edgeemo.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"name": name_of, "clock": clock}
    return environment.get_template("page.html")


@cache
def _style() -> str:
    """The style sheet, with a rule per class and theme."""
    sheet = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

    def rules(colours: Mapping[str, str]) -> str:
        return "".join(f".k-{key}{{fill:{colour};background:{colour}}}" for key, colour in colours.items())

    return f"{sheet}{rules(LIGHT_CLASSES)}@media (prefers-color-scheme:dark){{{rules(DARK_CLASSES)}}}"


def _legend(sessions: Sequence[Recording]) -> list[str]:
    """The classes that the page shows: as labels, or as part of a timeline."""
    seen: dict[str, None] = {}
    for recording in sessions:
        keys = shown_classes(recording.labels)
        for track in recording.tracks:
            seen.update(dict.fromkeys(shares(track, recording.labels).parts))
            if len(track):
                highest = folded(track.probabilities, recording.labels).max(axis=0)
                seen.update(dict.fromkeys(key for key, value in zip(keys, highest, strict=True) if value >= LEAST_SEEN))
    return list(seen)


def _session(recording: Recording) -> _Session:
    facts = [
        ("Source", recording.source),
        ("Engine", recording.engine),
        ("Recorded", date_time(recording.started)),
        ("Length", clock(recording.seconds)),
        ("Frames", f"{len(recording.times):,}".replace(",", " ")),
        ("Persons", str(len(recording.tracks))),
    ]
    people = sorted(recording.tracks, key=lambda track: -len(track))
    main = [track for track in people[:MOST_PEOPLE] if len(people) == 1 or _lasts(track)] or people[:1]
    return _Session(
        recording.name,
        [(name, value) for name, value in facts if value],
        recording.missing,
        [_person(recording, track) for track in sorted(main, key=lambda track: track.id)],
        len(people) - len(main),
        described(recording),
        _intervals(recording),
        _markers(recording),
    )


def _lasts(track: Track) -> bool:
    return float(track.seconds_of().sum()) >= BRIEF_S


def _person(recording: Recording, track: Track) -> _Person:
    each = shares(track, recording.labels)
    drawn = binned(track, recording.labels, recording.begin, recording.seconds, max(1, min(BINS, len(recording.times))))
    pairs = list(transitions(track, recording.labels).items())
    relative = track.relative
    title = f"Probabilities over time, {track.person}"
    return _Person(
        track.person,
        each.seconds,
        Markup(share_bar(each.parts, f"Share of time, {track.person}")),
        Markup(timeline(drawn, shown_classes(recording.labels), recording.markers, title)),
        sorted(each.parts.items(), key=lambda item: -item[1]),
        pairs[:MOST_PAIRS],
        sum(count for _, count in pairs[MOST_PAIRS:]),
        float(track.unsure.mean()) if len(track) else 0.0,
        _reasons(track),
        None if relative is None else _changes(recording, relative.mean(axis=0), 0.01),
    )


def _reasons(track: Track) -> list[tuple[str, float]]:
    """Why the face was unsure, and the share of its frames."""
    counts: dict[str, int] = {}
    for reasons in track.reasons.values():
        for reason in reasons.split("; "):
            kind = _kind(reason)
            counts[kind] = counts.get(kind, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])[:MOST_REASONS]
    return [(kind, count / len(track)) for kind, count in ranked]


def _kind(reason: str) -> str:
    """The kind of a reason, without its figure."""
    if reason.startswith("between "):
        return "between two expressions"
    if reason.endswith("sure"):
        return "confidence too low"
    if reason.startswith("face "):
        return "too small"
    return reason.split(" ")[0] if reason.endswith("degrees") else reason


def _changes(recording: Recording, change: F32, least: float, most: int = 99) -> Changes:
    """The largest differences of the shown classes, in percentage points."""
    keys = shown_classes(recording.labels)
    values = folded(change, recording.labels)
    ranked = np.argsort(-np.abs(values)).tolist()[:most]
    return [(keys[column], float(values[column]) * 100) for column in ranked if abs(values[column]) >= least]


def _intervals(recording: Recording) -> list[_Interval]:
    return [
        _Interval(
            each.marker.label,
            each.marker.time - recording.begin,
            each.marker.duration,
            each.person,
            each.seconds,
            sorted(each.parts.items(), key=lambda item: -item[1])[:3],
        )
        for each in interval_shares(recording)
    ]


def _markers(recording: Recording) -> list[_Marker]:
    rows = []
    seen = set()
    for each in marker_changes(recording):
        change, at = each.change(), each.marker.time - recording.begin
        seen.add(each.marker)
        if change is None:
            rows.append(_Marker(at, each.marker.label, each.person, note="visible on one side only"))
        else:
            rows.append(_Marker(at, each.marker.label, each.person, _changes(recording, change, 0.02, 3)))
    rows += [
        _Marker(marker.time - recording.begin, marker.label, "", note="no face near it")
        for marker in recording.markers
        if marker not in seen
    ]
    return rows
