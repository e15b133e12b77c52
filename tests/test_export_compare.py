"""The parity report: agreement, violations of the budget, and intervals."""

import json

import numpy as np
import pytest
from fakes import FakeBackend, grey

from engines import EXPRESSIONS, LABELS, ModelSpec
from engines.export.compare import BUDGETS, as_text, compare, compare_probs, paired_drop, side_by_side
from engines.export.face_data import FaceData
from engines.export.stress import stress_inputs

SPEC = ModelSpec("small", size=16)
LATENCY_FREE = 0


class Table:
    """Returns the row of a table that the first grey level of a face selects."""

    description = "a table"

    def __init__(self, rows):
        self._rows = np.asarray(rows, np.float32)
        self.batches = []

    def infer(self, faces):
        self.batches.append(len(faces))
        return self._rows[faces[:, 0, 0, 0].astype(int) % len(self._rows)]


def rows(*classes, sure=0.8):
    values = np.full((len(classes), len(LABELS)), (1 - sure) / (len(LABELS) - 1), np.float32)
    values[np.arange(len(classes)), classes] = sure
    return values


def data(count, truth=None):
    faces = np.stack([grey(16, row) for row in range(count)]) if count else np.zeros((0, 16, 16, 1), np.uint8)
    return FaceData("made up", faces, np.full(count, -1, np.int64) if truth is None else np.asarray(truth), count)


def report(reference, candidate, faces, precision="fp16"):
    return compare(
        Table(reference),
        Table(candidate),
        spec=SPEC,
        precision=precision,
        data=faces,
        stress=list(stress_inputs(SPEC).values()),
        sizes=(100, 50),
        calls=LATENCY_FREE,
    )


def test_the_same_engine_is_within_every_budget():
    faces = data(10, [row % 8 for row in range(10)])
    for precision in BUDGETS:
        made = report(rows(0, 1, 2), rows(0, 1, 2), faces, precision)
        assert made.accepted
        assert made.faces.top1 == 1
        assert made.faces.largest == made.faces.kl_mean == 0


def test_agreement_of_a_worked_example():
    expected = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)
    answered = np.array([[0.25, 0.75], [0.9, 0.1]], np.float32)
    found = compare_probs(expected, answered)
    assert found.largest == pytest.approx(0.25)
    assert found.mean == pytest.approx(0.125)
    assert found.kl_largest == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert found.top1 == pytest.approx(0.5)


def test_no_faces_are_compared_without_a_crash():
    empty = np.zeros((0, 11), np.float32)
    assert compare_probs(empty, empty).count == 0


def test_a_large_difference_of_one_probability_is_out_of_budget():
    made = report(rows(0, sure=0.8), rows(0, sure=0.83), data(4))
    assert not made.accepted
    assert "a probability differs by 0.03" in made.violations[0]
    assert "OUT OF BUDGET: a probability differs" in as_text(made)


def test_a_difference_that_only_stress_inputs_show_counts_too():
    # faces begin with 0 to 3; noise and bright inputs begin with other levels
    reference = rows(*[0] * 256)
    candidate = reference.copy()
    candidate[4:] = rows(0, sure=0.9)
    made = report(reference, candidate, data(4))
    assert made.faces.largest == 0
    assert made.stress.largest > 0.02
    assert not made.accepted


def test_another_top_class_on_one_face_of_a_hundred_is_out_of_the_fp16_budget():
    reference = np.repeat(rows(0, sure=0.5), 256, axis=0)
    reference[:, 1] = 0.4999
    reference /= reference.sum(axis=1, keepdims=True)
    candidate = reference.copy()
    candidate[7, [0, 1]] = candidate[7, [1, 0]]
    made = report(reference, candidate, data(100))
    assert [text for text in made.violations if "agrees on 99.00%" in text]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_never_accepted_and_the_report_is_still_json(bad):
    candidate = rows(0, 1)
    candidate[1, 3] = bad
    made = report(rows(0, 1), candidate, data(6, [0] * 6), "int8")
    assert not made.accepted
    assert "NaN or infinity" in made.violations[0]
    assert made.faces.top1 == pytest.approx(0.5)
    json.loads(json.dumps(made.to_mapping(), allow_nan=False))


