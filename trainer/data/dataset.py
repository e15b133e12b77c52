"""Labelled pictures of faces, whatever data set they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.preprocess import F32, U8
from engines.spec import LABELS


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set; pictures are read when they are asked for.

    Attributes:
        name: for example "ferplus".
        split: train, valid or test.
        images: N names, unique within the split.
        targets: (N, 11) float32, rows sum to 1: how the annotators' votes are distributed over `LABELS`.
        counted: (N,) bool: the picture counts in the accuracy by the data set's protocol.
        read: picture number -> (H, W, 3) BGR or (H, W) grey; raises `DataError` where it is unreadable.
        enlarge: the pictures are this many times too small for the face detector.
        default_box: x1, y1, x2, y2 where the face is when the detector finds none; None: skip such pictures.
    """

    name: str
    split: str
    images: tuple[str, ...]
    targets: F32
    counted: np.ndarray
    read: Callable[[int], U8]
    enlarge: float = 1.0
    default_box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.images), len(LABELS)):
            raise ValueError(f"targets must be ({len(self.images)}, {len(LABELS)}), got {self.targets.shape}")
        if self.counted.shape != (len(self.images),):
            raise ValueError(f"counted must be ({len(self.images)},), got {self.counted.shape}")

    def __len__(self) -> int:
        return len(self.images)
