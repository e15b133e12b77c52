"""ExpW, Expression in-the-Wild (Zhang, Luo, Loy, Tang, 2018): photographs with several labelled faces.

`trainer.data.open_data` calls it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.preprocess import U8
from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.folders import hashed_split
from trainer.data.pictures import OUTSIDE_ROOT, FolderPictures, leaves_root
from trainer.errors import DataError, NoSplit

NUMBERING = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
SPLITS = ("train", "valid", "test")
# image_name face_id_in_image face_box_top face_box_left face_box_right face_box_bottom face_box_confidence label
COLUMNS = 8
LISTS = ("label.lst", "label/label.lst", "data/label/label.lst", "data/label.lst")
IMAGES = ("origin", "image/origin", "data/image/origin", "data/origin", "images", "image", "data/image")
HINT = "expected label.lst (or label/, data/label/) with the pictures in origin/, image/origin/ or images/"
ABOUT = (
    "ExpW (Zhang, Luo, Loy, Tang, 2018): photographs from web searches, one of seven labels per face. For "
    "non-commercial research."
)


@dataclass(frozen=True)
class FacesInPictures:
    """Pictures with several labelled faces: `picture.jpg#2` is face 2 of picture.jpg."""

    pictures: FolderPictures

    def __call__(self, name: str) -> U8:
        return self.pictures(name.rpartition("#")[0])

    def identity(self, name: str) -> str:
        return self.pictures.identity(name.rpartition("#")[0])


def open_expw(path: Path, split: str) -> Dataset:
    """Read ExpW. It has no splits: the hash of a picture's name splits it 80 / 10 / 10 %.

    Its boxes come from another detector. Ours searches the face at the box; if it finds none, the box is used.

    Raises:
        DataError: label.lst or the pictures are missing, or no row is usable.
    """
    if split not in SPLITS:
        raise NoSplit(f"ExpW has no split {split!r}; choose one of {', '.join(SPLITS)}")
    listing = next((path / name for name in LISTS if (path / name).is_file()), None)
    images = next((path / name for name in IMAGES if (path / name).is_dir()), None)
    if listing is None or images is None:
        found = ", ".join(sorted(item.name for item in path.iterdir())[:12]) if path.is_dir() else "no such folder"
        raise DataError(f"no ExpW in {path}: {HINT}; found: {found or 'nothing'}")
    rows: dict[str, tuple[int, tuple[float, ...]]] = {}
    skipped = []
    for number, line in enumerate(listing.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            name, image, label, box = _row(line)
        except ValueError as error:
            skipped.append(Skipped(f"{listing.name}, row {number}", str(error)))
            continue
        if name in rows:
            skipped.append(Skipped(f"{listing.name}, row {number}", f"duplicate face {name}"))
        elif hashed_split(image) == split:
            rows[name] = label, box
    if not rows:
        raise NoSplit(f"{path} has no usable row of split {split!r}: {len(skipped)} rows were skipped")
    return Dataset(
        name="expw",
        split=split,
        images=tuple(rows),
        targets=np.eye(len(LABELS), dtype=np.float32)[[label for label, _ in rows.values()]],
        scored=np.ones(len(rows), bool),
        pictures=FacesInPictures(FolderPictures(images)),
        boxes=np.array([box for _, box in rows.values()], np.float32),
        classes=tuple(name for name in LABELS if name in NUMBERING),
        skipped=tuple(skipped),
        about=ABOUT,
    )


def _row(line: str) -> tuple[str, str, int, tuple[float, ...]]:
    """Name of the face, name of its picture, row of `LABELS`, box x1, y1, x2, y2.

    Raises:
        ValueError: the reason why the row cannot be used.
    """
    fields = line.strip().rsplit(maxsplit=COLUMNS - 1)
    if len(fields) != COLUMNS:
        raise ValueError(f"{len(fields)} columns instead of {COLUMNS}")
    image, face, *numbers, label = fields
    if leaves_root(image):
        raise ValueError(OUTSIDE_ROOT)
    if label not in map(str, range(len(NUMBERING))):
        raise ValueError(f"label {label[:20]!r} is not 0 to 6")
    try:
        top, left, right, bottom, _ = (float(value) for value in numbers)
    except ValueError:
        raise ValueError("box is not four numbers") from None
    if not (right - left > 1 and bottom - top > 1):
        raise ValueError("a box without an area")
    return f"{image}#{face}", image, LABELS.index(NUMBERING[int(label)]), (left, top, right, bottom)
