"""Read recordings as arrays from a session folder, a database of `sqlite:PATH`, or lines of `jsonl:PATH`."""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeemo.columns import QUALITY
from edgeemo.errors import RecordingError
from edgeemo.recording.database import DATABASE_FAULTS, read_database
from edgeemo.recording.folder import SessionFolder, sessions_folder
from edgeemo.recording.people import does_not_fit, edited, read_edits
from edgeemo.recording.recording import Recording, Track
from edgeemo.recording.rows import (
    BaselineRow,
    CutRow,
    DamagedRows,
    DecodingErrors,
    DoubtRow,
    Event,
    FaceRow,
    FrameRow,
    MarkerRow,
    checked,
    lines,
)
from edgeemo.types import Marker
from edgeemo.values import as_utf8, date_time
from engines.files import user_path
from engines.spec import LABELS

log = logging.getLogger(__name__)

MOST_RUNS = 8  # runs that a message lists
UNFINISHED = "The end: the recording was not closed (a crash or a full disk), so up to one second is missing."
_FACE_COLUMNS = ("frame", "id", "x1", "y1", "x2", "y2", "score", "emotion", "confidence")


def load(target: str | Path) -> Recording:
    """Read a session.

    Args:
        target: folder or name of a session, a .sqlite or .db file (PATH#2: its second run; default: the last run), or a
            .jsonl file (PATH#2 likewise, if a service has appended several runs to it; it has no default).

    Damaged rows are skipped; `missing` has their number.

    Raises:
        RecordingError: there is no such session, it cannot be read, or it has no usable rows.
    """
    text = str(target)
    path = user_path(text)
    if path.is_dir():
        return _from_folder(SessionFolder(path))
    if path.is_file():
        return _from_file(path, None)
    stem, _, number = text.rpartition("#")
    if stem and number.isdecimal() and len(number) < 16 and user_path(stem).is_file():
        return _from_file(user_path(stem), int(number))
    from edgeemo.recording.folder import list_sessions

    if "/" not in text and text:
        found = [folder for folder, info in list_sessions(sessions_folder()) if text in (info.name, folder.path.name)]
        if found:
            return _from_folder(found[0])
    raise RecordingError(
        f"there is no session {text!r}; give the folder or name of a session, a .sqlite or a .jsonl file of results"
    )


def _from_file(path: Path, run: int | None) -> Recording:
    read = _from_lines if path.suffix.lower() in (".jsonl", ".ndjson", ".json") else _from_database
    return read(path, run)


def _from_folder(folder: SessionFolder) -> Recording:
    info = folder.read()
    if not folder.events.is_file():
        raise RecordingError(f"{folder.path} has no events; the session ended within its first second")
    read = _from_database(folder.events, None)
    recording = Recording(
        info.name,
        folder.path,
        info.source or read.source,
        info.engine,
        info.started or read.started,
        read.labels or info.labels,
        read.frames,
        read.times,
        read.tracks,
        read.markers,
        folder.card,
        folder.video if folder.video.is_file() else None,
        read.origins,
        read.cuts,
        # no duplicates: the recorder may have noted a loss that the events show, too
        tuple(dict.fromkeys((*info.missing, *(() if info.ended else (UNFINISHED,)), *read.missing))),
        info.file,
        walls=read.walls,
    )
    edits = read_edits(folder.path)
    try:
        return edited(recording, edits)
    except RecordingError as error:
        raise does_not_fit(folder.path, error) from error


def _from_database(path: Path, run: int | None) -> Recording:
    try:
        return read_database(path, lambda database: _read(database, path, run))
    except DATABASE_FAULTS as error:
        raise RecordingError(f"{path} is not a database of results ({error})") from error


def _read(database: sqlite3.Connection, path: Path, run: int | None) -> Recording:
    database.text_factory = lambda text: text.decode("utf-8", errors="replace")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"runs", "frames", "faces"} <= tables:
        raise RecordingError(f"{path} is not a database of results: it lacks the tables runs, frames and faces")
    engine = _has(database, "runs", "engine")
    runs = database.execute(
        f"SELECT run, started, labels, {'engine' if engine else 'NULL'} FROM runs ORDER BY run"
    ).fetchall()
    if not runs:
        return Recording(as_utf8(path.stem), path, "", "", "", LABELS, np.zeros(0, np.int64), np.zeros(0), ())
    chosen = next((row for row in runs if row[0] == run), None) if run is not None else runs[-1]
    if chosen is None:
        raise RecordingError(f"{path} has no run {run}; it has {', '.join(str(number) for number, *_ in runs)}")
    number, started, stored, engine_name = chosen
    damaged = DamagedRows()
    labels = _labels(stored, damaged)
    later = ", ".join(name if _has(database, "frames", name) else "NULL" for name in ("wall", "damage"))
    found = database.execute(f"SELECT frame, time, origin, {later} FROM frames WHERE run = ?", (number,))
    spoiled = DecodingErrors()
    walls: dict[int, float] = {}
    frames = []
    for row in checked(found, FrameRow, "frames", damaged):
        frames.append((row.frame, row.time, row.origin))
        spoiled.add(row.time, row.damage)
        if row.wall is not None:
            walls[row.frame] = row.wall
    notes = _Notes.read(database, tables, number, damaged)
    turned = "coalesce(turned, 0)" if _has(database, "faces", "turned") else "0"
    quality = QUALITY if _has(database, "faces", QUALITY[0]) else ()
    columns = ", ".join((*_FACE_COLUMNS, *(f'"{label}"' for label in labels), turned, *quality))
    rows = database.execute(f"SELECT {columns} FROM faces WHERE run = ?", (number,))
    # nest the columns as in FaceRow
    behind = 9 + len(labels)
    nested = ((*row[:2], row[2:6], *row[6:9], row[9:behind], row[behind], row[behind + 1 :]) for row in rows)
    read = _assemble(
        path, str(started), labels, frames, checked(nested, FaceRow, "faces", damaged), notes, damaged=damaged
    )
    return replace(read, walls=walls, engine=str(engine_name or ""), missing=(*read.missing, *spoiled.note()))


