"""How far keypoints are from those of a face."""

from __future__ import annotations

import numpy as np
import pytest

from edgeemo.stages.face_shape import AXES, MEAN, shape_error, upright
from edgeemo.stages.looks import MIRRORED_POINTS
from edgeemo.types import F32

BOX = np.array([100, 200, 180, 280], np.float32)


def turned(points: F32, degrees: float) -> F32:
    """Keypoints in pixels of BOX, with the head turned clockwise."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) * 80 + [140, 240], np.float32)


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, -100])
def test_the_usual_face_has_no_error_at_any_roll(degrees: float) -> None:
    assert shape_error(BOX, turned(MEAN, degrees)) < 1e-3
    np.testing.assert_allclose(upright(BOX, turned(MEAN, degrees)), MEAN.ravel(), atol=1e-3)


@pytest.mark.parametrize("axis", range(len(AXES)))
def test_a_face_that_looks_elsewhere_has_no_error(axis: int) -> None:
    # movements that turn the line of the eyes are not linear
    moved = MEAN + 0.05 * AXES[axis].reshape(6, 2)
    assert shape_error(BOX, turned(moved, 0)) < 5e-3


def test_a_mirror_image_has_the_same_error() -> None:
    points = MEAN + np.random.default_rng(0).normal(0, 0.03, (6, 2))
    mirrored = points[MIRRORED_POINTS] * (-1, 1)
    assert shape_error(BOX, turned(points, 0)) == pytest.approx(shape_error(BOX, turned(mirrored, 0)), abs=1e-3)


def test_a_mouth_between_the_eyes_is_no_face() -> None:
    moved = MEAN.copy()
    moved[3] = (moved[0] + moved[1]) / 2
    assert shape_error(BOX, turned(moved, 0)) > 0.05


def test_keypoints_in_one_place_have_a_large_error() -> None:
    assert shape_error(BOX, np.full((6, 2), 140, np.float32)) > 0.1
