"""Read AffectNet, in any layout in which it is distributed, into one table. `trainer.data.affectnet` calls it."""

from __future__ import annotations

import ast
import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32
from engines.spec import LABELS
from trainer.data.dataset import Skipped
from trainer.data.folders import EMOTION_COLUMNS, IMAGE_COLUMNS, SPLIT_FOLDERS, SUFFIXES, class_name
from trainer.data.landmarks import COUNT, detector_boxes, keypoints_of
from trainer.data.parquet import ParquetPictures, find_parquet, parquet_rows, split_of_file
from trainer.data.pictures import OUTSIDE_ROOT, FolderPictures, Pictures, file_identity, leaves_root
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
RECOGNISED = (
    "training.csv, validation.csv and Manually_Annotated_Images/",
    "train_set/ and val_set/ with images/ and annotations/",
    "a training and a validation folder (train, val, valid, test, valid_set ...) with one folder per class",
    "labels.csv (pth, label) beside the pictures",
    "Parquet files (train-*.parquet, validation-*.parquet) with pictures and labels",
    "one folder per class",
)
HINT = (
    "recognised layouts: "
    + "; ".join(RECOGNISED)
    + "; class folders are named, or numbered 0 to 10 in AffectNet's order"
)
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Table:
    """All N usable rows of an AffectNet.

    Attributes:
        images: unique names.
        labels: (N,) indices into `LABELS`.
        parts: (N,) 0: the training set, 1: the validation set.
        boxes, keypoints: as in `Dataset`, NaN where unknown.
        has_validation: the layout has a validation set.
    """

    images: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]
    boxes: F32
    keypoints: F32
    skipped: tuple[Skipped, ...]
    pictures: Pictures
    has_validation: bool


def read_affectnet(path: Path) -> Table:
    """Recognise the layout and read all its rows.

    Raises:
        DataError: the folder holds none of the recognised layouts.
    """
    if not path.is_dir():
        raise DataError(f"no AffectNet folder at {path}: {HINT}")
    for root in (path, *sorted(item for item in path.iterdir() if item.is_dir())):
        for read in (_original, _annotations, _split_folders, _labels_csv, _parquet, _class_folders):
            table = read(root)
            if table is not None:
                return table
    found = ", ".join(sorted(item.name + "/" * item.is_dir() for item in path.iterdir())[:12]) or "nothing"
    raise DataError(f"no AffectNet in {path}: {HINT}; found: {found}")


def _original(root: Path) -> Table | None:
    """The original release."""
    training, validation = _find(root, "training.csv"), _find(root, "validation.csv")
    if training is None:
        return None
    images = _image_folder(root)
    if validation is None:
        raise DataError(f"{root} has training.csv but no validation.csv; AffectNet has both")
    return _read_original(images, (training, validation), (file_identity(training), file_identity(validation)))


@lru_cache(maxsize=1)
def _read_original(images: Path, tables: tuple[Path, ...], identities: tuple[str, ...]) -> Table:
    """Read all 420,000 rows, which takes seconds; cached for all splits until a file changes."""
    index = _Index()
    for part, table in enumerate(tables):
        _read_csv(table, part, index)
    return index.table(FolderPictures(images))


def _annotations(root: Path) -> Table | None:
    """The later release: a few small NumPy files per picture. Its pictures are face crops of 224 pixels."""
    if not (root / "train_set" / "annotations").is_dir():
        return None
    index = _Index()
    for part, name in enumerate(("train_set", "val_set")):
        _read_annotations(root, name, part, index)
    return index.table(FolderPictures(root))


def _split_folders(root: Path) -> Table | None:
    """A training and a validation folder, each with one folder per class.

    Raises:
        DataError: there are folders for both validation and test; AffectNet has only one of them. Or two folders are
            the same split.
    """
    found: dict[str, str] = {}
    for item in sorted(root.iterdir()):
        split = SPLIT_FOLDERS.get(item.name.lower())
        if split is not None and item.is_dir() and _holds_classes(item):
            if split in found:
                raise DataError(
                    f"{root} has two folders of one split, {found[split]} and {item.name}: remove or merge one of them"
                )
            found[split] = item.name
    if len(found) == 3:
        raise DataError(
            f"{root} has folders for training, validation and test; AffectNet has only two: merge "
            f"two of them, or, if the class folders have names, read it as folder:{root}"
        )
    if "train" not in found or len(found) != 2:
        return None
    index = _Index()
    for part, name in enumerate((found.pop("train"), *found.values())):
        _read_class_folders(root, root / name, part, index)
    return index.table(FolderPictures(root))


