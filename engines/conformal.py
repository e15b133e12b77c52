"""Sets of expressions that contain the right one for a stated share of faces: split conformal prediction.

A set has the expressions whose probability among the eight reaches a threshold. The threshold is chosen on labelled
faces so that the sets contain the right expression for the stated share. The same then holds for similar faces
(Vovk et al., "Algorithmic Learning in a Random World", 2005); the sets are the smallest on average (Sadinle et al.,
2019).
`trainer.export` calibrates; `edgeemo.api` and the cards form sets.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from engines.metrics import over_expressions
from engines.preprocess import F32
from engines.spec import EXPRESSIONS

COVERAGE = 0.95


def calibrate(probabilities: F32, truth: npt.NDArray[np.int64], coverage: float = COVERAGE) -> float:
    """The threshold with which sets contain the right expression for at least this share of faces.

    Args:
        probabilities: (N, 8) over the expressions, rows that sum to 1.
        truth: (N,) their columns.

    Returns:
        0..1, rounded down to four digits; 0 if there are too few faces: every set then has all expressions.
    """
    right = np.sort(probabilities[np.arange(len(truth)), truth])[::-1]
    rank = math.ceil((len(truth) + 1) * coverage)
    return math.floor(float(right[rank - 1]) * 1e4) / 1e4 if 0 < rank <= len(right) else 0.0


def in_set(probabilities: F32, labels: tuple[str, ...], threshold: float) -> npt.NDArray[np.bool_]:
    """(N, K) probabilities over `labels` -> (N, 8) membership in each face's set; the most probable one is always in
    it.

    Raises:
        ValueError: the columns do not match the labels.
    """
    return _inside(over_expressions(probabilities, labels), threshold)


def plausible(probabilities: F32, labels: tuple[str, ...], threshold: float) -> tuple[str, ...]:
    """The set of one face, (K,) probabilities, the most probable expression first; empty with threshold 0."""
    if not threshold:
        return ()
    shares = over_expressions(probabilities[None], labels)
    inside = _inside(shares, threshold)[0]
    return tuple(EXPRESSIONS[column] for column in np.argsort(-shares[0], kind="stable") if inside[column])


def _inside(shares: F32, threshold: float) -> npt.NDArray[np.bool_]:
    return np.asarray((shares >= threshold) | (shares == shares.max(axis=1, keepdims=True)), np.bool_)
