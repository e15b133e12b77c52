"""Repeated detections of single faces: mirrored windows, lying heads, and their number for an uncertain face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeemo.capture import open_source
from edgeemo.config import DetectConfig
from edgeemo.stages import still
from edgeemo.stages.face_shape import MEAN
from edgeemo.stages.face_window import SeenFace
from edgeemo.stages.looks import Looks
from edgeemo.stages.still import find_in_still
from edgeemo.types import F32, Frame

FRAME = Frame(np.zeros((400, 600, 3), np.uint8), 0, 0.0, "photograph", True)


def seen(
    score: float, *, side: float = 100, roll: float = 0.0, x: float = 200, y: float = 150, off: float = 0.0
) -> SeenFace:
    """A face around (x, y) rolled clockwise by an angle in degrees.

    Args:
        off: displacement of the mouth from its usual place, in sides of the box.
    """
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    shape = MEAN.copy()
    shape[3, 1] += off
    points = shape * side @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return SeenFace.found(box, points.astype(np.float32), score, 0.0)


class FakeLooks:
    """Finds one face in the whole picture, and gives it the same score in each repeated detection.

    Args:
        upside_down: the score if the window is turned by 180 degrees.
        off: see `seen`.
    """

    def __init__(self, face: SeenFace, score: float, upside_down: float = 0.0, off: float = 0.0) -> None:
        self.calls: list[tuple[float | None, bool]] = []
        self._face, self._score, self._upside_down, self._off = face, score, upside_down, off

    def whole(self, frame: Frame, models: Sequence[str]) -> list[SeenFace]:
        return [self._face] if frame.image.shape == FRAME.image.shape else []

    def tiles(self, frame: Frame, tiles: Sequence[object]) -> list[SeenFace]:
        return []

    def closer(
        self, frame: Frame, faces: Sequence[SeenFace], scale: float | None = None, *, mirrored: bool = False
    ) -> list[SeenFace | None]:
        (face,) = faces
        self.calls.append((scale, mirrored))
        side, lean = float(self._face.side), float(np.degrees(face.search_roi[3] - self._face.search_roi[3]))
        turned = abs(lean) > 90
        own = np.degrees(self._face.search_roi[3])
        score = self._upside_down if turned else self._score
        return [seen(score, side=side, roll=own + (180 if turned else 0), off=self._off)]


def found(looks: Any) -> list[SeenFace]:
    return find_in_still(looks, FRAME, ("full_range",), 0.7)


def test_a_decisive_look_is_the_only_one() -> None:
    looks = FakeLooks(seen(0.9), 0.9)
    assert len(found(looks)) == 1
    assert len(looks.calls) == 1


@pytest.mark.parametrize(("side", "count"), [(100, 5), (40, 3)])
def test_a_doubtful_face_is_looked_at_five_times_and_a_small_one_three_times(side: float, count: int) -> None:
    looks = FakeLooks(seen(0.75, side=side), 0.69)
    assert len(found(looks)) == 1
    # the last look is the one upside down
    assert len(looks.calls) == count + 1
    assert len(set(looks.calls[:count])) == count


def test_keypoints_in_the_places_of_a_small_face_make_up_for_a_lower_score() -> None:
    assert len(found(FakeLooks(seen(0.75, side=40), 0.63))) == 1
    assert found(FakeLooks(seen(0.75, side=40), 0.63, off=0.2)) == []


@pytest.mark.parametrize(("side", "count"), [(100, 1), (40, 0)])
def test_keypoints_in_other_places_count_against_small_faces_only(side: float, count: int) -> None:
    assert len(found(FakeLooks(seen(0.75, side=side), 0.72, off=0.2))) == count


def test_an_eye_is_no_second_face() -> None:
    large, eye = seen(0.9, side=200), seen(0.7, side=40, x=240, y=120)
    assert still._is_inside(eye, [large])
    assert not still._is_inside(large, [eye])
    assert not still._is_inside(seen(0.7, side=40, x=320, y=120), [large])
    assert not still._is_inside(eye, [])


def test_a_face_that_scores_too_low_in_every_look_is_none() -> None:
    assert found(FakeLooks(seen(0.75), 0.5)) == []


@pytest.mark.parametrize(("upside_down", "turned"), [(0.6, 0), (0.78, 0), (0.8, 180), (0.95, 180)])
def test_a_face_is_upside_down_if_that_look_scores_clearly_higher(upside_down: float, turned: int) -> None:
    (face,) = found(FakeLooks(seen(0.75), 0.69, upside_down))
    assert face.turned == turned


@pytest.mark.parametrize(
    ("roll", "turned"),
    [
        (0, 0),
        (59, 0),
        (-59, 0),
        (59.7, 0),
        (61, 90),
        (90, 90),
        (100, 90),
        (179, 180),
        (-179, 180),
        (-90, 270),
        (-61, 270),
    ],
)
def test_a_head_that_leans_by_more_than_60_degrees_lies(roll: float, turned: int) -> None:
    (face,) = found(FakeLooks(seen(0.9, roll=roll), 0.9))
    assert face.turned == turned


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_face_found_in_a_turned_copy_lies_where_it_is_in_the_picture(turned: int) -> None:
    back = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}[turned]
    picture = np.zeros((400, 600), np.uint8)
    picture[100:140, 450:470] = 255
    rows, columns = np.nonzero(cv2.rotate(picture, back))
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    face = SeenFace.found(box, np.tile((box[:2] + box[2:]) / 2, (6, 1)).astype(np.float32), 0.9, 0.0)
    restored = still._turned(face, turned, picture.shape)
    np.testing.assert_array_equal(restored.box, [450, 100, 470, 140])
    np.testing.assert_array_equal(restored.keypoints, [[460, 120]] * 6)
    assert restored.turned == turned


@pytest.fixture(scope="module")
def looks() -> Iterator[Looks]:
    opened = Looks(DetectConfig(runtime="onnx"), ("short_range",))
    yield opened
    opened.close()


def test_a_mirrored_look_sees_the_face_where_it_is_with_its_own_left_and_right(looks: Looks, demo_clip: Path) -> None:
    frame = next(iter(open_source(str(demo_clip)).frames()))
    first = looks.whole(frame, ("short_range",))[0]
    (plain,), (mirrored,) = looks.closer(frame, [first]), looks.closer(frame, [first], mirrored=True)
    assert plain is not None
    assert mirrored is not None
    limit = 0.06 * plain.side

    def apart(one: F32, other: F32) -> float:
        return float(np.abs(one - other).max())

    assert apart(plain.box, mirrored.box) < limit
    assert apart(plain.keypoints, mirrored.keypoints) < limit
