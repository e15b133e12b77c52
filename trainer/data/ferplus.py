"""FER+: the FER2013 pictures with the votes of ten annotators each (Barsoum et al., ICMI 2016)."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from engines.preprocess import F32, U8
from engines.spec import LABELS
from trainer.data.dataset import Dataset
from trainer.errors import DataError

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
# where the detector's box lies in a 48x48 picture, median over those where it finds a face
TYPICAL_BOX = (3.25, 6.25, 45.25, 48.25)


def open_ferplus(path: Path, split: str) -> Dataset:
    """Read FER+ in its own layout, from a folder or a zip file.

    A picture counts in the accuracy by the paper's "majority" protocol: votes of 1 are set to 0; the top class must
    have more than half of what remains and be one of the eight expressions.

    Raises:
        DataError: the path or split is not there, or a row is malformed.
    """
    if split not in FOLDERS:
        raise DataError(f"FER+ has no split {split!r}; choose one of {', '.join(FOLDERS)}")
    members, load = _opener(path, FOLDERS[split])
    label_file = f"{FOLDERS[split]}/label.csv"
    votes, images = [], []
    for number, row in enumerate(csv.reader(io.StringIO(load("label.csv").decode("utf-8"))), start=1):
        try:
            counts = [float(value) for value in row[2:12]]
            if len(counts) != len(COLUMNS):
                raise ValueError("ten votes expected")
        except ValueError as error:
            raise DataError(f"{label_file}, row {number}: {error}: {row}") from error
        if row[0] in members:
            images.append(row[0])
            votes.append(counts)
    if not images:
        raise DataError(f"{label_file} names no picture that is there")

    def read(index: int) -> U8:
        encoded = np.frombuffer(load(images[index]), np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
        if image is None:
            raise DataError(f"cannot decode {FOLDERS[split]}/{images[index]}")
        return np.asarray(image, np.uint8)

    table = np.asarray(votes, np.float32)
    return Dataset(
        name="ferplus",
        split=split,
        images=tuple(images),
        targets=distributions(table),
        counted=majority(table),
        read=read,
        enlarge=4.0,
        default_box=TYPICAL_BOX,
    )


def distributions(votes: F32) -> F32:
    """(N, 10) votes -> (N, 11) distributions over `LABELS`; single votes are taken for slips where others remain."""
    kept = np.where(votes > 1, votes, 0)
    kept = np.where(kept.sum(axis=1, keepdims=True) > 0, kept, votes)
    total = kept.sum(axis=1, keepdims=True)
    kept = np.where(total > 0, kept / np.maximum(total, 1), 0)
    targets = np.zeros((len(votes), len(LABELS)), np.float32)
    targets[:, [LABELS.index(name) for name in COLUMNS]] = kept
    targets[targets.sum(axis=1) == 0, LABELS.index("uncertain")] = 1
    return targets


def majority(votes: F32) -> np.ndarray:
    """(N, 10) votes -> (N,) bool: counts in the paper's majority protocol."""
    kept = np.where(votes > 1, votes, 0)
    top = kept.argmax(axis=1)
    return np.asarray((kept.max(axis=1) > kept.sum(axis=1) / 2) & (top < 8))


def _read_file(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def _opener(path: Path, folder: str) -> tuple[set[str], Callable[[str], bytes]]:
    """Names in a split's folder and a function that loads one of them."""
    hint = f"expected {folder}/label.csv and its pictures (see the FER+ data set's own layout)"
    if path.is_dir():
        for root in (path / folder, path / "ferplus" / folder):
            if (root / "label.csv").is_file():
                return {item.name for item in root.iterdir()}, partial(_read_file, root)
        raise DataError(f"no FER+ split in {path}: {hint}")
    if not path.is_file():
        raise DataError(f"{path} is not there: {hint}")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is no zip file: {hint}") from error
    labels = [name for name in archive.namelist() if name.endswith(f"{folder}/label.csv")]
    if not labels:
        raise DataError(f"no FER+ split in {path}: {hint}")
    prefix = labels[0].removesuffix("label.csv")
    names = {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)}
    return names, lambda name: archive.read(prefix + name)
