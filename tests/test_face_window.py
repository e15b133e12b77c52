"""A detected face, and the rotated window in which the next detection searches for it."""

from __future__ import annotations

import numpy as np
import pytest

from edgeemo.stages.face_window import AIM_SHARE, SAME_CENTRE, WINDOW_SCALE, SeenFace, Window
from edgeemo.types import F32

POINTS = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0], [0, 0.2], [-0.5, 0], [0.5, 0]], np.float32)


def seen(x: float, y: float, width: float, height: float | None = None, *, lean: float = 0.0) -> SeenFace:
    """A face of a size around (x, y), rolled by an angle in radians."""
    centre, half = np.array([x, y]), np.array([width, height or width]) / 2
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    return SeenFace.found(box, (POINTS * width @ turn + centre).astype(np.float32), 0.9, 0.0)


def test_a_face_is_searched_next_around_the_centre_of_its_box() -> None:
    face = seen(100, 60, 40, 50, lean=0.3)
    np.testing.assert_allclose(face.search_roi, [100, 60, 50, 0.3], atol=1e-5)
    np.testing.assert_allclose(face.centre, [100, 60])
    assert face.side == 50
    assert seen(5, 5, 0.25).side == 1.0


def test_a_search_region_goes_only_a_part_of_the_way_to_the_face_found_in_it() -> None:
    aimed = np.array([100, 60, 40, 3.0], np.float32)
    found = seen(110, 50, 50, lean=-3.0)  # from 3 to -3 radians it is 0.28 forward, not 6 back
    moved = SeenFace.found(found.box, found.keypoints, 0.9, 0.0, aimed).search_roi - aimed
    np.testing.assert_allclose(moved, AIM_SHARE * [10, -10, 10, 2 * np.pi - 6], atol=1e-4)


def test_the_distance_of_two_faces_is_in_sides_of_the_smaller_one() -> None:
    assert seen(0, 0, 20).distance(seen(30, 40, 100)) == pytest.approx(50 / 20)
    assert seen(30, 40, 100).distance(seen(0, 0, 20)) == pytest.approx(50 / 20)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (seen(500, 300, 40), True),
        (seen(500 + 40 * (SAME_CENTRE - 0.01), 300, 40), True),
        (seen(500, 300 + 40 * (SAME_CENTRE - 0.01), 40), True),
        (seen(500 + 16, 300, 40), True),  # overlap 0.43
        (seen(500, 300 + 16, 40), True),
        (seen(500 + 18, 300, 40), False),  # overlap 0.38
        (seen(500, 300 + 18, 40), False),
        (seen(500 + 12, 300, 30), False),  # 0.4 sides of the smaller one apart, overlap 0.38
        (seen(300, 500, 40), False),
    ],
)
def test_two_boxes_are_one_face_by_their_centres_or_their_overlap(other: SeenFace, same: bool) -> None:
    face = seen(500, 300, 40)
    assert face.is_one_of([seen(0, 0, 10), other]) is same
    assert other.is_one_of([face]) is same
    assert not face.is_one_of([])


@pytest.mark.parametrize("lean", [0.0, 0.7, -1.9, 3.1])
def test_what_is_found_in_a_window_lies_where_it_was_in_the_frame(lean: float) -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[88:92, 158:164] = 255  # around (161, 90)
    window = Window.at(np.array([150, 100, 40, lean], np.float32), 160)
    picture = window.cut(image)
    assert picture.shape == (160, 160, 3)
    rows, columns = np.nonzero(picture[..., 0] > 127)
    spot = np.array([columns.mean() + 0.5, rows.mean() + 0.5], np.float32)
    corner = np.array([7, 3], np.float32)  # of the window on a canvas with others
    box = np.array([*(spot + corner - [16, 32]), *(spot + corner + [16, 32])], np.float32)
    face = window.face(box, np.tile(spot + corner, (6, 1)).astype(np.float32), 0.8, corner, 1.5)
    np.testing.assert_allclose(face.centre, [161, 90], atol=0.5)
    np.testing.assert_allclose(face.keypoints, [[161, 90]] * 6, atol=0.5)
    scale = WINDOW_SCALE * 40 / 160
    np.testing.assert_allclose(face.box[2:] - face.box[:2], [32 * scale, 64 * scale], rtol=1e-4)
    assert (face.score, face.seen) == (0.8, 1.5)


def test_windows_on_the_grid_are_equal_to_a_bit_for_regions_that_are_nearly_so() -> None:
    def window(change: float, *, on_grid: bool) -> tuple[F32, F32]:
        made = Window.at(np.array([150.3, 100.2, 40.1, 0.2], np.float32) + np.float32(change), 160, on_grid=on_grid)
        return made.turn, made.centre

    for exact, near in zip(window(0, on_grid=True), window(1e-4, on_grid=True), strict=True):
        np.testing.assert_array_equal(exact, near)
    assert not np.array_equal(window(0, on_grid=False)[1], window(1e-4, on_grid=False)[1])
    # rounding moves a window by less than a hundredth of its side
    np.testing.assert_allclose(window(0, on_grid=True)[1], [150.3, 100.2], atol=0.4)
    np.testing.assert_allclose(window(0, on_grid=True)[0], window(0, on_grid=False)[0], atol=0.02)


@pytest.mark.parametrize("lean", np.linspace(-0.6, 0.6, 9).tolist())
def test_a_window_on_the_grid_leans_at_most_a_degree_differently(lean: float) -> None:
    turn = Window.at(np.array([150, 100, 40, lean], np.float32), 160, on_grid=True).turn
    assert np.degrees(np.arctan2(turn[1, 0], turn[0, 0]) - lean) == pytest.approx(0, abs=1)
