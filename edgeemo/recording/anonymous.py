"""Make faces unrecognisable before a picture is written to disk. Called by `recorder`."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgeemo.types import F32, U8

WIDER = 0.35  # margin of the box on each side: hair, chin and ears identify a person
CELLS = 6  # blocks across a face
HELD_S = 0.6  # a face that is briefly undetected stays covered at its last position


class Anonymiser:
    """Covers the faces of a video with coarse blocks, also at their positions of the last `HELD_S` seconds.

    Faces that were not detected in any of these frames are not covered: if that matters, record no video.
    """

    def __init__(self) -> None:
        self._recent: list[tuple[float, F32]] = []

    def apply(self, image: U8, boxes: F32, time: float) -> U8:
        """Copy a picture and put blocks over its faces.

        Args:
            image: (H, W, 3) BGR; it is not changed.
            boxes: (N, 4) pixels, N >= 0.
            time: media time in seconds.
        """
        self._recent = [(at, rows) for at, rows in self._recent if 0 <= time - at <= HELD_S]
        self._recent.append((time, boxes))
        covered = image.copy()
        for _, rows in self._recent:
            for box in rows:
                _cover(covered, image, box)
        return covered


def _cover(canvas: U8, image: U8, box: F32) -> None:
    if not np.isfinite(box).all():
        return
    x1, y1, x2, y2 = (float(edge) for edge in box)
    wide, tall = WIDER * (x2 - x1), WIDER * (y2 - y1)
    height, width = image.shape[:2]
    left, right = max(int(x1 - wide), 0), min(math.ceil(x2 + wide), width)
    top, bottom = max(int(y1 - tall), 0), min(math.ceil(y2 + tall), height)
    if right <= left or bottom <= top:
        return
    coarse = cv2.resize(image[top:bottom, left:right], (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    canvas[top:bottom, left:right] = cv2.resize(coarse, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
