"""Extreme inputs, where half precision overflows and integers saturate. Called by the export modules."""

from __future__ import annotations

import numpy as np

from engines.preprocess import U8
from engines.spec import ModelSpec


def stress_inputs(spec: ModelSpec) -> dict[str, U8]:
    """Name -> (S, S, C) uint8."""
    size, channels = spec.size, spec.channels
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size).astype(np.uint8)
    board = ((np.indices((size, size)).sum(axis=0) % 2) * 255).astype(np.uint8)
    halves = np.zeros((size, size), np.uint8)
    halves[:, size // 2 :] = 255
    bright = np.zeros((size, size), np.uint8)
    bright[size // 2, size // 2] = 255
    grey: dict[str, U8] = {
        "black": np.zeros((size, size), np.uint8),
        "white": np.full((size, size), 255, np.uint8),
        "grey": np.full((size, size), 127, np.uint8),
        "ramp across": np.tile(ramp, (size, 1)),
        "ramp down": np.tile(ramp[:, None], (1, size)),
        "checkerboard": board,
        "halves": halves,
        # the largest squared difference that a normalisation can meet: (255 - mean)^2 at one pixel
        "one bright pixel": bright,
        "one dark pixel": np.asarray(255 - bright, np.uint8),
    }
    inputs = {name: np.repeat(image[:, :, None], channels, axis=2) for name, image in grey.items()}
    for row in range(8):
        inputs[f"noise {row}"] = random.integers(0, 256, (size, size, channels), np.uint8)
        inputs[f"faint noise {row}"] = random.integers(120, 136, (size, size, channels), np.uint8)
        inputs[f"black and white noise {row}"] = np.asarray(
            random.integers(0, 2, (size, size, channels)) * 255, np.uint8
        )
    return inputs
