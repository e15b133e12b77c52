"""A user's own pictures: one folder per class, pictures with a labels.csv, or Parquet files.

`trainer.data.open_data` calls it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.parquet import ParquetPictures, find_parquet, parquet_rows, split_of_file
from trainer.data.pictures import MISSING_FILE, FolderPictures, Pictures, ZipPictures
from trainer.errors import DataError, NoSplit

SPLITS = ("train", "valid", "test", "all")
# usual names of split folders, in lower case
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training", "train_set", "training_set"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "valid_set", "val_set", "validation_set"), "valid"),
    **dict.fromkeys(("test", "testing", "test_set", "testing_set"), "test"),
}
# usual names of the columns of labels.csv
IMAGE_COLUMNS, EMOTION_COLUMNS = ("image", "pth", "path", "file", "filename"), ("emotion", "label", "expression")
VALID_SHARE = 0.05  # share of train that is held out if there is no validation folder
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# usual names of the classes
OTHER_NAMES = {
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "no face": "no_face",
}
HINT = (
    "expected CLASS/picture.jpg, or train/CLASS/picture.jpg and so on, or labels.csv (image, emotion) beside the "
    f"pictures, or Parquet files with pictures and class names; the classes are {', '.join(LABELS)}; for folders "
    "with numbers use affectnet:PATH (0 neutral ...) or rafdb:PATH (1 surprise ...)"
)


def open_folder(path: Path, split: str, by: str = "picture") -> Dataset:
    """Read labelled pictures from a folder or a zip file in one of these layouts:

    - `CLASS/*.jpg` or `SPLIT/CLASS/*.jpg`
    - `labels.csv`, with the pictures beside it or in `images/`. Its columns are image, emotion and optionally x, y, w,
      h (the detector's box).
    - Parquet files, in a folder only, see `trainer.data.parquet`

    Split folders may have any usual name (`val`, `Train`, `test_set` ...); without one for validation, 5 % of train,
    chosen by the hash of the name, are held out. Without split folders the hash splits 80 / 10 / 10 %. The split
    "all" is every picture.

    Args:
        by: "picture", or "person" where names end in a number (`Ann_Lee_0002.jpg`): the part before it determines
            the split, so that nobody is in two splits.

    Raises:
        DataError: the path holds no such pictures.
    """
    if by not in ("picture", "person"):
        raise DataError(f"a folder is split by=picture or by=person, not by={by}")
    if split not in SPLITS:
        raise NoSplit(f"a folder has no split {split!r}; choose one of {', '.join(SPLITS)}")
    rows, skipped, pictures = _labelled(path)
    splits = _splits([name for name, _, _ in rows], by)
    skipped += [Skipped(row[0], "in no split folder") for row, own in zip(rows, splits, strict=True) if own is None]
    wanted = [row for row, own in zip(rows, splits, strict=True) if split == "all" or own == split]
    if not wanted:
        raise NoSplit(f"{path} has no picture of split {split!r}")
    boxes = np.array([[np.nan] * 4 if box is None else box for _, _, box in wanted], np.float32)
    return Dataset(
        name=f"folder-{path.stem}",
        split=split,
        images=tuple(name for name, _, _ in wanted),
        targets=np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(label) for _, label, _ in wanted]],
        scored=np.ones(len(wanted), bool),
        pictures=pictures,
        boxes=boxes if np.isfinite(boxes).any() else None,
        classes=tuple(label for label in LABELS if any(label == row[1] for row in rows)),
        skipped=tuple(skipped),
        about=f"Pictures and labels of {path.name}, as provided by their owner.",
    )


Row = tuple[str, str, "tuple[float, float, float, float] | None"]


def _labelled(path: Path) -> tuple[list[Row], list[Skipped], Pictures]:
    """The labelled pictures of a folder or zip file, the rows that cannot be used, and the pictures' reader.

    Raises:
        DataError: there is no labelled picture.
    """
    files = find_parquet(path) if path.is_dir() else []
    if files:
        rows, skipped = _from_parquet(path, files)
        if not rows:
            raise DataError(f"no row of {path} has a class name ({skipped[0].reason if skipped else 'empty'}): {HINT}")
        return rows, skipped, ParquetPictures(path)
    names, pictures = _listing(path)
    table = min((name for name in names if name.rpartition("/")[2] == "labels.csv"), key=len, default=None)
    if table is not None:
        rows, skipped = _from_table(pictures.read_bytes(table), table, names)
    else:
        rows, skipped = _from_folders(names)
    if not rows:
        found = ", ".join(sorted({"/".join(name.split("/")[:2]) for name in names})[:8]) or "nothing"
        raise DataError(f"no labelled picture in {path}: {HINT}; found: {found}")
    return rows, skipped, pictures


def _from_parquet(path: Path, files: list[str]) -> tuple[list[Row], list[Skipped]]:
    rows: list[Row] = []
    skipped = []
    for row in parquet_rows(path, files):
        label = class_name(row.label)
        if label is None:
            skipped.append(Skipped(row.image, f"{row.label[:40]!r} is not a class"))
        else:
            rows.append((row.image, label, None))
    return rows, skipped


def _listing(path: Path) -> tuple[list[str], FolderPictures | ZipPictures]:
    if path.is_dir():
        found = [item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file()]
        return sorted(found), FolderPictures(path)
    if not path.is_file():
        raise DataError(f"there is no {path}: {HINT}")
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name for name in archive.namelist() if not name.endswith("/")), ZipPictures(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is neither a folder nor a zip file: {HINT}") from error


def class_name(text: str) -> str | None:
    """The class of `LABELS` that a text names, or None."""
    name = text.strip().lower()
    name = OTHER_NAMES.get(name, name)
    return name if name in LABELS else None


def _from_folders(names: list[str]) -> tuple[list[Row], list[Skipped]]:
    rows: list[Row] = []
    skipped = []
    for name in names:
        folder = name.rpartition("/")[0].rpartition("/")[2]
        label = class_name(folder)
        if not name.lower().endswith(SUFFIXES):
            skipped.append(Skipped(name, "not a picture (by its suffix)"))
        elif label is None:
            skipped.append(Skipped(name, f"folder {folder!r} is not a class"))
        else:
            rows.append((name, label, None))
    return rows, skipped


def _from_table(content: bytes, table: str, names: list[str]) -> tuple[list[Row], list[Skipped]]:
    root = table.rpartition("/")[0]
    there = set(names)
    rows: list[Row] = []
    skipped = []
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace")), strict=True)
    columns = list(reader.fieldnames or ())
    image_column = next((name for name in IMAGE_COLUMNS if name in columns), None)
    emotion_column = next((name for name in EMOTION_COLUMNS if name in columns), None)
    if image_column is None or emotion_column is None:
        raise DataError(
            f"{table} must have the columns image and emotion (or {' or '.join(IMAGE_COLUMNS[1:])}; "
            f"{' or '.join(EMOTION_COLUMNS[1:])}); it has {', '.join(columns)[:120]}"
        )
    for number, row in enumerate(reader, start=2):
        where = f"{table}, row {number}"
        image, emotion = row[image_column] or "", row[emotion_column] or ""
        places = [f"{root}/{place}".removeprefix("/") for place in (image, f"images/{image}")]
        name = next((place for place in places if place in there), None)
        label = class_name(emotion)
        if name is None:
            skipped.append(Skipped(where, f"{MISSING_FILE} {image[:80]!r}"))
        elif label is None:
            skipped.append(Skipped(where, f"{emotion[:40]!r} is not a class"))
        else:
            try:
                x, y, w, h = (float(row.get(key) or "nan") for key in "xywh")
            except ValueError:
                skipped.append(Skipped(where, "box is not four numbers"))
                continue
            rows.append((name, label, (x, y, x + w, y + h) if w > 0 and h > 0 else None))
    return rows, skipped


def _splits(names: list[str], by: str) -> list[str | None]:
    """Each picture's split; None for a picture outside the split folders."""
    keys = [_person(name) if by == "person" else name for name in names]
    own = [_split_of(name) for name in names]
    if not any(own):
        return [hashed_split(key) for key in keys]
    if "train" not in own or "valid" in own:
        return list(own)
    return [
        "valid" if split == "train" and hashed_share(key) < VALID_SHARE else split
        for split, key in zip(own, keys, strict=True)
    ]


def _split_of(name: str) -> str | None:
    parts = name.split("/")[:-1]
    if parts and parts[-1].endswith(".parquet"):
        parts[-1] = split_of_file(parts[-1])
    folders = (SPLIT_FOLDERS.get(part.lower()) for part in parts)
    return next((split for split in folders if split is not None), None)


def _person(name: str) -> str:
    """`images/Ann_Lee_0002.jpg` -> `Ann_Lee`."""
    return re.sub(r"[_\- ]*\d+$", "", PurePosixPath(name).stem)


def person_digest(name: str) -> int:
    """A 64-bit key of the person in a picture's name, as `by="person"` reads it."""
    return int.from_bytes(hashlib.sha256(_person(name).encode()).digest()[:8], "big")


def hashed_share(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def hashed_split(name: str) -> str:
    share = hashed_share(name)
    return "train" if share < 0.8 else "valid" if share < 0.9 else "test"
