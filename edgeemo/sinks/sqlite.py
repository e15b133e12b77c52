"""The sink `sqlite`: every run is appended to the database."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic, time
from typing import Any

from edgeemo.columns import QUALITY
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import codes, event
from edgeemo.sinks.output import writable
from edgeemo.sinks.presence import Presence, reopening
from edgeemo.types import Result, Sink
from engines.spec import LABELS

BATCH_S = 1.0  # interval of writing; a crash loses at most the results of this time
RETENTION_S = 60.0  # interval of deleting old results
RETENTION_ROWS = 2000  # frames deleted per transaction, so that writing is not delayed
LEAP_S = 3600.0  # a larger jump of the wall clock pauses deletion
DOUBT_S = 86400.0  # duration of this pause, in which the clock may be corrected
START_S = 3600.0  # pause after a start long after the newest result: the clock may be wrong since a power cut
SCHEMA_VERSION = 7
# the names of `edgeemo.columns`
VIEW = f"""
CREATE VIEW results AS SELECT
    run, origin, frame, time, wall, id AS face_id, CASE WHEN id < 0 THEN 'Faces' ELSE 'Person ' || id END AS person,
    x1, y1, x2, y2, score, emotion, confidence, {", ".join(f'"{label}"' for label in LABELS)},
    doubts, {", ".join(QUALITY)}, turned
