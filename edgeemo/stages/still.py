"""Find faces in a still picture: in the whole picture, in overlapping tiles, and if there is no face, in turned copies.

A face missed in a still picture cannot be found in a later frame. So each candidate is searched for again in a window
around it (a "look"), and in two or four more windows if the score of the first one is not decisive. Called by
`edgeemo.stages.detect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from edgeemo.stages.face_shape import shape_error
from edgeemo.stages.face_window import WINDOW_SCALE, SeenFace
from edgeemo.stages.looks import Looks
from edgeemo.stages.tiles import STILL_SCALE, tiles_of
from edgeemo.types import F32, Frame
from engines.face_detector import Range
from engines.preprocess import roll

SURE_SCORE = 0.84  # a single look with this score is decisive
PROMISING_SCORE = 0.5  # a candidate with this score gets another look if the first finds nothing
BEST_SCORE = 0.8  # highest score that a look can still reach if the first one was not decisive
MEAN_BELOW = 0.02  # how far the mean of several looks may be below `confirm_score`
USUAL_SHAPE_ERROR = 0.018  # `shape_error` of most small faces; with a smaller one, a lower mean is enough
SHAPE_WEIGHT, SHAPE_WEIGHT_BEYOND = 3.0, 6.0  # change of the required mean per unit of error below and above the usual
SMALL_PX = 48.0  # the mean of smaller faces may be lower by SMALL_BELOW, because they score lower
SMALL_BELOW = 0.02
TINY_PX = 20.0  # faces below this must reach the full mean: they are too small for an expression
CROWD, CROWD_SIZE = 3, 1.5  # three faces of a candidate's size, within this factor, make it more likely a face
CROWD_BELOW = 0.13  # how much lower the mean score of such a small candidate may be
CROWD_SHAPE_ERROR = 0.03  # shapes with a larger error are not part of a crowd
GALLERY, GALLERY_PX = 8, 32.0  # with this many faces or more, and a median side below this, finer tiles are searched
LOOKS, COUNTED = 5, 4  # the score of the worst look is discarded, because a border or a hand spoils some windows
SMALL_LOOKS = 3  # looks at small faces: they are often many, and wide windows show them with too few pixels
MIDDLE_SCALE = 1.9
# scale of the window; whether it is mirrored
FURTHER_LOOKS = ((WINDOW_SCALE, True), (MIDDLE_SCALE, False), (MIDDLE_SCALE, True), (3.2, False))
TURNED_ABOVE = 0.08  # added to the score that turned faces need: three more searches raise the risk of false detections
MISAIMED_ROLL = np.radians(20)  # if the roll of two looks differs by this, the box is off by a fifth
MISAIMED_SIZE = 1.3  # the same for the ratio of the box sizes
OTHER_WAY_UP_ABOVE = 0.1  # a face is upside down if the window turned by 180 degrees raises its score by this
TURNED_PX = 512  # longer side of turned pictures; finds faces from 24 px in them
LEANING_DEG = 60.0  # roll up to which a head counts as upright
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def find_in_still(looks: Looks, frame: Frame, models: Sequence[Range], confirm_score: float) -> list[SeenFace]:
    """The faces of a still picture; `turned` is set for heads with a roll above 60 degrees.

    The upright search finds most lying faces but no upside-down ones. If it finds no face, lying and upside-down faces
    are searched for in turned copies of the picture; this finds faces wider than about 4 % of its longer side.

    Args:
        models: the models that search the whole picture.
        confirm_score: see `DetectConfig`.
    """
    enough = confirm_score - MEAN_BELOW
    found = _find(looks, frame, models, enough, STILL_SCALE)
    if found:
        return found
    scale = min(STILL_SCALE, TURNED_PX / max(frame.image.shape))
    best: list[SeenFace] = []
    for turned, back in TURNS.items():
        upright = replace(frame, image=np.asarray(cv2.rotate(frame.image, back), np.uint8))
        faces = _find(looks, upright, models, enough + TURNED_ABOVE, scale)
        faces = [face for face in faces if not face.turned]
        if max((face.score for face in faces), default=0) > max((face.score for face in best), default=0):
            best = [_turned(face, turned, frame.image.shape) for face in faces]
    return best


def _find(looks: Looks, frame: Frame, models: Sequence[Range], enough: float, scale: float) -> list[SeenFace]:
    height, width = frame.image.shape[:2]
    found: list[SeenFace] = []
    tiles = tiles_of(height, width, scale)
    doubtful = _confirm(looks, frame, (*looks.whole(frame, models), *looks.tiles(frame, tiles)), enough, found)
    if len(found) >= GALLERY and np.median([face.side for face in found]) < GALLERY_PX:
        finer = [tile for tile in tiles_of(height, width, 2 * scale) if tile.scale == 2 * scale]
        doubtful += _confirm(looks, frame, looks.tiles(frame, finer), enough, found)
    crowd = [face.side for face in found]
    for candidate, look in doubtful:
        alike = sum(1 / CROWD_SIZE < look.side / side < CROWD_SIZE for side in crowd)
        if alike >= CROWD and not look.is_one_of(found):
            _add(looks, frame, candidate, look, found)
    return [face if face.turned else replace(face, turned=_quarter(face)) for face in found]


def _confirm(
    looks: Looks, frame: Frame, candidates: Sequence[SeenFace], enough: float, found: list[SeenFace]
) -> list[tuple[SeenFace, SeenFace]]:
    """Add the candidates that are faces to `found`; return those that are faces only in a crowd, each with its look."""
    doubtful: list[tuple[SeenFace, SeenFace]] = []
    # faces only thanks to the places of their keypoints; they are added last, because the others have better boxes
    late: list[tuple[SeenFace, SeenFace]] = []
    for candidate in candidates:
        if candidate.is_one_of(found):
            continue
        look = _first_look(looks, frame, candidate)
        if look is None or look.is_one_of(found):
            continue
        small = look.side < SMALL_PX
        usual = wanted = enough - SMALL_BELOW * (small and look.side >= TINY_PX)
        error = shape_error(look.box, look.keypoints)
        if small:
            beyond = error - USUAL_SHAPE_ERROR
            wanted += beyond * (SHAPE_WEIGHT if beyond < 0 else SHAPE_WEIGHT_BEYOND)
        if look.score < max(SURE_SCORE, wanted):
            if _is_inside(look, found):
                continue
            in_crowd = wanted - CROWD_BELOW * (small and error < CROWD_SHAPE_ERROR)
            count, counted = (SMALL_LOOKS, SMALL_LOOKS) if small else (LOOKS, COUNTED)
            mean = _mean_score(looks, frame, look, count, counted, in_crowd)
            if in_crowd <= mean < wanted:
                doubtful.append((candidate, look))
            if wanted <= mean < usual:
                late.append((candidate, look))
            if mean < max(wanted, usual):
                continue
        _add(looks, frame, candidate, look, found)
    for candidate, look in late:
        if not look.is_one_of(found) and not _is_inside(look, found):
            _add(looks, frame, candidate, look, found)
    return doubtful


def _is_inside(look: SeenFace, found: Sequence[SeenFace]) -> bool:
    """Whether the centre is inside the box of a larger face: an eye behind glasses resembles a small face."""
    x, y = look.centre
    return any(
        face.side > look.side and face.box[0] < x < face.box[2] and face.box[1] < y < face.box[3] for face in found
    )


def _first_look(looks: Looks, frame: Frame, candidate: SeenFace) -> SeenFace | None:
    (look,) = looks.closer(frame, [candidate])
    if look is None and candidate.score >= PROMISING_SCORE:
        (look,) = looks.closer(frame, [candidate], MIDDLE_SCALE)
    return look


def _add(looks: Looks, frame: Frame, candidate: SeenFace, look: SeenFace, found: list[SeenFace]) -> None:
    """Add a face to `found`, with the box of its best look."""
    face = look if look.score >= SURE_SCORE else _right_way_up(looks, frame, candidate, look)
    if face is look:
        face = _aimed_again(looks, frame, candidate, look)
    # this may be a face that was already found, seen from a misplaced window
    if not face.is_one_of(found):
        found.append(face)


def _aimed_again(looks: Looks, frame: Frame, candidate: SeenFace, look: SeenFace) -> SeenFace:
    """Look again with the face's own roll and size if those of the first look were far off."""
    before, now = candidate.search_roi, _aimed(look)
    lean = abs((now.search_roi[3] - before[3] + np.pi) % (2 * np.pi) - np.pi)
    if lean < MISAIMED_ROLL and 1 / MISAIMED_SIZE < now.side / before[2] < MISAIMED_SIZE:
        return look
    (again,) = looks.closer(frame, [now])
    return again or look


