"""The stages of one frame, in order: detect, track, classify, smooth."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from edgeemo.types import F32, Classifier, Detector, Faces, Frame, Judge, Result, Smoother, Tracker

STAGES = ("detect", "track", "classify", "smooth")
LOOK_S = 60.0  # whatever the machine does beside, a detector has answered by then


class Pipeline:
    """Frame -> Result. Owns its stages: `close()` closes those that hold something."""

    def __init__(
        self,
        detector: Detector,
        tracker: Tracker,
        classifier: Classifier,
        smoother: Smoother,
        judge: Judge | None = None,
    ) -> None:
        self._detector = detector
        self._tracker = tracker
        self._classifier = classifier
        self._smoother = smoother
        self._judge = judge

    @property
    def labels(self) -> tuple[str, ...]:
        return self._classifier.labels

    @property
    def engine_description(self) -> str:
        """What really runs now; it changes when an engine hands over to a faster one. Empty where nobody knows."""
        parts = [str(getattr(stage, "description", "")) for stage in (self._classifier, self._detector)]
        return "; faces: ".join(part for part in parts if part)

    def step(self, frame: Frame) -> Result:
        """Recognise one frame.

        All its faces go through the engine in one call; without faces the engine is not called. A still picture
        has no past: tracker and smoother forget theirs.
        """
        look = self._look(frame)
        began = perf_counter()
        if len(look.faces):
            raw = self._classifier.classify(frame, look.faces)
        else:
            raw = np.zeros((0, len(self.labels)), np.float32)
        return self._show(look, raw, (perf_counter() - began) * 1e3)

    def _look(self, frame: Frame) -> _Look:
        """The stages before the engine."""
        if frame.still:
            self._tracker.reset()
            self._smoother.reset()
        began = perf_counter()
        detected = self._detector.detect(frame)
        found = perf_counter()
        faces = self._tracker.update(detected, frame)
        return _Look(frame, faces, (found - began) * 1e3, (perf_counter() - found) * 1e3)

    def _show(self, look: _Look, raw: F32, classify_ms: float) -> Result:
        """The stages behind the engine."""
        began = perf_counter()
        probabilities, emotions = self._smoother.smooth(look.frame, look.faces, raw)
        doubts: tuple[tuple[str, ...], ...] = ()
        if self._judge is not None:
            columns = [self.labels.index(emotion) for emotion in emotions]
            confidences = [float(row[column]) for row, column in zip(probabilities, columns, strict=True)]
            doubts = self._judge.judge(look.frame, look.faces, confidences)
        return Result(
            frame=look.frame,
            faces=look.faces,
            probabilities=probabilities,
            raw=raw,
            labels=self._classifier.labels,
            emotions=emotions,
            timings={
                "detect": look.detect_ms,
                "track": look.track_ms,
                "classify": classify_ms,
                "smooth": (perf_counter() - began) * 1e3,
            },
            doubts=doubts,
        )

    def going_on_with(self, classifier: Classifier) -> Pipeline:
        """The same stages, which keep what they remember, with another classifier of the same labels."""
        if classifier.labels != self.labels:
            raise ValueError(f"the labels {classifier.labels} are not those that the stages know, {self.labels}")
        return Pipeline(self._detector, self._tracker, classifier, self._smoother, self._judge)

    def close(self) -> None:
        self._classifier.close()
        self._detector.close()


class BatchClassifier(Classifier, Protocol):
    """A classifier that takes the faces of several frames in one call of its engine."""

    def classify_together(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        """(N, K) probabilities for each frame."""
        ...


def step_together(
    work: Sequence[tuple[Pipeline, Frame]], classifier: BatchClassifier, threads: Executor | None = None
) -> list[Result]:
    """Recognise one frame of each of several sources, all their faces in one call of the engine they share.

    Args:
        work: a pipeline of its own for each source (its detector, tracker and smoother remember), and its frame.
        classifier: the one that all pipelines were made with.
        threads: look for the faces of several sources at once; detectors work outside Python's lock.

    Raises:
        TimeoutError: a detector hangs.
    """
    if threads is None or len(work) < 2:
        looks = [pipeline._look(frame) for pipeline, frame in work]
    else:
        looks = list(threads.map(lambda item: item[0]._look(item[1]), work, timeout=LOOK_S))
    began = perf_counter()
    raws = classifier.classify_together([(look.frame, look.faces) for look in looks])
    each_ms = (perf_counter() - began) * 1e3 / max(1, len(looks))
    return [pipeline._show(look, raw, each_ms) for (pipeline, _), look, raw in zip(work, looks, raws, strict=True)]


@dataclass(frozen=True, eq=False)
class _Look:
    """What was found in a frame before the engine saw it."""

    frame: Frame
    faces: Faces
    detect_ms: float
    track_ms: float
