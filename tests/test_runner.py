"""A runner with several sources and fake stages."""

from __future__ import annotations

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import (
    FakeClassifier,
    FakeDetector,
    FakeParts,
    FakeSink,
    FakeSmoother,
    FakeSource,
    FakeTracker,
    frame,
)
from runs import QUICK, Endless, Keeper, configuration, running
from servers import until

from edgeemo.config import Config, SourceConfig, TrackConfig
from edgeemo.errors import ConfigError, EdgeemoError, SinkError, SourceError
from edgeemo.run.runner import Runner
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.stages.pipeline import Pipeline, step_together
from edgeemo.types import Faces, Frame, Result, Sink, State, Status
from engines import LABELS
from engines.errors import ModelError


@pytest.mark.parametrize("faces", [0, 2])
def test_every_frame_of_several_files_reaches_the_sinks_in_order(faces: int) -> None:
    keep = Keeper()
    parts = FakeParts({"a": lambda: FakeSource(40), "b": lambda: FakeSource(25)}, {"keep": keep}, faces)
    with Runner(configuration("a", "b"), parts) as runner:
        runner.run(threading.Event())
        status = runner.status()
    assert keep.of("a") == list(range(40))
    assert keep.of("b") == list(range(25))
    assert [each.state for each in status.sources] == [State.ENDED, State.ENDED]
    assert keep.closed
    assert parts.classifiers[0].closed
    assert all(detector.closed for detector in parts.detectors)
    assert sum(parts.classifiers[0].calls) == 65 * faces


def test_the_faces_of_all_sources_go_through_the_engine_in_one_call() -> None:
    classifier = FakeClassifier()
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
    with running(configuration("good", "bad"), parts) as (runner, _, _):
        until(lambda: len(keep.of("bad")) > 3)
        bad.ends.set()
        until(lambda: runner.status().sources[1].error == "camera stopped")
        before = len(keep.of("good"))
        until(lambda: len(keep.of("good")) > before + 20)
        bad.ends.clear()
        so_far = len(keep.of("bad"))
        until(lambda: len(keep.of("bad")) > so_far)
        assert runner.status().sources[1].error == ""
        assert good.opened == 1


def test_a_source_that_is_not_there_yet_is_no_error() -> None:
    with running(configuration("late"), FakeParts({"late": lambda: SourceError("no camera")}, {"keep": Keeper()})) as (
        runner, _, _,
    ):  # fmt: skip
        until(lambda: runner.status().sources[0].error == "no camera")
        assert runner.status().sources[0].state is not State.LIVE


def test_an_address_that_is_malformed_is_a_mistake_at_once() -> None:
    parts = FakeParts({"ftp://x": lambda: SourceError("ftp:// is not a kind of source")}, {"keep": Keeper()})
    with pytest.raises(SourceError, match="not a kind of source"):
        Runner(Config(sources=(SourceConfig("a", "ftp://x"),), sinks=("keep",)), parts)
    assert all(classifier.closed for classifier in parts.classifiers)
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
    with running(config, parts) as (runner, _, _):
        until(lambda: len(keep.seen) > 60)
        until(lambda: runner.status().sinks[1].dropped > 20)
        assert runner.status().sinks[0].dropped == 0
        assert runner.status().sinks[1].waiting <= 8
        release.set()


def test_a_sink_that_breaks_is_opened_again_and_disturbs_no_other() -> None:
    class Frail(FakeSink):
        def write(self, result: Result) -> None:
            # not at a certain frame, which a live source may have skipped
            if len(self.frames) == 3:
                raise SinkError("disk full")
            super().write(result)

    keep, broken, repaired, camera = Keeper(), Frail(), Keeper(), Endless()
    opened = iter([broken, repaired])
    parts = FakeParts({"a": camera}, {"keep": keep, "frail": lambda: next(opened)})
    with running(configuration("a", sinks=("keep", "frail")), parts) as (runner, _, _):
        until(lambda: runner.status().sinks[1].error == "disk full")
        until(lambda: repaired.seen)
        until(lambda: runner.status().sinks[1].error == "")
        assert runner.status().sinks[1].dropped > 0
        assert broken.closed
        assert runner.status().sinks[0].dropped == 0
        indices = keep.of("a")
    # on a busy machine a live source skips frames; none is repeated or late
    assert indices == sorted(set(indices))


