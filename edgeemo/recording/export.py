"""Export sessions as CSV, Parquet (with pyarrow) or ELAN. Called by `edgeemo report` and the app."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeemo.columns import BOX, QUALITY, cell, codes_of, column_names, decimals
from edgeemo.errors import RecordingError
from edgeemo.recording.atomic import atomic_draft
from edgeemo.recording.elan import write_elan
from edgeemo.recording.recording import Recording, Track
from edgeemo.values import distinct
from engines.installation import pip_install
from engines.spec import LABELS

Column = npt.NDArray[Any]
ELAN = ".eaf"
ROUNDED_S = 1e-4  # times of frames are rounded to this; markers of other programs and older versions are not
MOMENT_S = 1.0  # a marker without duration belongs to a face's first row within this time


def export(recordings: Sequence[Recording], path: Path, *, bom: bool = False) -> int:
    """Write sessions as CSV, Parquet or ELAN, chosen by the suffix; the file appears when it is complete.

    CSV and Parquet have one row per face and frame; columns: see `columns_of`. Numbers have the recorded precision:
    boxes 0.1 pixels, other figures four digits, times in full. In Parquet unknown values are null, and the metadata of
    a single session has its name, source, engine and start. For .eaf see `write_elan`.

    Args:
        bom: start a CSV file with a byte order mark, from which spreadsheets recognise UTF-8.

    Returns:
        Number of rows or annotations.

    Raises:
        RecordingError: the file cannot be written, the suffix is unknown, .eaf was requested for several sessions, or
            Parquet without pyarrow.
    """
    ending = path.suffix.lower()
    if ending == ELAN and len(recordings) == 1:
        with atomic_draft(path) as draft:
            return write_elan(recordings[0], draft)
    if ending == ELAN:
        raise RecordingError(
            f"cannot export {len(recordings)} sessions to {path.name}: an .eaf file contains one session"
        )
    write = WRITERS.get(ending)
    if write is None:
        raise RecordingError(f"cannot export to {path.name}: give a name that ends in {', '.join(WRITERS)} or {ELAN}")
    columns = columns_of(recordings)
    with atomic_draft(path) as draft:
        write(columns, recordings, draft)
        if bom and path.suffix.lower() == ".csv":
            draft.write_bytes(b"\xef\xbb\xbf" + draft.read_bytes())
    return len(columns["frame"])


def columns_of(recordings: Sequence[Recording]) -> dict[str, Column]:
    """A table with one row per face and frame, ordered by session, frame and person.

    The columns are those of `edgeemo.columns`, `wall` only if it was recorded. If there are several sessions, the first
    column is `session`, the session's name; of equal names, all but the first get a number. If any person has a
    baseline, the last columns are `relative_...`, NaN for persons without one.
    """
    sessions = distinct(recording.name for recording in recordings)
    tables = [_table(recording, session) for recording, session in zip(recordings, sessions, strict=True)]
    known = {label for recording in recordings for label in recording.labels}
    labels = tuple(label for label in LABELS if label in known)
    wall = any("wall" in table for table in tables)
    relative = [f"relative_{label}" for label in labels if any(f"relative_{label}" in table for table in tables)]
    names = [*column_names(labels, wall=wall, session=True), *relative]
    if len(recordings) > 1:
        names.insert(0, "session")
    return {name: np.concatenate([_filled(table, name) for table in tables]) for name in names}


def _filled(table: dict[str, Column], name: str) -> Column:
    """A column; NaN if this session lacks it."""
    return table[name] if name in table else np.full(len(table["frame"]), np.nan)


def _table(recording: Recording, session: str) -> dict[str, Column]:
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
        "session": np.full(len(frames), session, object),
        "origin": np.array([recording.origins.get(frame, recording.source) for frame in frames.tolist()], object),
        "frame": frames,
        "time": joined((track.times for track in tracks), np.zeros(0)),
        "markers": joined((_markers(recording, track) for track in tracks), np.zeros(0, object)),
        "face_id": people,
        "person": np.repeat(np.array([track.person for track in tracks], object), [len(track) for track in tracks]),
        **_recorded(dict(zip(BOX, boxes.T, strict=True))),
        **_recorded({"score": joined((track.scores for track in tracks), np.zeros(0, np.float32))}),
        "emotion": labels[emotions],
        **_recorded({"confidence": joined((track.confidences for track in tracks), np.zeros(0, np.float32))}),
        "doubts": np.array([codes_of(each) for each in reasons], object),
        "turned": joined((track.turned for track in tracks), np.zeros(0, np.int64)),
    }
    nothing = np.zeros((0, len(labels)), np.float32)
    probabilities = joined((track.probabilities for track in tracks), nothing)
    quality = joined((track.quality for track in tracks), np.zeros((0, len(QUALITY)), np.float32))
    columns |= _recorded(dict(zip((*recording.labels, *QUALITY), np.hstack([probabilities, quality]).T, strict=True)))
    if recording.walls:
        columns["wall"] = np.array([recording.walls.get(frame, np.nan) for frame in frames.tolist()], np.float64)
    if any(track.baseline is not None for track in tracks):
        relative = joined(map(_relative, tracks), nothing)
        columns |= {f"relative_{label}": rows for label, rows in zip(recording.labels, relative.T, strict=True)}
    order = np.lexsort((people, frames))
    return {name: values[order] for name, values in columns.items()}


def _markers(recording: Recording, track: Track) -> Column:
    """(n,) labels of the markers of each row; a marker without duration belongs to the next row only."""
    found: list[list[str]] = [[] for _ in range(len(track))]
    for marker in recording.markers:
        ends = np.array([marker.time, marker.time + marker.duration]) - ROUNDED_S
        first, last = np.searchsorted(track.times, ends).tolist()
        last = last if marker.duration else first + 1
        if not marker.duration and (first == len(track) or track.times[first] - marker.time > MOMENT_S):
            continue  # the face was absent
        for row in range(first, min(last, len(track))):
            found[row].append(marker.label)
    return np.array([";".join(labels) for labels in found], object)


def _recorded(columns: dict[str, Column]) -> dict[str, Column]:
    """Round figures to their recorded precision, which removes float32 errors."""
    return {name: np.round(values.astype(np.float64), decimals(name)) for name, values in columns.items()}


def _relative(track: Track) -> Column:
    """(n, K) differences from the neutral baseline, NaN without one."""
    difference = track.relative
    return np.full_like(track.probabilities, np.nan) if difference is None else difference


def _write_csv(columns: dict[str, Column], recordings: Sequence[Recording], path: Path) -> None:
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
    digits = decimals(name)
    return lambda value: "" if value != value else f"{value:.{digits}f}"


def _write_parquet(columns: dict[str, Column], recordings: Sequence[Recording], path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise RecordingError(
            f"Parquet needs pyarrow, which is not installed: {pip_install('parquet')}, or export as .csv"
        ) from error
    arrays = {
        # missing reasons and values are null; repeated texts are dictionary-encoded
        name: pyarrow.array([value or None for value in values], pyarrow.string()).dictionary_encode()
        if values.dtype.kind == "O"
        else pyarrow.array(values, from_pandas=True)
        for name, values in columns.items()
    }
    about = {"edgeemo.sessions": str(len(recordings))}
    if len(recordings) == 1:
        (recording,) = recordings
        about |= {
            "edgeemo.session": recording.name,
            "edgeemo.source": recording.source,
            "edgeemo.engine": recording.engine,
            "edgeemo.started": recording.started,
        }
    table = pyarrow.table(arrays).replace_schema_metadata(about)
    parquet.write_table(table, path, compression="zstd")


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
ENDINGS = (*WRITERS, ELAN)
