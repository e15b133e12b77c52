import numpy as np
import pytest

from engines.metrics import calibration_error, fit_temperature, over_expressions, score, wilson
from engines.spec import EXPRESSIONS, LABELS


def one_hot(classes, width=8):
    return np.eye(width, dtype=np.float32)[classes]


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def test_accuracy_recall_and_confusion_of_a_small_example():
    truth = [0, 0, 0, 1, 1, 3]
    guess = [0, 0, 1, 1, 1, 0]
    scores = score(one_hot(guess), one_hot(truth, 11))
    assert scores.count == 6
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.recall[[0, 1, 3]].tolist() == pytest.approx([2 / 3, 1, 0])
    assert np.isnan(scores.recall[2])
    assert scores.mean_recall == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert scores.confusion[0].tolist() == [2, 1, 0, 0, 0, 0, 0, 0]
    assert scores.confusion[3, 0] == 1


def test_the_interval_is_wilsons():
    # 81 of 263: a worked example of Newcombe, Statistics in Medicine 17 (1998), table I
    low, high = wilson(81, 263)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    # error bars are the distances from the share, which must not be negative
    assert all(wilson(count, count)[1] == 1 and wilson(0, count)[0] == 0 for count in range(1, 100))


def test_the_eight_expressions_are_picked_by_name_and_rescaled():
    labels = ("happiness", "uncertain", "neutral")
    eight = over_expressions(np.array([[0.3, 0.4, 0.3]], np.float32), labels)
    assert eight.shape == (1, 8)
    assert eight[0, EXPRESSIONS.index("happiness")] == pytest.approx(0.5)
    assert eight[0, EXPRESSIONS.index("fear")] == 0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="probabilities must be"):
        over_expressions(np.zeros((2, 3), np.float32), LABELS)
    with pytest.raises(ValueError, match="cannot score"):
        score(np.zeros((0, 8), np.float32), np.zeros((0, 11), np.float32))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    confidence = np.array([0.91] * 10 + [0.55] * 10)
    right = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    assert calibration_error(confidence, right) == pytest.approx((0.01 + 0.25) / 2)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (20_000, 8)).astype(np.float32)
    probabilities = softmax(logits / temperature)
    drawn = (probabilities.cumsum(axis=1) > random.random((len(logits), 1))).argmax(axis=1)
    assert fit_temperature(logits, one_hot(drawn)) == pytest.approx(temperature, rel=0.05)
    # the complete distribution of votes gives the same
    assert fit_temperature(logits, probabilities) == pytest.approx(temperature, rel=0.01)


def test_faces_that_are_all_right_do_not_determine_a_temperature():
    """Regression: it was the limit, 0.2 (5 with a single class), which distorts every probability of the bundle."""
    assert fit_temperature(np.array([[3.0], [-1.0]], np.float32), np.ones((2, 1), np.float32)) == 1
    logits, targets = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 0.5]], np.float32), one_hot([0, 1, 0], 2)
    assert fit_temperature(logits, targets) == 1
    assert fit_temperature(logits, 0.8 * targets + 0.1) == pytest.approx(0.5, abs=0.4)
    assert fit_temperature(logits, one_hot([0, 1, 1], 2)) > 0.21
