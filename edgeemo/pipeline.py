"""The stages of one frame, in order: detect, track, classify, smooth."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from edgeemo.types import Classifier, Detector, Frame, Result, Smoother, Tracker

STAGES = ("detect", "track", "classify", "smooth")


class Pipeline:
    """Frame -> Result. Owns its stages: `close()` closes those that hold something."""

    def __init__(self, detector: Detector, tracker: Tracker, classifier: Classifier, smoother: Smoother) -> None:
        self._detector = detector
        self._tracker = tracker
        self._classifier = classifier
        self._smoother = smoother

    @property
    def labels(self) -> tuple[str, ...]:
        return self._classifier.labels

    def step(self, frame: Frame) -> Result:
        """Recognise one frame.

        All its faces go through the engine in one call; without faces the engine is not called. A still picture
        has no past: tracker and smoother forget theirs.
        """
        if frame.still:
            self._tracker.reset()
            self._smoother.reset()
        began = perf_counter()
        detected = self._detector.detect(frame)
        found = perf_counter()
        faces = self._tracker.update(detected, frame)
        tracked = perf_counter()
        labels = self._classifier.labels
        raw = self._classifier.classify(frame, faces) if len(faces) else np.zeros((0, len(labels)), np.float32)
        classified = perf_counter()
        probabilities, emotions = self._smoother.smooth(frame, faces, raw)
        smoothed = perf_counter()
        return Result(
            frame=frame,
            faces=faces,
            probabilities=probabilities,
            raw=raw,
            labels=labels,
            emotions=emotions,
            timings={
                "detect": (found - began) * 1e3,
                "track": (tracked - found) * 1e3,
                "classify": (classified - tracked) * 1e3,
                "smooth": (smoothed - classified) * 1e3,
            },
        )

    def close(self) -> None:
        self._classifier.close()
        self._detector.close()
