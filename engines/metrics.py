"""Metrics of predictions: accuracy with interval, recall, confusion, calibration. NumPy only.

Called by `trainer` and `engines.export.compare`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32
from engines.spec import EXPRESSIONS, LABELS

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics over the eight expressions, or over the C classes of a data set's protocol.

    Attributes:
        count: number of scored faces.
        accuracy: top-1, 0..1, and its 95 % Wilson interval.
        recall: (C,) per class; NaN for absent classes.
        mean_recall: mean over the classes present.
        confusion: (C, C) counts, true class by row, predicted class by column.
        calibration_error: expected calibration error over 15 bins of equal width.
    """

    count: int
    accuracy: float
    interval: tuple[float, float]
    recall: F64
    mean_recall: float
    confusion: npt.NDArray[np.int64]
    calibration_error: float


def over_expressions(
    probabilities: F32, labels: tuple[str, ...] = LABELS, classes: tuple[str, ...] = EXPRESSIONS
) -> F32:
    """(N, K) over `labels` -> (N, C) over `classes`, rescaled to sum 1; classes that the model lacks get 0.

    Raises:
        ValueError: the columns do not match the labels.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise ValueError(f"probabilities must be (N, {len(labels)}), got {probabilities.shape}")
    chosen = np.zeros((len(probabilities), len(classes)), np.float32)
    for column, name in enumerate(classes):
        if name in labels:
            chosen[:, column] = probabilities[:, labels.index(name)]
    return np.asarray(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12), np.float32)


def score(probabilities: F32, targets: F32, classes: tuple[str, ...] = EXPRESSIONS) -> Scores:
    """Compare (N, C) probabilities with (N, C) or (N, 11) target distributions; the target's top class is the truth.

    Raises:
        ValueError: there is nothing to score, or the shapes differ.
    """
    if len(probabilities) == 0 or probabilities.shape[1] != len(classes) or len(targets) != len(probabilities):
        raise ValueError(f"cannot score {probabilities.shape} against {targets.shape}")
    if targets.shape[1] == len(LABELS):
        targets = targets[:, [LABELS.index(name) for name in classes]]
    truth = targets.argmax(axis=1)
    guess = probabilities.argmax(axis=1)
    right = truth == guess
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, guess), 1)
    present = confusion.sum(axis=1)
    recall = np.where(present > 0, confusion.diagonal() / np.maximum(present, 1), np.nan)
    return Scores(
        count=len(truth),
        accuracy=float(right.mean()),
        interval=wilson(int(right.sum()), len(right)),
        recall=recall,
        mean_recall=float(np.nanmean(recall)),
        confusion=confusion,
        calibration_error=calibration_error(probabilities.max(axis=1), right),
    )


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927), within 0..1."""
    share, spread = hits / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    # for shares of 0 and 1, rounding errors would exclude the share or exceed the range
    return max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half)))


def calibration_error(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap between confidence and accuracy, weighted by bin size."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for one in range(bins):
        inside = index == one
        if inside.any():
            total += abs(float(confidence[inside].mean()) - float(right[inside].mean())) * float(inside.mean())
    return total


def fit_temperature(logits: F32, targets: F32) -> float:
    """The temperature that minimises the cross-entropy of softmax(logits / T) with the target distributions.

    Golden-section search over log T in [0.2, 5]; the loss is unimodal in it (Guo et al., 2017). If every prediction is
    right, which few faces or a single class can cause, the loss falls towards T = 0. The faces then do not determine T,
    and it is 1.
    """
    if (targets[np.arange(len(logits)), logits.argmax(axis=1)] >= 1).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_probabilities = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-(targets * log_probabilities).sum(axis=1).mean())

    low, high = np.log(0.2), np.log(5.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
