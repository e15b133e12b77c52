"""Overlapping square tiles of a picture, so that small faces are large in the short-range model's input.

On a whole picture the models miss faces narrower than about 5 % of it, whatever their size in pixels. The short-range
model finds faces from 0.15 of its input's width on, so tiles of 160 px find faces from 24 px, tiles of 320 px from
48 px and so on. Called by `edgeemo.stages.detect` and `edgeemo.stages.still`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeemo.types import F32, U8

SMALLEST_PX = 160
STRIDE = 0.7  # of a tile's side: a face up to 0.3 of it lies whole in at least one tile
INPUT_PX = 128  # of the short-range model


@dataclass(frozen=True)
class Tile:
    """A square of a picture: its left and top pixel and its side."""

    left: int
    top: int
    side: int

    def cut(self, image: U8) -> U8:
        """(S, S, 3), S the model's input."""
        part = image[self.top : self.top + self.side, self.left : self.left + self.side]
        height, width = part.shape[:2]
        scale = INPUT_PX / self.side
        # averaging, or small faces drown in aliasing
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        tile = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
        tile[: size[1], : size[0]] = small
        return tile

    def restore(self, points: F32) -> F32:
        """Points (..., 2) of the cut tile -> pixels of the picture."""
        corner = np.array([self.left, self.top], np.float32)
        return np.asarray(points * np.float32(self.side / INPUT_PX) + corner, np.float32)


def tiles_of(height: int, width: int) -> list[Tile]:
    """Tiles of `SMALLEST_PX` and of each doubled size that is smaller than the picture; the largest first."""
    found: list[Tile] = []
    side = SMALLEST_PX
    while side < max(height, width):
        found = [Tile(x, y, side) for y in _starts(height, side) for x in _starts(width, side)] + found
        side *= 2
    return found


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (STRIDE * side))) + 1
    return [round(start) for start in np.linspace(0, length - side, count).tolist()]
