from __future__ import annotations

import copy
import pickle
from dataclasses import fields, replace
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FakeClassifier, FakeDetector, FakeSmoother, FakeTracker, frame, result

from edgeemo.columns import QUALITY
from edgeemo.config import QualityConfig
from edgeemo.errors import ConfigError
from edgeemo.stages import quality
from edgeemo.stages.overlay import coloured_as, title_of
from edgeemo.stages.pipeline import Pipeline
from edgeemo.stages.quality import QualityJudge, assess, doubts, roll_deg, yaw_deg
from edgeemo.types import F32, U8, Doubt, Faces, Quality
from engines import Emotion

GOOD = Quality(face_px=120, yaw_deg=5, roll_deg=3, sharpness=0.6, light=120, contrast=30)
BOX = np.array([20, 20, 120, 120], np.float32)


def head(*, yaw: float = 0.0, roll: float = 0.0) -> F32:
    """Keypoints of a head at (70, 70), turned by angles in degrees."""
    turn = np.sin(np.radians(yaw)) * 0.75
    points = np.array([[-20, -15], [20, -15], [100 * turn, 0], [0, 20], [-50, 0], [50, 0]], np.float64)
    sin, cos = np.sin(np.radians(roll)), np.cos(np.radians(roll))
    return (points @ np.array([[cos, sin], [-sin, cos]]) + 70).astype(np.float32)


def texture(level: int = 120) -> U8:
    noise = np.random.default_rng(0).integers(-40, 40, (160, 160, 1))
    return np.clip(level + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)


def test_a_good_face_raises_no_doubt() -> None:
    assert doubts(GOOD, 0.9, QualityConfig()) == ()


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"face_px": 31.0}, "face 31 px", "small_face"),
        ({"yaw_deg": -52.0}, "turned 52 degrees", "turned_head"),
        ({"roll_deg": 80.0}, "leaning 80 degrees", "leaning_head"),
        ({"light": 12.0}, "too dark", "too_dark"),
        ({"light": 250.0}, "too bright", "too_bright"),
        ({"contrast": 2.0}, "hardly any contrast", "low_contrast"),
        ({"sharpness": 0.05}, "blurred", "blurred"),
    ],
)
def test_each_fault_of_a_face_is_a_reason_in_words_with_a_code(change: dict[str, float], words: str, code: str) -> None:
    (doubt,) = doubts(replace(GOOD, **change), 0.9, QualityConfig())
    assert doubt == words
    assert (doubt.code, doubt.value) == (code, *change.values())


@pytest.mark.parametrize(
    "limit",
    [
        {"face_px": float(QualityConfig().min_face_px)},
        {"yaw_deg": quality.MAX_YAW_DEG},
        {"yaw_deg": -quality.MAX_YAW_DEG},
        {"roll_deg": -quality.MAX_ROLL_DEG},
        {"light": quality.MIN_LIGHT},
        {"light": quality.MAX_LIGHT},
        {"contrast": quality.MIN_CONTRAST},
        {"sharpness": quality.MIN_SHARPNESS},
    ],
)
def test_a_face_at_a_limit_raises_no_doubt(limit: dict[str, float]) -> None:
    config = QualityConfig()
    assert doubts(replace(GOOD, **limit), config.min_confidence, config) == ()


def test_a_doubt_survives_copying_and_pickling() -> None:
    doubt = Doubt("31 % sure", "low_confidence", 0.31)
    for same in (copy.deepcopy(doubt), pickle.loads(pickle.dumps(doubt))):
        assert (same, same.code, same.value) == ("31 % sure", "low_confidence", 0.31)


def test_low_confidence_is_a_reason_and_several_come_in_order() -> None:
    assert doubts(GOOD, 0.31, QualityConfig()) == ("31 % sure",)
    poor = replace(GOOD, face_px=31.0, yaw_deg=50.0)
    assert doubts(poor, 0.2, QualityConfig()) == ("face 31 px", "turned 50 degrees", "20 % sure")


