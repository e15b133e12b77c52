"""Large overlapping tiles of a picture at several scales, in which the short-range network searches for small faces.

When a whole picture is reduced to the network's input, faces narrower than about 5 % of the picture are missed,
whatever their size in pixels. The convolutions accept a tile of any size and find faces of 28 to 128 pixels anywhere in
it; therefore each scale is a quarter of the previous one. Called by `edgeemo.stages.detect` and `edgeemo.stages.still`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgeemo.types import F32, U8

STILL_SCALE = 7 / 6  # scale of the finest tiles of a still picture: enlarges a face of 24 px to 28
VIDEO_SCALE = 1.0  # in video, a later frame finds what one frame misses
SCALE_STEP = 4
TILE_PX = 512  # longest side of a tile; larger tiles cost more per pixel, smaller ones overlap more
OVERLAP_PX = 96  # overlap of adjacent tiles, so that each face is complete in one of them
SMALLEST_PX = 128  # longer side of a scaled picture up to which the search of the whole picture finds the same faces
CELL_PX = 8  # the picture is averaged in cells of this size to find flat regions
FLAT = 3.0  # grey levels between neighbouring cells; below this there is no recognisable face
MARGIN_PX = 48  # margin around textured regions


@dataclass(frozen=True)
class Tile:
    """A rectangle in pixels of the picture, and the scale at which it is searched."""

    left: int
    top: int
    width: int
    height: int
    scale: float

    def textured(self, image: U8) -> Tile | None:
        """The tile without flat borders; None if all of it is flat."""
        grey = cv2.cvtColor(self._part(image), cv2.COLOR_BGR2GRAY)
        cells = (max(self.width // CELL_PX, 1), max(self.height // CELL_PX, 1))
        means = cv2.resize(grey, cells, interpolation=cv2.INTER_AREA).astype(np.float32)
        active = np.zeros(means.shape, bool)
        active[:, 1:] |= np.abs(np.diff(means, axis=1)) > FLAT
        active[1:] |= np.abs(np.diff(means, axis=0)) > FLAT
        columns, rows = np.flatnonzero(active.any(axis=0)), np.flatnonzero(active.any(axis=1))
        if not len(columns):
            return None
        left, right = (round(place * self.width / cells[0]) for place in (columns[0], columns[-1] + 1))
        top, bottom = (round(place * self.height / cells[1]) for place in (rows[0], rows[-1] + 1))
        left, top = max(left - MARGIN_PX, 0), max(top - MARGIN_PX, 0)
        right, bottom = min(right + MARGIN_PX, self.width), min(bottom + MARGIN_PX, self.height)
        return replace(self, left=self.left + left, top=self.top + top, width=right - left, height=bottom - top)

    def cut(self, image: U8) -> U8:
        """(h, w, 3) at the tile's scale."""
        part = self._part(image)
        # area averaging, because aliasing hides small faces
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return part if self.scale == 1 else np.asarray(cv2.resize(part, self._size, interpolation=how), np.uint8)

    def restore(self, points: F32) -> F32:
        """Points (..., 2) of the cut tile -> pixels of the picture."""
        across, down = self._size
        ratio = np.array([self.width / across, self.height / down], np.float32)
        return np.asarray(points * ratio + np.array([self.left, self.top], np.float32), np.float32)

    @property
    def _size(self) -> tuple[int, int]:
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    def _part(self, image: U8) -> U8:
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def tiles_of(height: int, width: int, finest: float) -> list[Tile]:
    """Tiles of the scale `finest`, a quarter of it, a sixteenth and so on; the finest last."""
    found: list[Tile] = []
    scale = finest
    while max(height, width) * scale > SMALLEST_PX:
        rows, columns = _spans(height, scale), _spans(width, scale)
        found = [Tile(x, y, across, down, scale) for y, down in rows for x, across in columns] + found
        scale /= SCALE_STEP
    return found


def _spans(length: int, scale: float) -> list[tuple[int, int]]:
    """Starts and lengths of equal, overlapping spans."""
    longest, overlap = TILE_PX / scale, OVERLAP_PX / scale
    if length <= longest:
        return [(0, length)]
    count = int(np.ceil((length - overlap) / (longest - overlap)))
    side = int(np.ceil((length + (count - 1) * overlap) / count))
    return [(round(start), side) for start in np.linspace(0, length - side, count).tolist()]
