"""Check that a runtime returns probabilities, so that a wrong model ends with an error.

Called by `engines.backends`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.errors import ModelError
from engines.preprocess import F32
from engines.spec import ModelSpec

if TYPE_CHECKING:
    from engines.backends import Backend

PROBES = (1, 2, 5)  # faces per call; three sizes, because a graph may have been exported with a fixed batch size
# the softmax of all shipped files is FP32 and sums to 1 within 2e-7; a softmax in FP16 would be within 1e-3
RANGE_TOLERANCE = 1e-2
SUM_TOLERANCE = 2e-2


class CheckedBackend:
    """Wraps a backend and checks every output: shape, finite, within 0..1, rows sum to 1.

    Three calls on opening (8 faces; 30 ms with hybrid_lite, 0.44 s with hybrid on one busy core) find a wrong model
    before a source is opened.

    Raises:
        ModelError: the outputs are not probabilities; the backend is closed then.
    """

    def __init__(self, backend: Backend, spec: ModelSpec) -> None:
        self._backend = backend
        self._spec = spec
        pixels = spec.channels * spec.size * spec.size
        try:
            for count in PROBES:
                faces = np.linspace(0, 255, count * pixels, dtype=np.float32)
                self.infer(faces.reshape(count, spec.channels, spec.size, spec.size))
        except BaseException:
            backend.close()
            raise

    @property
    def description(self) -> str:
        return self._backend.description

    def infer(self, faces: F32) -> F32:
        probabilities = self._backend.infer(faces)
        if fault := improbable(probabilities, len(faces), len(self._spec.labels)):
            raise ModelError(f"{self._spec.name} cannot be used ({self.description}): {fault}; make the bundle again")
        return probabilities

    def close(self) -> None:
        self._backend.close()


def improbable(probabilities: F32, faces: int, labels: int) -> str:
    """Why an array is not (faces, labels) probabilities, in one clause; empty if it is."""
    if probabilities.shape != (faces, labels):
        return f"its output for {faces} faces has the shape {probabilities.shape} instead of ({faces}, {labels})"
    low, high = (float(extreme.reduce(probabilities, axis=None)) for extreme in (np.minimum, np.maximum))
    # written so that NaN fails
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        return f"its outputs are not probabilities: they range from {low:.3g} to {high:.3g} instead of 0 to 1"
    sums: list[float] = np.add.reduce(probabilities, axis=1, dtype=np.float64).tolist()
    worst = max(sums, key=lambda each: abs(each - 1))
    if abs(worst - 1) > SUM_TOLERANCE:
        return f"its outputs are not probabilities: those of one face sum to {worst:.3g} instead of 1"
    return ""
