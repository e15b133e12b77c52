"""Run the stages of one frame in order: detect, track, classify, smooth. A runner has one pipeline per source."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from edgeemo.types import F32, Classifier, Detector, Doubt, Faces, Frame, Judge, Quality, Result, Smoother, Tracker
from engines.spec import Emotion

STAGES = ("detect", "track", "classify", "smooth")
DETECT_TIMEOUT_S = 60.0  # far longer than a detector needs on a busy machine


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Frame -> Result. Detector, tracker and smoother belong to one source; several pipelines share a classifier."""

    detector: Detector
    tracker: Tracker
    classifier: Classifier
    smoother: Smoother
    judge: Judge | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classifier.labels

    @property
    def description(self) -> str:
        """The engine and the face detector in use; it changes when a faster engine takes over."""
        parts = (self.classifier.description, self.detector.description)
        return "; faces: ".join(part for part in parts if part)

    def step(self, frame: Frame) -> Result:
        """Recognise one frame; see `step_together`."""
        return step_together([(self, frame)], self.classifier)[0]

    def find(self, frame: Frame) -> Found:
        """Run the stages before the engine. A still picture resets tracker and smoother."""
        if frame.still:
            self.tracker.reset()
            self.smoother.reset()
        began = perf_counter()
        detected = self.detector.detect(frame)
        detected_at = perf_counter()
        faces = self.tracker.update(detected, frame)
        return Found(frame, faces, (detected_at - began) * 1e3, (perf_counter() - detected_at) * 1e3)

    def show(self, found: Found, raw: F32, classify_ms: float) -> Result:
        """Run the stages after the engine.

        Args:
            raw: (N, K) probabilities from the engine.
        """
        began = perf_counter()
        probabilities, emotions = self.smoother.smooth(found.frame, found.faces, raw)
        doubts: tuple[tuple[Doubt, ...], ...] = ()
        quality: tuple[Quality, ...] = ()
        if self.judge is not None:
            # doubts concern the leading class: the label shown may still be the previous one
            confidences: list[float] = probabilities.max(axis=1).tolist()
            judged, quality = self.judge.judge(found.frame, found.faces, confidences)
            doubts = tuple(
                (*reasons, *undecided(row, self.labels, emotion))
                for reasons, row, emotion in zip(judged, probabilities, emotions, strict=True)
            )
        return Result(
            frame=found.frame,
            faces=found.faces,
            probabilities=probabilities,
            raw=raw,
            labels=self.labels,
            emotions=emotions,
            timings={
                "detect": found.detect_ms,
                "track": found.track_ms,
                "classify": classify_ms,
                "smooth": (perf_counter() - began) * 1e3,
            },
            doubts=doubts,
            quality=quality,
            plausible_from=self.classifier.plausible_from,
        )

    def close(self) -> None:
        """Close the detector, but not the classifier, which several pipelines share."""
        self.detector.close()


def undecided(probabilities: F32, labels: tuple[str, ...], emotion: str) -> tuple[Doubt, ...]:
    """A doubt if the label shown is no longer the most probable class; no probability is shown then.

    Args:
        probabilities: (K,) of one face.
        emotion: the label shown for it.
    """
    leading, held = int(probabilities.argmax()), labels.index(emotion)
    lead = float(probabilities[leading] - probabilities[held])
    if lead <= 0:
        return ()
    names = sorted((held, leading))
    words = " and ".join(Emotion.of(labels[column]).display.lower() for column in names)
    return (Doubt(f"between {words}", "undecided", lead),)


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of a frame before classification."""

    frame: Frame
    faces: Faces
    detect_ms: float
    track_ms: float


def step_together(
    work: Sequence[tuple[Pipeline, Frame]], classifier: Classifier, threads: Executor | None = None
) -> list[Result]:
    """Recognise one frame from each of several sources; all their faces go through the shared engine in one call.

    The engine is not called if there are no faces.

    Args:
        work: per source, its pipeline and its frame.
        classifier: shared by all these pipelines.
        threads: runs the detectors of several sources in parallel; they release the GIL.

    Raises:
        TimeoutError: a detector did not finish within `DETECT_TIMEOUT_S`.
    """
    if threads is None or len(work) < 2:
        found = [pipeline.find(frame) for pipeline, frame in work]
    else:
        found = list(threads.map(lambda item: item[0].find(item[1]), work, timeout=DETECT_TIMEOUT_S))
    return finish_together([(pipeline, each) for (pipeline, _), each in zip(work, found, strict=True)], classifier)


def finish_together(work: Sequence[tuple[Pipeline, Found]], classifier: Classifier) -> list[Result]:
    """Run the engine once for the faces of several sources, then the stages after it; see `step_together`."""
    found = [each for _, each in work]
    began = perf_counter()
    if any(len(each.faces) for each in found):
        raws = classifier.classify([(each.frame, each.faces) for each in found])
    else:
        raws = [np.zeros((0, len(classifier.labels)), np.float32) for _ in found]
    each_ms = (perf_counter() - began) * 1e3 / max(1, len(found))
    return [pipeline.show(each, raw, each_ms) for (pipeline, each), raw in zip(work, raws, strict=True)]