def test_int8_is_judged_by_the_accuracy_it_loses():
    truth = [row % 2 for row in range(200)]
    reference = rows(*(row % 2 for row in range(256)))
    worse = reference.copy()
    worse[[5, 9]] = rows(4)
    assert "drops by 1.00 points" in report(reference, worse, data(200, truth), "int8").violations[0]
    slightly = reference.copy()
    slightly[5] = rows(4)
    made = report(reference, slightly, data(200, truth), "int8")
    assert made.accepted
    assert made.accuracy.accuracy_drop_pp == pytest.approx(0.5)
    assert made.accuracy.drop_low_pp < 0 < made.accuracy.accuracy_drop_pp < made.accuracy.drop_high_pp
    assert made.accuracy.reference.accuracy == 1


def test_int8_without_labels_is_not_accepted():
    assert "accuracy is unknown" in report(rows(0), rows(0), data(5), "int8").violations[0]


def test_only_labelled_faces_are_scored():
    scores = side_by_side(rows(0, 1, 2), rows(0, 1, 3), np.array([0, -1, -1]), LABELS)
    assert scores.count == 1
    assert scores.candidate.accuracy == 1
    assert side_by_side(rows(0), rows(0), np.array([-1]), LABELS) is None


def test_a_model_without_all_expressions_can_be_scored():
    labels = ("happiness", "neutral")
    probabilities = np.array([[0.9, 0.1]], np.float32)
    truth = np.array([EXPRESSIONS.index("happiness")])
    assert side_by_side(probabilities, probabilities, truth, labels).candidate.accuracy == 1


def test_the_interval_of_a_paired_drop():
    # 10 lost and 4 won of 100: difference 6 points, standard error sqrt(14 - 36/100) / 100
    before = np.array([True] * 10 + [False] * 4 + [True] * 86)
    after = np.array([False] * 10 + [True] * 4 + [True] * 86)
    loss, low, high = paired_drop(before, after)
    assert loss == pytest.approx(6)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(14 - 0.36))


def test_faces_go_through_in_batches_of_many_sizes_and_each_once():
    table = Table(rows(0))
    compare(
        table, Table(rows(0)), spec=SPEC, precision="fp16", data=data(100), stress=[], sizes=(1, 1), calls=LATENCY_FREE
    )
    assert sum(table.batches) == 100
    assert table.batches[:4] == [1, 2, 3, 4]


def test_latency_is_measured_by_turns():
    engines = [FakeBackend(rows(0)[0]), FakeBackend(rows(0)[0])]
    made = compare(*engines, spec=SPEC, precision="fp16", data=data(1), stress=[grey(16)], sizes=(100, 50), calls=10)
    assert 0 < made.latency_candidate.p50 <= made.latency_candidate.p99
    assert len(engines[0].calls) == len(engines[1].calls)
    assert "latency of the candidate" in as_text(made)


def test_stress_inputs_fit_every_spec_and_hold_the_extremes():
    for spec in (SPEC, ModelSpec("colour", size=33, colour="rgb")):
        inputs = stress_inputs(spec)
        assert all(image.shape == (spec.size, spec.size, spec.channels) for image in inputs.values())
        assert all(image.dtype == np.uint8 for image in inputs.values())
        assert inputs["black"].max() == 0
        assert inputs["white"].min() == 255
        assert inputs["one bright pixel"].sum() == 255 * spec.channels


def test_an_engine_that_keeps_its_answers_but_not_its_doubt_is_out_of_the_int8_budget():
    truth = [row % 2 for row in range(100)]
    sure, unsure = (rows(*(row % 2 for row in range(256)), sure=share) for share in (0.97, 0.6))
    made = report(sure, unsure, data(100, truth), "int8")
    assert made.accuracy.accuracy_drop_pp == 0
    assert "its calibration error grows by 0.297" in made.violations[0]
