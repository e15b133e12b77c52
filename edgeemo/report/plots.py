"""Plots as inline SVG without scripts, fonts or links. Called by `page` and `compared`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from edgeemo.recording import Marker
from edgeemo.report.classes import UNSURE, name_of
from edgeemo.report.numbers import BinnedTrack
from edgeemo.values import clock

WIDE, TALL = 960, 150
LEFT, TOP, BOTTOM = 40, 20, 34
BINS = 420


def timeline(track: BinnedTrack, labels: Sequence[str], markers: Sequence[Marker], title: str) -> str:
    """Stacked probabilities of one person, with markers above; a bar below marks unsure expressions."""
    begin, end = float(track.edges[0]), float(track.edges[-1])
    width = WIDE - LEFT - 8

    def across(time: float) -> float:
        return LEFT + (time - begin) / (end - begin) * width

    parts = [
        f'<svg viewBox="0 0 {WIDE} {TOP + TALL + BOTTOM}" role="img" aria-label="{escape(title)}" '
        'preserveAspectRatio="xMidYMid meet">',
        f"<title>{escape(title)}</title>",
        f'<rect class="plot" x="{LEFT}" y="{TOP}" width="{width}" height="{TALL}"/>',
    ]
    sums = np.cumsum(track.values, axis=1)
    for first, last in _seen(track):
        xs = [across(float(edge)) for edge in track.edges[first : last + 1]]
        below = np.zeros(last - first)
        for column, label in enumerate(labels):
            above = np.minimum(sums[first:last, column], 1.0)
            if float((above - below).max(initial=0.0)) > 0.004:
                parts.append(f'<path d="{_area(xs, below, above)}" class="k-{label}"/>')
            below = above
        for index in range(first, last):
            if track.unsure[index] > 0.5:
                left, right = xs[index - first], xs[index - first + 1]
                parts.append(
                    f'<rect x="{left:.1f}" y="{TOP + TALL + 2}" width="{right - left + 0.2:.1f}" height="5" '
                    f'class="k-{UNSURE}"/>'
                )
    for value, words in ((0.0, "0"), (0.5, "50 %"), (1.0, "100 %")):
        y = TOP + TALL * (1 - value)
        parts.append(f'<text class="axis" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
    ticks = _ticks(begin, end)
    digits = int(any(abs((at - begin) - round(at - begin)) > 1e-6 for at in ticks))
    for at in ticks:
        x = across(at)
        words = clock(at - begin, digits)
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP + TALL}" y2="{TOP + TALL + 9}"/>')
        parts.append(f'<text class="axis" x="{x:.1f}" y="{TOP + TALL + 24}" text-anchor="middle">{words}</text>')
    for marker in markers:
        if begin <= marker.time <= end:
            x = across(marker.time)
            anchor = "end" if x > WIDE * 0.85 else "start"
            parts.append(f'<line class="marker" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{TOP + TALL}"/>')
            parts.append(
                f'<text class="axis" x="{x + (3 if anchor == "start" else -3):.1f}" y="{TOP - 7}" '
                f'text-anchor="{anchor}">{escape(marker.label[:24])}</text>'
            )
    parts.append("</svg>")
    return "".join(parts)


def share_bar(parts: dict[str, float], title: str) -> str:
    """A bar divided into the shares of time."""
    pieces, x = [], 0.0
    for label, part in parts.items():
        pieces.append(
            f'<rect x="{x:.2f}" y="0" width="{part * WIDE:.2f}" height="26" class="k-{label}">'
            f"<title>{escape(name_of(label))} {part * 100:.1f} %</title></rect>"
        )
        x += part * WIDE
    return (
        f'<svg viewBox="0 0 {WIDE} 26" role="img" aria-label="{escape(title)}" preserveAspectRatio="none" '
        f'class="bar">{"".join(pieces)}</svg>'
    )


def _seen(track: BinnedTrack) -> list[tuple[int, int]]:
    """Runs of bins in which the face was visible, as [first, last)."""
    seen = ~np.isnan(track.unsure)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _area(xs: list[float], below: np.ndarray, above: np.ndarray) -> str:
    """A stepped band between two heights in 0..1."""

    def y(value: float) -> str:
        return f"{TOP + TALL * (1 - value):.1f}"

    upper = [f"{x:.1f} {y(above[index])}" for index in range(len(above)) for x in (xs[index], xs[index + 1])]
    lower = [f"{x:.1f} {y(below[index])}" for index in reversed(range(len(below))) for x in (xs[index + 1], xs[index])]
    return f"M{'L'.join(upper + lower)}Z"


def _ticks(begin: float, end: float) -> list[float]:
    """At most ten ticks at round times."""
    span = end - begin
    steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
    # limit the number of ticks if a damaged clock gave an extreme time
    step = next((each for each in steps if span / each <= 10), span / 10)
    return [begin + number * step for number in range(int(span / step) + 1)]
