"""Saliency maps of an engine: class activation if the bundle has it, else occlusion.

Called by `edgeemo.ui.saliency_overlay`.

Class activation shows the evidence for a class; occlusion, which works for any engine, shows which parts of the face
the prediction depends on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engines.engine import Engine
from engines.preprocess import F32, U8, batch
from engines.spec import ModelSpec

if TYPE_CHECKING:
    from engines.bundle import Bundle

GRID = 7  # cells per side
COVER = 2.0  # size of a cover in cells; neighbouring covers overlap


class Maps(Protocol):
    """Interface of a model that computes class-activation maps."""

    def infer(self, faces: F32) -> F32:
        """(N, C, S, S) float32 in 0..255 with N >= 1 -> (N, K, h, w)."""
        ...

    def close(self) -> None: ...


def open_maps(bundle: Bundle, *, threads: int = 1) -> Maps | None:
    """Open the class-activation model of a bundle, on the CPU; None if it has none.

    Raises:
        ModelError, SpecError: its saliency.onnx was changed or cannot be used.
    """
    path = bundle.saliency
    if path is None:
        return None
    maps: Maps = import_module("engines.backends.onnxruntime").OrtMaps(path, bundle.spec, threads=threads)
    return maps


def class_activation(maps: Maps, spec: ModelSpec, face: U8, column: int) -> F32:
    """Class-activation map (Zhou et al., 2016): the last feature maps, summed with the head's weights for a class.

    Args:
        face: (S, S, C) crop, as `engines.preprocess.crop` gives it.
        column: index of the class.

    Returns:
        (h, w) in 0..1: evidence for the class, relative to its maximum; all 0 if there is none.
    """
    speaks = np.maximum(np.nan_to_num(maps.infer(batch([face], spec))[0, column]), 0.0)
    most = float(speaks.max())
    return np.asarray(speaks / most if most > 0 else speaks, np.float32)


def occlusion(engine: Engine, face: U8, column: int, *, grid: int = GRID) -> F32:
    """Drop of a probability when a part of the face is covered (Zeiler and Fergus, 2014).

    It takes one call of the engine. If no cover lowers the probability, the map is 0.

    Args:
        face: (S, S, C) crop, as `engines.preprocess.crop` gives it; it is not changed.
        column: index of the class.
        grid: cells per side; the engine gets grid * grid + 1 pictures.

    Returns:
        (grid, grid) in 0..1: drop of the probability when a cell is covered, relative to the largest.
    """
    covered = _covered(face, grid)
    answers = engine.infer([face, *covered])[:, column]
    lost = np.maximum(answers[0] - answers[1:], 0.0).reshape(grid, grid)
    most = float(lost.max())
    # a drop below a hundredth of the probability is noise, not evidence
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
