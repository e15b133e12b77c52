"""`Dataset`: labelled pictures of faces in one form for all data sets. Every reader of `trainer.data` returns it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32, U8
from engines.spec import EXPRESSIONS, LABELS
from trainer.data.pictures import Pictures


@dataclass(frozen=True)
class Skipped:
    """One unused row or picture: where it is, and the reason."""

    where: str
    reason: str


def crop_key(colour: str, crop: Mapping[str, Any]) -> str:
    """Key of a kind of crop: colour and geometry of a `ModelSpec`, as JSON."""
    return json.dumps({"colour": colour, "crop": crop}, sort_keys=True)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set; pictures are read on demand.

    Attributes:
        name: for example "ferplus"; data sets with the same name and split are distinguished by their pictures.
        split: train, valid or test.
        images: N names, unique within the split.
        targets: (N, 11) float32, rows sum to 1: distribution of the annotators' votes over `LABELS`.
        scored: (N,) bool: the picture counts in the accuracy by the data set's protocol.
        pictures: picture name -> pixels.
        enlarge: factor by which pictures are enlarged for the face detector.
        default_box: x1, y1, x2, y2 used when the detector finds no face; None: skip such pictures.
        boxes: (N, 4) face boxes in pixels, NaN where unknown; with keypoints, the detector is not run.
        keypoints: (N, 6, 2) pixels, NaN where unknown; only with `boxes`.
        cropped: the pictures are finished crops of this kind, see `crop_key`; "" where faces have to be found.
        classes: those that the protocol distinguishes.
        skipped: rows that could not be used.
        about: sentences for a model card: content, labelling, authors, licence.
    """

    name: str
    split: str
    images: tuple[str, ...]
    targets: F32
    scored: npt.NDArray[np.bool_]
    pictures: Pictures
    enlarge: float = 1.0
    default_box: tuple[float, float, float, float] | None = None
    boxes: F32 | None = None
    keypoints: F32 | None = None
    cropped: str = ""
    classes: tuple[str, ...] = EXPRESSIONS
    skipped: tuple[Skipped, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        count = len(self.images)
        for name, array, shape in (
            ("targets", self.targets, (count, len(LABELS))),
            ("scored", self.scored, (count,)),
            ("boxes", self.boxes, (count, 4)),
            ("keypoints", self.keypoints, (count, 6, 2)),
        ):
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must be {shape}, got {array.shape}")
        if self.keypoints is not None and self.boxes is None:
            raise ValueError("keypoints need boxes")

    def __len__(self) -> int:
        return len(self.images)

    def read(self, row: int) -> U8:
        """Pixels of a row: (H, W, 3) BGR or (H, W) grey.

        Raises:
            PictureError: it is missing or unreadable.
        """
        return self.pictures(self.images[row])

    @cached_property
    def content_key(self) -> str:
        """Hash of the pictures' names, sizes and modification times (in a zip file, checksums): 16 hex digits.

        A picture that is replaced, or appears where one was missing, changes it.
        """
        digest = hashlib.sha256()
        for name in self.images:
            digest.update(f"{name}\0{self.pictures.identity(name)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    def part(self, start: int, stop: int) -> Dataset:
        """A data set of the rows from `start` to before `stop`."""
        return self.only(np.arange(len(self))[start:stop])

    def only(self, rows: npt.NDArray[np.int64]) -> Dataset:
        """A data set of these rows; it is small enough to be sent to another process."""
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            targets=self.targets[rows],
            scored=self.scored[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            keypoints=None if self.keypoints is None else self.keypoints[rows],
            skipped=(),
        )
