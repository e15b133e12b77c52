"""A runner with one source and fake stages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from fakes import (
    FakeClassifier,
    FakeDetector,
    FakeParts,
    FakeSink,
    FakeSource,
    fake_runner,
)
from runs import QUICK, Endless, Keeper, configuration, running
from servers import until

from edgeemo.capture.playhead import Playhead
from edgeemo.config import Config, SmoothConfig
from edgeemo.errors import ConfigError, SinkError, SourceError
from edgeemo.mailbox import Closed
from edgeemo.run.runner import Runner
from edgeemo.sinks import ReaderGone
from edgeemo.types import F32, Faces, Frame, Result
from engines import LABELS
from engines.errors import ModelError


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
    source = FakeSource(5, error=SourceError("clip.mp4 is cut off after frame 5"))
    with fake_runner(source, [sink]) as runner, pytest.raises(SourceError, match="is cut off"):
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
    assert sink.frames == list(range(frames))  # every recognised frame is written


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


def test_a_window_that_has_gone_ends_the_run() -> None:
    with fake_runner(FakeSource(3000), screen=True) as runner:
        runner.screen.close()
        assert runner.run().frames < 3000


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


def test_frames_that_were_read_before_a_leap_are_counted_but_not_handed_out() -> None:
    class Wound(FakeSource):
        playhead = Playhead()

        def frames(self) -> Iterator[Frame]:
            self.playhead.seek(9.0)
            for index, each in enumerate(super().frames()):
                if index == 4:
                    self.playhead.take(index)
                yield each

    sink = FakeSink()
    with fake_runner(Wound(7), [sink]) as runner:
        assert runner.playhead is Wound.playhead
        assert runner.run().frames == 7
    assert sink.frames == [4, 5, 6]


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
        runner.close()  # the error of the other sink
    runner.close()


def test_a_sink_that_fails_on_closing_is_heard_after_an_error_of_the_source(caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(SourceError, match="is cut off"),
        fake_runner(FakeSource(5, error=SourceError("is cut off")), [Unfinished()]) as runner,
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
        assert len(parts.classifiers) == 2  # a change of smoothing does not reopen the engine
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
        with pytest.raises(ConfigError, match=r"classes of .* differ from those of the open outputs"):
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
            # when frame n + 1 is requested, frame n is in the mailbox
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