def _labels_csv(root: Path) -> Table | None:
    """One table of pictures and labels, without a validation set (Kaggle's 96-pixel copies)."""
    path = root / "labels.csv"
    if not path.is_file():
        return None
    index = _Index()
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file, strict=True)
        header = [name.strip().lower() for name in next(rows, [])]
        image_column, label_column = (
            next((header.index(name) for name in known if name in header), None)
            for known in (IMAGE_COLUMNS, EMOTION_COLUMNS)
        )
        if image_column is None or label_column is None:
            raise DataError(f"{path} must have the columns pth and label; it has {', '.join(header)[:120]}")
        for number, row in enumerate(rows, start=2):
            where = f"{path.name}, row {number}"
            if len(row) <= max(image_column, label_column):
                index.skipped.append(Skipped(where, f"{len(row)} columns instead of {len(header)}"))
                continue
            index.add_named(where, row[image_column], row[label_column])
    return index.table(FolderPictures(root), has_validation=False)


def _parquet(root: Path) -> Table | None:
    """Parquet files; those named after validation or test hold the validation set."""
    files = find_parquet(root)
    if not files:
        return None
    index = _Index()
    parts = {file: SPLIT_FOLDERS.get(split_of_file(file).lower(), "train") for file in files}
    if len({*parts.values()}) == 3:
        raise DataError(f"{root} has Parquet files for training, validation and test; AffectNet has only two of these")
    for row in parquet_rows(root, files):
        index.add_named(row.image, row.image, row.label, part=int(parts[row.file] != "train"))
    return index.table(ParquetPictures(root), has_validation=len({*parts.values()}) == 2)


def _class_folders(root: Path) -> Table | None:
    """One folder per class, without a validation set."""
    if not _holds_classes(root):
        return None
    index = _Index()
    _read_class_folders(root, root, 0, index)
    return index.table(FolderPictures(root), has_validation=False)


@dataclass
class _Index:
    """Collects rows; landmarks are reduced to six keypoints chunk by chunk, to bound the memory."""

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
            self.skipped.append(Skipped(where, f"duplicate name {image}"))
            return
        self._seen.add(image)
        self.images.append(image)
        self.labels.append(label)
        self.parts.append(part)
        self._boxes.append(box or (np.nan, np.nan, np.nan, np.nan))
        self._landmarks.append(_UNKNOWN if landmarks is None else landmarks)
        if len(self._landmarks) == CHUNK:
            self._reduce()

    def add_named(self, where: str, image: str, label: str, part: int = 0) -> None:
        """Add a row without a face box; the detector will find the face."""
        image, number = image.strip().replace("\\", "/"), class_of(label)
        if number is None:
            self.skipped.append(Skipped(where, f"label {label[:40]!r} is not a class"))
        elif leaves_root(image):
            self.skipped.append(Skipped(where, OUTSIDE_ROOT))
        else:
            self.add(where, image, number, part, None, None)

    def table(self, pictures: Pictures, *, has_validation: bool = True) -> Table:
        self._reduce()
        keypoints = np.concatenate(self._keypoints) if self._keypoints else np.zeros((0, 6, 2), np.float32)
        boxes = detector_boxes(keypoints)
        own = np.asarray(self._boxes, np.float32).reshape(-1, 4)
        lost = np.isnan(boxes).any(axis=1)
        keypoints[lost] = np.nan
        boxes[lost] = _as_detector_boxes(own, boxes)[lost]
        return Table(
            tuple(self.images),
            np.asarray(self.labels, np.int64),
            np.asarray(self.parts, np.int8),
            boxes,
            keypoints,
            tuple(self.skipped),
            pictures,
            has_validation,
        )

    def _reduce(self) -> None:
        if self._landmarks:
            stacked = np.stack(self._landmarks).reshape(-1, COUNT, 2).astype(np.float32)
            self._keypoints.append(keypoints_of(stacked))
            self._landmarks.clear()


_UNKNOWN = np.full(2 * COUNT, np.nan)


