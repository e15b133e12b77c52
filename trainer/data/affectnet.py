"""AffectNet (Mollahosseini et al., 2017) in the layouts that its owners hand out."""

from __future__ import annotations

import ast
import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32
from engines.spec import LABELS
from trainer.data.dataset import Dataset, Skipped
from trainer.data.folders import SPLIT_FOLDERS, SUFFIXES, class_name
from trainer.data.landmarks import COUNT, detector_boxes, keypoints_of
from trainer.data.pictures import OUTSIDE_ROOT, FolderPictures, leaves_root
from trainer.errors import DataError

# AffectNet numbers its classes in the project's own order: 0 neutral ... 7 contempt, 8 none, 9 uncertain, 10 no face
NUMBERING = LABELS
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
# the poster's split of its 390,969 pictures
POSTER_SPLIT = {"train": 351_874, "valid": 19_542, "test": 19_553}
HINT = (
    "expected training.csv, validation.csv and Manually_Annotated_Images/; or train_set/ and val_set/ with images/ and "
    "annotations/; or a training and a validation folder (train, val, valid, test, valid_set ...) with one folder per "
    "class, numbered 0 to 10 in AffectNet's order or named"
)
ABOUT = (
    "AffectNet (Mollahosseini, Hasani, Mahoor, 2017), the manually annotated pictures: photographs from the web, one "
    "label each. Its owners give it to researchers on request; neither pictures nor weights trained on it may be used "
    "commercially without their leave."
)
CHUNK = 4096
Layout = Literal["original", "annotations", "folders"]


def open_affectnet(path: Path, split: str, *, classes: int = 11, protocol: str = "poster", seed: int = 0) -> Dataset:
    """Read AffectNet: the original release (CSV files), the later one (NumPy files), or one folder per class.

    The crop follows the landmarks (`landmarks.detector_boxes`), so that it agrees with the running program's. A row
    without usable landmarks gets AffectNet's own face box, moved and scaled as on the median row that has both.

    Args:
        classes: 11, 8 (the expressions) or 7 (without contempt).
        protocol: "poster" mixes all pictures and splits them 90 / 5 / 5 % as the poster did (351,874 / 19,542 / 19,553
            of 390,969), by a seeded shuffle; "official" takes the validation set as test and one training picture in
            twenty for validation.

    Raises:
        DataError: the folder is no AffectNet, or holds no usable row.
    """
    if split not in POSTER_SPLIT:
        raise DataError(f"AffectNet has no split {split!r}; choose one of {', '.join(POSTER_SPLIT)}")
    if classes not in (7, 8, 11):
        raise DataError(f"AffectNet has 11, 8 or 7 classes, not {classes}")
    if protocol not in ("poster", "official"):
        raise DataError(f"protocol must be poster or official, not {protocol!r}")
    index, pictures = _read(path)
    labels, boxes, keypoints = index.arrays()
    kept = np.flatnonzero(labels < classes)
    parts = np.asarray(index.parts, np.int8)[kept]
    order = kept[np.random.default_rng(seed).permutation(len(kept))]
    if protocol == "poster":
        chosen = _share(order, split)
    elif split == "test":
        chosen = kept[parts == 1]
    else:
        training = order[np.asarray(index.parts, np.int8)[order] == 0]
        held_out = round(len(training) / 20)
        chosen = training[:held_out] if split == "valid" else training[held_out:]
    if not len(chosen):
        raise DataError(f"{path} has no usable row for split {split!r}: {len(index.skipped)} rows were skipped")
    chosen = np.sort(chosen)
    return Dataset(
        name=f"affectnet{classes}-{protocol}",
        split=split,
        images=tuple(index.images[row] for row in chosen),
        targets=np.eye(len(LABELS), dtype=np.float32)[labels[chosen]],
        scored=np.ones(len(chosen), bool),
        pictures=pictures,
        boxes=boxes[chosen],
        keypoints=keypoints[chosen],
        classes=NUMBERING[:classes],
        skipped=tuple(index.skipped),
        about=ABOUT,
    )


