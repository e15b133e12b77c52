"""Every face of a still picture: the whole, overlapping tiles, and where there is no face the picture turned.

A still picture has neither a past nor a next frame in which a missed face would be found, so every candidate is looked
at five times where one look does not settle it. Called by `edgeemo.stages.detect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from edgeemo.stages.face_window import WINDOW_SCALE, SeenFace
from edgeemo.stages.looks import Looks
from edgeemo.stages.tiles import STILL_PX, tiles_of
from edgeemo.types import F32, Frame
from engines.face_detector import Range
from engines.preprocess import roll

SURE_SCORE = 0.8  # of one closer look, from which it settles the matter
MEAN_BELOW = 0.06  # how far the mean of the five looks may lie below the score that one look needs in video
SCALES = (1.9, 3.2)  # of the further windows
MIRRORED_SCALES = (WINDOW_SCALE, 1.9)
MIRRORED_POINTS = [1, 0, 2, 3, 5, 4]  # left and right change places
TILE_ABOVE = 0.02  # what candidates from tiles need more, of which there are many: photographs of faces of 24 to 64
# pixels pass in 97 of 100 cases, the shapes of scripts/bench-nonfaces in 2
TURNED_ABOVE = 0.12  # what turned faces need more: three more tries are three more chances for shapes
MISAIMED_ROLL = np.radians(20)  # between the first and the closer look, from which the box is off by a fifth
MISAIMED_SIZE = 1.3
OTHER_WAY_UP_ABOVE = 0.1  # by how much the look at a face in another way up must be better
TURNED_TILES = 4  # tiles of turned pictures have at least this part of the longer side
LEANING_DEG = 60.0  # roll up to which a head counts as upright
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def find_in_still(looks: Looks, frame: Frame, models: Sequence[Range], confirm_score: float) -> list[SeenFace]:
    """The faces of a still picture; those whose heads are turned by a quarter or more say so.

    Lying faces are mostly found like upright ones, upside-down ones are not: both are looked for in turned pictures
    where nothing was found, from about 4 % of the longer side on.

    Args:
        models: those that look at the whole picture.
        confirm_score: as `DetectConfig` has it.
    """
    enough = confirm_score - MEAN_BELOW
    found = _find(looks, frame, models, enough, smallest_tile=0)
    if found:
        return found
    smallest_tile = max(frame.image.shape) // TURNED_TILES
    best: list[SeenFace] = []
    for turned, back in TURNS.items():
        upright = replace(frame, image=np.asarray(cv2.rotate(frame.image, back), np.uint8))
        faces = _find(looks, upright, models, enough + TURNED_ABOVE, smallest_tile)
        faces = [face for face in faces if not face.turned]
        if max((face.score for face in faces), default=0) > max((face.score for face in best), default=0):
            best = [_turned(face, turned, frame.image.shape) for face in faces]
    return best


def _find(looks: Looks, frame: Frame, models: Sequence[Range], enough: float, smallest_tile: int) -> list[SeenFace]:
    height, width = frame.image.shape[:2]
    tiles = [tile for tile in tiles_of(height, width, STILL_PX, max(height, width)) if tile.side >= smallest_tile]
    found: list[SeenFace] = []
    whole = looks.whole(frame, models)
    for number, candidate in enumerate((*whole, *looks.tiles(frame, tiles))):
        if candidate.is_one_of(found):
            continue
        wanted = enough if number < len(whole) else enough + TILE_ABOVE
        (look,) = looks.closer(frame, [candidate])
        if look is None or look.is_one_of(found):
            continue
        if look.score < max(SURE_SCORE, wanted):
            if _mean_score(looks, frame, look) < wanted:
                continue
            look = _right_way_up(looks, frame, look)
        face = _aimed_again(looks, frame, candidate, look)
        # what looked like another face may be one that is there, seen from a window that was off
        if not face.is_one_of(found):
            found.append(face)
    return [face if face.turned else replace(face, turned=_quarter(face)) for face in found]


def _aimed_again(looks: Looks, frame: Frame, candidate: SeenFace, look: SeenFace) -> SeenFace:
    """The face in a window of its own roll and size, where those of the first look were far off."""
    before, now = candidate.search_roi, _aimed(look)
    lean = abs((now.search_roi[3] - before[3] + np.pi) % (2 * np.pi) - np.pi)
    if lean < MISAIMED_ROLL and 1 / MISAIMED_SIZE < now.side / before[2] < MISAIMED_SIZE:
        return look
    (again,) = looks.closer(frame, [now])
    return again or look


def _right_way_up(looks: Looks, frame: Frame, look: SeenFace) -> SeenFace:
    """The best of four looks that differ by quarter turns: a tenth of upside-down faces convinces as upright ones."""
    start = _aimed(look).search_roi
    turned = [np.array([0, 0, 0, turn], np.float32) for turn in (np.pi / 2, np.pi, 3 * np.pi / 2)]
    tries = [looks.closer(frame, [replace(look, search_roi=start + turn)])[0] for turn in turned]
    best = max((each for each in tries if each is not None), key=lambda each: each.score, default=look)
    return best if best.score >= look.score + OTHER_WAY_UP_ABOVE else look


def _quarter(face: SeenFace) -> int:
    """The head's roll in quarter turns clockwise, 0 where it only leans."""
    degrees = float(np.degrees(roll(face.keypoints)))
    return round(degrees / 90) * 90 % 360 if abs(degrees) > LEANING_DEG else 0


