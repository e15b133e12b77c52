"""Join the rows of a file's parts, and match face ids across the seams. Called by `work`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow

from edgeemo.batch.dataset import about_rows
from edgeemo.batch.rows import RowWriter, read_rows
from edgeemo.columns import BOX, column_names, person_name
from engines.blazeface import overlap
from engines.preprocess import F32

MIN_IOU = 0.5
NEAR_FRAMES = 300  # boxes are read from at most this many frames with faces before a seam
COMMON_FRAMES = 15  # ids are matched in this many frames before a seam, the last ones that both parts processed

Boxes = dict[int, dict[int, F32]]  # frame -> face id -> x1 y1 x2 y2


def join_parts(
    parts: Sequence[Path], target: Path, file: str, sha256: str, about: Callable[[int, float, str, int], dict[str, Any]]
) -> tuple[int, str]:
    """Write the rows of all parts without the warm-ups, with consistent face ids.

    Args:
        about: makes the metadata of the file of rows from frames, seconds, the place of a cut, and damaged pictures.

    Returns:
        The number of frames, and where parts are cut off.
    """
    tables = [read_rows(part) for part in parts]
    abouts = [about_rows(part) or {} for part in parts]
    names = tables[0].schema.names
    labels = tuple(names[names.index("confidence") + 1 : names.index("doubts")])
    columns = [name for name in column_names(labels) if name != "origin"]
    assert columns == names[2 : 2 + len(columns)]
    frames, seconds = 0, 0.0
    broken = "; ".join(each["broken"] for each in abouts if each["broken"])
    with RowWriter(target, file, sha256, labels) as writer:
        highest, before = 0, None
        for table, each in zip(tables, abouts, strict=True):
            start, end = each["start"], each["end"]
            ids = table["face_id"].to_numpy()
            known: dict[int, int] = {} if before is None else same_faces(_boxes(before, start), _boxes(table, start))
            mapping = _numbered(ids, table["frame"].to_numpy(), start, known, highest)
            renamed = np.array([mapping[number] for number in ids.tolist()], np.int64)
            highest = max([highest, *mapping.values()])
            # with the type, because a part without faces has none to infer it from
            people = pyarrow.array(map(person_name, renamed.tolist()), pyarrow.string()).dictionary_encode()
            for name, values in (("face_id", pyarrow.array(renamed)), ("person", people)):
                table = table.set_column(table.schema.get_field_index(name), name, values)
            before = table
            number = table["frame"].to_numpy()
            writer.add_table(table.filter(pyarrow.array((number >= start) & (number < end))))
            frames += each["frames"]
            seconds = max(seconds, each["seconds"])
        writer.finish(about(frames, seconds, broken, sum(each.get("damaged", 0) for each in abouts)))
    return frames, broken


def same_faces(before: Boxes, after: Boxes) -> dict[int, int]:
    """Id in the later part -> id in the earlier part, for faces with the same boxes in the same frames."""
    votes: Counter[tuple[int, int]] = Counter()
    for frame in sorted(before.keys() & after.keys())[-COMMON_FRAMES:]:
        for new, box in after[frame].items():
            numbers, boxes = zip(*before[frame].items(), strict=True)
            overlaps = overlap(np.stack(boxes), box)
            if overlaps.max() >= MIN_IOU:
                votes[new, numbers[int(overlaps.argmax())]] += 1
    found: dict[int, int] = {}
    for (new, old), _ in votes.most_common():
        if new not in found and old not in found.values():
            found[new] = old
    return found


def _numbered(
    ids: npt.NDArray[np.int64], frames: npt.NDArray[np.int64], start: int, known: dict[int, int], highest: int
) -> dict[int, int]:
    """Id in a part -> id in the complete file; new faces get the next numbers in order of appearance."""
    mapping = dict(known)
    order = np.argsort(np.where(frames >= start, frames, frames.max(initial=0) + 1), kind="stable")
    for number in dict.fromkeys(ids[order].tolist()):
        if number not in mapping:
            highest += 1
            mapping[number] = highest
    return mapping


def _boxes(table: Any, start: int) -> Boxes:
    """The boxes of the last frames before a seam."""
    frames = table["frame"].to_numpy()
    earlier = np.unique(frames[frames < start])
    near = (frames < start) & (frames >= (earlier[-NEAR_FRAMES:].min() if len(earlier) else 0))
    corners = np.column_stack([table[name].to_numpy() for name in BOX]).astype(np.float32)
    found: Boxes = {}
    for frame, number, box in zip(frames[near], table["face_id"].to_numpy()[near], corners[near], strict=True):
        found.setdefault(int(frame), {})[int(number)] = box
    return found
