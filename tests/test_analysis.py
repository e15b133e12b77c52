import math

import numpy as np
import pytest

from trainer.analysis import (
    area_under_risk,
    calibration,
    f1,
    mcnemar,
    reliability,
    risk_at,
    risk_coverage,
    soften,
)


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    confusion = np.array([[8, 2, 0], [4, 6, 0], [0, 0, 0]])
    given = f1(confusion)
    assert given[0] == pytest.approx(2 * (8 / 12) * 0.8 / (8 / 12 + 0.8))
    assert np.isnan(given[2])


def test_risk_falls_when_a_model_knows_what_it_does_not_know():
    confidence = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    coverage, risk = risk_coverage(confidence, np.array([True, True, False, False]))
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 0.5])
    assert risk_at(coverage, risk, 0.5) == 0
    assert risk_at(coverage, risk, 0.6) == pytest.approx(1 / 3)
    assert area_under_risk(coverage, risk) == pytest.approx((0 + 0 + 1 / 3 + 0.5) / 4)


def test_faces_of_equal_confidence_are_answered_together():
    coverage, risk = risk_coverage(np.full(4, 0.5, np.float32), np.array([True, True, True, False]))
    assert coverage.tolist() == [1]
    assert risk.tolist() == [0.25]


def test_reliability_lists_the_bins_that_hold_faces():
    bins = reliability(np.array([0.95, 0.97, 1.0, 0.2], np.float32), np.array([True, True, False, False]), bins=10)
    assert [(round(one, 2), round(two, 2), count) for one, two, count in bins] == [(0.2, 0, 1), (0.97, 0.67, 3)]


def test_softening_undoes_itself():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), 20).astype(np.float32)
    assert soften(soften(probabilities, 3), 1 / 3) == pytest.approx(probabilities, abs=1e-4)


def overconfident(count=4000, factor=3.0):
    """Probabilities whose logits are `factor` times too large, and the true classes."""
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.full(8, 0.5), count).astype(np.float32)
    truth = (honest.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return soften(honest, 1 / factor), truth


def test_a_temperature_is_judged_on_faces_that_it_was_not_fitted_on():
    answers, truth = overconfident()
    found = calibration(answers, truth, 1.0)
    assert not found.built_in
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.before > 0.1
    assert found.after < 0.03


def test_a_built_in_temperature_is_taken_out_for_comparison():
    answers, truth = overconfident()
    found = calibration(soften(answers, 3), truth, 3.0)
    assert found.built_in
    assert found.before > 0.1
    assert found.after < 0.03


def test_one_face_can_be_judged():
    found = calibration(np.array([[0.6, 0.4]], np.float32), np.array([0]), 1.0)
    assert math.isfinite(found.after)


def test_the_paired_test_is_mcnemars():
    # 10 against 2 discordant pairs: two-sided exact binomial, 2 * (1 + 12 + 66) / 4096
    first = np.array([True] * 10 + [False] * 2 + [True] * 50)
    second = np.array([False] * 10 + [True] * 2 + [True] * 50)
    test = mcnemar(first, second)
    assert (test.only_first, test.only_second) == (10, 2)
    assert test.p == pytest.approx(2 * 79 / 4096)
    assert test.difference == pytest.approx(8 / 62)
    assert mcnemar(first, first).p == 1
    with pytest.raises(ValueError, match="cannot compare"):
        mcnemar(first[:0], second[:0])
