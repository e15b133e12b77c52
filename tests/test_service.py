from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import FakeClassifier, FakeDetector, FakeSink, FakeSmoother, FakeSource, FakeTracker, frame
from servers import until

from edgeemo.config import Config, ServiceConfig, SourceConfig
from edgeemo.errors import ConfigError, EdgeemoError, SinkError, SourceError
from edgeemo.service.service import Service
from edgeemo.sinks import SinkContext
from edgeemo.stages.pipeline import BatchClassifier, Pipeline, step_together
from edgeemo.types import F32, Frame, Result, Sink, Source, State, Status
from engines import LABELS
from engines.errors import ModelError

QUICK = ServiceConfig(backoff_s=0.02, backoff_max_s=0.1, stalled_s=1)


class SharedClassifier(FakeClassifier):
    def classify_together(self, work: Any) -> list[F32]:
        self.calls.append(sum(len(faces) for _, faces in work))
        return [np.tile(np.eye(1, len(LABELS), 1, dtype=np.float32), (len(faces), 1)) for _, faces in work]


class FakeParts:
    """Sources and sinks by name; everything that was opened is remembered."""

    def __init__(self, sources: dict[str, Any], sinks: dict[str, Any] | None = None, faces: int = 1) -> None:
        self.sources = sources
        self.sinks = sinks or {}
        self.classifiers: list[SharedClassifier] = []
        self.detectors: list[FakeDetector] = []
        self.contexts: list[SinkContext] = []
        self.engine_fault: Exception | None = None
        self._faces = faces

    def classifier(self, config: Config) -> tuple[BatchClassifier, str]:
        if self.engine_fault is not None:
            raise self.engine_fault
        self.classifiers.append(SharedClassifier())
        return self.classifiers[-1], f"{config.engine}, fake"

    def pipeline(self, config: Config, classifier: BatchClassifier, resources: ExitStack) -> Pipeline:
        self.detectors.append(FakeDetector(self._faces))
        resources.callback(self.detectors[-1].close)
        return Pipeline(self.detectors[-1], FakeTracker(), classifier, FakeSmoother())

    def source(self, config: Config, source: SourceConfig) -> Source:
        made = self.sources[source.uri]()
        if isinstance(made, Exception):
            raise made
        opened: Source = made
        return opened

    def sink(self, text: str, context: SinkContext) -> Sink:
        self.contexts.append(context)
        made = self.sinks[text]
        opened: Sink = made() if callable(made) else made
        return opened

    def context(self, labels: tuple[str, ...]) -> SinkContext:
        return SinkContext(labels, draw=lambda result: result.frame.image)


class Keeper(FakeSink):
    """Keeps (origin, index) and the size of the picture."""

    def __init__(self, *, pictures: bool = False) -> None:
        super().__init__()
        self.pictures = pictures
        self.seen: list[tuple[str, int]] = []
        self.sizes: set[tuple[int, ...]] = set()

    def write(self, result: Result) -> None:
        self.seen.append((result.frame.origin, result.frame.index))
        self.sizes.add(result.frame.image.shape[:2])

    def of(self, origin: str) -> list[int]:
        return [index for name, index in list(self.seen) if name == origin]


class Endless:
    """A live source until it is told to end."""

    live = True
    pause_s = 0.0
    name = "camera"

    def __init__(self) -> None:
        self.ends = threading.Event()
        self.opened = 0

    def __call__(self) -> Endless:
        return self

    def frames(self) -> Iterator[Frame]:
        self.opened += 1
        index = 0
        while not self.ends.wait(0.003):
            yield frame(index)
            index += 1
        raise SourceError("camera stopped")


def configuration(*names: str, sinks: tuple[str, ...] = ("keep",), **others: Any) -> Config:
    return Config(sources=tuple(SourceConfig(name, name) for name in names), sinks=sinks, service=QUICK, **others)


@contextmanager
def running(
    config: Config, parts: FakeParts, load: Any = None
) -> Iterator[tuple[Service, threading.Event, threading.Event]]:
    stop, reload = threading.Event(), threading.Event()
    service = Service(config, parts)
    thread = threading.Thread(target=service.run, args=(stop, reload, load))
    thread.start()
    try:
        yield service, stop, reload
    finally:
        stop.set()
        thread.join(10)
        assert service.close()


