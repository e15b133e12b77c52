"""The page itself: one HTML file, styles and plots inside, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from edgeemo.recording import Recording, Track
from edgeemo.recording.people import described
from edgeemo.recording.whole import appearing_whole
from edgeemo.report.markdown import to_html
from edgeemo.report.numbers import around_markers, course, group_shares, in_intervals, shares, transitions
from edgeemo.report.plots import BINS, clock, colour_of, name_of, share_bar, timeline

MOST_PEOPLE = 12  # shown each; the rest, seen most briefly, in one line
MOST_PAIRS = 10
BRIEF_S = 0.5

LIMITS = """
<ul>
<li>This page is about <strong>expressions</strong>: which of a few classes a picture of a face resembles. It does not
say what somebody feels, thinks or intends, and must not be read as if it did.</li>
<li>A person here is a track: one face followed while it was in the picture. Somebody who leaves and comes back is a new
person to the program.</li>
<li>“Unsure” is time in which the face was too small, too far turned, badly lit or blurred, the leading class was not
probable enough, or the label was no longer the leading class (“between two expressions”).
It is left out of the transitions.</li>
<li>Where several expressions mix or a face speaks, the numbers are at their least reliable. Small differences between
two sessions mean nothing without many persons.</li>
<li>In the European Union inferring emotions at work and in education is prohibited (AI Act, article 5(1)(f)), safety
and medical reasons apart. Those filmed must have agreed.</li>
</ul>
"""
STYLE = """
:root{--bg:#f3f4f7;--card:#fff;--line:#d9dde5;--text:#1c2430;--muted:#5d6878;--well:#eef0f4}
@media (prefers-color-scheme:dark){:root{--bg:#15181d;--card:#1e2229;--line:#343b47;--text:#e8ebf0;--muted:#98a3b3;
--well:#272c35}}
*{box-sizing:border-box;print-color-adjust:exact;-webkit-print-color-adjust:exact}body{margin:0;background:var(--bg);color:var(--text);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1500px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;
margin:34px 0 8px}h3{font-size:16px;margin:22px 0 6px}h4,h5,h6{font-size:14px;margin:16px 0 4px}
.muted{color:var(--muted)}section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:6px 20px 18px;margin:14px 0;min-width:0}.pair{display:grid;
grid-template-columns:repeat(auto-fit,minmax(420px,1fr));
gap:16px;align-items:start}svg{width:100%;height:auto;display:block}svg.bar{height:22px;border-radius:6px;
background:var(--well)}.plot{fill:var(--well)}.axis{fill:var(--muted);font-size:11px}.tick{stroke:var(--line)}
.marker{stroke:var(--text);stroke-dasharray:4 3}table{border-collapse:collapse;margin:6px 0}th,td{text-align:left;
padding:3px 14px 3px 0;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;font-weight:400}
th{color:var(--muted)}td.n{text-align:right}.dot{display:inline-block;width:10px;height:10px;border-radius:5px;
margin-right:7px}.legend span.key{margin-right:16px;white-space:nowrap}.scroll{overflow-x:auto}
section>h2{margin-top:14px}section .pair{grid-template-columns:repeat(auto-fit,minmax(210px,1fr))}
pre,code{background:var(--well);border-radius:4px;padding:1px 4px}pre{padding:10px;overflow-x:auto}
.facts{display:flex;flex-wrap:wrap;gap:4px 26px;margin:4px 0 10px}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def write_report(groups: Sequence[tuple[str, Sequence[Recording]]], path: Path) -> Path:
    """Write the page; it appears when it is whole.

    Raises:
        RecordingError: it cannot be written.
    """
    text = page(groups)
    with appearing_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def page(groups: Sequence[tuple[str, Sequence[Recording]]]) -> str:
    """The report of one group of sessions, or of several side by side.

    Args:
        groups: a name and its sessions each; with a single group of one session the name is not shown.
    """
    sessions = [recording for _, members in groups for recording in members]
    title = " and ".join(dict.fromkeys(recording.name for recording in sessions[:3])) or "no session"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        # nothing may be fetched, whatever a name or a card says
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)} - edgeemo report</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        '<p class="muted">Expressions seen in recorded sessions. Made by edgeemo, on this machine alone.</p>',
        _legend(sessions),
    ]
    if len(groups) > 1:
        parts.append(_comparison(groups))
        parts.append('<div class="pair">')
        for name, members in groups:
            # a group of one session has its name already
            heading = "" if [recording.name for recording in members] == [name] else f"<h2>{escape(name)}</h2>"
            parts.append(f"<div>{heading}{''.join(map(_session, members))}</div>")
        parts.append("</div>")
    else:
        for _, members in groups:
            if len(members) > 1:
                parts.append(_comparison([(recording.name, [recording]) for recording in members]))
            parts.extend(map(_session, members))
    parts.append(f"<section><h2>What this can and cannot say</h2>{LIMITS}</section>")
    cards = dict.fromkeys(recording.card for recording in sessions if recording.card.strip())
    for card in cards:
        parts.append(f"<section><h2>The engine's card</h2>{to_html(card)}</section>")
    if not cards:
        parts.append(
            "<section><h2>The engine's card</h2><p>These results came without the card of the engine that made them; "
            "sessions recorded in the window keep it.</p></section>"
        )
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def _legend(sessions: Sequence[Recording]) -> str:
    seen: dict[str, None] = {}
    for recording in sessions:
        for track in recording.tracks:
            seen.update(dict.fromkeys(shares(track, recording.labels).parts))
    keys = "".join(f'<span class="key">{_key(label)}</span>' for label in seen)
    return f'<p class="legend">{keys}</p>' if keys else ""


