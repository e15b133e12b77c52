"""One and several sources through the same runner, over fake stages."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
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
    fake_runner,
    frame,
)
from servers import until

from edgeemo.config import Config, ServiceConfig, SmoothConfig, SourceConfig
from edgeemo.errors import ConfigError, EdgeemoError, SinkError, SourceError
from edgeemo.mailbox import Closed
from edgeemo.run.runner import Runner
from edgeemo.sinks import ReaderGone
from edgeemo.stages.pipeline import Pipeline, step_together
from edgeemo.types import F32, Faces, Frame, Result, Sink, State, Status
from engines import LABELS
from engines.errors import ModelError

QUICK = ServiceConfig(backoff_s=0.02, backoff_max_s=0.1, stalled_s=1)


class Keeper(FakeSink):
    """Keeps (origin, index), and the size and brightness of the picture."""

    def __init__(self, *, pictures: bool = False) -> None:
        super().__init__()
        self.pictures = pictures
        self.seen: list[tuple[str, int]] = []
        self.sizes: set[tuple[int, ...]] = set()
        self.brightest = 0

    def write(self, result: Result) -> None:
        self.seen.append((result.frame.origin, result.frame.index))
        self.sizes.add(result.frame.image.shape[:2])
        self.brightest = max(self.brightest, int(result.frame.image.max()))

    def of(self, origin: str) -> list[int]:
        return [index for name, index in list(self.seen) if name == origin]


class Endless:
    """A live source until it is told to end."""

    live = True
    pause_s = 0.0
    decoder = ""
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
) -> Iterator[tuple[Runner, threading.Event, threading.Event]]:
    stop, reload = threading.Event(), threading.Event()
    runner = Runner(config, parts)
    thread = threading.Thread(target=runner.run, args=(stop, reload, load))
    thread.start()
    try:
        yield runner, stop, reload
    finally:
        stop.set()
        thread.join(10)
        assert runner.close()


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
    parts = FakeParts({"ftp://x": lambda: SourceError("ftp:// is no kind of source")}, {"keep": Keeper()})
    with pytest.raises(SourceError, match="no kind of source"):
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
            # not at a certain frame: a live source may have passed over it
            if len(self.frames) == 3:
                raise SinkError("disk full")
            super().write(result)

    keep, broken, mended, camera = Keeper(), Frail(), Keeper(), Endless()
    opened = iter([broken, mended])
    parts = FakeParts({"a": camera}, {"keep": keep, "frail": lambda: next(opened)})
    with running(configuration("a", sinks=("keep", "frail")), parts) as (runner, _, _):
        until(lambda: runner.status().sinks[1].error == "disk full")
        until(lambda: mended.seen)
        until(lambda: runner.status().sinks[1].error == "")
        assert runner.status().sinks[1].dropped > 0
        assert broken.closed
        assert runner.status().sinks[0].dropped == 0
        indices = keep.of("a")
    # a live source passes over frames on a busy machine; none comes twice or late
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

    with running(configuration("a"), parts, load) as (runner, _, reload):
        until(lambda: keep.seen)
        reload.set()
        until(asked.is_set)
        before = len(keep.seen)
        until(lambda: len(keep.seen) > before + 20)
        assert [each.name for each in runner.status().sinks] == ["keep"]
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
    with Runner(configuration("a"), FakeParts({"a": Endless()}, {"keep": Keeper()}), notifier=notes) as runner:
        thread = threading.Thread(target=runner.run, args=(stop,))
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


# one source


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("edgeemo", "capture"))]


def shown(runner: Runner) -> Iterator[int]:
    while True:
        try:
            yield runner.screen.take(timeout=10).frame.index
        except Closed:
            return


@pytest.mark.parametrize("count", [0, 2])
def test_every_frame_of_a_file_reaches_every_sink_in_order(count: int) -> None:
    sinks = FakeSink(), FakeSink()
    with fake_runner(FakeSource(30), sinks, count=count) as runner:
        stats = runner.run()
    assert sinks[0].frames == sinks[1].frames == list(range(30))
    assert (stats.frames, stats.faces, stats.dropped) == (30, 30 * count, 0)
    assert stats.emotions == ({LABELS[1]: 60} if count else {})
    assert set(stats.timings) == {"detect", "track", "classify", "smooth", "sink"}
    assert threads() == []


def test_a_source_without_frames_gives_empty_stats() -> None:
    with fake_runner(FakeSource(0)) as runner:
        stats = runner.run()
    assert (stats.frames, stats.seconds, stats.fps, stats.timings) == (0, 0.0, 0.0, {})


def test_it_stops_after_the_wanted_number_of_frames_and_releases_the_source() -> None:
    source, sink = FakeSource(1000), FakeSink()
    with fake_runner(source, [sink], frames=7) as runner:
        assert runner.run().frames == 7
    assert sink.frames == list(range(7))
    assert source.released


def test_a_live_source_drops_what_nobody_took_and_counts_it() -> None:
    class SlowDetector(FakeDetector):
        def detect(self, frame):  # type: ignore[no-untyped-def]
            time.sleep(0.01)
            return super().detect(frame)

    sink = FakeSink()
    with fake_runner(FakeSource(500, live=True), [sink], detector=SlowDetector()) as runner:
        stats = runner.run()
    assert stats.frames + stats.dropped == 500
    assert stats.dropped > 0
    assert sink.frames[-1] == 499
    assert sink.frames == sorted(sink.frames)


def test_an_error_of_the_source_comes_out_after_the_frames_before_it() -> None:
    sink = FakeSink()
    source = FakeSource(5, error=SourceError("clip.mp4 breaks off after frame 5"))
    with fake_runner(source, [sink]) as runner, pytest.raises(SourceError, match="breaks off"):
        runner.run()
    assert sink.frames == list(range(5))
    assert threads() == []


def test_an_error_of_a_stage_comes_out_and_ends_the_capture() -> None:
    source, sink = FakeSource(1000), FakeSink()
    with fake_runner(source, [sink], detector=FakeDetector(fails_at=3)) as runner:
        with pytest.raises(RuntimeError, match="the detector broke"):
            runner.run()
        assert source.released
    assert sink.frames == [0, 1, 2]


def test_an_error_of_a_sink_comes_out() -> None:
    sink = FakeSink(fails_at=2, error=SinkError("disk full"))
    with fake_runner(FakeSource(9), [sink]) as runner, pytest.raises(SinkError, match="disk full"):
        runner.run()


def test_stop_ends_a_run_between_two_frames() -> None:
    stop = threading.Event()

    class Stopper(FakeSink):
        def write(self, result: Result) -> None:
            super().write(result)
            if len(self.frames) == 4:
                stop.set()

    sink = Stopper()
    with fake_runner(FakeSource(1000), [sink]) as runner:
        frames = runner.run(stop).frames
    assert 4 <= frames < 1000
    assert sink.frames == list(range(frames))  # whatever was recognised is written


def test_source_sinks_detector_and_engine_are_closed_in_this_order_and_once() -> None:
    order: list[str] = []

    class Source(FakeSource):
        def frames(self) -> Iterator[Frame]:
            yield from super().frames()
            order.append("source")

    class Written(FakeSink):
        def close(self) -> None:
            order.append("sink")

    class Detector(FakeDetector):
        def close(self) -> None:
            order.append("detector")

    class Classifier(FakeClassifier):
        def close(self) -> None:
            order.append("engine")

    runner = fake_runner(Source(2), [Written()], detector=Detector(), classifier=Classifier())
    runner.run()
    runner.close()
    runner.close()
    assert order == ["source", "sink", "detector", "engine"]


def test_the_window_gets_the_newest_result_and_then_the_end() -> None:
    with fake_runner(FakeSource(20), count=2, screen=True) as runner:
        runner.start()
        seen = list(shown(runner))
    assert seen[-1] == 19
    assert seen == sorted(seen)


def test_the_window_gets_the_error_of_a_background_run() -> None:
    source = FakeSource(0, error=SourceError("the camera was unplugged"))
    with fake_runner(source, screen=True) as runner:
        runner.start()
        with pytest.raises(SourceError, match="unplugged"):
            runner.screen.take(timeout=10)


def test_a_reader_that_has_gone_ends_a_background_run() -> None:
    sink = FakeSink(fails_at=1, error=ReaderGone("gone"))
    with fake_runner(FakeSource(1000), [sink]) as runner:
        runner.start()
        until(lambda: "edgeemo-runner" not in threads())
    assert sink.frames == [0]


def test_pause_holds_a_file_and_resume_goes_on_without_losing_a_frame() -> None:
    sink = FakeSink()
    with fake_runner(FakeSource(40), [sink], screen=True) as runner:
        runner.pause()
        assert runner.paused
        runner.start()
        with pytest.raises(TimeoutError):
            runner.screen.take(timeout=0.15)
        assert sink.frames == []
        runner.resume()
        until(lambda: "edgeemo-runner" not in threads())
    assert sink.frames == list(range(40))


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_closing_ends_every_thread_of_a_background_run(paused: bool, live: bool) -> None:
    source = FakeSource(10**9, live=live)
    detector = FakeDetector()
    runner = fake_runner(source, detector=detector, screen=True)
    runner.start()
    runner.screen.take(timeout=10)
    if paused:
        runner.pause()
    runner.close()
    assert threads() == []
    assert source.released
    assert detector.closed


def test_a_session_that_never_ran_closes_too() -> None:
    detector = FakeDetector()
    fake_runner(FakeSource(), detector=detector).close()
    assert detector.closed


def test_closing_from_another_thread_ends_a_run() -> None:
    runner = fake_runner(FakeSource(10**9), screen=True)
    closer = threading.Thread(target=lambda: (runner.screen.take(timeout=10), runner.close()))
    closer.start()
    runner.run()
    closer.join(10)
    assert not closer.is_alive()
    assert threads() == []


def test_names_come_from_the_stages() -> None:
    with fake_runner(FakeSource(), classifier=FakeClassifier(description="tiny, CPU")) as runner:
        assert runner.source_name == "clip.mp4"
        assert runner.labels == LABELS
        assert runner.engine_description == "tiny, CPU"


class Unfinished(FakeSink):
    """Fails when it is closed."""

    def close(self) -> None:
        raise SinkError("disk full")


@pytest.mark.parametrize("other", [FakeSink(), FakeSink(fails_at=1, error=ReaderGone("gone"))])
def test_a_sink_that_cannot_write_its_last_results_is_heard_although_a_reader_has_gone(other: FakeSink) -> None:
    with (
        pytest.raises(SinkError, match="disk full"),
        fake_runner(FakeSource(5), [other, Unfinished()]) as runner,
    ):
        runner.run()


def test_every_failure_is_heard_once() -> None:
    broken = FakeSink(fails_at=1, error=SinkError("disk full"))
    runner = fake_runner(FakeSource(5), [broken, Unfinished()])
    with pytest.raises(SinkError, match="disk full"):
        runner.run()
    with pytest.raises(SinkError, match="disk full"):
        runner.close()  # of the other one
    runner.close()


def test_a_sink_that_fails_on_closing_is_heard_after_an_error_of_the_source(caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(SourceError, match="breaks off"),
        fake_runner(FakeSource(5, error=SourceError("breaks off")), [Unfinished()]) as runner,
    ):
        runner.run()
    assert caplog.messages == ["disk full"]


def test_a_sink_that_hangs_at_the_end_of_several_files_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.runner.PROGRESS_S", 0.05)
    release = threading.Event()

    class Hanging(FakeSink):
        def write(self, result: Result) -> None:
            release.wait(30)

    runner = Runner(configuration("a"), FakeParts({"a": lambda: FakeSource(3)}, {"keep": Hanging()}))
    assert runner.run().frames == 3
    assert not runner.close(0.05)
    release.set()


def test_a_slow_sink_holds_a_file_up_and_gets_every_result() -> None:
    class Slow(FakeSink):
        def write(self, result: Result) -> None:
            time.sleep(0.001)
            super().write(result)

    sink = Slow()
    parts = FakeParts({"clip": FakeSource(100)}, {"slow": sink})
    config = Config(source="clip", sinks=("slow",), service=replace(QUICK, queue=8))
    with Runner(config, parts) as runner:
        assert runner.run().frames == 100
        assert runner.status().sinks[0].dropped == 0
    assert sink.frames == list(range(100))


def test_a_file_that_waits_for_a_slow_sink_holds_no_live_source_up() -> None:
    release = threading.Event()

    class Stuck(Keeper):
        def write(self, result: Result) -> None:
            release.wait(20)
            super().write(result)

    keep, stuck, camera = Keeper(), Stuck(), Endless()
    parts = FakeParts({"file": lambda: FakeSource(60), "camera": camera}, {"keep": keep, "stuck": stuck})
    config = replace(configuration("file", "camera", sinks=("keep", "stuck")), service=replace(QUICK, queue=8))
    with running(config, parts):
        until(lambda: len(keep.of("camera")) > 100)
        assert len(keep.of("file")) < 60
        release.set()
        until(lambda: len(keep.of("file")) == 60)
        until(lambda: len(stuck.of("file")) == 60)
    assert stuck.of("file") == keep.of("file") == list(range(60))


def test_another_engine_and_smoothing_keep_sinks_people_and_attached_sinks() -> None:
    written, attached, camera = Keeper(), Keeper(), Endless()
    parts = FakeParts({"camera": camera}, {"written": written})
    runner = Runner(Config(source="camera", sinks=("written",)), parts, screen=True)
    with runner:
        runner.attach(attached)
        runner.start()
        until(lambda: written.seen)
        runner.apply(replace(runner.config, engine="other"), reopen_engine=False)
        assert runner.engine_description == "other, fake"
        runner.apply(replace(runner.config, smooth=SmoothConfig(margin=0.5)), reopen_engine=False)
        so_far = len(written.seen), len(attached.seen)
        until(lambda: (len(written.seen) > so_far[0] + 10) and (len(attached.seen) > so_far[1] + 10))
        assert len(parts.classifiers) == 2  # the smoothing alone opens no engine
        assert parts.classifiers[0].closed
        assert len(parts.detectors) == 1
        assert len(parts.contexts) == 1
        assert camera.opened == 1
        assert not written.closed
    assert written.closed
    assert not attached.closed


def test_an_engine_that_cannot_be_opened_leaves_the_run_as_it_was() -> None:
    camera, written = Endless(), Keeper()
    parts = FakeParts({"camera": camera}, {"written": written})
    with Runner(Config(source="camera", sinks=("written",)), parts) as runner:
        runner.start()
        until(lambda: written.seen)
        parts.engine_fault = ModelError("model.onnx is damaged")
        with pytest.raises(ModelError):
            runner.apply(replace(runner.config, engine="other"), reopen_engine=False)
        before = len(written.seen)
        until(lambda: len(written.seen) > before + 10)
        assert runner.config.engine == Config.engine


def test_an_engine_of_other_classes_is_refused_while_results_are_written() -> None:
    engines = iter([FakeClassifier(), FakeClassifier(LABELS[:8])])
    parts = FakeParts({"camera": Endless()}, {"written": Keeper()}, classifier=lambda config: next(engines))
    with Runner(Config(source="camera", sinks=("written",)), parts) as runner:
        runner.start()
        with pytest.raises(ConfigError, match="other classes"):
            runner.apply(replace(runner.config, engine="eight"), reopen_engine=False)
        assert runner.labels == LABELS
    assert all(classifier.closed for classifier in parts.classifiers)


def test_a_file_s_next_frame_is_searched_while_the_engine_has_the_last_one() -> None:
    searched = threading.Event()
    asked = [threading.Event() for _ in range(4)]

    class Source(FakeSource):
        def frames(self) -> Iterator[Frame]:
            for each in super().frames():
                asked[each.index].set()
                yield each

    class Detector(FakeDetector):
        def detect(self, frame: Frame) -> Faces:
            if frame.index == 1:
                searched.set()
            # the next frame waits to be taken once the one after it has been asked for
            assert asked[min(frame.index + 2, 3)].wait(20)
            return super().detect(frame)

    class Classifier(FakeClassifier):
        overlapped = False

        def classify(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
            if work[0][0].index == 0:
                self.overlapped = searched.wait(20)
            return super().classify(work)

    keep, classifier = Keeper(), Classifier()
    parts = FakeParts({"a": Source(4)}, {"keep": keep}, detector=Detector, classifier=lambda config: classifier)
    with Runner(Config(source="a", sinks=("keep",)), parts) as runner:
        runner.run()
    assert classifier.overlapped
    assert keep.of("clip.mp4") == [0, 1, 2, 3]


def test_no_frame_is_searched_beyond_the_limit_of_frames() -> None:
    detectors: list[Counting] = []

    class Counting(FakeDetector):
        calls = 0

        def detect(self, frame: Frame) -> Faces:
            self.calls += 1
            return super().detect(frame)

    def detector() -> Counting:
        detectors.append(Counting())
        return detectors[-1]

    keep = Keeper()
    parts = FakeParts({"a": FakeSource(9)}, {"keep": keep}, detector=detector)
    with Runner(Config(source="a", sinks=("keep",), frames=3), parts) as runner:
        assert runner.run().frames == 3
    assert keep.of("clip.mp4") == [0, 1, 2]
    assert detectors[0].calls == 3
