"""FER2013 as one CSV file: emotion, pixels, Usage (Goodfellow et al., ICML 2013 challenge).

`trainer.data.open_data` calls it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.preprocess import U8
from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.ferplus import TYPICAL_BOX
from trainer.data.pictures import file_identity
from trainer.errors import DataError, NoSplit, PictureError

# FER2013's numbering, in the project's names
NUMBERING = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
USAGES = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
SIDE = 48
ABOUT = (
    "FER2013 (ICML 2013 challenge): 48x48 grey pictures from the web, one label each, for research. Its labels are "
    "noisy: people agree with about two thirds of them."
)


@dataclass(frozen=True)
class CsvPictures:
    """Pictures inside the CSV file; `starts` are byte offsets of the rows, so that only one row is read."""

    path: Path
    column: int
    starts: npt.NDArray[np.int64]

    def __call__(self, name: str) -> U8:
        row = int(name.removeprefix("fer"))
        with self.path.open("rb") as file:
            file.seek(int(self.starts[row]))
            line = file.readline().decode("ascii", errors="replace")
        try:
            fields = next(csv.reader([line]), [])
        except csv.Error as error:
            raise PictureError(name, f"its row is damaged ({error})") from error
        pixels = np.array(fields[self.column].split(), dtype="S4") if len(fields) > self.column else np.array([])
        try:
            values = pixels.astype(np.int64)
        except ValueError as error:
            raise PictureError(name, "pixels are not numbers") from error
        if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
            raise PictureError(name, f"{SIDE * SIDE} pixels of 0 to 255 expected, got {len(values)}")
        return values.astype(np.uint8).reshape(SIDE, SIDE)

    def identity(self, name: str) -> str:
        return self._file_identity

    @cached_property
    def _file_identity(self) -> str:
        return file_identity(self.path)


def open_fer2013(path: Path, split: str) -> Dataset:
    """Read fer2013.csv (or icml_face_data.csv, which orders its columns differently); all seven classes are scored.

    Raises:
        DataError: there is no such file, or it is not FER2013.
    """
    if split not in USAGES:
        raise NoSplit(f"FER2013 has no split {split!r}; choose one of {', '.join(USAGES)}")
    if path.is_dir():
        path = next((path / name for name in ("fer2013.csv", "icml_face_data.csv") if (path / name).is_file()), path)
    if not path.is_file():
        raise DataError(f"no fer2013.csv at {path}: give the file, or the folder that holds it")
    starts, images, labels, skipped = [], [], [], []
    with path.open("rb") as file:
        header = [name.strip().lower() for name in file.readline().decode("ascii", errors="replace").split(",")]
        if not {"emotion", "pixels", "usage"} <= set(header):
            raise DataError(f"{path} is not FER2013: its first line must name emotion, pixels and Usage")
        emotion, pixels, usage = (header.index(name) for name in ("emotion", "pixels", "usage"))
        row = -1
        while True:
            start = file.tell()
            line = file.readline()
            if not line:
                break
            if not line.strip():
                continue
            row += 1
            starts.append(start)
            fields = [field.strip() for field in line.decode("ascii", errors="replace").split(",")]
            if len(fields) != len(header) or fields[usage] not in USAGES.values():
                skipped.append(Skipped(f"{path.name}, row {row + 1}", "not as many columns as the first line has"))
            elif fields[usage] != USAGES[split]:
                continue
            elif not fields[emotion].isdigit() or int(fields[emotion]) >= len(NUMBERING):
                skipped.append(
                    Skipped(f"{path.name}, row {row + 1}", f"emotion {fields[emotion][:20]!r} is not 0 to 6")
                )
            else:
                images.append(f"fer{row:07d}")
                labels.append(LABELS.index(NUMBERING[int(fields[emotion])]))
    if not images:
        raise NoSplit(f"{path} has no usable row of {USAGES[split]}")
    return Dataset(
        name="fer2013",
        split=split,
        images=tuple(images),
        targets=np.eye(len(LABELS), dtype=np.float32)[labels],
        scored=np.ones(len(images), bool),
        pictures=CsvPictures(path, pixels, np.asarray(starts, np.int64)),
        enlarge=4.0,
        default_box=TYPICAL_BOX,
        classes=tuple(name for name in LABELS if name in NUMBERING),
        skipped=tuple(skipped),
        about=ABOUT,
    )