def _comparison(groups: Sequence[tuple[str, Sequence[Recording]]]) -> str:
    figures = [(name, *group_shares(members)) for name, members in groups]
    labels = list(dict.fromkeys(label for _, parts, _, _ in figures for label in parts))
    labels.sort(key=lambda label: -max(parts.get(label, 0.0) for _, parts, _, _ in figures))
    bars = "".join(
        f"<h3>{escape(name)} <span class='muted'>{people} {'person' if people == 1 else 'persons'}, "
        f"{clock(seconds)} of faces</span></h3>{share_bar(parts, f'Share of time, {name}')}"
        for name, parts, seconds, people in figures
    )
    head = "".join(f"<th>{escape(name)}</th>" for name, *_ in figures)
    if len(figures) == 2:
        head += "<th>difference</th>"
    rows = []
    for label in labels:
        values = [parts.get(label, 0.0) for _, parts, _, _ in figures]
        cells = "".join(f'<td class="n">{value * 100:.1f} %</td>' for value in values)
        if len(values) == 2:
            cells += f'<td class="n">{(values[1] - values[0]) * 100:+.1f}</td>'
        rows.append(f"<tr><td>{_key(label)}</td>{cells}</tr>")
    return (
        f"<section><h2>Side by side</h2>{bars}<div class='scroll'><table><tr><th>share of time</th>{head}</tr>"
        f"{''.join(rows)}</table></div></section>"
    )


def _session(recording: Recording) -> str:
    facts = [
        ("Source", recording.source),
        ("Engine", recording.engine),
        ("Recorded", recording.started.replace("T", " ")[:19]),
        ("Length", clock(recording.seconds)),
        ("Frames", f"{len(recording.times):,}".replace(",", " ")),
        ("Persons", str(len(recording.tracks))),
    ]
    shown = "".join(f"<span><span class='muted'>{name}</span> {escape(value)}</span>" for name, value in facts if value)
    parts = [f"<section><h2>{escape(recording.name)}</h2><div class='facts'>{shown}</div>"]
    parts += [f"<p class='missing'>Missing: {escape(text)}</p>" for text in recording.missing]
    people = sorted(recording.tracks, key=lambda track: -len(track))
    main = [track for track in people[:MOST_PEOPLE] if len(people) == 1 or _lasts(track)] or people[:1]
    for track in sorted(main, key=lambda track: track.id):
        parts.append(_person(recording, track))
    if not people:
        parts.append("<p>No face was seen.</p>")
    if rest := len(people) - len(main):
        parts.append(f"<p class='muted'>{rest} more seen only briefly.</p>")
    if by_hand := described(recording):
        parts.append(f"<p class='muted'>Changed by hand: {escape('; '.join(by_hand))}.</p>")
    parts.append(_intervals(recording))
    parts.append(_markers(recording))
    parts.append("</section>")
    return "".join(parts)


def _lasts(track: Track) -> bool:
    return float(track.seconds_of().sum()) >= BRIEF_S


def _person(recording: Recording, track: Track) -> str:
    name = escape(track.person)
    each = shares(track, recording.labels)
    bins = max(1, min(BINS, len(recording.times)))
    drawn = course(track, recording.begin, recording.seconds, bins)
    rows = "".join(
        f"<tr><td>{_key(label)}</td><td class='n'>{part * 100:.1f} %</td>"
        f"<td class='n'>{clock(part * each.seconds)}</td></tr>"
        for label, part in sorted(each.parts.items(), key=lambda item: -item[1])
    )
    pairs = list(transitions(track, recording.labels).items())
    changes = "".join(
        f"<tr><td>{_key(before)} → {_key(after)}</td><td class='n'>{count}</td></tr>"
        for (before, after), count in pairs[:MOST_PAIRS]
    )
    more = sum(count for _, count in pairs[MOST_PAIRS:])
    tables = (
        f"<div class='scroll'><table><tr><th>share of time</th><th></th><th></th></tr>{rows}</table></div>"
        "<div class='scroll'><table><tr><th>transitions</th><th></th></tr>"
        f"{changes or '<tr><td class=muted>none</td><td></td></tr>'}"
        f"{f'<tr><td class=muted>others</td><td class=n>{more}</td></tr>' if more else ''}</table></div>"
    )
    return (
        f"<h3>{name} <span class='muted'>seen for {clock(each.seconds)}</span></h3>"
        f"{share_bar(each.parts, f'Share of time, {track.person}')}"
        f"{timeline(drawn, recording.labels, recording.markers, f'Probabilities over time, {track.person}')}"
        f"<div class='pair'>{tables}</div>{_reasons(track)}{_baseline(recording, track)}"
    )


