"""Cut the faces out of a data set once, with the runtime's detector and geometry, and keep them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from engines.face_detector import FaceDetector
from engines.preprocess import F32, U8, crop
from engines.spec import ModelSpec
from trainer.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces ready for a network: (N, S, S, C) uint8, their pictures' numbers in the data set, and the targets."""

    faces: U8
    rows: np.ndarray
    targets: F32
    counted: np.ndarray

    def __len__(self) -> int:
        return len(self.faces)


def find_face(image: U8, detector: FaceDetector, enlarge: float = 1.0) -> tuple[F32, F32] | None:
    """The largest face of a picture: box (4,) and keypoints (6, 2) in its pixels, or None.

    `enlarge`: how many times the picture is made larger for the detector (tiny pictures).
    """
    if image.ndim == 2:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if enlarge != 1:
        image = np.asarray(cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
    boxes, keypoints, _ = detector.detect(image)
    if not len(boxes):
        return None
    largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    return boxes[largest] / np.float32(enlarge), keypoints[largest] / np.float32(enlarge)


def cut_faces(data: Dataset, rows: Iterable[int], spec: ModelSpec) -> Iterator[tuple[int, U8]]:
    """Row and (S, S, C) crop of each picture that shows a face (or has a default box)."""
    detector = FaceDetector("near")
    try:
        for row in rows:
            image = data.read(row)
            found = find_face(image, detector, data.enlarge)
            if found is not None:
                yield row, crop(image, *found, spec)
            elif data.default_box is not None:
                yield row, crop(image, np.asarray(data.default_box, np.float32), None, spec)
    finally:
        detector.close()


def load_faces(data: Dataset, spec: ModelSpec, cache: Path | None = None) -> FaceSet:
    """All faces of a split; with a cache folder they are cut once and mapped into memory from then on."""
    folder = None if cache is None else cache / f"{data.name}-{data.split}-{_key(data, spec)}"
    if folder is not None and (folder / "rows.npy").is_file():
        faces = np.load(folder / "faces.npy", mmap_mode="r")
        rows = np.load(folder / "rows.npy")
    else:
        progress = tqdm(range(len(data)), desc=f"faces of {data.name} {data.split}", unit="face", disable=None)
        cut = list(cut_faces(data, progress, spec))
        rows = np.array([row for row, _ in cut], np.int64)
        shape = (len(cut), spec.size, spec.size, spec.channels)
        faces = np.stack([face for _, face in cut]) if cut else np.zeros(shape, np.uint8)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / "faces.npy", faces)
            # written last: its presence says that the cache is whole
            np.save(folder / "rows.npy", rows)
    return FaceSet(faces, rows, data.targets[rows], data.counted[rows])


def _key(data: Dataset, spec: ModelSpec) -> str:
    facts = [spec.size, spec.colour, asdict(spec.crop), data.enlarge, len(data), *data.images]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
