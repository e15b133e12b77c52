from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from fakes import result

from edgeemo.columns import QUALITY, column_names
from edgeemo.config import Config, SqliteConfig
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.sqlite import START_S, SqliteSink
from edgeemo.types import Doubt, Marker, Quality
from engines import LABELS

CONTEXT = SinkContext(LABELS, draw=lambda result: result.frame.image)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    try:
        return list(database.execute(query))
    finally:
        database.close()


def test_frames_and_faces_are_tables_and_every_run_is_added(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    for _ in range(2):
        sink = open_sink(f"sqlite:{path}", CONTEXT)
        sink.write(result(2, index=0, time=0.0))
        sink.write(result(0, index=1, time=0.04))
        sink.close()
    assert rows(path, "SELECT run, frame, time, origin FROM frames ORDER BY run, frame") == [
        (run, frame, frame / 25, "clip.mp4") for run in (1, 2) for frame in (0, 1)
    ]
    faces = rows(path, "SELECT frame, id, x1, y2, emotion, confidence, happiness FROM faces WHERE run = 1")
    assert faces == [(0, 1, 4.0, 28.0, "happiness", 0.9, 0.9), (0, 2, 28.0, 28.0, "happiness", 0.9, 0.9)]
    assert json.loads(str(rows(path, "SELECT labels FROM runs")[0][0])) == list(LABELS)


def test_classes_that_the_engine_does_not_know_stay_null(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = open_sink(f"sqlite:{path}", SinkContext(LABELS[:8], draw=CONTEXT.draw))
    whole = result(1)
    few = type(whole)(
        whole.frame, whole.faces, whole.probabilities[:, :8], whole.raw[:, :8], LABELS[:8], whole.emotions
    )
    sink.write(few)
    sink.close()
    assert rows(path, "SELECT happiness, no_face FROM faces") == [(0.9, None)]


def test_a_run_without_frames_leaves_no_run(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    open_sink(f"sqlite:{path}", CONTEXT).close()
    assert rows(path, "SELECT count(*) FROM runs") == [(0,)]


def test_others_can_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = open_sink(f"sqlite:{path}", CONTEXT)
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    sink.write(result(1))
    sink.close()
    assert rows(path, "SELECT count(*) FROM faces") == [(1,)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(SinkError, match="is not a database"):
        open_sink(f"sqlite:{path}", CONTEXT)
    assert path.read_text() == "Dear reader, " * 100


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE songs (name TEXT)")
    database.close()
    with pytest.raises(SinkError, match="another program"):
        open_sink(f"sqlite:{path}", CONTEXT)
    assert rows(path, "SELECT name FROM sqlite_master") == [("songs",)]


PROGRAM = """
import os, resource, signal, sys, time
sys.path.insert(0, sys.argv[1])
from fakes import result
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink
from engines import LABELS

sink = open_sink("sqlite:" + sys.argv[2], SinkContext(LABELS, draw=None))
sink.write(result(1, index=0))
time.sleep(1.05)
sink.write(result(1, index=1))
"""


def ran(tmp_path: Path, path: Path, ending: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + ending, str(Path(__file__).parent), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )


def test_a_crash_keeps_what_is_older_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    done = ran(tmp_path, path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows(path, "SELECT frame FROM frames") == [(0,), (1,)]


def test_a_full_disk_is_an_error_in_one_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    ending = """
size = os.path.getsize(sys.argv[2] + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))
try:
    for index in range(2, 500):
        sink.write(result(3, index=index))
    sink.close()
except SinkError as error:
    print(error)
"""
    done = ran(tmp_path, path, ending)
    assert done.returncode == 0, done.stderr
    assert "cannot continue writing" in done.stdout
    assert done.stdout.count("\n") == 1
    assert rows(path, "SELECT frame FROM frames") == [(0,), (1,)]
    assert os.path.exists(path)


@pytest.mark.parametrize("each_second", [False, True])
def test_frames_that_cannot_be_written_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each_second: bool
) -> None:
    """If `write` raises, the caller counts the frame."""
    path = tmp_path / "out.db"
    sink = open_sink(f"sqlite:{path}", CONTEXT)
    assert sink.lost == 0
    for index in range(3):
        sink.write(result(1, index=index))
    rows(path, "DROP TABLE faces")
    if each_second:
        monkeypatch.setattr("edgeemo.sinks.sqlite.BATCH_S", 0.0)
        with pytest.raises(SinkError, match="no such table: faces"):
            sink.write(result(1, index=3))
        sink.close()
    else:
        with pytest.raises(SinkError, match="no such table: faces"):
            sink.close()
    assert sink.lost == 3
    assert rows(path, "SELECT count(*) FROM frames") == [(0,)]


def test_a_database_that_is_deleted_is_reopening_and_what_it_held_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    path = tmp_path / "out.db"
    sink = open_sink(f"sqlite:{path}", CONTEXT)
    sink.write(result(1, index=0))
    with monkeypatch.context() as at_once:
        at_once.setattr("edgeemo.sinks.sqlite.BATCH_S", 0.0)
        sink.write(result(1, index=1))
    path.unlink()
    sink.write(result(1, index=2))
    sink.close()
    assert sink.lost == 2
    assert rows(path, "SELECT run, frame FROM frames") == [(1, 2)]


def test_each_source_of_a_service_is_a_run_of_its_own_with_wall_times(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = open_sink(f"sqlite:{path}", replace(CONTEXT, sources=("door", "yard"), lasting=True))
    for index in range(3):
        for origin in ("door", "yard"):
            whole = result(1, index=index, origin=origin)
            sink.write(replace(whole, frame=replace(whole.frame, wall=1e9 + index)))
    sink.close()
    found = rows(path, "SELECT run, origin, count(*), max(wall) FROM frames GROUP BY run ORDER BY run")
    assert found == [(1, "door", 3, 1e9 + 2), (2, "yard", 3, 1e9 + 2)]


def aged(path: Path, clock: list[float], days: float) -> SqliteSink:
    """A sink with `keep_days` that has written ten frames, one per day."""
    context = replace(CONTEXT, sources=("door",), config=Config(sqlite=SqliteConfig(keep_days=days)))
    sink = SqliteSink(str(path), context, clock=lambda: clock[0])
    for index in range(10):
        whole = result(1, index=index, origin="door")
        wall = clock[0] - (9 - index) * 86400
        marker = Marker(whole.frame.time, "go", wall=wall)
        sink.write(replace(whole, frame=replace(whole.frame, wall=wall), markers=(marker,)))
    sink.close()
    return SqliteSink(str(path), context, clock=lambda: clock[0])


def test_what_is_too_old_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = aged(path, [1e9], 3.5)
    sink.forget()
    sink.close()
    assert rows(path, "SELECT count(*), min(frame) FROM frames") == [(4, 6)]
    assert rows(path, "SELECT count(*) FROM faces") == [(4,)]
    assert rows(path, "SELECT count(*) FROM markers") == [(4,)]


def test_a_clock_that_is_wrong_at_the_start_deletes_nothing_before_it_can_be_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "out.db", [1e9]
    aged(path, clock, 3.5).close()
    clock[0] += 10 * 365 * 86400
    context = replace(CONTEXT, sources=("door",), config=Config(sqlite=SqliteConfig(keep_days=3.5)))
    sink = SqliteSink(str(path), context, clock=lambda: clock[0])
    sink.forget()
    assert rows(path, "SELECT count(*) FROM frames") == [(10,)]
    passed = monotonic() + START_S + 1
    clock[0] += START_S + 1
    monkeypatch.setattr("edgeemo.sinks.sqlite.monotonic", lambda: passed)
    sink.forget()
    sink.close()
    assert rows(path, "SELECT count(*) FROM frames") == [(0,)]


def test_a_clock_that_leaps_deletes_nothing(tmp_path: Path) -> None:
    path, clock = tmp_path / "out.db", [1e9]
    sink = aged(path, clock, 3.5)
    clock[0] += 10 * 365 * 86400
    for _ in range(3):
        sink.forget()
    clock[0] = 0
    sink.forget()
    sink.close()
    assert rows(path, "SELECT count(*) FROM frames") == [(10,)]


# what each schema version added
ADDED = {
    7: ("VIEW results", "faces.doubts", *(f"faces.{name}" for name in QUALITY)),
    6: ("faces.turned",),
    5: ("frames.damage",),
    4: ("runs.engine",),
    3: ("faces.unsure",),
    2: ("frames.wall",),
}


def made_by_version(number: int, path: Path) -> None:
    """An empty database with the schema of an older version."""
    open_sink(f"sqlite:{path}", CONTEXT).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        for what in (each for version, added in ADDED.items() if version > number for each in added):
            table, _, column = what.partition(".")
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}" if column else f"DROP {what}")
        database.execute(f"PRAGMA user_version = {number}")


def test_a_database_of_the_first_version_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    made_by_version(1, path)
    sink = open_sink(f"sqlite:{path}", CONTEXT)
    sink.write(result(1))
    sink.close()
    assert rows(path, "SELECT frame, wall FROM frames") == [(0, None)]


def test_why_a_face_is_unsure_is_kept_and_a_database_of_the_second_version_learns_to(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    made_by_version(2, path)
    sink = open_sink(f"sqlite:{path}", CONTEXT)
    sink.write(replace(result(2), doubts=(("face 31 px", "turned 40 degrees"), ())))
    sink.write(result(0, index=1))
    sink.close()
    assert rows(path, "SELECT id, unsure FROM faces ORDER BY id") == [(1, "face 31 px; turned 40 degrees"), (2, None)]
    assert rows(path, "PRAGMA user_version") == [(7,)]


@pytest.mark.parametrize("version", [6, 7])
def test_the_view_has_the_names_and_rows_of_every_other_table(tmp_path: Path, version: int) -> None:
    path, table = tmp_path / "out.db", tmp_path / "out.csv"
    if version < 7:
        made_by_version(version, path)
    doubts = ((Doubt("face 31 px", "small_face", 31.0), Doubt("blurred", "blurred", 0.1)), ())
    whole = replace(result(2), doubts=doubts, quality=(Quality(31.04, -5.06, 2.0, 0.12346, 99.94, 30.0),) * 2)
    whole = replace(whole, frame=replace(whole.frame, wall=1e9))
    for target in (f"sqlite:{path}", f"csv:{table}"):
        sink = open_sink(target, CONTEXT)
        sink.write(whole)
        sink.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT * FROM results ORDER BY face_id")
        names = [name for name, *_ in found.description]
        assert names == ["run", *column_names(LABELS, wall=True)]
        values = [dict(zip(names, map(str, row), strict=True)) for row in found]
    assert [{"run": "1", **row} for row in csv.DictReader(table.open())] == values
    assert [(row["person"], row["doubts"], row["yaw_deg"], row["sharpness"]) for row in values] == [
        ("Person 1", "small_face;blurred", "-5.1", "0.1235"),
        ("Person 2", "", "-5.1", "0.1235"),
    ]