def _reasons(track: Track) -> str:
    if not track.unsure.any():
        return ""
    counts: dict[str, int] = {}
    for reasons in track.reasons.values():
        for reason in reasons.split("; "):
            kind = _kind(reason)
            counts[kind] = counts.get(kind, 0) + 1
    words = ", ".join(
        f"{kind} ({count / len(track) * 100:.0f} %)"
        for kind, count in sorted(counts.items(), key=lambda item: -item[1])[:5]
    )
    return f"<p class='muted'>Unsure in {track.unsure.mean() * 100:.0f} % of its frames: {escape(words)}.</p>"


def _kind(reason: str) -> str:
    """What a reason is about, without its figure."""
    if reason.startswith("between "):
        return "between two expressions"
    if reason.endswith("sure"):
        return "confidence too low"
    if reason.startswith("face "):
        return "too small"
    return reason.split(" ")[0] if reason.endswith("degrees") else reason


def _baseline(recording: Recording, track: Track) -> str:
    relative = track.relative
    if relative is None:
        return ""
    mean = relative.mean(axis=0)
    words = ", ".join(
        f"{name_of(recording.labels[column]).lower()} {mean[column] * 100:+.0f}"
        for column in np.argsort(-np.abs(mean)).tolist()
        if abs(mean[column]) >= 0.01
    )
    return f"<p class='muted'>Against its own neutral baseline, in points: {escape(words) or 'no difference'}.</p>"


def _intervals(recording: Recording) -> str:
    found = in_intervals(recording)
    if not found:
        return ""
    rows = []
    for each in found:
        ranked = sorted(each.parts.items(), key=lambda item: -item[1])[:3]
        told = ", ".join(f"{_key(label)} {part * 100:.0f} %" for label, part in ranked)
        rows.append(
            f"<tr><td>{escape(each.marker.label)}</td>"
            f"<td class='n'>{clock(each.marker.time - recording.begin)}</td>"
            f"<td class='n'>{clock(each.marker.duration)}</td><td>{escape(each.person)}</td>"
            f"<td class='n'>{clock(each.seconds)}</td><td>{told}</td></tr>"
        )
    return (
        "<h3>Intervals <span class='muted'>share of the time each face was seen in them</span></h3>"
        "<div class='scroll'><table><tr><th>interval</th><th>from</th><th>lasts</th><th>who</th><th>seen for</th>"
        f"<th>share of time</th></tr>{''.join(rows)}</table></div>"
    )


def _markers(recording: Recording) -> str:
    if not recording.markers:
        return ""
    rows = []
    for each in around_markers(recording):
        change = each.change()
        if change is None:
            told = "<td class='muted'>seen on one side only</td>"
        else:
            columns = [column for column in np.argsort(-np.abs(change)).tolist()[:3] if abs(change[column]) >= 0.02]
            told = "<td>" + (
                ", ".join(f"{_key(recording.labels[column])} {change[column] * 100:+.0f}" for column in columns)
                or "no change"
            )
            told += "</td>"
        rows.append(
            f"<tr><td class='n'>{clock(each.marker.time - recording.begin)}</td><td>{escape(each.marker.label)}</td>"
            f"<td>{escape(each.person)}</td>{told}</tr>"
        )
    seen = {(each.marker.time, each.marker.label) for each in around_markers(recording)}
    for marker in recording.markers:
        if (marker.time, marker.label) not in seen:
            rows.append(
                f"<tr><td class='n'>{clock(marker.time - recording.begin)}</td><td>{escape(marker.label)}</td>"
                "<td></td><td class='muted'>no face near it</td></tr>"
            )
    return (
        "<h3>Markers <span class='muted'>mean of the two seconds after, less the two before, in points</span></h3>"
        f"<div class='scroll'><table><tr><th>at</th><th>marker</th><th>who</th><th>change</th></tr>{''.join(rows)}"
        "</table></div>"
    )


def _key(label: str) -> str:
    return f'<span class="dot" style="background:{colour_of(label)}"></span>{escape(name_of(label))}'