@pytest.mark.parametrize("angle", [-60, -20, 0, 35, 70])
def test_yaw_is_estimated_whatever_the_roll(angle: int) -> None:
    assert yaw_deg(head(yaw=angle)) == pytest.approx(angle, abs=2)
    assert yaw_deg(head(yaw=angle, roll=30)) == pytest.approx(angle, abs=2)


@pytest.mark.parametrize("angle", [-80, 0, 45, 170])
def test_roll_is_the_lean_of_the_eyes(angle: int) -> None:
    assert roll_deg(head(roll=angle)) == pytest.approx(angle, abs=0.1)


def test_keypoints_in_one_place_or_not_finite_say_nothing() -> None:
    assert (yaw_deg(np.zeros((6, 2), np.float32)), roll_deg(np.zeros((6, 2), np.float32))) == (0, 0)
    assert yaw_deg(np.full((6, 2), np.nan, np.float32)) == 0


def test_a_blurred_copy_is_less_sharp_and_a_dark_one_darker() -> None:
    image = texture()
    sharp = assess(image, BOX, head())
    blurred = assess(np.asarray(cv2.GaussianBlur(image, (0, 0), 9), np.uint8), BOX, head())
    dark = assess(image // 8, BOX, head())
    assert blurred.sharpness < sharp.sharpness / 2
    assert dark.light < sharp.light / 4
    assert sharp.face_px == 100


@pytest.mark.parametrize("left", [0, 60])
def test_only_the_middle_of_a_face_is_measured(left: int) -> None:
    """An eighth of the box on each side is hair and background."""
    image = np.full((240, 240, 3), 255, np.uint8)
    image[30:106, left + 12 : left + 88] = 100
    measured = assess(image, np.array([left, 18, left + 100, 118], np.float32), head())
    assert (measured.face_px, measured.light, measured.contrast) == (100, 100, 0)
    for box in ([left - 10, 18, left + 110, 118], [left, 8, left + 100, 128]):
        assert assess(image, np.array(box, np.float32), head()).light > 101


def test_a_large_face_is_measured_like_a_small_one() -> None:
    image = np.asarray(cv2.GaussianBlur(texture(), (0, 0), 2), np.uint8)
    large = np.asarray(cv2.resize(image, (1600, 1600), interpolation=cv2.INTER_LINEAR), np.uint8)
    near, far = assess(large, BOX * 10, head()), assess(image, BOX, head())
    assert near.light == pytest.approx(far.light, abs=1)
    assert near.contrast == pytest.approx(far.contrast, rel=0.1)
    assert near.sharpness == pytest.approx(far.sharpness, rel=0.2)


def test_a_large_face_is_measured_alike_wherever_it_is() -> None:
    noise = np.random.default_rng(0).integers(60, 180, (600, 600, 1), np.uint8).repeat(3, axis=2)
    image = np.zeros((2000, 2400, 3), np.uint8)
    found = []
    for left, top in ((0, 0), (1800, 0), (0, 1400), (1800, 1400)):
        image[top : top + 600, left : left + 600] = noise
        found.append(assess(image, np.array([left, top, left + 600, top + 600], np.float32), head()))
    assert set(found) == {found[0]}


@pytest.mark.parametrize(
    "box",
    [(-500, -500, -400, -400), (10, 10, 10, 10), (np.nan, 0, 5, 5), (150, 150, 400, 400), (-50, -50, 5000, 5000)],
)
def test_boxes_at_and_beyond_the_border_do_no_harm(box: tuple[float, ...]) -> None:
    quality = assess(texture(), np.array(box, np.float32), head())
    assert quality.light >= 0


@pytest.mark.parametrize(
    "box",
    [
        (-90, 10, -10, 90), (10, -90, 90, -10), (400, 10, 480, 90), (10, 400, 90, 480),
        (10, 10, 10, 10), (90, 10, 10, 90), (np.nan, 0, 5, 5),
    ],
)  # fmt: skip
def test_of_a_face_outside_the_picture_only_the_size_is_known(box: tuple[float, ...]) -> None:
    quality = assess(texture(), np.array(box, np.float32), head())
    assert (quality.sharpness, quality.light, quality.contrast) == (0, 0, 0)
    np.testing.assert_equal(quality.face_px, box[2] - box[0])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_pipeline_gives_every_face_its_reasons(count: int) -> None:
    pipeline = Pipeline(FakeDetector(count), FakeTracker(), FakeClassifier(), FakeSmoother(), QualityJudge())
    done = pipeline.step(frame())
    assert len(done.doubts) == len(done.quality) == count
    for row in range(count):
        assert done.reasons(row)[0] == "face 20 px"
        assert done.quality[row] == assess(done.frame.image, done.faces.boxes[row], done.faces.keypoints[row])


def test_without_a_judge_nothing_is_doubted() -> None:
    done = Pipeline(FakeDetector(1), FakeTracker(), FakeClassifier(), FakeSmoother()).step(frame())
    assert done.reasons(0) == ()
    assert done.quality == ()


def test_the_judge_of_no_faces_says_nothing() -> None:
    assert QualityJudge().judge(frame(), Faces.none(), []) == ((), ())


@pytest.mark.parametrize(
    ("roll", "turned", "left"), [(80, 0, 80), (85, 90, -5), (-95, 90, 175), (175, 180, -5), (-90, 270, 0), (10, 0, 10)]
)
def test_a_head_that_lies_in_a_still_picture_leans_by_what_is_left(roll: int, turned: int, left: int) -> None:
    points = head(roll=roll)
    found = Faces(BOX[None], points[None], np.ones(1, np.float32), np.ones(1, np.int64), np.array([turned], np.int64))
    given = frame()
    judged = QualityJudge().judge(replace(given, image=texture(), still=True), found, [0.9])
    leaning = [each.value for each in judged.doubts[0] if each.code == "leaning_head"]
    assert leaning == ([pytest.approx(left, abs=0.1)] if abs(left) > quality.MAX_ROLL_DEG else [])
    assert judged.quality[0].roll_deg == pytest.approx(roll, abs=0.1)


def test_the_overlay_says_unsure_with_the_first_reason_and_in_grey() -> None:
    sure = result(1)
    unsure = replace(sure, doubts=(("face 31 px", "turned 50 degrees"),))
    assert title_of(unsure, 0) == "#1 Unsure: face 31 px"
    assert coloured_as(unsure, 0) is Emotion.UNCERTAIN
    assert coloured_as(sure, 0) is Emotion.HAPPINESS


@pytest.mark.parametrize("told", [{"doubts": ((),)}, {"quality": (GOOD,)}])
def test_doubts_and_quality_must_speak_of_every_face(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="2 faces, got 1"):
        replace(result(2), **told)


def test_the_columns_of_quality_are_its_fields() -> None:
    assert tuple(each.name for each in fields(Quality)) == QUALITY


def test_thresholds_out_of_range_are_mistakes() -> None:
    with pytest.raises(ConfigError, match="min_confidence must be between 0 and 1"):
        QualityConfig(min_confidence=1.5)


def test_sharpness_does_not_depend_on_the_contrast() -> None:
    squares = np.kron(np.indices((20, 20)).sum(axis=0) % 2, np.ones((8, 8), int))[..., None].repeat(3, axis=2)
    low, high = (assess((120 + step * squares).astype(np.uint8), BOX, head()) for step in (3, 30))
    assert 1 < low.contrast < 1.6
    assert low.sharpness == pytest.approx(high.sharpness, rel=0.15)


def test_a_face_of_which_one_column_is_in_the_picture_is_measured() -> None:
    assert assess(texture(), np.array([-100, 10, 14.5, 90], np.float32), head()).light > 60
