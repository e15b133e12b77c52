"""Small stand-ins that satisfy the protocols, and a real but tiny engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeemo.capture.lsl_markers import open_markers
from edgeemo.config import Config, SourceConfig
from edgeemo.run.runner import Runner
from edgeemo.run.sink_worker import SinkWorker
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import (
    F32,
    U8,
    Classifier,
    Detector,
    Faces,
    Frame,
    Judge,
    MarkerSource,
    Result,
    Sink,
    Smoother,
    Source,
)
from engines import LABELS, ModelSpec


def frame(
    index: int = 0, *, time: float | None = None, origin: str = "clip.mp4", still: bool = False, size: int = 64
) -> Frame:
    image = np.full((size, size * 2, 3), 40 + index % 100, np.uint8)
    return Frame(image, index, index / 25 if time is None else time, origin, still)


def faces(count: int, *, ids: bool = True) -> Faces:
    """Faces side by side, 20 pixels wide."""
    left = np.arange(count, dtype=np.float32) * 24 + 4
    boxes = np.stack([left, np.full_like(left, 6), left + 20, np.full_like(left, 28)], axis=1)
    keypoints = np.zeros((count, 6, 2), np.float32)
    keypoints[:, :, 1] = 14
    for column, across in enumerate((5, 15, 10, 10, 1, 19)):
        keypoints[:, column, 0] = left + across
    numbers = np.arange(1, count + 1, dtype=np.int64) if ids else np.full(count, -1, np.int64)
    return Faces(boxes, keypoints, np.full(count, 0.94, np.float32), numbers)


def probabilities(count: int, *, best: int = 1, labels: tuple[str, ...] = LABELS) -> F32:
    values = np.full((count, len(labels)), 0.1 / (len(labels) - 1), np.float32)
    values[:, best] = 0.9
    return values


def result(
    count: int = 1, *, index: int = 0, time: float | None = None, origin: str = "clip.mp4", size: int = 64
) -> Result:
    values = probabilities(count)
    return Result(
        frame(index, time=time, origin=origin, size=size),
        faces(count),
        values,
        values,
        LABELS,
        (LABELS[1],) * count,
        {"detect": 3.0, "track": 0.1, "classify": 1.0, "smooth": 0.1},
    )


class FakeSource:
    """Yields `frames` frames, then raises `error`, if given."""

    pause_s = 0.0
    decoder = ""

    def __init__(
        self, frames: int = 5, *, live: bool = False, error: Exception | None = None, still: bool = False
    ) -> None:
        self.name = "clip.mp4"
        self.live = live
        self.released = False
        self._frames = frames
        self._error = error
        self._still = still

    def frames(self) -> Iterator[Frame]:
        try:
            for index in range(self._frames):
                yield frame(index, still=self._still)
            if self._error is not None:
                raise self._error
        finally:
            self.released = True


class FakeDetector:
    description = ""

    def __init__(self, count: int = 1, *, fails_at: int | None = None) -> None:
        self.closed = False
        self._count = count
        self._fails_at = fails_at

    def detect(self, frame: Frame) -> Faces:
        if frame.index == self._fails_at:
            raise RuntimeError("the detector broke")
        return faces(self._count, ids=False)

    def close(self) -> None:
        self.closed = True


class FakeTracker:
    def __init__(self) -> None:
        self.resets = 0

    def update(self, faces: Faces, frame: Frame) -> Faces:
        return Faces(faces.boxes, faces.keypoints, faces.scores, np.arange(1, len(faces) + 1, dtype=np.int64))

    def reset(self) -> None:
        self.resets += 1


class FakeClassifier:
    def __init__(self, labels: tuple[str, ...] = LABELS, *, description: str = "fake", fingerprint: str = "") -> None:
        self.labels = labels
        self.fingerprint = fingerprint
        self.plausible_from = 0.0
        self.description = description
        self.calls: list[int] = []
        self.closed = False

    def classify(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        self.calls.append(sum(len(faces) for _, faces in work))
        return [probabilities(len(faces), labels=self.labels) for _, faces in work]

    def close(self) -> None:
        self.closed = True


class FakeSmoother:
    """Passes the engine's probabilities on."""

    def __init__(self, labels: tuple[str, ...] = LABELS) -> None:
        self.resets = 0
        self._labels = labels

    def smooth(self, frame: Frame, faces: Faces, raw: F32) -> tuple[F32, tuple[str, ...]]:
        return raw, tuple(self._labels[best] for best in raw.argmax(axis=1)) if len(raw) else ()

    def reset(self) -> None:
        self.resets += 1


class FakeSink(Sink):
    """Stores the numbers of its frames; fails at a given frame."""

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.frames: list[int] = []
        self.closed = False
        self._fails_at = fails_at
        self._error = error or RuntimeError("the sink broke")

    def write(self, result: Result) -> None:
        if result.frame.index == self._fails_at:
            raise self._error
        self.frames.append(result.frame.index)

    def close(self) -> None:
        self.closed = True


