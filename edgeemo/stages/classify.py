"""Faces -> probabilities, by an engine of the ground floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeemo.types import F32, Faces, Frame
from engines import Engine
from engines.errors import ModelError
from engines.preprocess import crop


class EngineClassifier:
    """The classify stage over an `engines.Engine`; owns it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.labels: tuple[str, ...] = engine.spec.labels

    @property
    def description(self) -> str:
        """What really runs, for example "hybrid_lite, ONNX Runtime 1.32.0, CPU, FP32"."""
        return f"{self._engine.spec.name}, {self._engine.description}"

    def classify(self, frame: Frame, faces: Faces) -> F32:
        """(N, K) probabilities; one call of the engine, none without faces.

        Raises:
            ModelError: the engine answered with something that is no number.
        """
        return self._checked(self._engine.classify(frame.image, faces.boxes, faces.keypoints))

    def classify_together(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        """(N, K) probabilities for each of several frames; one call of the engine for all their faces.

        Raises:
            ModelError: as `classify`.
        """
        spec = self._engine.spec
        crops = [
            crop(frame.image, box, keypoints, spec)
            for frame, faces in work
            for box, keypoints in zip(faces.boxes, faces.keypoints, strict=True)
        ]
        ends = np.cumsum([len(faces) for _, faces in work])[:-1]
        return np.split(self._checked(self._engine.infer(crops)), ends)

    def _checked(self, raw: F32) -> F32:
        if not np.isfinite(raw).all():
            raise ModelError(
                f"engine {self._engine.spec.name} gave values that are no numbers ({self._engine.description}); "
                "export it again in a higher precision"
            )
        return raw

    def close(self) -> None:
        self._engine.close()
