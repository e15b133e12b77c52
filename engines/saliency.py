"""What an engine looked at: which parts of a face it needs for its answer. Works for any engine, for it only asks."""

from __future__ import annotations

import numpy as np

from engines.engine import Engine
from engines.preprocess import F32, U8

GRID = 7  # places a side
COVER = 2.0  # of a place: neighbouring covers overlap, so that no border is special


def occlusion(engine: Engine, face: U8, column: int, *, grid: int = GRID) -> F32:
    """How much of an answer is lost when a part of the face is covered (Zeiler and Fergus, 2014).

    One call of the engine for all places. Where nothing is lost anywhere the map is 0.

    Args:
        face: (S, S, C) crop, as `engines.preprocess.crop` gives it; it is not changed.
        column: of the class that is asked about.
        grid: places a side; the engine sees grid * grid + 1 pictures.

    Returns:
        (grid, grid) in 0..1: the part of the probability that covering a place takes away, over the largest.
    """
    covered = _covered(face, grid)
    answers = engine.infer([face, *covered])[:, column]
    lost = np.maximum(answers[0] - answers[1:], 0.0).reshape(grid, grid)
    most = float(lost.max())
    # less than a hundredth of the answer is noise, not evidence
    return np.asarray(lost / most if most > 0.01 * float(answers[0]) else np.zeros_like(lost), np.float32)


def _covered(face: U8, grid: int) -> list[U8]:
    size = face.shape[0]
    grey = face.reshape(-1, face.shape[2]).mean(axis=0).astype(np.uint8)
    half = COVER * size / grid / 2
    made = []
    for row in range(grid):
        for column in range(grid):
            y, x = (row + 0.5) * size / grid, (column + 0.5) * size / grid
            copy = face.copy()
            copy[max(0, round(y - half)) : round(y + half), max(0, round(x - half)) : round(x + half)] = grey
            made.append(copy)
    return made