def _has(database: sqlite3.Connection, table: str, column: str) -> bool:
    return any(name == column for _, name, *_ in database.execute(f"PRAGMA table_info({table})"))


def _labels(stored: object, damaged: DamagedRows) -> tuple[str, ...]:
    """The classes of a run; if the stored list is damaged, all known classes."""
    try:
        labels = tuple(label for label in msgspec.json.decode(str(stored), type=list[str]) if label in LABELS)
        if labels:
            return labels
        damaged.add("runs", "none of its classes is known")
    except (msgspec.DecodeError, RecursionError) as error:
        damaged.add("labels of runs", error)
    return LABELS


@dataclass(frozen=True)
class _Notes:
    """Data other than probabilities: markers, doubts, neutral baselines and cuts."""

    markers: tuple[Marker, ...] = ()
    doubts: Mapping[int, Mapping[int, str]] = field(default_factory=dict)  # person -> frame -> doubts
    baselines: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    cuts: tuple[tuple[float, float], ...] = ()

    @classmethod
    def read(cls, database: sqlite3.Connection, tables: set[str], run: int, damaged: DamagedRows) -> _Notes:
        doubts: dict[int, dict[int, str]] = defaultdict(dict)
        told: Iterable[tuple[Any, ...]] = ()
        if _has(database, "faces", "unsure"):
            told = database.execute("SELECT frame, id, unsure FROM faces WHERE run = ? AND unsure IS NOT NULL", (run,))
        elif "doubts" in tables:  # sessions of earlier versions
            told = database.execute("SELECT frame, id, reasons FROM doubts")
        for doubt in checked(told, DoubtRow, "doubts", damaged):
            doubts[doubt.id][doubt.frame] = doubt.reasons
        baselines: dict[int, dict[str, float]] = defaultdict(dict)
        rows = database.execute("SELECT id, label, value FROM baselines") if "baselines" in tables else ()
        for rest in checked(rows, BaselineRow, "baselines", damaged):
            baselines[rest.id][rest.label] = rest.value or 0.0
        cuts = database.execute("SELECT time, skipped FROM cuts ORDER BY time") if "cuts" in tables else ()
        return cls(
            _markers(database, run, damaged) if "markers" in tables else (),
            doubts,
            baselines,
            tuple((row.time, row.skipped) for row in checked(cuts, CutRow, "cuts", damaged)),
        )


def _markers(database: sqlite3.Connection, run: int, damaged: DamagedRows) -> tuple[Marker, ...]:
    """Markers of a run, and markers of a session, which have no run."""
    duration = "duration" if _has(database, "markers", "duration") else "0.0"
    mine = f"WHERE run IS NULL OR run = {run}" if _has(database, "markers", "run") else ""
    rows = database.execute(f"SELECT time, label, {duration}, wall FROM markers {mine} ORDER BY time")
    return tuple(
        Marker(row.time, row.label, row.duration, row.wall) for row in checked(rows, MarkerRow, "markers", damaged)
    )


