"""FER+: the FER2013 pictures with the votes of ten annotators each (Barsoum et al., ICMI 2016).

`trainer.data.open_data` calls it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from engines.preprocess import F32
from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.pictures import MISSING_FILE, FolderPictures, ZipPictures
from trainer.errors import DataError, NoSplit

# FER+'s ten columns, in its order, in the project's names
COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "uncertain",  # "unknown"
    "no_face",  # "NF"
)
FOLDERS = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}
# the detector's box in a 48x48 picture, median over the pictures with a detection
TYPICAL_BOX = (3.5, 7.5, 44.75, 48.5)
ABOUT = (
    "FER+: 48x48 grey pictures from the web. The targets are the distributions of ten annotators' votes, from which "
    "single votes were removed as errors. The labels are from microsoft/FERPlus (MIT licence), the pictures from "
    "FER2013 (ICML 2013 challenge, for research)."
)


def open_ferplus(path: Path, split: str) -> Dataset:
    """Read FER+ in its own layout, from a folder or a zip file.

    The accuracy follows the paper's "majority" protocol: votes of 1 are set to 0; a picture is scored if one of the
    eight emotions has more than half of the remaining votes.

    Raises:
        DataError: the path or split does not exist, or holds no usable row.
    """
    if split not in FOLDERS:
        raise NoSplit(f"FER+ has no split {split!r}; choose one of {', '.join(FOLDERS)}")
    pictures = _pictures(path, FOLDERS[split])
    label_file = f"{FOLDERS[split]}/label.csv"
    there = pictures.names()
    votes, images, skipped = [], [], []
    text = pictures.read_bytes("label.csv").decode("utf-8", errors="replace")
    for number, row in enumerate(csv.reader(io.StringIO(text), strict=True), start=1):
        where = f"{label_file}, row {number}"
        try:
            counts = [float(value) for value in row[2:12]]
        except ValueError:
            counts = []
        if len(counts) != len(COLUMNS) or not all(0 <= count <= 100 for count in counts):
            skipped.append(Skipped(where, f"ten votes expected, got {','.join(row[2:12])[:60]!r}"))
        elif row[0] not in there:
            skipped.append(Skipped(where, f"{MISSING_FILE} {row[0]}"))
        else:
            images.append(row[0])
            votes.append(counts)
    if not images:
        raise DataError(f"no picture that {label_file} names exists")
    table = np.asarray(votes, np.float32)
    return Dataset(
        name="ferplus",
        split=split,
        images=tuple(images),
        targets=distributions(table),
        scored=majority(table),
        pictures=pictures,
        enlarge=4.0,
        default_box=TYPICAL_BOX,
        skipped=tuple(skipped),
        about=ABOUT,
    )


def distributions(votes: F32) -> F32:
    """(N, 10) votes -> (N, 11) distributions over `LABELS`; single votes are dropped as errors where others remain."""
    kept = np.where(votes > 1, votes, 0)
    kept = np.where(kept.sum(axis=1, keepdims=True) > 0, kept, votes)
    total = kept.sum(axis=1, keepdims=True)
    kept = np.where(total > 0, kept / np.maximum(total, 1), 0)
    targets = np.zeros((len(votes), len(LABELS)), np.float32)
    targets[:, [LABELS.index(name) for name in COLUMNS]] = kept
    targets[targets.sum(axis=1) == 0, LABELS.index("uncertain")] = 1
    return targets


def majority(votes: F32) -> np.ndarray:
    """(N, 10) votes -> (N,) bool: scored by the paper's majority protocol."""
    kept = np.where(votes > 1, votes, 0)
    top = kept.argmax(axis=1)
    return np.asarray((kept.max(axis=1) > kept.sum(axis=1) / 2) & (top < 8))


def _pictures(path: Path, folder: str) -> FolderPictures | ZipPictures:
    hint = f"expected {folder}/label.csv and its pictures (see the FER+ data set's own layout)"
    if path.is_dir():
        for root in (path / folder, path / "ferplus" / folder):
            if (root / "label.csv").is_file():
                return FolderPictures(root)
        raise NoSplit(f"no FER+ split in {path}: {hint}")
    if not path.is_file():
        raise DataError(f"there is no {path}: {hint}")
    try:
        names = zipfile.ZipFile(path).namelist()
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a zip file: {hint}") from error
    labels = [name for name in names if name.endswith(f"{folder}/label.csv")]
    if not labels:
        raise NoSplit(f"no FER+ split in {path}: {hint}")
    return ZipPictures(path, labels[0].removesuffix("label.csv"))