FROM faces JOIN frames USING (run, frame);
"""
# schema version -> statements that upgrade it to the next version
UPGRADES = {
    1: "ALTER TABLE frames ADD COLUMN wall REAL;",
    2: "ALTER TABLE faces ADD COLUMN unsure TEXT;",
    3: "ALTER TABLE runs ADD COLUMN engine TEXT;",
    4: "ALTER TABLE frames ADD COLUMN damage INTEGER;",
    5: "ALTER TABLE faces ADD COLUMN turned INTEGER;",
    6: "ALTER TABLE faces ADD COLUMN doubts TEXT;"
    + "".join(f"ALTER TABLE faces ADD COLUMN {name} REAL;" for name in QUALITY)
    + VIEW,
}
# the table is created with the first marker; `run` is NULL for markers set in the app
MARKERS = """
CREATE TABLE IF NOT EXISTS markers (
    time REAL NOT NULL, label TEXT NOT NULL, wall REAL, duration REAL NOT NULL DEFAULT 0, run INTEGER
)
"""
SCHEMA = f"""
CREATE TABLE runs (run INTEGER PRIMARY KEY, started TEXT NOT NULL, labels TEXT NOT NULL, engine TEXT);
CREATE TABLE frames (
    run INTEGER NOT NULL REFERENCES runs, frame INTEGER NOT NULL, time REAL NOT NULL, origin TEXT NOT NULL,
    wall REAL, damage INTEGER,
    PRIMARY KEY (run, frame)
) WITHOUT ROWID;
CREATE TABLE faces (
    run INTEGER NOT NULL, frame INTEGER NOT NULL, id INTEGER NOT NULL,
    x1 REAL, y1 REAL, x2 REAL, y2 REAL, score REAL, emotion TEXT NOT NULL, confidence REAL,
    {", ".join(f'"{label}" REAL' for label in LABELS)},
    unsure TEXT, turned INTEGER, doubts TEXT, {", ".join(f"{name} REAL" for name in QUALITY)},
    FOREIGN KEY (run, frame) REFERENCES frames
);
CREATE INDEX faces_of_a_frame ON faces (run, frame);
{VIEW}
PRAGMA user_version = {SCHEMA_VERSION};
"""


class SqliteSink(Sink):
    """`sqlite:PATH`: the tables runs, frames and faces, with one row for each of them. The table `markers` is created
    with the first marker of another program.

    faces has one column per class (NULL if the engine lacks the class) and `unsure` with the reasons in words. frames
    has `damage`, the number of decoding errors. Both are NULL if there are none. `doubts`, quality figures and
    `turned` are described in `edgeemo.columns`; they are NULL in older rows. The view `results` has one row per face
    and frame with the names of `edgeemo.columns`. With the write-ahead log other programs may read at the same time.

    Each source of a service has its own run. A database that is renamed or deleted is created again within a second.

    Args:
        clock: returns seconds since the epoch, for the age of results.
    """

    def __init__(self, target: str, context: SinkContext, *, clock: Callable[[], float] = time) -> None:
        self._check: Callable[[], Path] = lambda: writable(target, "sqlite", context)
        self._lost = self._stored = 0
        self._clock = clock
        self._labels = context.labels
        self._frames: list[tuple[Any, ...]] = []
        self._faces: list[tuple[Any, ...]] = []
        self._markers: list[tuple[Any, ...]] = []
        self._written = monotonic()
        self._runs: dict[str, int] = {}
        self._sources = context.sources
        self._status = context.status
        config = context.config.sqlite
        self._keep_s = config.keep_days * 86400
        self._cleaned = monotonic()
        self._clock_offset = clock() - monotonic()
        self._doubted_until = 0.0
        self._started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._presence: Presence | None = None
        self._open()

    def write(self, result: Result) -> None:
        self._expect_there(now=False)
        whole = event(result)
        run = whole["origin"] if whole["origin"] in self._sources else ""
        self._frames.append(
            (run, whole["frame"], whole["time"], whole["origin"], whole.get("wall"), whole.get("damage"))
        )
        self._markers += [(run, each["time"], each["label"], each.get("wall")) for each in whole.get("markers", ())]
        for face in whole["faces"]:
            self._faces.append(
                (
                    run,
                    whole["frame"],
                    face["id"],
                    *face["box"],
                    face["score"],
                    face["emotion"],
                    face["confidence"],
                    *(face["probabilities"].get(label) for label in LABELS),
                    "; ".join(face["unsure"]) if "unsure" in face else None,
                    face.get("turned", 0),
                    codes(face),
                    *(face.get("quality", {}).get(name) for name in QUALITY),
                )
            )
        before = self._lost
        try:
            self._keep_up()
        except SinkError:
            # the caller counts this frame
            self._lost = max(before, self._lost - 1)
            raise

    def tick(self) -> None:
        """Write the batch if it is due, and delete old results."""
        self._expect_there(now=False)
        self._keep_up()

    def _keep_up(self) -> None:
        now = monotonic()
        if now - self._written >= BATCH_S:
            self._flush()
        if self._keep_s and now - self._cleaned >= RETENTION_S:
            self.forget()

    @property
    def lost(self) -> int:
        """Number of frames that could not be written or were lost with a deleted file."""
        return self._lost

    def reopen(self) -> None:
        self._expect_there(now=True)

    def close(self) -> None:
        try:
            self._expect_there(now=True)
            self._flush()
        finally:
            self._lost += len(self._frames)
            self._frames, self._faces, self._markers = [], [], []
            self._release()

    def _open(self) -> None:
        self._path = self._check()
        try:
            # opened and written by different threads, but never at the same time
            self._database = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise SinkError(f"cannot open {self._path}: {error}; choose another path") from error
        try:
            self._prepare()
            self._presence = Presence(self._path)
        except BaseException:
            self._database.close()
            raise

    def _release(self) -> None:
        self._database.close()
        if self._presence is not None:
            self._presence.close()
        self._presence = None

    def _expect_there(self, *, now: bool) -> None:
        """Create the database again if it was renamed, deleted or replaced."""
        presence = self._presence
        if presence is None or not presence.has_moved(now=now):
            return
        if presence.is_deleted():
            self._lost += self._stored
        with contextlib.suppress(sqlite3.Error):
            # otherwise the write-ahead log of a moved file keeps the old name, and the next database would use it
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with contextlib.suppress(sqlite3.Error):
            self._release()
        self._presence, self._runs, self._stored = None, {}, 0
        with reopening(str(self._path)):
            self._open()

    def _flush(self) -> None:
        self._written = monotonic()
        if not self._frames:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            runs = dict(self._runs)
            for run in dict.fromkeys(row[0] for row in self._frames):
                if run not in runs:
                    added = self._database.execute(
                        "INSERT INTO runs (started, labels, engine) VALUES (?, ?, ?)",
                        (self._started, json.dumps(self._labels), self._status().engine if self._status else None),
                    )
                    runs[run] = int(added.lastrowid or 0)
            self._database.executemany(
                "INSERT INTO frames (run, frame, time, origin, wall, damage) VALUES (?, ?, ?, ?, ?, ?)",
                [(runs[run], *row) for run, *row in self._frames],
            )
            self._database.executemany(
                f"INSERT INTO faces VALUES ({', '.join('?' * (13 + len(LABELS) + len(QUALITY)))})",
                [(runs[run], *row) for run, *row in self._faces],
            )
            self._write_markers(runs)
            self._database.execute("COMMIT")
            self._runs = runs
            self._stored += len(self._frames)
        except sqlite3.Error as error:
            self._lost += len(self._frames)
            self._frames, self._faces, self._markers = [], [], []
            raise SinkError(
                f"cannot continue writing {self._path}: {error}; results before the last second are kept"
            ) from error
        self._frames, self._faces, self._markers = [], [], []

    def _write_markers(self, runs: dict[str, int]) -> None:
        if not self._markers:
            return
        self._database.execute(MARKERS)
        if all(name != "run" for _, name, *_ in self._database.execute("PRAGMA table_info(markers)")):
            self._database.execute("ALTER TABLE markers ADD COLUMN run INTEGER")  # a session of an earlier version
        self._database.executemany(
            "INSERT INTO markers (run, time, label, wall) VALUES (?, ?, ?, ?)",
            [(runs[run], *row) for run, *row in self._markers],
        )

    def forget(self) -> None:
        """Delete old results, at most `RETENTION_ROWS` frames at a time.

        Nothing is deleted for a day after the wall clock jumped, because recent results may look old; nor for an hour
        after a start more than an hour after the newest result.
        """
        self._cleaned = monotonic()
        offset = self._clock() - monotonic()
        leap, self._clock_offset = abs(offset - self._clock_offset), offset
        if leap > LEAP_S:
            self._doubted_until = monotonic() + DOUBT_S
        if monotonic() < self._doubted_until:
            return
        before = self._clock() - self._keep_s
        try:
            self._database.execute("BEGIN IMMEDIATE")
            old = self._database.execute(
                "SELECT run, frame FROM frames WHERE wall < ? LIMIT ?", (before, RETENTION_ROWS)
            ).fetchall()
            self._database.executemany("DELETE FROM faces WHERE run = ? AND frame = ?", old)
            self._database.executemany("DELETE FROM frames WHERE run = ? AND frame = ?", old)
            if self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'markers'").fetchone():
                self._database.execute("DELETE FROM markers WHERE wall < ?", (before,))
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise SinkError(f"cannot delete old results from {self._path}: {error}") from error
        if len(old) == RETENTION_ROWS:
            # there are more: continue at the next tick
            self._cleaned = monotonic() - RETENTION_S
        self._database.execute("PRAGMA incremental_vacuum(256)").fetchall()

    def _prepare(self) -> None:
        try:
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version not in (*UPGRADES, SCHEMA_VERSION) and tables:
                raise SinkError(f"{self._path} is a database of another program; choose another path")
            if not tables:
                # lets the file shrink when old results are deleted; can only be set in an empty file
                self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            if not tables:
                self._database.executescript(f"BEGIN;{SCHEMA}COMMIT;")
            elif version != SCHEMA_VERSION:
                steps = "".join(UPGRADES[each] for each in range(version, SCHEMA_VERSION))
                self._database.executescript(f"BEGIN;{steps}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            if self._keep_s:
                self._database.execute("CREATE INDEX IF NOT EXISTS frames_by_wall ON frames (wall)")
                (newest,) = self._database.execute("SELECT max(wall) FROM frames").fetchone()
                if newest is not None and self._clock() - newest > LEAP_S:
                    self._doubted_until = max(self._doubted_until, monotonic() + START_S)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # SQLite's messages contain damaged names
            raise SinkError(f"cannot use {self._path} as a database: {error}; choose another path") from error