@dataclass
class _RunOfLines:
    """The lines of one source from one start to its end."""

    frames: list[tuple[int, float, str]] = field(default_factory=list)
    walls: dict[int, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    rows: list[FaceRow] = field(default_factory=list)
    doubts: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    markers: list[Marker] = field(default_factory=list)
    spoiled: DecodingErrors = field(default_factory=DecodingErrors)

    @property
    def started(self) -> str:
        """Clock time of its first frame; empty if it was not stored."""
        first = min(self.walls.values(), default=None)
        return "" if first is None else datetime.fromtimestamp(first, timezone.utc).isoformat(timespec="milliseconds")

    def add(self, event: Event, damaged: DamagedRows) -> None:
        self.frames.append((event.frame, event.time or 0.0, event.origin))
        if event.wall is not None:
            self.walls[event.frame] = event.wall
        self.spoiled.add(event.time or 0.0, event.damage)
        self.markers += [Marker(each.time, each.label, 0.0, each.wall) for each in event.markers]
        for face in event.faces:
            if not any(label in LABELS for label in face.probabilities):
                damaged.add(f"a face of frame {event.frame}", "it has no probabilities of known classes")
                continue
            self.labels = self.labels or tuple(label for label in face.probabilities if label in LABELS)
            if face.unsure:
                self.doubts[face.id][event.frame] = "; ".join(face.unsure)
            self.rows.append(
                FaceRow(
                    event.frame,
                    face.id,
                    face.box,
                    face.score,
                    face.emotion,
                    face.confidence,
                    [face.probabilities.get(label) for label in self.labels],
                    face.turned,
                    tuple(face.quality.get(name) for name in QUALITY),
                )
            )


def _from_lines(path: Path, number: int | None) -> Recording:
    damaged = DamagedRows()
    try:
        with path.open("rb") as file:
            runs = _runs_of_lines(lines(file, damaged), damaged)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from error
    place = (1 if len(runs) == 1 else 0) if number is None else number
    if not 0 < place <= len(runs):
        known = [
            f"#{index} {run.frames[0][2]} {date_time(run.started)}".strip()
            for index, run in enumerate(runs[:MOST_RUNS], 1)
            if run.frames
        ]
        more = f" and {len(runs) - MOST_RUNS} more" if len(runs) > MOST_RUNS else ""
        raise RecordingError(f"{path} has {len(runs)} runs: {', '.join(known)}{more}; give one of them: {path}#1")
    run = runs[place - 1]
    run.markers.sort(key=lambda marker: marker.time)
    notes = _Notes(tuple(run.markers), run.doubts)
    read = _assemble(path, run.started, run.labels or LABELS, run.frames, run.rows, notes, damaged=damaged)
    return replace(read, walls=run.walls, missing=(*read.missing, *run.spoiled.note()))


def _runs_of_lines(events: Iterable[Event], damaged: DamagedRows) -> list[_RunOfLines]:
    """At least one. A service appends the results of all sources, and of all its starts, to one file.

    Its events have a clock time; each start counts the frames of a source from 0.
    """
    runs: list[_RunOfLines] = []
    newest: dict[str, _RunOfLines] = {}
    for event in events:
        source = "" if event.wall is None else event.origin
        run = newest.get(source)
        if run is None or event.frame in run.walls:
            run = newest[source] = _RunOfLines()
            runs.append(run)
        run.add(event, damaged)
    return runs or [_RunOfLines()]


def _assemble(
    path: Path,
    started: str,
    labels: tuple[str, ...],
    frames: list[tuple[int, float, str]],
    rows: Iterable[FaceRow],
    notes: _Notes,
    *,
    damaged: DamagedRows,
) -> Recording:
    frames.sort(key=lambda row: (row[1], row[0]))
    times = {frame: time for frame, time, _ in frames}
    names = {origin for *_, origin in frames}
    people: dict[int, list[FaceRow]] = defaultdict(list)
    for row in rows:
        if row.frame not in times:
            damaged.add(f"a face of frame {row.frame}", "there is no such frame")
        elif row.emotion not in labels:
            damaged.add(f"a face of frame {row.frame}", f"{row.emotion[:40]!r} is not a class of the engine")
        else:
            people[row.id].append(row)
    damaged.expect_some(len(frames), path)
    for note in damaged.note():
        log.warning("%s: %s", path, note)
    return Recording(
        as_utf8(path.stem),
        path,
        next(iter(names)) if len(names) == 1 else as_utf8(path.stem),
        "",
        started,
        labels,
        np.array([frame for frame, *_ in frames], np.int64),
        np.array([time for _, time, _ in frames], np.float64),
        tuple(_track(person, people[person], times, labels, notes) for person in sorted(people)),
        notes.markers,
        origins={frame: origin for frame, _, origin in frames} if len(names) > 1 else {},
        cuts=notes.cuts,
        missing=damaged.note(),
    )


def _track(
    person: int, rows: list[FaceRow], times: Mapping[int, float], labels: tuple[str, ...], notes: _Notes
) -> Track:
    rows.sort(key=lambda row: (times[row.frame], row.frame))
    numbers = np.array(
        [
            [np.nan if value is None else value for value in (*row.box, row.score, row.confidence, *row.probabilities)]
            for row in rows
        ],
        np.float32,
    )
    frames = np.array([row.frame for row in rows], np.int64)
    doubts = notes.doubts.get(person, {})
    rest = notes.baselines.get(person)
    return Track(
        person,
        frames,
        np.array([times[row.frame] for row in rows], np.float64),
        numbers[:, :4],
        numbers[:, 4],
        np.nan_to_num(numbers[:, 5]),
        np.nan_to_num(numbers[:, 6:]),
        np.array([labels.index(row.emotion) for row in rows], np.int64),
        np.array([frame in doubts for frame in frames.tolist()], bool),
        np.array([row.turned for row in rows], np.int64),
        np.array([row.quality or (None,) * len(QUALITY) for row in rows], np.float32),
        doubts,
        None if rest is None else np.array([rest.get(label, 0.0) for label in labels], np.float32),
    )
