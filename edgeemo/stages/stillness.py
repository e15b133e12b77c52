"""Detect that nothing has moved around the faces, so that detection can be skipped.

Called by `edgeemo.stages.detect` if `[detect] skip_still` is set.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edgeemo.stages.face_window import SeenFace, Window
from edgeemo.types import U8, Frame

SAMPLED_PX = 32  # pixels per side at which a window is sampled
BLOCKS = 8  # blocks per side in which the samples are averaged, so that camera noise does not count as movement
MAX_CHANGE = 4  # grey levels of one block; an opening mouth changes some blocks by 10 and more
I16 = npt.NDArray[np.int16]


class Stillness:
    """Stores the windows around the faces of the last detection, or the whole picture if there were none."""

    def __init__(self) -> None:
        self._seen: list[I16] = []

    def remember(self, frame: Frame, faces: Sequence[SeenFace]) -> None:
        self._seen = _summaries(frame.image, faces)

    def holds(self, frame: Frame, faces: Sequence[SeenFace]) -> bool:
        """Whether the frame resembles the stored one.

        Only `remember` replaces the stored frame, so even a slow change is detected in the end.

        Args:
            faces: the faces given to `remember`.
        """
        now = _summaries(frame.image, faces)
        return len(now) == len(self._seen) and all(
            int(np.abs(one - other).max()) <= MAX_CHANGE for one, other in zip(now, self._seen, strict=True)
        )


def _summaries(image: U8, faces: Sequence[SeenFace]) -> list[I16]:
    if not faces:
        height, width = image.shape[:2]
        step_y, step_x = max(1, height // (2 * SAMPLED_PX)), max(1, width // (2 * SAMPLED_PX))
        return [_blocks(np.ascontiguousarray(image[step_y // 2 :: step_y, step_x // 2 :: step_x]), 2 * BLOCKS)]
    return [_blocks(Window.at(face.search_roi, SAMPLED_PX, on_grid=True).cut(image), BLOCKS) for face in faces]


def _blocks(picture: U8, count: int) -> I16:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (count, count), interpolation=cv2.INTER_AREA), np.int16)