def _read(path: Path) -> tuple[_Index, FolderPictures]:
    """All rows, training and validation."""
    root, layout = _layout(path)
    index = _Index()
    if layout == "folders":
        pictures = FolderPictures(root)
        for part, name in enumerate(_split_folders(root)):
            _read_class_folders(root, name, part, index)
    elif layout == "original":
        pictures = FolderPictures(_image_folder(root))
        for part, name in enumerate(("training.csv", "validation.csv")):
            _read_csv(_csv_file(root, name), part, index)
    else:
        pictures = FolderPictures(root)
        for part, name in enumerate(("train_set", "val_set")):
            _read_annotations(root, name, part, index)
    return index, pictures


def _share(order: npt.NDArray[np.int64], split: str) -> npt.NDArray[np.int64]:
    """The poster's shares, exact on its own number of pictures."""
    whole = sum(POSTER_SPLIT.values())
    first = round(len(order) * POSTER_SPLIT["train"] / whole)
    second = first + round(len(order) * POSTER_SPLIT["valid"] / whole)
    return {"train": order[:first], "valid": order[first:second], "test": order[second:]}[split]


@dataclass
class _Index:
    """Grows row by row; landmarks are reduced to six keypoints a chunk at a time, so that they never pile up."""

    images: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    _landmarks: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _keypoints: list[F32] = field(default_factory=list)

    def add(
        self,
        where: str,
        image: str,
        label: int,
        part: int,
        box: tuple[float, float, float, float] | None,
        landmarks: npt.NDArray[np.float64] | None,
    ) -> None:
        if image in self._seen:
            self.skipped.append(Skipped(where, f"the same picture again: {image}"))
            return
        self._seen.add(image)
        self.images.append(image)
        self.labels.append(label)
        self.parts.append(part)
        self._boxes.append(box or (np.nan, np.nan, np.nan, np.nan))
        self._landmarks.append(_UNKNOWN if landmarks is None else landmarks)
        if len(self._landmarks) == CHUNK:
            self._reduce()

    def arrays(self) -> tuple[npt.NDArray[np.int64], F32, F32]:
        """Labels (N,), detector boxes (N, 4) and keypoints (N, 6, 2)."""
        self._reduce()
        self._seen.clear()
        keypoints = np.concatenate(self._keypoints) if self._keypoints else np.zeros((0, 6, 2), np.float32)
        boxes = detector_boxes(keypoints)
        own = np.asarray(self._boxes, np.float32).reshape(-1, 4)
        lost = np.isnan(boxes).any(axis=1)
        keypoints[lost] = np.nan
        boxes[lost] = _as_on_the_median_row(own, boxes)[lost]
        return np.asarray(self.labels, np.int64), boxes, keypoints

    def _reduce(self) -> None:
        if self._landmarks:
            stacked = np.stack(self._landmarks).reshape(-1, COUNT, 2).astype(np.float32)
            self._keypoints.append(keypoints_of(stacked))
            self._landmarks.clear()


_UNKNOWN = np.full(2 * COUNT, np.nan)


def _as_on_the_median_row(own: F32, detector: F32) -> F32:
    """AffectNet's boxes -> where the detector's would be, by the median shift and scale over rows that have both.

    Rows without a box of their own get the median box of all (the later release has none: its pictures are face crops).
    """
    both = np.isfinite(own).all(axis=1) & np.isfinite(detector).all(axis=1)
    side = (own[:, 2:] - own[:, :2]).max(axis=1, keepdims=True)
    centre = (own[:, :2] + own[:, 2:]) / 2
    shift, scale = np.zeros(2, np.float32), np.float32(1)
    if both.any():
        shift = np.median(((detector[both, :2] + detector[both, 2:]) / 2 - centre[both]) / side[both], axis=0)
        scale = np.median((detector[both, 2:] - detector[both, :2]).max(axis=1) / side[both, 0])
    centre = centre + shift * side
    moved = np.concatenate([centre - scale * side / 2, centre + scale * side / 2], axis=1)
    known = np.isfinite(detector).all(axis=1)
    if known.any():
        moved[~np.isfinite(moved).all(axis=1)] = np.median(detector[known], axis=0)
    return np.asarray(moved, np.float32)