@pytest.mark.parametrize("faces", [0, 2])
def test_every_frame_of_several_files_reaches_the_sinks_in_order(faces: int) -> None:
    keep = Keeper()
    parts = FakeParts({"a": lambda: FakeSource(40), "b": lambda: FakeSource(25)}, {"keep": keep}, faces)
    with Service(configuration("a", "b"), parts) as service:
        status = service.run(threading.Event())
    assert keep.of("a") == list(range(40))
    assert keep.of("b") == list(range(25))
    assert [each.state for each in status.sources] == [State.ENDED, State.ENDED]
    assert keep.closed
    assert parts.classifiers[0].closed
    assert all(detector.closed for detector in parts.detectors)
    assert sum(parts.classifiers[0].calls) == 65 * faces


def test_the_faces_of_all_sources_go_through_the_engine_in_one_call() -> None:
    classifier = SharedClassifier()
    work = [
        (Pipeline(FakeDetector(count), FakeTracker(), classifier, FakeSmoother()), frame(index))
        for index, count in enumerate((2, 0, 3))
    ]
    results = step_together(work, classifier)
    assert classifier.calls == [5]
    assert [len(result.faces) for result in results] == [2, 0, 3]
    assert [result.frame.index for result in results] == [0, 1, 2]
    assert set(results[0].timings) == {"detect", "track", "classify", "smooth"}


def test_a_source_that_is_lost_disturbs_no_other_and_comes_back() -> None:
    good, bad, keep = Endless(), Endless(), Keeper()
    parts = FakeParts({"good": good, "bad": bad}, {"keep": keep})
    with running(configuration("good", "bad"), parts) as (service, _, _):
        until(lambda: len(keep.of("bad")) > 3)
        bad.ends.set()
        until(lambda: service.status().sources[1].error == "camera stopped")
        before = len(keep.of("good"))
        until(lambda: len(keep.of("good")) > before + 20)
        bad.ends.clear()
        so_far = len(keep.of("bad"))
        until(lambda: len(keep.of("bad")) > so_far)
        assert service.status().sources[1].error == ""
        assert good.opened == 1


def test_a_source_that_is_not_there_yet_is_no_error() -> None:
    with running(configuration("late"), FakeParts({"late": lambda: SourceError("no camera")}, {"keep": Keeper()})) as (
        service, _, _,
    ):  # fmt: skip
        until(lambda: service.status().sources[0].error == "no camera")
        assert service.status().sources[0].state is not State.LIVE


def test_an_address_that_is_malformed_is_a_mistake_at_once() -> None:
    parts = FakeParts({"ftp://x": lambda: SourceError("ftp:// is no kind of source")}, {"keep": Keeper()})
    with pytest.raises(SourceError, match="no kind of source"):
        Service(Config(sources=(SourceConfig("a", "ftp://x"),), sinks=("keep",)), parts)
    assert parts.classifiers[0].closed
    assert all(detector.closed for detector in parts.detectors)


def test_a_slow_sink_holds_nobody_up_and_its_losses_are_counted() -> None:
    release = threading.Event()

    class Slow(Keeper):
        def write(self, result: Result) -> None:
            release.wait(20)
            super().write(result)

    keep, slow, camera = Keeper(), Slow(), Endless()
    parts = FakeParts({"a": camera}, {"keep": keep, "slow": slow})
    config = replace(configuration("a", sinks=("keep", "slow")), service=replace(QUICK, queue=8))
    with running(config, parts) as (service, _, _):
        until(lambda: len(keep.seen) > 60)
        until(lambda: service.status().sinks[1].dropped > 20)
        assert service.status().sinks[0].dropped == 0
        assert service.status().sinks[1].waiting <= 8
        release.set()


def test_a_sink_that_breaks_is_opened_again_and_disturbs_no_other() -> None:
    keep, broken, mended, camera = Keeper(), FakeSink(fails_at=5, error=SinkError("disk full")), Keeper(), Endless()
    opened = iter([broken, mended])
    parts = FakeParts({"a": camera}, {"keep": keep, "frail": lambda: next(opened)})
    with running(configuration("a", sinks=("keep", "frail")), parts) as (service, _, _):
        until(lambda: service.status().sinks[1].error == "disk full")
        until(lambda: mended.seen)
        until(lambda: service.status().sinks[1].error == "")
        assert service.status().sinks[1].dropped > 0
        assert broken.closed
        assert service.status().sinks[0].dropped == 0
        indices = keep.of("a")
    # a live source passes over frames on a busy machine; none comes twice or late
    assert indices == sorted(set(indices))


def test_only_sinks_that_show_pictures_get_them() -> None:
    bare, full = Keeper(), Keeper(pictures=True)
    parts = FakeParts({"a": lambda: FakeSource(10)}, {"bare": bare, "full": full})
    with Service(configuration("a", sinks=("bare", "full")), parts) as service:
        service.run(threading.Event())
    assert bare.sizes == {(1, 1)}
    assert full.sizes == {(64, 128)}


