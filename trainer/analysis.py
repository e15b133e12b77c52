"""Figures beyond accuracy: F1, reliability, risk-coverage, calibration, paired tests. NumPy only.

Called by `trainer.evaluate`, `trainer.robustness` and `trainer.card`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.metrics import calibration_error, fit_temperature
from engines.preprocess import F32

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def f1(confusion: npt.NDArray[np.int64]) -> F64:
    """(C, C) counts, true class by row -> (C,) F1 (harmonic mean of precision and recall); NaN for absent classes."""
    hits = confusion.diagonal()
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)


def reliability(confidence: F32, right: Bools, bins: int = 15) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin that is not empty."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    inside = [index == one for one in range(bins)]
    return [(float(confidence[one].mean()), float(right[one].mean()), int(one.sum())) for one in inside if one.any()]


def risk_coverage(confidence: F32, right: Bools) -> tuple[F64, F64]:
    """Coverage (most confident faces first) and the share of errors at it (El-Yaniv and Wiener, 2010).

    Faces of equal confidence enter the coverage together.
    """
    order = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(order) + 1)
    errors = np.cumsum(~right[order])
    last = np.append(np.diff(confidence[order]) != 0, True)
    return count[last] / len(order), errors[last] / count[last]


def risk_at(coverage: F64, risk: F64, share: float) -> float:
    """Share of errors at a coverage of at least `share`."""
    return float(risk[min(int(np.searchsorted(coverage, share - 1e-12)), len(risk) - 1)])


def area_under_risk(coverage: F64, risk: F64) -> float:
    """Mean risk over all coverages (AURC); lower is better."""
    steps = np.diff(np.concatenate([[0.0], coverage]))
    return float((steps * risk).sum())


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error without and with a temperature.

    Attributes:
        temperature: the model's own, or the one fitted here.
        built_in: the model has a temperature. If not, `after` is 2-fold cross-validated: the temperature is fitted on
            each half of the faces and measured on the other half.
    """

    before: float
    after: float
    temperature: float
    built_in: bool


def soften(probabilities: F32, temperature: float) -> F32:
    """softmax(logits / temperature), computed from softmax(logits)."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def calibration(probabilities: F32, truth: npt.NDArray[np.int64], temperature: float) -> Calibration:
    """Calibration of (N, C) probabilities; `temperature` is the one already applied to them (1: none)."""
    if temperature != 1:
        before = soften(probabilities, 1 / temperature)
        return Calibration(_error(before, truth), _error(probabilities, truth), temperature, True)
    targets = np.eye(probabilities.shape[1], dtype=np.float32)[truth]
    logits = np.log(np.maximum(probabilities, 1e-12)).astype(np.float32)
    after = probabilities.copy()
    halves = (np.arange(len(truth)) % 2 == 0, np.arange(len(truth)) % 2 == 1)
    for fitted, judged in (halves, halves[::-1]):
        if fitted.any() and judged.any():
            after[judged] = soften(probabilities[judged], fit_temperature(logits[fitted], targets[fitted]))
    return Calibration(_error(probabilities, truth), _error(after, truth), fit_temperature(logits, targets), False)


def _error(probabilities: F32, truth: npt.NDArray[np.int64]) -> float:
    return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same faces (McNemar's exact test).

    Attributes:
        only_first, only_second: faces that only this model classified correctly.
        p: probability of at least this difference between equally accurate models.
    """

    count: int
    only_first: int
    only_second: int
    p: float

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second."""
        return (self.only_first - self.only_second) / self.count


def mcnemar(first: Bools, second: Bools) -> PairedTest:
    """Compare which faces two models classified correctly.

    Raises:
        ValueError: they have different numbers of faces, or none.
    """
    if first.shape != second.shape or not len(first):
        raise ValueError(f"cannot compare {first.shape} predictions with {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials, fewer = only_first + only_second, min(only_first, only_second)
    terms = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(fewer + 1)]
    tail = sum(math.exp(term - trials * math.log(2)) for term in terms)
    return PairedTest(len(first), only_first, only_second, min(1.0, 2 * tail))