def _layout(path: Path) -> tuple[Path, Layout]:
    if not path.is_dir():
        raise DataError(f"no AffectNet folder at {path}: {HINT}")
    for root in (path, *sorted(item for item in path.iterdir() if item.is_dir())):
        if _find(root, "training.csv") is not None:
            return root, "original"
        if (root / "train_set" / "annotations").is_dir():
            return root, "annotations"
        if _split_folders(root):
            return root, "folders"
    found = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
    raise DataError(f"no AffectNet in {path}: {HINT}; found: {found}")


def _split_folders(root: Path) -> tuple[str, ...]:
    """Names of the training and the validation folder, where both hold one folder per class; else none.

    Raises:
        DataError: there are folders for validation and for test: AffectNet itself has one of them.
    """
    found: dict[str, str] = {}
    for item in sorted(root.iterdir()):
        split = SPLIT_FOLDERS.get(item.name.lower())
        if split is not None and item.is_dir() and any(_class_of(each.name) is not None for each in item.iterdir()):
            found[split] = item.name
    if len(found) == 3:
        raise DataError(
            f"{root} has folders for training, validation and test, which AffectNet has not: put "
            f"two of them together, or, where the class folders have names, read it as folder:{root}"
        )
    return (found.pop("train"), *found.values()) if "train" in found and len(found) == 2 else ()


def _class_of(folder: str) -> int | None:
    label = class_name(folder)
    return LABELS.index(label) if label is not None else _label(folder)


def _read_class_folders(root: Path, name: str, part: int, index: _Index) -> None:
    """Neither boxes nor landmarks are known: the detector is asked."""
    for path in sorted((root / name).rglob("*")):
        if path.is_dir():
            continue
        image = path.relative_to(root).as_posix()
        label = _class_of(path.parent.name)
        if path.suffix.lower() not in SUFFIXES:
            index.skipped.append(Skipped(image, "no picture by its suffix"))
        elif label is None:
            index.skipped.append(Skipped(image, f"folder {path.parent.name!r} is no class"))
        else:
            index.add(image, image, label, part, None, None)


def _find(root: Path, name: str) -> Path | None:
    places = (root / name, root / "Manually_Annotated_file_lists" / name)
    return next((place for place in places if place.is_file()), None)


def _csv_file(root: Path, name: str) -> Path:
    found = _find(root, name)
    if found is None:
        raise DataError(f"{root} has no {name}: {HINT}")
    return found


def _image_folder(root: Path) -> Path:
    for place in ("Manually_Annotated_Images", "Manually_Annotated", "Manually_Annotated_compressed"):
        folder = root / place
        inner = folder / "Manually_Annotated_Images"
        if inner.is_dir():
            return inner
        if folder.is_dir():
            return folder
    raise DataError(f"{root} has no Manually_Annotated_Images: {HINT}")


