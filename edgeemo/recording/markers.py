"""Markers of a session: in its database, and as tables of events in the BIDS format. Called by the app and `export`.

A table has a header line and the columns `onset` (seconds from the start of the recording), `duration` (seconds, or
`n/a`) and `trial_type` or `label` (BIDS specification 1.10, "Task events").
"""

from __future__ import annotations

import contextlib
import csv
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeemo.columns import cell
from edgeemo.errors import RecordingError
from edgeemo.recording.atomic import atomic_draft
from edgeemo.recording.folder import EVENTS
from edgeemo.recording.recording import Recording
from edgeemo.types import Marker
from edgeemo.values import marker_label

LABELS = ("trial_type", "label")
NOT_AVAILABLE = "n/a"


def write_markers(folder: Path, markers: Iterable[Marker], before: Iterable[Marker] | None = None) -> None:
    """Replace the markers of a session's folder in one transaction.

    Args:
        before: the markers to replace; others, which another window has added, stay. None: all.

    Raises:
        RecordingError: its database cannot be written.
    """
    added, removed = (
        Counter((each.time, each.label, each.wall, each.duration) for each in some) for some in (markers, before or ())
    )
    try:
        with (
            contextlib.closing(
                sqlite3.connect((folder / EVENTS).absolute().as_uri() + "?mode=rw", uri=True)
            ) as database,
            database,
        ):
            columns = {name for _, name, *_ in database.execute("PRAGMA table_info(markers)")}
            if "duration" not in columns:  # a session of an earlier version
                database.execute("ALTER TABLE markers ADD COLUMN duration REAL NOT NULL DEFAULT 0")
            if before is None:
                database.execute("DELETE FROM markers")
            database.executemany(
                "DELETE FROM markers WHERE rowid = (SELECT rowid FROM markers"
                " WHERE time = ? AND label = ? AND wall IS ? AND duration = ? LIMIT 1)",
                (removed - added).elements(),
            )
            database.executemany(
                "INSERT INTO markers (time, label, wall, duration) VALUES (?, ?, ?, ?)", (added - removed).elements()
            )
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise RecordingError(f"cannot write the markers of {folder} ({error})") from error


def read_events(path: Path, begin: float) -> tuple[Marker, ...]:
    """Read the events of a table with tabs, commas or semicolons as separators.

    Args:
        begin: media time of the start of the recording.

    Raises:
        RecordingError: it is not such a table; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        heading = text.partition("\n")[0]
        separator = max("\t,;", key=heading.count)
        rows = list(csv.reader(text.splitlines(), delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    label = next((names.index(name) for name in LABELS if name in names), None)
    if "onset" not in names or label is None:
        raise RecordingError(
            f"{path.name} needs a first line with the columns onset, duration and trial_type (or label)"
        )
    lasting = names.index("duration") if "duration" in names else None
    markers = []
    for number, row in enumerate(rows[1:], 2):
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(names):
            raise RecordingError(f"{path.name} line {number} has {len(row)} columns instead of {len(names)}")
        onset = _seconds(row[names.index("onset")], path, number, "onset")
        duration = _seconds(row[lasting], path, number, "duration") if lasting is not None else 0.0
        if duration < 0:
            raise RecordingError(f"{path.name} line {number}: a duration is 0 or more seconds")
        words = row[label]
        # without the apostrophe of `cell`
        words = words[1:] if words == cell(words[1:]) else words
        markers.append(Marker(begin + onset, marker_label(words), duration))
    return tuple(markers)


def write_events(recording: Recording, path: Path) -> int:
    """Write the markers as a table of events, separated by tabs, or by commas if the suffix is .csv.

    Returns:
        Number of events.

    Raises:
        RecordingError: it cannot be written.
    """
    with atomic_draft(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="," if path.suffix.lower() == ".csv" else "\t", lineterminator="\n")
        writer.writerow(("onset", "duration", LABELS[0]))
        for marker in recording.markers:
            # the precision of recorded times, so that a marker stays at its frame when it is read again
            writer.writerow((f"{marker.time - recording.begin:.4f}", f"{marker.duration:.4f}", cell(marker.label)))
    return len(recording.markers)


def sorted_markers(markers: Sequence[Marker]) -> tuple[Marker, ...]:
    """Markers sorted by time."""
    return tuple(sorted(markers, key=lambda marker: (marker.time, marker.label)))


def _seconds(text: str, path: Path, number: int, name: str) -> float:
    text = text.strip()
    if name == "duration" and text.lower() in ("", NOT_AVAILABLE):
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordingError(f"{path.name} line {number}: {name} {text!r} is not a number of seconds")
    return value
