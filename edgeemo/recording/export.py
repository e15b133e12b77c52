"""The rows of a session for statistics programs: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeemo.columns import BOX, cell, codes_of, column_names
from edgeemo.errors import RecordingError
from edgeemo.recording.recording import Recording, Track
from edgeemo.recording.whole import appearing_whole
from engines.installation import pip_install

Column = npt.NDArray[Any]


def export(recording: Recording, path: Path, *, bom: bool = False) -> int:
    """Write one row per face and frame, as CSV or Parquet by the name's ending; the file appears when it is whole.

    Columns: see `columns_of`. In both forms numbers are as precise as they were recorded: boxes to 0.1 pixels, other
    figures to four digits, times in full. In Parquet what is not known is null, and the file's metadata has the
    session's name, source, engine and beginning.

    Args:
        bom: a CSV file begins with a byte order mark, by which spreadsheets know that the text is UTF-8.

    Returns:
        How many rows.

    Raises:
        RecordingError: it cannot be written, another ending, or Parquet without pyarrow.
    """
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise RecordingError(f"cannot export to {path.name}: give a name that ends in {' or '.join(WRITERS)}")
    columns = columns_of(recording)
    with appearing_whole(path) as draft:
        write(columns, recording, draft)
        if bom and path.suffix.lower() == ".csv":
            draft.write_bytes(b"\xef\xbb\xbf" + draft.read_bytes())
    return len(columns["frame"])


def columns_of(recording: Recording) -> dict[str, Column]:
    """A row per face and frame, ordered by frame and person.

    Those of `edgeemo.columns`, and `relative_` ones where a baseline was taken, NaN for people without one.
    """
    tracks = recording.tracks
    labels = np.array(recording.labels, object)

    def joined(parts: Iterable[Column], empty: Column) -> Column:
        return np.concatenate([empty, *parts])

    frames = joined((track.frames for track in tracks), np.zeros(0, np.int64))
    people = np.repeat([track.id for track in tracks], [len(track) for track in tracks]).astype(np.int64)
    boxes = joined((track.boxes for track in tracks), np.zeros((0, 4), np.float32))
    emotions = joined((track.emotions for track in tracks), np.zeros(0, np.int64))
    reasons = [track.reasons.get(frame, "") for track in tracks for frame in track.frames.tolist()]
    columns: dict[str, Column] = {
        "origin": np.array([recording.origins.get(frame, recording.source) for frame in frames.tolist()], object),
        "frame": frames,
        "time": joined((track.times for track in tracks), np.zeros(0)),
        "face_id": people,
        "person": np.repeat(np.array([track.person for track in tracks], object), [len(track) for track in tracks]),
        **dict(zip(BOX, _recorded(boxes, 1).T, strict=True)),
        "score": _recorded(joined((track.scores for track in tracks), np.zeros(0, np.float32))),
        "emotion": labels[emotions],
        "confidence": _recorded(joined((track.confidences for track in tracks), np.zeros(0, np.float32))),
        "doubts": np.array([codes_of(each) for each in reasons], object),
    }
    nothing = np.zeros((0, len(labels)), np.float32)
    probabilities = joined((track.probabilities for track in tracks), nothing)
    columns |= dict(zip(recording.labels, _recorded(probabilities).T, strict=True))
    columns = {name: columns[name] for name in column_names(recording.labels, person=True)}
    if any(track.baseline is not None for track in tracks):
        relative = joined(map(_relative, tracks), nothing)
        columns |= {f"relative_{label}": rows for label, rows in zip(recording.labels, relative.T, strict=True)}
    order = np.lexsort((people, frames))
    return {name: values[order] for name, values in columns.items()}


def _recorded(values: Column, digits: int = 4) -> Column:
    """Figures that were rounded when they were recorded, without what float32 adds to them."""
    return np.round(values.astype(np.float64), digits)


def _relative(track: Track) -> Column:
    """(n, K) differences from the neutral baseline, NaN without one."""
    difference = track.relative
    return np.full_like(track.probabilities, np.nan) if difference is None else difference


def _write_csv(columns: dict[str, Column], recording: Recording, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        texts = [map(_text_of(name, values), values.tolist()) for name, values in columns.items()]
        writer.writerows(zip(*texts, strict=True))


def _text_of(name: str, values: Column) -> Callable[[Any], str]:
    if values.dtype.kind != "f":
        return (lambda value: cell(str(value))) if values.dtype.kind == "O" else str
    if name.startswith("relative_"):
        return lambda value: "" if value != value else f"{value:+.4f}"
    digits = 1 if name in BOX else 4
    return lambda value: f"{value:.{digits}f}"


def _write_parquet(columns: dict[str, Column], recording: Recording, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise RecordingError(
            f"Parquet needs pyarrow, which is not installed: {pip_install('parquet')}, or export as .csv"
        ) from error
    arrays = {
        # a missing reason or value is null; a text that repeats on every row is kept once
        name: pyarrow.array([value or None for value in values], pyarrow.string()).dictionary_encode()
        if values.dtype.kind == "O"
        else pyarrow.array(values, from_pandas=True)
        for name, values in columns.items()
    }
    about = {
        "edgeemo.session": recording.name,
        "edgeemo.source": recording.source,
        "edgeemo.engine": recording.engine,
        "edgeemo.started": recording.started,
    }
    table = pyarrow.table(arrays).replace_schema_metadata(about)
    parquet.write_table(table, path, compression="zstd")


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