def _read_csv(path: Path, part: int, index: _Index) -> None:
    """Rows of training.csv or validation.csv; validation.csv comes with and without its header line."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if number == 1 and row and row[0].strip().lower() == COLUMNS[0].lower():
                if [name.strip().lower() for name in row[:7]] != [name.lower() for name in COLUMNS[:7]]:
                    raise DataError(f"{path} has other columns than AffectNet: {', '.join(row)[:120]}")
                continue
            where = f"{path.name}, row {number}"
            if len(row) < 7:
                index.skipped.append(Skipped(where, f"{len(row)} columns instead of {len(COLUMNS)}"))
                continue
            label = _label(row[6])
            if label is None:
                index.skipped.append(Skipped(where, f"expression {row[6][:20]!r} is not 0 to 10"))
                continue
            image = row[0].strip().replace("\\", "/")
            if leaves_root(image):
                index.skipped.append(Skipped(where, OUTSIDE_ROOT))
                continue
            box, landmarks = _box(row[1:5]), _landmarks(row[5])
            if box is None and landmarks is None:
                index.skipped.append(Skipped(where, "neither box nor landmarks are usable numbers"))
                continue
            index.add(where, image, label, part, box, landmarks)


def _label(text: str) -> int | None:
    text = text.strip().removesuffix(".0")  # pandas writes 1 as 1.0 where a column has gaps
    return int(text) if text.isdigit() and int(text) < len(NUMBERING) else None


def _box(fields: list[str]) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(value) for value in fields)
    except ValueError:
        return None
    if not (width > 1 and height > 1 and abs(x) < 1e6 and abs(y) < 1e6 and width < 1e6 and height < 1e6):
        return None
    return x, y, x + width, y + height


def _landmarks(text: str) -> npt.NDArray[np.float64] | None:
    if text.count(";") not in (2 * COUNT - 1, 2 * COUNT):
        return None
    try:
        values = np.array(text.rstrip(";").split(";"), dtype=np.float64)
    except ValueError:
        return None
    return values if len(values) == 2 * COUNT and np.isfinite(values).all() else None


_NUMBERED = re.compile(r"(.+)_exp\.npy$")


def _read_annotations(root: Path, name: str, part: int, index: _Index) -> None:
    """The later release: a few tiny NumPy files a picture. Its pictures are face crops of 224 pixels."""
    folder = root / name / "annotations"
    if not folder.is_dir():
        raise DataError(f"{root} has no {name}/annotations: {HINT}")
    for stem in _stems(folder):
        where = f"{name}/annotations/{stem}"
        label = _label_of(_values(folder / f"{stem}_exp.npy"))
        if label is None:
            index.skipped.append(Skipped(where, "expression is not 0 to 10"))
            continue
        marks = _values(folder / f"{stem}_lnd.npy")
        if marks is not None and marks.dtype.kind in "US":
            marks = _landmarks(";".join(str(value) for value in marks.ravel()))
        usable = marks is not None and marks.size == 2 * COUNT and np.isfinite(marks.astype(np.float64)).all()
        landmarks = marks.astype(np.float64).ravel() if usable and marks is not None else None
        index.add(where, f"{name}/images/{stem}.jpg", label, part, None, landmarks)


def _stems(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = [match[1] for entry in entries if (match := _NUMBERED.match(entry.name))]
    yield from sorted(found, key=lambda stem: (not stem.isdigit(), int(stem) if stem.isdigit() else 0, stem))


def _label_of(values: npt.NDArray[np.generic] | None) -> int | None:
    if values is None or values.size != 1:
        return None
    try:
        number = float(str(values.ravel()[0]))
    except ValueError:
        return None
    return int(number) if number in range(len(NUMBERING)) else None


def _values(path: Path) -> npt.NDArray[np.generic] | None:
    """A tiny .npy file; np.load spends most of its time on the header, which is the same in all of them."""
    try:
        content = path.read_bytes()
        if content[:6] != b"\x93NUMPY" or content[6] != 1:
            return None
        start = 10 + int.from_bytes(content[8:10], "little")
        return np.frombuffer(content[start:], dtype=_dtype(content[10:start]))
    except (OSError, ValueError, TypeError, SyntaxError, IndexError):
        return None


@lru_cache(maxsize=64)
def _dtype(header: bytes) -> np.dtype[np.generic]:
    described: np.dtype[np.generic] = np.dtype(ast.literal_eval(header.decode("latin1").strip())["descr"])
    if described.hasobject:
        raise ValueError("Python objects are never loaded from data")
    return described
