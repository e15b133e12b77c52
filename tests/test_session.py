from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes import FakeClassifier, FakeDetector, FakeSink, FakeSmoother, FakeSource, FakeTracker

from edgeemo.errors import SinkError, SourceError
from edgeemo.mailbox import Closed
from edgeemo.session import Session
from edgeemo.sinks import ReaderGone
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import Detector, Result
from engines import LABELS

PATIENCE_S = 10.0


def pipeline(count: int = 1, *, detector: Detector | None = None) -> Pipeline:
    return Pipeline(detector or FakeDetector(count), FakeTracker(), FakeClassifier(), FakeSmoother())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("edgeemo", "capture"))]


def shown(session: Session) -> Iterator[int]:
    while True:
        try:
            yield session.screen.take(timeout=PATIENCE_S).frame.index
        except Closed:
            return


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


@pytest.mark.parametrize("count", [0, 2])
def test_every_frame_of_a_file_reaches_every_sink_in_order(count: int) -> None:
    sinks = FakeSink(), FakeSink()
    with Session(FakeSource(30), pipeline(count), sinks) as session:
        stats = session.run()
    assert sinks[0].frames == sinks[1].frames == list(range(30))
    assert (stats.frames, stats.faces, stats.dropped) == (30, 30 * count, 0)
    assert stats.emotions == ({LABELS[1]: 60} if count else {})
    assert set(stats.timings) == {"detect", "track", "classify", "smooth", "sink"}
    assert threads() == []


def test_a_source_without_frames_gives_empty_stats() -> None:
    with Session(FakeSource(0), pipeline()) as session:
        stats = session.run()
    assert (stats.frames, stats.seconds, stats.fps, stats.timings) == (0, 0.0, 0.0, {})


def test_it_stops_after_the_wanted_number_of_frames_and_releases_the_source() -> None:
    source, sink = FakeSource(1000), FakeSink()
    with Session(source, pipeline(), [sink], frames=7) as session:
        assert session.run().frames == 7
    assert sink.frames == list(range(7))
    assert source.released


def test_a_live_source_drops_what_nobody_took_and_counts_it() -> None:
    class SlowDetector(FakeDetector):
        def detect(self, frame):  # type: ignore[no-untyped-def]
            time.sleep(0.01)
            return super().detect(frame)

    sink = FakeSink()
    with Session(FakeSource(500, live=True), pipeline(detector=SlowDetector()), [sink]) as session:
        stats = session.run()
    assert stats.frames + stats.dropped == 500
    assert stats.dropped > 0
    assert sink.frames[-1] == 499
    assert sink.frames == sorted(sink.frames)


def test_an_error_of_the_source_comes_out_after_the_frames_before_it() -> None:
    sink = FakeSink()
    source = FakeSource(5, error=SourceError("clip.mp4 breaks off after frame 5"))
    with Session(source, pipeline(), [sink]) as session, pytest.raises(SourceError, match="breaks off"):
        session.run()
    assert sink.frames == list(range(5))
    assert threads() == []


def test_an_error_of_a_stage_comes_out_and_ends_the_capture() -> None:
    source, sink = FakeSource(1000), FakeSink()
    with Session(source, pipeline(detector=FakeDetector(fails_at=3)), [sink]) as session:
        with pytest.raises(RuntimeError, match="the detector broke"):
            session.run()
        assert source.released
    assert sink.frames == [0, 1, 2]


def test_an_error_of_a_sink_comes_out() -> None:
    sink = FakeSink(fails_at=2, error=SinkError("disk full"))
    with Session(FakeSource(9), pipeline(), [sink]) as session, pytest.raises(SinkError, match="disk full"):
        session.run()


def test_stop_ends_a_run_between_two_frames() -> None:
    stop = threading.Event()

    class Stopper(FakeSink):
        def write(self, result: Result) -> None:
            super().write(result)
            if len(self.frames) == 4:
                stop.set()

    sink = Stopper()
    with Session(FakeSource(1000), pipeline(), [sink]) as session:
        assert session.run(stop).frames == 4


def test_resources_are_closed_in_reverse_order_and_once() -> None:
    order: list[str] = []
    resources = ExitStack()
    resources.callback(order.append, "first")
    resources.callback(order.append, "second")
    session = Session(FakeSource(2), pipeline(), resources=resources)
    session.run()
    session.close()
    session.close()
    assert order == ["second", "first"]


def test_the_window_gets_the_newest_result_and_then_the_end() -> None:
    with Session(FakeSource(20), pipeline(2), screen=True) as session:
        session.start()
        seen = list(shown(session))
    assert seen[-1] == 19
    assert seen == sorted(seen)


def test_the_window_gets_the_error_of_a_background_run() -> None:
    source = FakeSource(0, error=SourceError("the camera was unplugged"))
    with Session(source, pipeline(), screen=True) as session:
        session.start()
        with pytest.raises(SourceError, match="unplugged"):
            session.screen.take(timeout=PATIENCE_S)


def test_a_reader_that_has_gone_ends_a_background_run() -> None:
    sink = FakeSink(fails_at=1, error=ReaderGone("gone"))
    with Session(FakeSource(1000), pipeline(), [sink]) as session:
        session.start()
        until(lambda: not threads())
    assert sink.frames == [0]


def test_pause_holds_a_file_and_resume_goes_on_without_losing_a_frame() -> None:
    sink = FakeSink()
    with Session(FakeSource(40), pipeline(), [sink], screen=True) as session:
        session.pause()
        assert session.paused
        session.start()
        with pytest.raises(TimeoutError):
            session.screen.take(timeout=0.15)
        assert sink.frames == []
        session.resume()
        until(lambda: not threads())
    assert sink.frames == list(range(40))


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_closing_ends_every_thread_of_a_background_run(paused: bool, live: bool) -> None:
    source = FakeSource(10**9, live=live)
    detector = FakeDetector()
    resources = ExitStack()
    resources.callback(detector.close)
    session = Session(source, pipeline(detector=detector), screen=True, resources=resources)
    session.start()
    session.screen.take(timeout=PATIENCE_S)
    if paused:
        session.pause()
    session.close()
    assert threads() == []
    assert source.released
    assert detector.closed


def test_a_session_that_never_ran_closes_too() -> None:
    detector = FakeDetector()
    resources = ExitStack()
    resources.callback(detector.close)
    Session(FakeSource(), pipeline(detector=detector), resources=resources).close()
    assert detector.closed


def test_closing_from_another_thread_ends_a_run() -> None:
    session = Session(FakeSource(10**9), pipeline(), screen=True)
    closer = threading.Thread(target=lambda: (session.screen.take(timeout=PATIENCE_S), session.close()))
    closer.start()
    session.run()
    closer.join(PATIENCE_S)
    assert not closer.is_alive()
    assert threads() == []


def test_names_come_from_the_stages(tmp_path: Path) -> None:
    with Session(FakeSource(), pipeline(), engine_description="tiny, CPU") as session:
        assert session.source_name == "clip.mp4"
        assert session.labels == LABELS
        assert session.engine_description == "tiny, CPU"


def test_a_sink_that_cannot_write_its_last_results_is_heard_although_a_reader_has_gone() -> None:
    def refuse() -> None:
        raise SinkError("disk full")

    resources = ExitStack()
    resources.callback(refuse)
    sink = FakeSink(fails_at=1, error=ReaderGone("gone"))
    with (
        pytest.raises(SinkError, match="disk full"),
        Session(FakeSource(5), pipeline(), [sink], resources=resources) as session,
    ):
        session.run()
