"""Overlapping square tiles of a picture, so that small faces are large in the short-range model's input.

On a whole picture the models miss faces narrower than about 5 % of it, whatever their size in pixels. In a tile the
short-range model sees nearly every face from a quarter of the tile's side on, four of five from 0.19, half from 0.15
(scores from 0.4; photographs of facial_expressions). Called by `edgeemo.stages.detect` and `edgeemo.stages.still`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeemo.types import F32, U8

STILL_PX = 96  # the smallest tiles of a still picture: faces from 24 px
VIDEO_PX = 128  # of a video, where a face that one look misses has others
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


def tiles_of(height: int, width: int, smallest: int, largest: int) -> list[Tile]:
    """Tiles of the side `smallest` and of each doubled side, up to `largest` and below the picture's; largest first."""
    found: list[Tile] = []
    side = smallest
    while side < max(height, width) and side <= largest:
        found = [Tile(x, y, side) for y in _starts(height, side) for x in _starts(width, side)] + found
        side *= 2
    return found


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (STRIDE * side))) + 1
    return [round(start) for start in np.linspace(0, length - side, count).tolist()]
