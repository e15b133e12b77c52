"""Every output with rows of faces has the column `turned`."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import result

import edgeemo
from edgeemo.columns import QUALITY, column_names
from edgeemo.recording import load
from edgeemo.recording.export import export
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import Result
from engines import LABELS

CONTEXT = SinkContext(LABELS, draw=lambda result: result.frame.image)
DEGREES = [0, 180, 90]


def lying() -> Result:
    """A picture of an upright and two turned faces."""
    shown = result(len(DEGREES))
    return replace(shown, faces=replace(shown.faces, turned=np.array(DEGREES, np.int64)))


def through(kind: str, path: Path) -> Path:
    with closing(open_sink(f"{kind}:{path}", CONTEXT)) as sink:
        sink.write(lying())
    return path


def csv_cells(path: Path) -> list[int]:
    with path.open(encoding="utf-8", newline="") as file:
        return [int(row["turned"]) for row in csv.DictReader(file)]


def from_csv(folder: Path) -> list[int]:
    return csv_cells(through("csv", folder / "out.csv"))


def from_sqlite(folder: Path) -> list[int]:
    with closing(sqlite3.connect(through("sqlite", folder / "out.db"))) as database:
        return [degrees for (degrees,) in database.execute("SELECT turned FROM faces ORDER BY id")]


def from_exported_sqlite(folder: Path) -> list[int]:
    export([load(through("sqlite", folder / "out.db"))], folder / "out.csv")
    return csv_cells(folder / "out.csv")


def from_exported_lines(folder: Path) -> list[int]:
    parquet = pytest.importorskip("pyarrow.parquet")
    export([load(through("jsonl", folder / "out.jsonl"))], folder / "out.parquet")
    return list(parquet.read_table(folder / "out.parquet")["turned"].to_pylist())


def from_batch(folder: Path) -> list[int]:
    pytest.importorskip("pyarrow")
    from edgeemo.batch.rows import RowWriter, read_rows

    with RowWriter(folder / "rows.parquet", "clip.mp4", "0" * 64, LABELS) as writer:
        writer.add(lying())
        writer.finish({})
    return list(read_rows(folder / "rows.parquet")["turned"].to_pylist())


def from_pandas(folder: Path) -> list[int]:
    pytest.importorskip("pandas")
    table = edgeemo.Result.of(lying()).to_df("pandas")
    assert tuple(table.columns) == column_names(LABELS)
    return list(table["turned"])


def from_faces(folder: Path) -> list[int]:
    return [face.turned for face in edgeemo.Result.of(lying())]


@pytest.mark.parametrize(
    "read",
    [from_csv, from_sqlite, from_exported_sqlite, from_exported_lines, from_batch, from_pandas, from_faces],
    ids=lambda read: read.__name__,
)
def test_how_far_a_head_is_turned_is_in_every_output(read: Callable[[Path], list[int]], tmp_path: Path) -> None:
    assert read(tmp_path) == DEGREES


def test_a_database_of_the_fifth_version_learns_the_column_and_its_rows_are_read(tmp_path: Path) -> None:
    path = through("sqlite", tmp_path / "out.db")
    with closing(sqlite3.connect(path)) as database:
        later = "".join(f"ALTER TABLE faces DROP COLUMN {name};" for name in ("doubts", *QUALITY, "turned"))
        database.executescript(f"DROP VIEW results; {later} PRAGMA user_version = 5;")
    assert [track.turned.tolist() for track in load(path).tracks] == [[0], [0], [0]]
    through("sqlite", path)
    assert [track.turned.tolist() for track in load(f"{path}#1").tracks] == [[0], [0], [0]]
    assert [track.turned.tolist() for track in load(path).tracks] == [[0], [180], [90]]
