"""A database: every run is added to the ones before."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timezone
from time import monotonic
from typing import Any

from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import event
from edgeemo.sinks.output import writable
from edgeemo.types import Result
from engines.spec import LABELS

BATCH_S = 1.0  # a crash loses no more than this
SCHEMA_VERSION = 1
SCHEMA = f"""
CREATE TABLE runs (run INTEGER PRIMARY KEY, started TEXT NOT NULL, labels TEXT NOT NULL);
CREATE TABLE frames (
    run INTEGER NOT NULL REFERENCES runs, frame INTEGER NOT NULL, time REAL NOT NULL, origin TEXT NOT NULL,
    PRIMARY KEY (run, frame)
) WITHOUT ROWID;
CREATE TABLE faces (
    run INTEGER NOT NULL, frame INTEGER NOT NULL, id INTEGER NOT NULL,
    x1 REAL, y1 REAL, x2 REAL, y2 REAL, score REAL, emotion TEXT NOT NULL, confidence REAL,
    {", ".join(f'"{label}" REAL' for label in LABELS)},
    FOREIGN KEY (run, frame) REFERENCES frames
);
CREATE INDEX faces_of_a_frame ON faces (run, frame);
PRAGMA user_version = {SCHEMA_VERSION};
"""


class SqliteSink:
    """`sqlite:PATH`: tables runs, frames (one row each) and faces (one row each, one column a class; a class that the
    engine doesn't know stays NULL). Write-ahead log: others may read while it grows.
    """

    def __init__(self, target: str, context: SinkContext) -> None:
        self._path = writable(target)
        self._labels = context.labels
        self._frames: list[tuple[Any, ...]] = []
        self._faces: list[tuple[Any, ...]] = []
        self._written = monotonic()
        self._run: int | None = None
        self._started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        try:
            # opened by one thread, written by another, never by two at once
            self._database = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise SinkError(f"cannot open {self._path}: {error}; choose another path") from error
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def write(self, result: Result) -> None:
        whole = event(result)
        self._frames.append((whole["frame"], whole["time"], whole["origin"]))
        for face in whole["faces"]:
            self._faces.append(
                (
                    whole["frame"],
                    face["id"],
                    *face["box"],
                    face["score"],
                    face["emotion"],
                    face["confidence"],
                    *(face["probabilities"].get(label) for label in LABELS),
                )
            )
        if monotonic() - self._written >= BATCH_S:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._database.close()

    def _flush(self) -> None:
        self._written = monotonic()
        if not self._frames:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            if self._run is None:
                self._run = self._database.execute(
                    "INSERT INTO runs (started, labels) VALUES (?, ?)", (self._started, json.dumps(self._labels))
                ).lastrowid
            self._database.executemany(
                "INSERT INTO frames VALUES (?, ?, ?, ?)", [(self._run, *row) for row in self._frames]
            )
            self._database.executemany(
                f"INSERT INTO faces VALUES ({', '.join('?' * (10 + len(LABELS)))})",
                [(self._run, *row) for row in self._faces],
            )
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._frames, self._faces = [], []
            raise SinkError(
                f"cannot go on writing {self._path}: {error}; what came before the last second is kept"
            ) from error
        self._frames, self._faces = [], []

    def _prepare(self) -> None:
        try:
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version != SCHEMA_VERSION and tables:
                raise SinkError(f"{self._path} is a database of something else; choose another path")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            if not tables:
                self._database.executescript(f"BEGIN;{SCHEMA}COMMIT;")
        except sqlite3.DatabaseError as error:
            raise SinkError(f"cannot use {self._path} as a database: {error}; choose another path") from error
