"""Write and read a file's results as Parquet: one row per face and frame, in full precision. Called by `work`, `seams`.

Columns: `file`, `sha256`, those of `edgeemo.columns` without `origin`, and keypoints in pixels (`right_eye_x`,
`right_eye_y`, ...).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
from pyarrow import parquet

from edgeemo.api.tables import arrays
from edgeemo.batch.dataset import COMPRESSION
from edgeemo.columns import INTEGERS, SECONDS, TEXTS, column_names
from edgeemo.types import F32, KEYPOINTS, Result
from edgeemo.values import as_utf8

CHUNK = 256  # results per table; kept without pictures
ROWS_PER_GROUP = 50_000
POINTS = tuple(f"{name}_{axis}" for name in KEYPOINTS for axis in "xy")

Column = npt.NDArray[Any]


def schema(labels: tuple[str, ...]) -> Any:
    """The columns of rows/*.parquet; repeated texts are dictionary-encoded."""
    names = [name for name in column_names(labels) if name != "origin"]
    texts = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = dict.fromkeys(("file", "sha256", *TEXTS), texts)
    kinds |= dict.fromkeys(INTEGERS, pyarrow.int64()) | dict.fromkeys(SECONDS, pyarrow.float64())
    every = ("file", "sha256", *names, *POINTS)
    return pyarrow.schema([(name, kinds.get(name, pyarrow.float32())) for name in every])


@dataclass
class Person:
    """The sums of one face id for the summary."""

    frames: int = 0
    first: float = 0.0
    last: float = 0.0
    confidence: float = 0.0
    unsure: int = 0
    probabilities: Column = field(default_factory=lambda: np.zeros(0))
    shown: dict[str, int] = field(default_factory=dict)


class RowWriter:
    """Writes one Parquet file; memory is limited to a row group. Without `finish` the file lacks rows and metadata.

    Args:
        file, sha256: path and hash of the video.
        labels: the engine's classes.
    """

    def __init__(self, path: Path, file: str, sha256: str, labels: tuple[str, ...]) -> None:
        self.rows = 0
        self._file, self._sha256, self._labels = as_utf8(file), sha256, labels
        self._schema = schema(labels)
        self._writer = parquet.ParquetWriter(path, self._schema, compression=COMPRESSION)
        self._results: list[Result] = []
        self._tables: list[Any] = []
        self._waiting = 0
        self._people: dict[int, Person] = {}

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, result: Result) -> None:
        if not len(result.faces):
            return
        self._results.append(result.without_picture())  # pictures would take too much memory
        if len(self._results) >= CHUNK:
            self._flush()

    def add_table(self, table: Any) -> None:
        """Add rows that were written earlier with this schema."""
        self._count(table)
        self._tables.append(table)
        self._waiting += table.num_rows
        if self._waiting >= ROWS_PER_GROUP:
            self._write()

    def finish(self, about: dict[str, Any]) -> None:
        """Write the remaining rows and the metadata: `about`, and the persons for the summary."""
        self._flush()
        self._write()
        whole = {**about, "file": self._file, "sha256": self._sha256, "rows": self.rows, "people": self._summary()}
        self._writer.add_key_value_metadata({"edgeemo": as_utf8(json.dumps(whole, ensure_ascii=False))})

    def _flush(self) -> None:
        if not self._results:
            return
        columns = arrays(self._results, self._labels)
        points: F32 = np.concatenate([result.faces.keypoints for result in self._results]).reshape(-1, len(POINTS))
        columns |= dict(zip(POINTS, points.T, strict=True))
        count = len(points)
        columns["file"] = np.full(count, self._file, object)
        columns["sha256"] = np.full(count, self._sha256, object)
        self._results = []
        self.add_table(
            pyarrow.table([_column(columns[each.name], each.type) for each in self._schema], schema=self._schema)
        )

    def _write(self) -> None:
        if self._tables:
            self._writer.write_table(pyarrow.concat_tables(self._tables).unify_dictionaries())
        self._tables, self._waiting = [], 0

    def _count(self, table: Any) -> None:
        self.rows += table.num_rows
        ids = table["face_id"].to_numpy()
        times = table["time"].to_numpy()
        confidences = table["confidence"].to_numpy()
        doubtful = np.array([bool(text) for text in table["doubts"].to_pylist()], bool)
        emotions = np.array(table["emotion"].to_pylist(), object)
        probabilities = np.column_stack([table[label].to_numpy() for label in self._labels]).astype(np.float64)
        for number in np.unique(ids).tolist():
            of = ids == number
            person = self._people.setdefault(number, Person(first=float(times[of].min())))
            person.first = min(person.first, float(times[of].min()))
            person.last = max(person.last, float(times[of].max()))
            person.frames += int(of.sum())
            person.confidence += float(confidences[of].sum())
            person.unsure += int(doubtful[of].sum())
            total = probabilities[of].sum(axis=0)
            person.probabilities = person.probabilities + total if len(person.probabilities) else total
            for emotion in emotions[of].tolist():
                person.shown[emotion] = person.shown.get(emotion, 0) + 1

    def _summary(self) -> list[dict[str, Any]]:
        return [
            {
                "file": self._file,
                "sha256": self._sha256,
                "face_id": number,
                "frames": person.frames,
                "first_time": person.first,
                "last_time": person.last,
                "emotion": max(person.shown, key=lambda name: person.shown[name]),
                "confidence": person.confidence / person.frames,
                "unsure": person.unsure / person.frames,
                **dict(zip(self._labels, (person.probabilities / person.frames).tolist(), strict=True)),
            }
            for number, person in sorted(self._people.items())
        ]


def _column(values: Column, kind: Any) -> Any:
    if pyarrow.types.is_dictionary(kind):
        return pyarrow.array(values, pyarrow.string()).dictionary_encode()
    return pyarrow.array(np.ascontiguousarray(values), kind)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A pyarrow.Table of one file of rows."""
    return parquet.ParquetFile(path).read(columns=columns)
