"""RAF-DB (Li, Deng, Du, 2017), the single-label part, in its usual layouts. `trainer.data.open_data` calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.folders import SPLIT_FOLDERS, SUFFIXES, VALID_SHARE, hashed_share
from trainer.data.pictures import FolderPictures, leaves_root
from trainer.errors import DataError, NoSplit

# RAF-DB numbers its classes from 1
NUMBERING = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
SPLITS = ("train", "valid", "test")
LIST = "list_patition_label.txt"  # as RAF-DB spells it
HINT = (
    f"recognised layouts: EmoLabel/{LIST} with Image/aligned/ (or Image/original/); train/ and test/ with folders 1 to "
    "7, here or in DATASET/"
)
ABOUT = (
    "RAF-DB (Li, Deng, Du, 2017), the single-label part: photographs from the web, each labelled by about 40 people. "
    "Its owners give it to researchers on request; it may not be used commercially."
)

Row = tuple[str, int]  # picture, class from 1


def open_rafdb(path: Path, split: str) -> Dataset:
    """Read RAF-DB: its own release or one folder per class. 5 % of its training set, chosen by name, are held
    out for validation.

    The aligned pictures are tight face crops of 100 pixels; if there are only the original ones, the detector takes
    the largest face.

    Raises:
        DataError: the folder holds neither layout, or no usable row.
    """
    if split not in SPLITS:
        raise NoSplit(f"RAF-DB has no split {split!r}; choose one of {', '.join(SPLITS)}")
    if not path.is_dir():
        raise DataError(f"no RAF-DB folder at {path}: {HINT}")
    skipped: list[Skipped] = []
    for root in (path, path / "basic", path / "DATASET"):
        listing = next((place for place in (root / "EmoLabel" / LIST, root / LIST) if place.is_file()), None)
        if listing is not None:
            images = _image_folder(root)
            rows = _from_list(listing, images, skipped)
            break
        if any((root / "train" / str(number)).is_dir() for number in range(1, 8)) and (root / "test").is_dir():
            images, rows = root, _from_folders(root, skipped)
            break
    else:
        found = ", ".join(sorted(item.name + "/" * item.is_dir() for item in path.iterdir())[:12]) or "nothing"
        raise DataError(f"no RAF-DB in {path}: {HINT}; found: {found}")
    chosen = [row for row in rows if _split_of(row[0]) == split]
    if not chosen:
        raise NoSplit(f"{path} has no usable picture of split {split!r}: {len(skipped)} rows were skipped")
    return Dataset(
        name="rafdb",
        split=split,
        images=tuple(image for image, _ in chosen),
        targets=np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(NUMBERING[number - 1]) for _, number in chosen]],
        scored=np.ones(len(chosen), bool),
        pictures=FolderPictures(images),
        classes=tuple(name for name in LABELS if name in NUMBERING),
        skipped=tuple(skipped),
        about=ABOUT,
    )


def _image_folder(root: Path) -> Path:
    for place in (root / "Image" / "aligned", root / "aligned", root / "Image" / "original", root / "original"):
        if place.is_dir():
            return place
    raise DataError(f"{root} has {LIST} but no Image/aligned/: {HINT}")


def _from_list(listing: Path, images: Path, skipped: list[Skipped]) -> list[Row]:
    rows = []
    suffix = "_aligned" if images.name == "aligned" else ""
    for number, line in enumerate(listing.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        name, _, label = line.strip().rpartition(" ")
        if not name or label not in "1234567" or len(label) != 1 or leaves_root(name):
            skipped.append(Skipped(f"{LIST}, row {number}", f"{line[:60]!r} is not a picture and a class 1 to 7"))
            continue
        stem, dot, kind = name.strip().rpartition(".")
        rows.append((f"{stem}{suffix}{dot}{kind}", int(label)))
    return rows


def _from_folders(root: Path, skipped: list[Skipped]) -> list[Row]:
    rows = []
    for path in sorted(item for name in ("train", "test") for item in (root / name).glob("*/*")):
        image, label = path.relative_to(root).as_posix(), path.parent.name
        if path.suffix.lower() not in SUFFIXES:
            skipped.append(Skipped(image, "not a picture (by its suffix)"))
        elif label not in map(str, range(1, len(NUMBERING) + 1)):
            skipped.append(Skipped(image, f"folder {label!r} is not a class 1 to 7"))
        else:
            rows.append((image, int(label)))
    return rows


def _split_of(image: str) -> str | None:
    """`train_00001_aligned.jpg`, `train/4/picture.jpg` -> train or valid."""
    own = SPLIT_FOLDERS.get(image.replace("/", "_").partition("_")[0])
    return "valid" if own == "train" and hashed_share(image) < VALID_SHARE else own
