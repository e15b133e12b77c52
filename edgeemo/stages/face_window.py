"""A face found by one detection, and the window, rotated with the head, in which the next detection looks for it.

Called by `edgeemo.stages.detect` and `edgeemo.stages.still`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from edgeemo.types import F32, U8
from engines.preprocess import roll

WINDOW_SCALE = 2.5  # side of the window, in sides of the face's box
SAME_OVERLAP = 0.4  # minimum intersection over union of two boxes of the same face
SAME_CENTRE = 0.35  # maximum distance of their centres, in sides of the smaller box
# grid to which the search regions of followed faces are rounded
SIDES_PER_OCTAVE, CENTRES_PER_SIDE, ROLL_STEP = 32, 64, np.radians(1.5)
# share of the way to the new detection that `search_roi` moves: x, y, side, roll
AIM_SHARE = np.array([0.5, 0.5, 0.3, 0.5], np.float32)


@dataclass(frozen=True, eq=False)
class SeenFace:
    """One face: box (4,) and keypoints (6, 2) in pixels of the frame.

    Attributes:
        seen: media time of its frame in seconds.
        search_roi: (4,) where to look for it next: centre x and y, side of the box, roll in radians. It moves only part
            of the way to the box just found: the detected box depends slightly on the window, so a window that follows
            each box exactly makes the boxes oscillate.
        turned: clockwise rotation of the head in degrees, see `edgeemo.types.Faces`.
    """

    box: F32
    keypoints: F32
    score: float
    seen: float
    search_roi: F32
    turned: int = 0

    @classmethod
    def found(cls, box: F32, keypoints: F32, score: float, seen: float, aimed: F32 | None = None) -> SeenFace:
        """Make a face from a detection; `aimed` is the search region whose window it was found in, if any."""
        x1, y1, x2, y2 = box.tolist()
        aim = np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, y2 - y1, 1.0), roll(keypoints)], np.float32)
        if aimed is not None:
            step = aim - aimed
            step[3] = (step[3] + np.pi) % (2 * np.pi) - np.pi
            aim = aimed + AIM_SHARE * step
        return cls(box, keypoints, score, seen, aim)

    @cached_property
    def centre(self) -> F32:
        return (self.box[:2] + self.box[2:]) * np.float32(0.5)

    @cached_property
    def side(self) -> float:
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1], 1.0))

    def distance(self, other: SeenFace) -> float:
        """Distance of the centres of two boxes, in sides of the smaller one."""
        return float(np.hypot(*(self.centre - other.centre))) / min(self.side, other.side)

    def is_one_of(self, others: Iterable[SeenFace]) -> bool:
        return any(self._is_same(other) for other in others)

    def _is_same(self, other: SeenFace) -> bool:
        if self.distance(other) < SAME_CENTRE:
            return True
        low, high = np.maximum(self.box[:2], other.box[:2]), np.minimum(self.box[2:], other.box[2:])
        common = float(np.prod(np.maximum(high - low, 0)))
        total = sum(float(np.prod(each.box[2:] - each.box[:2])) for each in (self, other)) - common
        return common >= SAME_OVERLAP * total > 0


@dataclass(frozen=True, eq=False)
class Window:
    """A square region of the frame, rotated with the head, which is resampled to a picture of `size` x `size` pixels.

    `turn` (2, 2) and `centre` (2,) map a point of the picture to the frame: centre + turn @ (point - size / 2). Pixel i
    covers i to i + 1.
    """

    size: int
    turn: F32
    centre: F32
    search_roi: F32

    @classmethod
    def at(cls, search_roi: F32, size: int, scale: float = WINDOW_SCALE, *, on_grid: bool = False) -> Window:
        """The window around a search region (centre, side, roll); its side is `scale` times the region's.

        Args:
            on_grid: round the region, so that small differences in the track's history vanish: some frames after the
                start, the boxes of a video are bit-identical wherever playback began.
        """
        x, y, side, angle = search_roi.tolist()
        if on_grid:
            side = float(2 ** (round(np.log2(side) * SIDES_PER_OCTAVE) / SIDES_PER_OCTAVE))
            step = side / CENTRES_PER_SIDE
            x, y, angle = round(x / step) * step, round(y / step) * step, round(angle / ROLL_STEP) * ROLL_STEP
        across, down = scale * side / size * np.cos(angle), scale * side / size * np.sin(angle)
        turn = np.array([[across, -down], [down, across]], np.float32)
        return cls(size, turn, np.array([x, y], np.float32), search_roi)

    def cut(self, image: U8) -> U8:
        matrix = np.empty((2, 3))
        matrix[:, :2] = self.turn
        # OpenCV's coordinates are those of pixel centres
        matrix[:, 2] = self.centre - 0.5 + self.turn @ np.full(2, (1 - self.size) / 2)
        picture = cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.asarray(picture, np.uint8)

    def face(self, box: F32, keypoints: F32, score: float, corner: F32, time: float) -> SeenFace:
        """Map a detection from the canvas of `Looks` to the frame.

        Args:
            box, keypoints: (4,) and (6, 2) in pixels of the canvas, where this window's picture begins at `corner`.
            time: media time of the frame in seconds.

        Returns:
            The face with an axis-aligned box in pixels of the frame.
        """
        middle = corner + np.float32(self.size / 2)
        centre = self.centre + self.turn @ ((box[:2] + box[2:]) / 2 - middle)
        half = (box[2:] - box[:2]) / 2 * np.hypot(self.turn[0, 0], self.turn[1, 0])
        points = self.centre + (keypoints - middle) @ self.turn.T
        box = np.concatenate([centre - half, centre + half], dtype=np.float32)
        return SeenFace.found(box, np.asarray(points, np.float32), score, time, self.search_roi)