def test_only_sinks_that_show_pictures_get_them() -> None:
    bare, full = Keeper(), Keeper(pictures=True)
    parts = FakeParts({"a": lambda: FakeSource(10)}, {"bare": bare, "full": full})
    with Runner(configuration("a", sinks=("bare", "full")), parts) as runner:
        runner.run(threading.Event())
    assert bare.sizes == full.sizes == {(64, 128)}
    assert (bare.brightest, full.brightest) == (0, 49)


def test_sinks_learn_the_names_of_the_sources_and_the_status() -> None:
    parts = FakeParts({"a": lambda: FakeSource(1)}, {"keep": Keeper()})
    with Runner(configuration("a"), parts):
        context = parts.contexts[0]
        assert context.sources == ("a",)
        assert context.lasting
        assert context.status is not None
        assert isinstance(context.status(), Status)
        assert context.status().to_mapping()["sources"][0]["state"] == "connecting"


def test_a_limit_of_frames_ends_it() -> None:
    keep = Keeper()
    parts = FakeParts({"a": Endless()}, {"keep": keep})
    with Runner(configuration("a", frames=5), parts) as runner:
        runner.run(threading.Event())
    assert len(keep.seen) == 5


def test_a_limit_of_frames_is_exact_for_several_sources() -> None:
    keep = Keeper()
    parts = FakeParts({name: FakeSource(50) for name in "abc"}, {"keep": keep})
    with Runner(configuration(*"abc", frames=7), parts) as runner:
        runner.run(threading.Event())
    assert len(keep.seen) == 7


def test_reading_the_configuration_again_leaves_alone_what_is_the_same() -> None:
    a, b, c, keep, more = Endless(), Endless(), Endless(), Keeper(), Keeper()
    parts = FakeParts({"a": a, "b": b, "c": c}, {"keep": keep, "more": more})
    loaded = configuration("a", "c", engine="other")
    with running(configuration("a", "b"), parts, lambda: loaded) as (runner, _, reload):
        until(lambda: keep.of("a") and keep.of("b"))
        reload.set()
        until(lambda: [each.name for each in runner.status().sources] == ["a", "c"])
        until(lambda: runner.status().sources[1].state is State.LIVE)
        assert runner.status().engine == "other, fake"
        assert a.opened == 1
        assert parts.classifiers[0].closed
        assert not parts.classifiers[1].closed
        # stages of a continue (people keep their numbers), those of b end, those of c are new
        assert [detector.closed for detector in parts.detectors] == [False, True, False]
        loaded = replace(loaded, sinks=("more",))
        reload.set()
        until(lambda: more.seen)
        assert keep.closed
        assert a.opened == 1


def test_a_source_that_a_reload_changes_keeps_its_numbers_and_a_database_gets_every_result(tmp_path: Path) -> None:
    def opener() -> Sink:
        context = SinkContext(LABELS, draw=lambda each: each.frame.image, sources=("a", "b"), lasting=True)
        return open_sink(f"sqlite:{tmp_path}/out.db", context)

    keep = Keeper()
    parts = FakeParts({"a": Endless(), "b": Endless()}, {"keep": keep, "sqlite": opener})
    before = configuration("a", "b", sinks=("keep", "sqlite"))
    after = replace(before, sources=(replace(before.sources[0], fps=5.0), before.sources[1]))
    with running(before, parts, lambda: after) as (runner, _, reload):
        until(lambda: runner.status().sinks[1].written > 100)
        reload.set()
        until(lambda: runner.config == after)
        count = len(keep.seen)
        until(lambda: len(keep.seen) > count + 1000)  # the database writes every second
        assert runner.status().sinks[1].dropped == 0
    assert keep.of("a") == sorted(set(keep.of("a")))