def test_sinks_learn_the_names_of_the_sources_and_the_status() -> None:
    parts = FakeParts({"a": lambda: FakeSource(1)}, {"keep": Keeper()})
    with Service(configuration("a"), parts):
        context = parts.contexts[0]
        assert context.sources == ("a",)
        assert context.lasting
        assert context.status is not None
        assert isinstance(context.status(), Status)
        assert context.status().to_mapping()["sources"][0]["state"] == "connecting"


def test_a_limit_of_frames_ends_it() -> None:
    keep = Keeper()
    parts = FakeParts({"a": Endless()}, {"keep": keep})
    with Service(configuration("a", frames=5), parts) as service:
        service.run(threading.Event())
    assert len(keep.seen) == 5


def test_reading_the_configuration_again_leaves_alone_what_is_the_same() -> None:
    a, b, c, keep, more = Endless(), Endless(), Endless(), Keeper(), Keeper()
    parts = FakeParts({"a": a, "b": b, "c": c}, {"keep": keep, "more": more})
    loaded = configuration("a", "c", engine="other")
    with running(configuration("a", "b"), parts, lambda: loaded) as (service, _, reload):
        until(lambda: keep.of("a") and keep.of("b"))
        reload.set()
        until(lambda: [each.name for each in service.status().sources] == ["a", "c"])
        until(lambda: service.status().sources[1].state is State.LIVE)
        assert service.status().engine == "other, fake"
        assert a.opened == 1
        assert parts.classifiers[0].closed
        assert not parts.classifiers[1].closed
        # a's stages go on with what they know (people keep their numbers), b's end and c's are new
        assert [detector.closed for detector in parts.detectors] == [False, True, False]
        loaded = replace(loaded, sinks=("more",))
        reload.set()
        until(lambda: more.seen)
        assert keep.closed
        assert a.opened == 1


@pytest.mark.parametrize("fault", ["unreadable", "no sources", "engine", "sink"])
def test_a_configuration_with_a_mistake_is_not_taken(fault: str) -> None:
    camera, keep = Endless(), Keeper()

    def refuse() -> Sink:
        raise SinkError("no such folder")

    parts = FakeParts({"a": camera}, {"keep": keep, "bad": refuse})
    asked = threading.Event()

    def load() -> Config:
        asked.set()
        if fault == "unreadable":
            raise ConfigError("edge.toml is not valid TOML")
        if fault == "no sources":
            return Config(source="demo")
        if fault == "engine":
            parts.engine_fault = ModelError("model.onnx is damaged")
        return configuration("a", sinks=("keep", "bad") if fault == "sink" else ("keep",))

    with running(configuration("a"), parts, load) as (service, _, reload):
        until(lambda: keep.seen)
        reload.set()
        until(asked.is_set)
        before = len(keep.seen)
        until(lambda: len(keep.seen) > before + 20)
        assert [each.name for each in service.status().sinks] == ["keep"]
        assert camera.opened == 1


def test_the_watchdog_is_fed_while_the_loop_turns() -> None:
    class Notes:
        def __init__(self) -> None:
            self.told: list[str] = []
            self.fed = 0

        def tell(self, message: str) -> None:
            self.told.append(message)

        def feed(self) -> None:
            self.fed += 1

    notes: Any = Notes()
    stop = threading.Event()
    with Service(configuration("a"), FakeParts({"a": Endless()}, {"keep": Keeper()}), notifier=notes) as service:
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        until(lambda: notes.fed > 2)
        stop.set()
        thread.join()
    assert notes.told == ["READY=1", "STOPPING=1"]


def test_a_hanging_source_and_sink_are_left_behind_in_time() -> None:
    release = threading.Event()

    class Hanging(FakeSource):
        def frames(self) -> Iterator[Frame]:
            yield frame(0)
            release.wait(30)

    class HangingSink(FakeSink):
        def write(self, result: Result) -> None:
            release.wait(30)

    service = Service(configuration("a"), FakeParts({"a": lambda: Hanging(live=True)}, {"keep": HangingSink()}))
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    until(lambda: service.status().sources[0].captured == 1)
    stop.set()
    thread.join()
    assert not service.close()
    release.set()
    with suppress(EdgeemoError):
        service.close()


def test_fifty_faces_in_a_frame() -> None:
    keep = Keeper()
    parts = FakeParts({"a": lambda: FakeSource(3)}, {"keep": keep}, faces=50)
    with Service(configuration("a"), parts) as service:
        service.run(threading.Event())
    assert parts.classifiers[0].calls == [50, 50, 50]
