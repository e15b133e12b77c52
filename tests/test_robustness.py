"""The changes of a picture under each condition, and the accuracy drop."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from datasets import make_ferplus

from engines.spec import LABELS, ModelSpec
from trainer.cli import main
from trainer.conditions import CONDITIONS, Condition, change, choose, generator
from trainer.errors import DataError
from trainer.robustness import as_text, measure, write_report

BOX = np.array([20, 20, 60, 60], np.float32)


class AlwaysHappy:
    """A model that always predicts happiness."""

    def __init__(self):
        self.spec = replace(ModelSpec("happy"), size=48)
        self.seen = 0

    def infer(self, faces):
        self.seen += len(faces)
        return np.eye(len(LABELS), dtype=np.float32)[[LABELS.index("happiness")] * len(faces)].reshape(-1, len(LABELS))


def picture():
    return np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.name)
def test_every_condition_gives_a_picture_and_the_same_one_again(condition):
    first, second = (change(picture(), BOX, None, condition, generator(3, "a.png", condition)) for _ in range(2))
    assert first.image.dtype == np.uint8
    assert first.image.ndim == 3
    assert np.array_equal(first.image, second.image)


def test_a_small_face_has_the_side_that_was_asked_for_and_a_smaller_one_is_not_made_larger():
    small = change(picture(), BOX, None, Condition("small", 16), np.random.default_rng(0))
    assert np.diff(small.box(BOX).reshape(2, 2), axis=0) == pytest.approx(np.full((1, 2), 16), abs=0.5)
    same = change(picture(), BOX, None, Condition("small", 64), np.random.default_rng(0))
    assert same.image.shape == (80, 90, 3)


def test_a_leaning_picture_keeps_its_face_where_the_map_says():
    image = np.zeros((100, 100, 3), np.uint8)
    cv2.circle(image, (70, 40), 3, (255, 255, 255), -1)
    leaning = change(image, BOX, None, Condition("roll", 30), np.random.default_rng(0))
    x, y = leaning.matrix[:, :2] @ (70.5, 40.5) + leaning.matrix[:, 2]
    found = np.argwhere(leaning.image[:, :, 0] > 128).mean(axis=0)[::-1] + 0.5
    assert found == pytest.approx((x, y), abs=0.5)


def test_a_cover_hides_its_half_and_leaves_the_other():
    covered = change(picture(), BOX, None, Condition("cover", how="left half"), np.random.default_rng(0)).image
    assert covered[25:55, 20:38].std() == 0
    assert np.array_equal(covered[25:55, 42:60], picture()[25:55, 42:60])


def test_unknown_conditions_are_refused_with_the_known_ones():
    assert {one.kind for one in choose("blur,roll")} == {"blur", "roll"}
    with pytest.raises(DataError, match="choose from blur"):
        choose("fog")


def test_conditions_are_scored_against_the_unchanged_pictures(tmp_path):
    make_ferplus(tmp_path / "set", "FER2013Valid", 12)
    model = AlwaysHappy()
    table = measure(model, f"ferplus:{tmp_path / 'set'}", "valid", choose("dark,small"), limit=8)
    assert [row.name for row in table][:2] == ["unchanged", "dark 0.5"]
    assert len(table) == 7
    # missed faces of these drawings are cropped at the default box, so none is omitted
    assert {row.faces for row in table} == {8}
    assert table[0].missed > 0
    assert model.seen == 8 * 7
    assert all(row.loss == 0 for row in table)
    assert "under 0 of 4 webcam conditions" in as_text(table)
    write_report(tmp_path / "report", table)
    rows = list(csv.DictReader((tmp_path / "report" / "robustness.csv").open()))
    assert len(rows) == 7
    assert (tmp_path / "report" / "robustness.png").stat().st_size > 1000


def test_a_face_that_is_missed_and_has_no_default_box_is_wrong_and_none_at_all_is_no_crash(tmp_path):
    for number in range(3):
        path = tmp_path / "set" / "valid" / "happiness" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((60, 60, 3), 40 * number, np.uint8))
    table = measure(AlwaysHappy(), f"folder:{tmp_path / 'set'}", "valid", choose("blur"))
    assert {(row.faces, row.missed, row.accuracy) for row in table} == {(3, 3, 0.0)}
    assert "3 pictures" in as_text(table)


def test_a_condition_that_is_not_there_is_one_line(capsys):
    wrong = ["robustness", "--engine", "hybrid_lite", "--data", "ferplus:nowhere", "--conditions", "fog"]
    assert main(wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        main([*wrong, "--seed", "-1"])
    assert capsys.readouterr().err.count("\n") == 1
