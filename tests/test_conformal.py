"""95 % sets: their coverage, the leading expression is always in them, and the shipped engines have them."""

from __future__ import annotations

import numpy as np
import pytest

import edgeemo
from engines.bundle import find_bundle
from engines.conformal import calibrate, in_set, plausible
from engines.spec import EXPRESSIONS, LABELS

SHIPPED = ("baseline64", "baseline128", "resnet64", "resnet128", "densenet", "hybrid", "hybrid_lite")


def drawn(count, seed):
    """Probabilities of a calibrated engine, and true expressions drawn from them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(8, 0.15), count).astype(np.float32)
    truth = np.array([random.choice(8, p=row / row.sum()) for row in probabilities.astype(np.float64)])
    return probabilities, truth


def test_sets_hold_the_right_expression_of_other_faces_as_often_as_promised():
    threshold = calibrate(*drawn(2000, seed=1))
    probabilities, truth = drawn(4000, seed=2)
    sets = in_set(probabilities, EXPRESSIONS, threshold)
    assert 0.935 < sets[np.arange(4000), truth].mean() < 0.965
    assert 1 < sets.sum(axis=1).mean() < 4


def test_the_threshold_is_the_quantile_of_the_finite_sample():
    # 19 faces: the 19th of 20 ranks, so the least probability; 18 faces are too few for 95 %
    probabilities = np.full((19, 8), 0.01, np.float32)
    probabilities[:, 0] = np.linspace(0.31239, 0.9, 19)
    truth = np.zeros(19, np.int64)
    assert calibrate(probabilities, truth) == 0.3123
    assert calibrate(probabilities[1:], truth[1:]) == 0
    assert calibrate(probabilities[:0], truth[:0]) == 0
    assert in_set(probabilities, EXPRESSIONS, 0).all()


def test_a_set_holds_the_leading_expression_and_is_ordered_by_probability():
    probabilities = np.zeros(len(LABELS), np.float32)
    probabilities[LABELS.index("sadness")], probabilities[LABELS.index("neutral")] = 0.3, 0.25
    probabilities[LABELS.index("no_face")] = 0.45
    assert plausible(probabilities, LABELS, 0.4) == ("sadness", "neutral")
    assert plausible(probabilities, LABELS, 0.5) == ("sadness",)
    assert plausible(probabilities, LABELS, 1.0) == ("sadness",)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_engine_has_sets_and_its_card_says_what_they_hold(name):
    bundle = find_bundle(name)
    assert 0.01 < bundle.spec.plausible_from < 0.5
    card = (bundle.folder / "CARD.md").read_text()
    assert f"{bundle.spec.plausible_from:g} " in card.partition("## 95 % sets")[2].partition("A set has 1")[0]
    assert "contempt" in card.partition("## 95 % sets")[2].partition("##")[0]


def test_a_face_says_which_expressions_its_picture_allows():
    (face,) = next(iter(edgeemo.watch("demo", end=0.01)))
    threshold = find_bundle("hybrid_lite").spec.plausible_from
    total = sum(face.probabilities[name] for name in EXPRESSIONS)
    allowed = {name for name in EXPRESSIONS if face.probabilities[name] / total >= threshold}
    assert set(face.plausible) == allowed
    assert face.plausible[0] == max(EXPRESSIONS, key=face.probabilities.get)
