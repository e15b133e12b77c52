"""Detections skipped while nothing moves: the saving, and the movements that must be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeemo.capture import open_source
from edgeemo.config import DetectConfig
from edgeemo.stages.detect import BlazeFaceDetector
from edgeemo.types import U8, Faces, Frame

FPS = 25


@pytest.fixture(scope="module")
def portrait(demo_clip: Path) -> U8:
    """640x360, one face about 130 pixels wide."""
    return next(iter(open_source(str(demo_clip)).frames())).image


class Counted:
    """A detector that stores the frames it searched and its results."""

    def __init__(self, **values: object) -> None:
        self.looked: list[int] = []
        self._detector = BlazeFaceDetector(DetectConfig(runtime="onnx", **values))  # type: ignore[arg-type]
        for name in ("closer", "whole", "tiles"):
            setattr(self._detector._looks, name, self._counting(getattr(self._detector._looks, name)))

    def run(self, pictures: list[U8]) -> list[Faces]:
        return [
            self._detector.detect(Frame(np.ascontiguousarray(picture), index, index / FPS, "clip"))
            for index, picture in enumerate(pictures)
        ]

    def close(self) -> None:
        self._detector.close()

    def _counting(self, look: Callable[..., list[object]]) -> Callable[..., list[object]]:
        def counted(frame: Frame, *wanted: object, **named: object) -> list[object]:
            if wanted[0] and frame.index not in self.looked:
                self.looked.append(frame.index)
            return look(frame, *wanted, **named)

        return counted


@pytest.fixture
def opened() -> Iterator[Callable[..., Counted]]:
    made: list[Counted] = []

    def make(**values: object) -> Counted:
        made.append(Counted(**values))
        return made[-1]

    yield make
    for each in made:
        each.close()


def noisy(picture: U8, count: int) -> list[U8]:
    """The same picture with different noise in each frame, as from a camera in a dim room."""
    random = np.random.default_rng(7)
    return [np.clip(picture + random.normal(0, 4, picture.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def moved(picture: U8, across: float) -> U8:
    matrix = np.array([[1, 0, across], [0, 1, 0]], np.float64)
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def test_a_face_at_rest_is_looked_at_with_each_search_only(portrait: U8, opened: Callable[..., Counted]) -> None:
    pictures = noisy(portrait, 26)
    every, resting = opened(), opened(skip_still=True)
    expected, found = every.run(pictures), resting.run(pictures)
    assert every.looked == list(range(26))
    # the first frame, and one every quarter of a second
    assert len(resting.looked) <= 6
    assert [len(faces) for faces in found] == [len(faces) for faces in expected] == [1] * 26
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one.boxes - other.boxes).max() < 0.05 * (other.boxes[0, 2] - other.boxes[0, 0])


def test_a_face_that_moves_is_followed_in_the_same_frame(portrait: U8, opened: Callable[..., Counted]) -> None:
    pictures = [portrait] * 8 + [moved(portrait, 12)] * 2
    resting = opened(skip_still=True)
    found = resting.run(pictures)
    assert 8 in resting.looked
    assert found[8].boxes[0, 0] - found[7].boxes[0, 0] == pytest.approx(12, abs=3)


def test_a_face_that_drifts_slowly_is_not_left_behind(portrait: U8, opened: Callable[..., Counted]) -> None:
    pictures = [moved(portrait, 0.5 * index) for index in range(30)]
    resting = opened(skip_still=True)
    for index, faces in enumerate(resting.run(pictures)):
        expected = 0.5 * index
        width = faces.boxes[0, 2] - faces.boxes[0, 0]
        first = width / 2 + faces.boxes[0, 0]
        if index == 0:
            start = first
        assert abs(first - start - expected) < 0.04 * width + 2


def test_a_face_that_comes_into_an_empty_picture_is_found_in_the_same_frame(
    portrait: U8, opened: Callable[..., Counted]
) -> None:
    empty = np.full_like(portrait, 90)
    resting = opened(skip_still=True)
    found = resting.run([*noisy(empty, 10), *noisy(portrait, 2)])
    assert len(resting.looked) <= 5
    assert [len(faces) for faces in found] == [0] * 10 + [1] * 2


def test_small_faces_are_searched_in_every_frame_all_the_same(portrait: U8, opened: Callable[..., Counted]) -> None:
    resting = opened(skip_still=True, policy="small")
    resting.run([portrait] * 12)
    assert len(resting.looked) >= 11