class FakeParts:
    """Opens fakes for a runner and stores them.

    Args:
        sources, sinks: name -> an object, a function that makes one, or an exception to raise.
        faces: number of faces that the detectors find.
        detector, classifier: functions that make these stages instead of fakes.
    """

    def __init__(
        self,
        sources: Mapping[str, Any],
        sinks: Mapping[str, Any] | None = None,
        faces: int = 1,
        *,
        detector: Callable[[], Detector] | None = None,
        classifier: Callable[[Config], Classifier] | None = None,
    ) -> None:
        self.sources = sources
        self.sinks = sinks or {}
        self.classifiers: list[Any] = []
        self.detectors: list[Any] = []
        self.contexts: list[SinkContext] = []
        self.engine_fault: Exception | None = None
        self.marker_source: MarkerSource | None = None
        self._detector = detector or (lambda: FakeDetector(faces))
        self._classifier = classifier or (lambda config: FakeClassifier(description=f"{config.engine}, fake"))

    def classifier(self, config: Config) -> Classifier:
        if self.engine_fault is not None:
            raise self.engine_fault
        self.classifiers.append(self._classifier(config))
        made: Classifier = self.classifiers[-1]
        return made

    def pipeline(self, config: Config, classifier: Classifier) -> Pipeline:
        self.detectors.append(self._detector())
        return Pipeline(
            self.detectors[-1], FakeTracker(), classifier, self.smoother(config, classifier.labels), self.judge(config)
        )

    def smoother(self, config: Config, labels: tuple[str, ...]) -> Smoother:
        return FakeSmoother(labels)

    def judge(self, config: Config) -> Judge | None:
        return None

    def source(self, config: Config, source: SourceConfig) -> Source:
        made: Source = _made(self.sources[source.uri])
        return made

    def sink(self, text: str, context: SinkContext) -> Sink:
        self.contexts.append(context)
        sink: Sink = _made(self.sinks[text])
        return sink

    def markers(self, config: Config) -> MarkerSource | None:
        return self.marker_source or open_markers(config.markers)

    def draw(self, result: Result) -> U8:
        return result.frame.image


def _made(item: Any) -> Any:
    made = item() if callable(item) else item
    if isinstance(made, Exception):
        raise made
    return made


def fake_runner(
    source: Source,
    sinks: Sequence[Sink] = (),
    *,
    count: int = 1,
    detector: Detector | None = None,
    classifier: Classifier | None = None,
    frames: int = 0,
    screen: bool = False,
) -> Runner:
    """A run of one source through fake stages."""
    names = {f"sink{number}": sink for number, sink in enumerate(sinks)}
    parts = FakeParts(
        {"clip": source},
        names,
        count,
        detector=None if detector is None else lambda: detector,
        classifier=None if classifier is None else lambda config: classifier,
    )
    return Runner(Config(source="clip", sinks=tuple(names), frames=frames), parts, screen=screen)


class FakeBackend:
    """Returns the same row for every face; stores the number of faces of each call."""

    description = "fake"

    def __init__(self, row: F32) -> None:
        self.calls: list[int] = []
        self.closed = False
        self._row = row

    def infer(self, faces: F32) -> F32:
        self.calls.append(len(faces))
        return np.repeat(self._row[None], len(faces), axis=0)

    def close(self) -> None:
        self.closed = True


def sink_worker(text: str, *, size: int) -> SinkWorker:
    """A worker with a real sink for the source "door", which is reopened after an error."""
    context = SinkContext(LABELS, draw=lambda each: each.frame.image, sources=("door",), lasting=True)

    def opener() -> Sink:
        return open_sink(text, context)

    return SinkWorker(text.partition(":")[0], opener, size=size, first=opener())


def grey(size: int, value: int = 127) -> U8:
    return np.full((size, size, 1), value, np.uint8)


def make_bundle(
    folder: Path,
    *,
    size: int = 16,
    labels: tuple[str, ...] = LABELS,
    outputs: int | None = None,
    not_a_number: bool = False,
) -> Path:
    """A real bundle: mean brightness times a row of weights, then softmax.

    Args:
        outputs: number of classes of the graph, if it must differ from the spec's.
        not_a_number: the graph divides by zero.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classes = outputs or len(labels)
    weights = np.linspace(-1, 1, classes, dtype=np.float32)[None] * (np.nan if not_a_number else 1)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
            helper.make_node("Mul", ["column", "scale"], ["brightness"]),
            helper.make_node("MatMul", ["brightness", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 1, size, size])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("scale", TensorProto.FLOAT, [1], [1 / 255]),
            helper.make_tensor("weights", TensorProto.FLOAT, [1, classes], weights.ravel().tolist()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    spec = ModelSpec(name=folder.name, labels=labels, size=size)
    (folder / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    return folder


def stable_id(value: object) -> str:
    """An id of a test's argument that is the same in every process: without addresses of objects."""
    shown = repr(value)
    return type(value).__name__ if "0x" in shown else shown
