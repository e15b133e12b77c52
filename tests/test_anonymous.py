"""Faces are covered before a picture is written to disk."""

from __future__ import annotations

import numpy as np
import pytest

from edgeemo.recording.anonymous import CELLS, HELD_S, Anonymiser


@pytest.mark.parametrize("count", [0, 1])
def test_anonymising_covers_every_face_and_holds_on_for_a_moment(count: int) -> None:
    image = np.random.default_rng(1).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    before = image.copy()
    box = np.array([[30, 30, 60, 60]], np.float32)[:count]
    cover = Anonymiser()
    first = cover.apply(image, box, 0.0)
    assert (image == before).all()
    assert (first == image).all() == (count == 0)
    missed = cover.apply(image, np.zeros((0, 4), np.float32), 0.3)
    assert (missed == image).all() == (count == 0)
    assert (cover.apply(image, np.zeros((0, 4), np.float32), 2.0) == image).all()


def test_what_is_covered_is_the_face_and_a_third_around_it_and_nothing_else() -> None:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    # the second box extends beyond the picture
    boxes = np.array([[100, 60, 140, 120], [280, 150, 320, 190]], np.float32)
    covered = Anonymiser().apply(image, boxes, 0.0)
    for left, top, right, bottom in ((86, 39, 154, 141), (266, 136, 300, 200)):
        region = covered[top:bottom, left:right]
        assert len(np.unique(region.reshape(-1, 3), axis=0)) <= CELLS * CELLS
        assert (region != image[top:bottom, left:right]).any(axis=2).mean() > 0.95
        image[top:bottom, left:right] = region
    np.testing.assert_array_equal(covered, image)


@pytest.mark.parametrize(("later", "held"), [(0.0, True), (HELD_S, True), (HELD_S + 0.01, False), (-0.01, False)])
def test_a_face_stays_covered_for_a_moment_after_it_was_seen(later: float, held: bool) -> None:
    image = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    cover = Anonymiser()
    cover.apply(image, np.array([[30, 30, 60, 60]], np.float32), 5.0)
    assert (cover.apply(image, np.zeros((0, 4), np.float32), 5.0 + later) != image).any() == held