def _mean_score(looks: Looks, frame: Frame, look: SeenFace) -> float:
    """Of five closer looks: windows of three sizes, and two of them mirrored.

    On every third picture of facial_expressions (2,046) one look, or nearly one and the first, misses 2.1 % and finds a
    face in 75 of 3,150 shapes that are none (scripts/bench-nonfaces); the mean of five misses 1.3 % and finds 69.
    """
    further = [looks.closer(frame, [_aimed(look)], scale)[0] for scale in SCALES]
    mirrored, other = _mirrored(frame, look)
    further += [looks.closer(mirrored, [other], scale)[0] for scale in MIRRORED_SCALES]
    return float(np.mean([look.score, *(0.0 if each is None else each.score for each in further)]))


def _aimed(face: SeenFace) -> SeenFace:
    """The same face, to be looked for where it was found, without the calm that video needs."""
    return SeenFace.found(face.box, face.keypoints, face.score, face.seen)


def _mirrored(frame: Frame, face: SeenFace) -> tuple[Frame, SeenFace]:
    """The part of the picture around a face, left and right exchanged, and the face in it."""
    height, width = frame.image.shape[:2]
    reach = MIRRORED_SCALES[0] * face.side  # more than half a window's diagonal
    left, top = (max(int(value - reach), 0) for value in face.centre)
    right, bottom = min(int(face.centre[0] + reach) + 1, width), min(int(face.centre[1] + reach) + 1, height)
    if left >= right or top >= bottom:
        return frame, face
    part = np.asarray(cv2.flip(frame.image[top:bottom, left:right], 1), np.uint8)
    flip, shift = np.array([-1, 1], np.float32), np.array([right, -top], np.float32)
    corners = face.box.reshape(2, 2) * flip + shift
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    points = face.keypoints[MIRRORED_POINTS] * flip + shift
    return replace(frame, image=part), SeenFace.found(box, points, face.score, face.seen)


def _turned(face: SeenFace, turned: int, shape: tuple[int, ...]) -> SeenFace:
    """A face of the picture that was turned back by `turned` degrees, in pixels of the picture as it is."""
    corners = _turned_points(face.box.reshape(2, 2), turned, shape)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    points = _turned_points(face.keypoints, turned, shape)
    return replace(SeenFace.found(box, points, face.score, face.seen), turned=turned)


def _turned_points(points: F32, turned: int, shape: tuple[int, ...]) -> F32:
    """(N, 2) points of the upright picture -> of the picture of `shape`, which is turned clockwise against it."""
    height, width = shape[:2]
    x, y = points.T
    places = {90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}
    return np.stack(places[turned], axis=1).astype(np.float32)