def _right_way_up(looks: Looks, frame: Frame, candidate: SeenFace, look: SeenFace) -> SeenFace:
    """Look again with the window turned by 180 degrees and return the better look.

    A tenth of upside-down faces also passes as upright.
    """
    half_turn = np.array([0, 0, 0, np.pi], np.float32)
    (other,) = looks.closer(frame, [replace(look, search_roi=_aimed(look).search_roi + half_turn)])
    enough = look.score + OTHER_WAY_UP_ABOVE
    if other is None or other.score < enough:
        return look
    # a dark upright face may pass once as upside down, but not with the window aimed at it
    other = _aimed_again(looks, frame, candidate, other)
    return other if other.score >= enough else look


def _quarter(face: SeenFace) -> int:
    """The head's roll in quarter turns clockwise; 0 up to `LEANING_DEG`."""
    degrees = float(np.degrees(roll(face.keypoints)))
    return round(degrees / 90) * 90 % 360 if abs(degrees) > LEANING_DEG else 0


def _mean_score(looks: Looks, frame: Frame, look: SeenFace, count: int, counted: int, least: float) -> float:
    """Mean score of the best `counted` of `count` looks: windows of three sizes, some mirrored.

    Returns 0 if the mean would be below `least`. One look (score 0.7) misses 34 of 720 faces of facial_expressions and
    FER+ and accepts 26 of 734 pictures of shapes as faces; the mean misses 14 and accepts 24.
    """
    aimed = _aimed(look)
    scores = [look.score]
    for scale, mirrored in FURTHER_LOOKS[: count - 1]:
        if _mean_of_best(scores + [BEST_SCORE] * (count - len(scores)), counted) < least:
            return 0.0
        (further,) = looks.closer(frame, [aimed], scale, mirrored=mirrored)
        scores.append(0.0 if further is None else further.score)
    return _mean_of_best(scores, counted)


def _mean_of_best(scores: list[float], counted: int) -> float:
    return sum(sorted(scores)[-counted:]) / counted


def _aimed(face: SeenFace) -> SeenFace:
    """The same face with its search region centred on its box, without the damping that video needs."""
    return SeenFace.found(face.box, face.keypoints, face.score, face.seen)


def _turned(face: SeenFace, turned: int, shape: tuple[int, ...]) -> SeenFace:
    """Convert a face found in a copy, turned back by `turned` degrees, to pixels of the original picture."""
    corners = _turned_points(face.box.reshape(2, 2), turned, shape)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    points = _turned_points(face.keypoints, turned, shape)
    return replace(SeenFace.found(box, points, face.score, face.seen), turned=turned)


def _turned_points(points: F32, turned: int, shape: tuple[int, ...]) -> F32:
    """Convert (N, 2) points of the upright copy to the same points of the original picture.

    The original has this `shape` and is turned clockwise by `turned` degrees relative to the copy.
    """
    height, width = shape[:2]
    x, y = points.T
    places = {90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}
    return np.stack(places[turned], axis=1).astype(np.float32)