def test_a_file_is_not_read_again_when_a_reload_changes_the_service() -> None:
    keep, camera = Keeper(), Endless()
    parts = FakeParts({"a": camera, "b": lambda: FakeSource(5)}, {"keep": keep})
    after = replace(configuration("a", "b"), service=replace(QUICK, stalled_s=3))
    with running(configuration("a", "b"), parts, lambda: after) as (runner, _, reload):
        until(lambda: runner.status().sources[1].state is State.ENDED)
        reload.set()
        until(lambda: camera.opened == 2)
        count = len(keep.of("a"))
        until(lambda: len(keep.of("a")) > count + 20)
    assert keep.of("b") == list(range(5))


def test_a_sink_that_a_reload_removes_gets_the_frames_of_a_file_that_are_in_detection() -> None:
    class Slow(FakeDetector):
        def detect(self, frame: Frame) -> Faces:
            threading.Event().wait(0.005)
            return super().detect(frame)

    keep, more = Keeper(), Keeper()
    parts = FakeParts({"a": FakeSource(120)}, {"keep": keep, "more": more}, detector=Slow)
    with running(configuration("a"), parts, lambda: configuration("a", sinks=("more",))) as (runner, _, reload):
        until(lambda: len(keep.seen) > 20)
        reload.set()
        until(lambda: runner.status().sources[0].state is State.ENDED and len(keep.seen) + len(more.seen) >= 120)
    assert more.seen
    assert keep.of("a") + more.of("a") == list(range(120))


@pytest.mark.parametrize("fault", ["unreadable", "no sources", "engine", "library", "sink"])
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
        if fault == "library":
            parts.engine_fault = RuntimeError("CUDA error: unknown error")
        return configuration("a", sinks=("keep", "bad") if fault == "sink" else ("keep",))

    with running(configuration("a"), parts, load) as (runner, _, reload):
        until(lambda: keep.seen)
        reload.set()
        until(asked.is_set)
        before = len(keep.seen)
        until(lambda: len(keep.seen) > before + 20)
        assert [each.name for each in runner.status().sinks] == ["keep"]
        assert camera.opened == 1


def test_a_sink_that_cannot_be_reopened_after_a_refused_reload_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.REOPEN_S", 0.01)
    first, again = Keeper(pictures=True), Keeper(pictures=True)
    answers: list[Sink | Exception] = [first, SinkError("locked"), again]
    parts = FakeParts({"a": Endless()}, {"keep": lambda: answers.pop(0), "bad": SinkError("no such folder")})
    with running(configuration("a"), parts, lambda: configuration("a", sinks=("bad",))) as (_, __, reload):
        until(lambda: first.seen)
        reload.set()
        until(lambda: again.seen)
        until(lambda: again.brightest)