def _as_detector_boxes(own: F32, detector: F32) -> F32:
    """Map AffectNet's boxes to the detector's, by the median shift and scale over rows that have both.

    Rows without an AffectNet box get the median box (the later release has none: its pictures are face crops).
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


def _holds_classes(folder: Path) -> bool:
    return any(class_of(item.name) is not None for item in folder.iterdir() if item.is_dir())


def class_of(text: str) -> int | None:
    """Index into `LABELS` of a class written as a name or a number; `1.0` is 1."""
    label = class_name(text)
    return LABELS.index(label) if label is not None else _number(text)


def _number(text: str) -> int | None:
    match = re.fullmatch(r"\s*(\d+)(?:\.0*)?\s*", text)  # pandas writes 1 as 1.0 in a column with missing values
    return int(match[1]) if match is not None and int(match[1]) < len(NUMBERING) else None


def _read_class_folders(root: Path, folder: Path, part: int, index: _Index) -> None:
    """Add the pictures of class folders; the detector will find the faces."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        image = path.relative_to(root).as_posix()
        label = class_of(path.parent.name)
        if path.suffix.lower() not in SUFFIXES:
            index.skipped.append(Skipped(image, "not a picture (by its suffix)"))
        elif label is None:
            index.skipped.append(Skipped(image, f"folder {path.parent.name!r} is not a class"))
        else:
            index.add(image, image, label, part, None, None)


def _find(root: Path, name: str) -> Path | None:
    places = (root / name, root / "Manually_Annotated_file_lists" / name)
    return next((place for place in places if place.is_file()), None)


def _image_folder(root: Path) -> Path:
    for place in ("Manually_Annotated_Images", "Manually_Annotated", "Manually_Annotated_compressed"):
        folder = root / place
        inner = folder / "Manually_Annotated_Images"
        if inner.is_dir():
            return inner
        if folder.is_dir():
            return folder
    raise DataError(f"{root} has no Manually_Annotated_Images: {HINT}")


def _columns(path: Path, row: Sequence[str]) -> dict[str, int] | None:
    """Column numbers, if this first row is a header (validation.csv exists with and without one).

    Raises:
        DataError: the header lacks the columns of picture and expression.
    """
    names = [name.strip().lower() for name in row]
    found = {name: names.index(name.lower()) for name in COLUMNS if name.lower() in names}
    if not found:
        return None
    missing = [name for name in (COLUMNS[0], "expression") if name not in found]
    if missing:
        raise DataError(f"{path} has no column {' or '.join(missing)}; it has {', '.join(row)[:120]}")
    return found


def _read_csv(path: Path, part: int, index: _Index) -> None:
    """Rows of training.csv or validation.csv; columns are found by name, so order and extra columns do not matter."""
    columns = {name: place for place, name in enumerate(COLUMNS)}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        for number, row in enumerate(csv.reader(file, strict=True), start=1):
            if number == 1 and (found := _columns(path, row)) is not None:
                columns = found
                continue
            where = f"{path.name}, row {number}"
            image, text = (
                row[place] if place < len(row) else "" for place in (columns[COLUMNS[0]], columns["expression"])
            )
            if not text:
                index.skipped.append(Skipped(where, f"{len(row)} columns, none of them the expression"))
                continue
            label = _number(text)
            if label is None:
                index.skipped.append(Skipped(where, f"expression {text[:20]!r} is not 0 to 10"))
                continue
            image = image.strip().replace("\\", "/")
            if leaves_root(image):
                index.skipped.append(Skipped(where, OUTSIDE_ROOT))
                continue
            fields = [row[columns[name]] if columns.get(name, len(row)) < len(row) else "" for name in COLUMNS[1:6]]
            box, landmarks = _box(fields[:4]), _landmarks(fields[4])
            if box is None and landmarks is None and "face_x" in columns:
                index.skipped.append(Skipped(where, "neither box nor landmarks are usable"))
                continue
            index.add(where, image, label, part, box, landmarks)


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
    folder = root / name / "annotations"
    if not folder.is_dir():
        raise DataError(f"{root} has no {name}/annotations: {HINT}")
    for stem in _stems(folder):
        where = f"{name}/annotations/{stem}"
        values = _values(folder / f"{stem}_exp.npy")
        label = _number(str(values.ravel()[0])) if values is not None and values.size == 1 else None
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


def _values(path: Path) -> npt.NDArray[np.generic] | None:
    """Read a tiny .npy file; faster than np.load, which spends most of its time on the header."""
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
