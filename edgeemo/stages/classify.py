"""Faces -> probabilities, by an `engines.Engine`. Called by `edgeemo.stages.pipeline`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from edgeemo.types import F32, Faces, Frame
from engines import Engine
from engines.errors import ModelError
from engines.preprocess import crop


class EngineClassifier:
    """The classify stage; owns its `engines.Engine` and closes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.labels: tuple[str, ...] = engine.spec.labels
        self.plausible_from = engine.spec.plausible_from
        self.fingerprint = engine.fingerprint

    @property
    def description(self) -> str:
        """The engine, runtime and precision in use, for example "hybrid_lite, ONNX Runtime 1.32.0, CPU, FP32"."""
        return f"{self._engine.spec.name}, {self._engine.description}"

    def classify(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        """(N, K) probabilities for each of several frames; all their faces go through the engine in one call.

        Raises:
            ModelError: the engine returned NaN or infinity.
        """
        spec = self._engine.spec
        crops = [
            crop(frame.image, box, keypoints, spec)
            for frame, faces in work
            for box, keypoints in zip(faces.boxes, faces.keypoints, strict=True)
        ]
        raw = self._engine.infer(crops)
        if not np.isfinite(raw).all():
            raise ModelError(
                f"engine {spec.name} returned values that are not finite numbers ({self._engine.description}); "
                "export it again in a higher precision"
            )
        ends = accumulate(len(faces) for _, faces in work)
        return [raw[end - len(faces) : end] for end, (_, faces) in zip(ends, work, strict=True)]

    def close(self) -> None:
        self._engine.close()