@pytest.mark.parametrize("fault", ["sink", "markers"])
def test_stages_that_were_opened_before_a_mistake_was_met_are_closed(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    keep = Keeper()
    parts = FakeParts({"a": Endless(), "b": Endless()}, {"keep": keep, "bad": SinkError("no such folder")})
    sinks = ("keep", "bad") if fault == "sink" else ("keep",)
    config = configuration("a", "b", sinks=sinks, markers="lsl:Task" if fault == "markers" else "")
    with pytest.raises(EdgeemoError, match="no such folder" if fault == "sink" else "pylsl is missing"):
        Runner(config, parts)
    assert [each.closed for each in parts.detectors] == [True, True]
    assert [each.closed for each in parts.classifiers] == [True]
    assert keep.closed


def test_a_sink_that_was_detached_gets_nothing_more_and_the_others_go_on() -> None:
    stays, goes = Keeper(), Keeper()
    with running(configuration("a"), FakeParts({"a": Endless()}, {"keep": Keeper()})) as (runner, _, _):
        runner.attach(stays)
        runner.attach(goes)
        until(lambda: goes.seen)
        runner.detach(goes)
        before = len(stays.seen)
        until(lambda: len(stays.seen) > before + 2)
        left = len(goes.seen)
        until(lambda: len(stays.seen) > before + 12)
        assert len(goes.seen) == left


@pytest.mark.parametrize("several", [False, True])
def test_at_the_end_of_files_their_last_results_are_written_at_once(
    several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.TICK_S", 60.0)
    keep = Keeper()
    parts = FakeParts({"a": lambda: FakeSource(3), "b": lambda: FakeSource(3)}, {"keep": keep})
    config = configuration("a", "b") if several else Config(source="a", sinks=("keep",))
    with Runner(config, parts) as runner:
        runner.run(threading.Event())
        assert len(keep.seen) == (6 if several else 3)


def test_stages_that_were_opened_for_a_configuration_with_a_mistake_are_closed() -> None:
    parts = FakeParts({"a": Endless(), "b": Endless()}, {"keep": Keeper(), "bad": SinkError("no such folder")})
    changed = configuration("a", "b", sinks=("keep", "bad"), engine="other", track=TrackConfig(max_age_s=9.0))
    with Runner(configuration("a"), parts) as runner:
        with pytest.raises(SinkError, match="no such folder"):
            runner.apply(changed)
        assert [each.closed for each in parts.detectors] == [False, True, True]
        assert [each.closed for each in parts.classifiers] == [False, True]


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
    stop, reload = threading.Event(), threading.Event()
    config = configuration("a")
    with Runner(config, FakeParts({"a": Endless()}, {"keep": Keeper()}), notifier=notes) as runner:
        thread = threading.Thread(target=runner.run, args=(stop, reload, lambda: config))
        thread.start()
        until(lambda: notes.fed > 2)
        reload.set()
        until(lambda: len(notes.told) == 3)
        stop.set()
        thread.join()
    told = [message.partition("\n")[0] for message in notes.told]
    assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", notes.told[1])


def test_a_hanging_source_and_sink_are_left_behind_in_time() -> None:
    release = threading.Event()

    class Hanging(FakeSource):
        def frames(self) -> Iterator[Frame]:
            yield frame(0)
            release.wait(30)

    class HangingSink(FakeSink):
        def write(self, result: Result) -> None:
            release.wait(30)

    runner = Runner(configuration("a"), FakeParts({"a": lambda: Hanging(live=True)}, {"keep": HangingSink()}))
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    until(lambda: runner.status().sources[0].captured == 1)
    stop.set()
    thread.join()
    assert not runner.close()
    release.set()
    with suppress(EdgeemoError):
        runner.close()


def test_fifty_faces_in_a_frame() -> None:
    keep = Keeper()
    parts = FakeParts({"a": lambda: FakeSource(3)}, {"keep": keep}, faces=50)
    with Runner(configuration("a"), parts) as runner:
        runner.run(threading.Event())
    assert parts.classifiers[0].calls == [50, 50, 50]


@pytest.mark.parametrize("count", [0, 2])
def test_one_source_and_many_give_the_same_results_of_a_file(count: int) -> None:
    def written(config: Config) -> list[Result]:
        kept: list[Result] = []

        class Kept(FakeSink):
            def write(self, result: Result) -> None:
                kept.append(result)

        parts = FakeParts(defaultdict(lambda: lambda: FakeSource(12)), {"keep": Kept()}, count)
        with Runner(config, parts) as runner:
            runner.run()
        return kept

    alone = written(Config(source="a", sinks=("keep",)))
    names = [f"camera{number}" for number in range(64)]
    together = written(configuration(*names))
    assert len(alone) == 12
    assert len(together) == 64 * 12
    for name in names:
        own = [each for each in together if each.frame.origin == name]
        assert [(each.frame.index, each.frame.time) for each in own] == [
            (each.frame.index, each.frame.time) for each in alone
        ]
        for one, other in zip(own, alone, strict=True):
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
            assert one.emotions == other.emotions


def test_a_run_of_several_files_waits_for_a_slow_sink_that_makes_progress() -> None:
    class Slow(Keeper):
        def write(self, result: Result) -> None:
            threading.Event().wait(0.05)
            super().write(result)

    slow = Slow()
    parts = FakeParts({"a": lambda: FakeSource(6), "b": lambda: FakeSource(6)}, {"keep": slow})
    with Runner(configuration("a", "b"), parts) as runner:
        runner.run(threading.Event())
        assert len(slow.seen) == 12
