from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from fakes import FakeSource, frame
from servers import MjpegServer, RtspServer, until

from edgeemo.capture import open_source
from edgeemo.config import ServiceConfig
from edgeemo.errors import SourceError
from edgeemo.run.source_worker import MOST_STUCK, SourceWorker
from edgeemo.types import Frame, Source, State

QUICK = ServiceConfig(stalled_s=0.8, backoff_s=0.02, backoff_max_s=0.1, open_timeout_s=3, read_timeout_s=1)


class Running:
    """A worker, and a thread that takes its frames."""

    def __init__(self, opener, config: ServiceConfig = QUICK, *, live: bool = False) -> None:  # type: ignore[no-untyped-def]
        self.wake = threading.Event()
        self.worker = SourceWorker("door", opener, self.wake, config, newest_only=live)
        self.frames: list[Frame] = []
        self._stop = threading.Event()
        self._taker = threading.Thread(target=self._take)

    def __enter__(self) -> Running:
        self.worker.start()
        self._taker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._taker.join()
        self.worker.stop(5)

    @property
    def states(self) -> list[State]:
        return [state for _, state in self.worker.history]

    def _take(self) -> None:
        while not self._stop.is_set():
            self.wake.wait(0.02)
            self.wake.clear()
            self.worker.check()
            taken = self.worker.take()
            if taken is not None:
                self.frames.append(taken.frame)
                self.worker.done(0)


class Openings:
    """Returns one source after the other; an exception means that opening fails."""

    def __init__(self, *items: Source | Exception) -> None:
        self._items = list(items)

    def __call__(self) -> Source:
        item = self._items.pop(0) if self._items else SourceError("nothing there")
        if isinstance(item, Exception):
            raise item
        return item


class Camera:
    """A live source with slow frames, which can stop delivering or fail."""

    live = True
    pause_s = 0.0
    decoder = ""
    name = "camera 0"

    def __init__(self, pause: float = 0.005) -> None:
        self.silent = threading.Event()
        self.ends = threading.Event()
        self._pause = pause

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self.ends.wait(self._pause):
            if not self.silent.is_set():
                yield frame(index)
                index += 1
        raise SourceError("camera 0 stopped; check its cable")


def test_a_file_gives_every_frame_and_ends() -> None:
    with Running(Openings(FakeSource(30))) as running:
        until(lambda: running.worker.ended)
    assert [each.index for each in running.frames] == list(range(30))
    assert {each.origin for each in running.frames} == {"door"}
    assert all(each.wall is not None for each in running.frames)
    assert running.states == [State.CONNECTING, State.LIVE, State.ENDED]


def reading(source: Source) -> SourceWorker:
    """A worker of a single source, which is not reopened."""
    return SourceWorker("clip", Openings(), threading.Event(), QUICK, first=source, reopen=False)


def taken(worker: SourceWorker) -> Frame:
    captured = None

    def take() -> bool:
        nonlocal captured
        captured = worker.take()
        return captured is not None

    until(take)
    assert captured is not None
    worker.done(0)
    return captured.frame


def test_frames_of_a_single_source_stay_as_it_made_them() -> None:
    worker = reading(FakeSource(3))
    worker.start()
    frames = [taken(worker) for _ in range(3)]
    until(lambda: worker.ended)
    assert [(each.index, each.origin, each.wall) for each in frames] == [(row, "clip.mp4", None) for row in range(3)]
    assert worker.failure is None
    assert worker.stop(5)


def test_only_the_newest_frame_of_a_live_source_is_kept() -> None:
    worker = reading(FakeSource(50, live=True))
    worker.start()
    until(lambda: worker.status().state is State.ENDED)
    assert taken(worker).index == 49
    assert worker.dropped == 49
    assert worker.ended


@pytest.mark.parametrize("live", [False, True])
def test_an_error_of_a_single_source_ends_it_after_its_last_frame(live: bool) -> None:
    source = FakeSource(1, live=live, error=SourceError("the camera is gone"))
    worker = reading(source)
    worker.start()
    assert taken(worker).index == 0
    until(lambda: worker.ended)
    assert str(worker.failure) == "the camera is gone"
    assert worker.stop(5)
    assert source.released


@pytest.mark.parametrize("live", [False, True])
def test_stopping_releases_the_source_and_ends_its_thread(live: bool) -> None:
    source = FakeSource(10_000_000, live=live)
    worker = reading(source)
    worker.start()
    taken(worker)
    assert worker.stop(5)
    assert source.released
    assert not any(thread.name == "capture clip" for thread in threading.enumerate())
    assert worker.stop(5)


def test_a_worker_that_was_never_started_can_be_stopped() -> None:
    assert reading(FakeSource(1)).stop(1)


def test_stopping_does_not_wait_for_the_next_picture_of_a_folder_that_is_shown() -> None:
    source = FakeSource(3, still=True)
    source.pause_s = 30
    worker = reading(source)
    worker.start()
    assert taken(worker).index == 0
    time.sleep(0.1)
    assert worker.take() is None
    assert worker.stop(5)


def test_a_lost_source_goes_through_every_state_and_its_numbers_go_on() -> None:
    first, second = Camera(), Camera()
    with Running(Openings(SourceError("not yet"), first, SourceError("gone"), second)) as running:
        assert not running.worker.must_arrive, "what it opens may be live"
        until(lambda: running.worker.status().state is State.LIVE)
        first.silent.set()
        until(lambda: running.worker.status().state is State.STALLED)
        first.silent.clear()
        until(lambda: running.worker.status().state is State.LIVE)
        first.ends.set()
        until(lambda: running.worker.status().connects == 2)
        until(lambda: running.worker.status().captured > 5)
        status = running.worker.status()
        second.ends.set()
    lost = [State.LOST, State.BACK_OFF, State.CONNECTING]
    expected = [State.CONNECTING, *lost, State.LIVE, State.STALLED, State.LIVE, *lost, *lost, State.LIVE]
    assert running.states[: len(expected)] == expected
    assert status.error == ""
    indices, times = [each.index for each in running.frames], [each.time for each in running.frames]
    assert indices == sorted(set(indices))
    assert times == sorted(times)


def test_frames_in_are_those_processed_dropped_and_waiting() -> None:
    cameras = [Camera(0.0005) for _ in range(4)]
    with Running(Openings(*cameras)) as running:
        for number, camera in enumerate(cameras, 1):
            # not its state, which may change and return between two looks on a busy machine
            until(lambda number=number: running.worker.status().connects == number)
            time.sleep(0.05)
            camera.ends.set()
        until(lambda: running.worker.status().state is not State.LIVE)
    status = running.worker.status()
    assert status.captured == status.processed + status.dropped + status.waiting
    assert status.waiting <= 1
    assert status.processed == len(running.frames) > 0


def test_a_damaged_file_is_not_reopening() -> None:
    with Running(Openings(FakeSource(5, error=SourceError("is cut off")), FakeSource(5))) as running:
        until(lambda: running.worker.ended)
    assert len(running.frames) == 5
    assert running.worker.status().error == "is cut off"


def test_a_source_that_can_neither_give_nor_be_interrupted_is_replaced() -> None:
    stuck, release = threading.Event(), threading.Event()

    class Stuck(Camera):
        def frames(self) -> Iterator[Frame]:
            yield frame(0)
            stuck.set()
            release.wait(30)
            yield frame(1)

    fresh = Camera()
    config = ServiceConfig(0.1, 1, 0.02, 0.1, open_timeout_s=0.5, read_timeout_s=0.5)
    with Running(Openings(Stuck(), fresh), config) as running:
        until(stuck.is_set)
        until(lambda: running.worker.status().connects == 2)
        until(lambda: len(running.frames) > 3)
        release.set()
        fresh.ends.set()
    assert State.STALLED in running.states
    assert [each.index for each in running.frames] == sorted({each.index for each in running.frames})


def test_a_driver_that_hangs_for_days_does_not_use_up_the_threads() -> None:
    release = threading.Event()
    opened: list[int] = []

    class Stuck(Camera):
        def frames(self) -> Iterator[Frame]:
            opened.append(1)
            release.wait(60)
            yield from super().frames()

    config = ServiceConfig(0.1, 1, 0.02, 0.1, open_timeout_s=0.5, read_timeout_s=0.5)
    camera = Stuck()
    with Running(lambda: camera, config) as running:
        until(lambda: len(opened) > MOST_STUCK)
        threading.Event().wait(2.2 * config.hang_s)
        assert len(opened) == MOST_STUCK + 1
        assert not running.worker.stop(0.05)  # the process must not wait for these threads at its end
        release.set()
        camera.ends.set()
        until(lambda: running.worker.stop(5))


def test_a_file_that_hangs_is_not_read_again_from_its_beginning() -> None:
    hangs, release = threading.Event(), threading.Event()

    class OnNetwork(FakeSource):
        def frames(self) -> Iterator[Frame]:
            for index in range(10):
                if index == 5:
                    hangs.set()
                    release.wait(30)
                yield frame(index)

    config = ServiceConfig(0.1, 1, 0.02, 0.1, open_timeout_s=0.5, read_timeout_s=0.5)
    with Running(OnNetwork, config) as running:
        until(hangs.is_set)
        threading.Event().wait(1.5 * config.hang_s)
        assert running.worker.status().state is State.STALLED
        release.set()
        until(lambda: running.worker.ended)
    assert [each.index for each in running.frames] == list(range(10))


def test_a_file_that_opens_slowly_is_given_more_time() -> None:
    class OnSlowDrive(FakeSource):
        def frames(self) -> Iterator[Frame]:
            time.sleep(1.5)
            yield from super().frames()

    config = ServiceConfig(0.1, 1, 0.02, 0.1, open_timeout_s=0.5, read_timeout_s=0.5)  # hang_s is 1
    with Running(OnSlowDrive, config) as running:
        until(lambda: running.worker.ended)
    assert [each.index for each in running.frames] == list(range(5))


@pytest.mark.parametrize("live", [False, True])
def test_a_file_that_replaces_a_source_continues_its_number_and_time(live: bool) -> None:
    with Running(Openings(FakeSource(5, live=live))) as before:
        until(lambda: len(before.frames) > 0 and before.worker.status().state is not State.LIVE)
    after = Running(Openings(FakeSource(5)))
    after.worker.continue_from(before.worker)
    with after:
        until(lambda: after.worker.ended)
    frames = before.frames + after.frames
    assert all(one.time < other.time and one.index < other.index for one, other in pairwise(frames))
    assert after.frames[-1].time - after.frames[0].time == pytest.approx(4 / 25)


def test_a_source_that_fails_after_each_opening_logs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    failing = [FakeSource(2, live=True, error=SourceError(f"stopped after {2 + row} frames")) for row in range(8)]
    with Running(Openings(*failing)) as running:
        until(lambda: running.worker.status().connects == 8)
    assert [each for each in caplog.messages if "frames" in each] == ["source door: stopped after 2 frames"]


def test_an_exception_that_nobody_expected_is_lost_and_tried_again() -> None:
    camera = Camera()
    with Running(Openings(RuntimeError("a driver's fault"), camera)) as running:
        until(lambda: running.worker.status().state is State.LIVE)
        camera.ends.set()


def test_only_an_exception_that_nobody_expected_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    camera = Camera()
    camera.ends.set()
    expected = SourceError("not yet")
    with Running(Openings(RuntimeError("a driver's fault"), expected, FakeSource(1, live=True))) as running:
        until(lambda: running.worker.status().connects == 1 and running.worker.status().state is not State.LIVE)
    assert [str(each.exc_info[1]) for each in caplog.records if each.exc_info] == ["a driver's fault"]


def test_the_pause_before_a_source_is_opened_again_doubles_up_to_a_limit() -> None:
    config = replace(QUICK, backoff_s=0.04, backoff_max_s=0.2)
    with Running(Openings(), config) as running:
        until(lambda: running.states.count(State.CONNECTING) > 6)
        history = list(running.worker.history)
    opened = [at for at, state in history if state is State.CONNECTING]
    pauses = [after - before for before, after in pairwise(opened)]
    # a wait is never shorter than requested; a busy machine makes it longer
    for pause, least in zip(pauses, (0.08, 0.16, 0.2, 0.2, 0.2), strict=False):
        assert pause >= least - 0.002


def test_a_source_that_gives_a_single_frame_is_not_opened_again_sooner_for_it() -> None:
    config = replace(QUICK, backoff_s=0.02, backoff_max_s=0.08)
    failing = [FakeSource(1, live=True, error=SourceError("gone")) for _ in range(5)]
    with Running(Openings(*failing), config) as running:
        until(lambda: running.states.count(State.CONNECTING) > 4)
        history = list(running.worker.history)
    opened = [at for at, state in history if state is State.CONNECTING]
    for pause, least in zip((after - before for before, after in pairwise(opened)), (0.04, 0.08, 0.08), strict=False):
        assert pause >= least - 0.002


def test_faces_and_rates_are_those_of_a_live_source() -> None:
    worker = reading(Camera())
    assert (worker.status().faces, worker.status().process_fps, worker.status().camera_fps) == (0, 0, 0)
    worker.start()
    for _ in range(3):
        until(worker.take)
        worker.done(7)
    status = worker.status()
    assert (status.state, status.faces, status.processed) == (State.LIVE, 7, 3)
    assert min(status.process_fps, status.camera_fps) > 0
    assert worker.stop(5)


def test_it_stops_while_it_waits_for_a_source() -> None:
    with Running(Openings(), ServiceConfig(backoff_s=60, backoff_max_s=60)) as running:
        until(lambda: running.worker.status().state is State.BACK_OFF)
        assert running.worker.stop(2)


@pytest.fixture(scope="module")
def picture() -> bytes:
    rng = np.random.default_rng(0)
    return cv2.imencode(".jpg", rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))[1].tobytes()


def test_an_http_stream_comes_back_after_its_server_was_killed(picture: bytes) -> None:
    server = MjpegServer(picture)
    server.start()
    with Running(lambda: open_source(server.url, open_timeout=3, read_timeout=1)) as running:
        until(lambda: len(running.frames) > 5, "frames")
        server.kill()
        until(lambda: running.worker.status().state in (State.LOST, State.BACK_OFF), "loss")
        server.start()
        before = len(running.frames)
        until(lambda: len(running.frames) > before + 3, "frames again")
        server.kill()


def test_garbage_and_silence_in_a_stream_are_survived(picture: bytes) -> None:
    server = MjpegServer(picture)
    server.start()
    with Running(lambda: open_source(server.url, open_timeout=1.5, read_timeout=1)) as running:
        until(lambda: len(running.frames) > 5, "frames")
        server.garbage = True
        time.sleep(0.5)
        server.garbage, server.silent = False, True
        until(lambda: running.worker.status().state is not State.LIVE, "trouble")
        server.silent = False
        before = len(running.frames)
        until(lambda: len(running.frames) > before + 3, "frames again")
        server.garbage = True
        time.sleep(1)
        server.garbage = False
        before = len(running.frames)
        until(lambda: len(running.frames) > before + 3, "frames after garbage")
        server.kill()


def test_an_rtsp_stream_comes_back_after_its_server_was_killed() -> None:
    server = RtspServer()
    server.start()
    try:
        with Running(lambda: open_source(server.url, open_timeout=5, read_timeout=2)) as running:
            until(lambda: len(running.frames) > 5, "frames")
            server.kill()
            until(lambda: running.worker.status().state in (State.LOST, State.BACK_OFF), "loss")
            server.start()
            before = len(running.frames)
            until(lambda: len(running.frames) > before + 3, "frames again")
            assert running.worker.status().connects == 2
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("size", "paced", "ahead"), [(64, False, 4), (1200, False, 2), (2200, False, 1), (64, True, 1)]
)
def test_a_file_is_decoded_ahead_less_where_frames_are_large_or_watched(size: int, paced: bool, ahead: int) -> None:
    class Large(FakeSource):
        def frames(self) -> Iterator[Frame]:
            for index in range(12):
                yield frame(index, size=size)

    source = Large()
    worker = SourceWorker("clip", lambda: source, threading.Event(), QUICK, reopen=False, paced=paced)
    worker.start()
    try:
        # one frame more than fits into the queue has left the decoder and waits
        until(lambda: worker.status().captured == ahead + 1, "reading ahead")
        indices = []
        while not worker.ended:
            taken = worker.take()
            if taken is not None:
                assert worker.status().captured <= len(indices) + ahead + 2
                indices.append(taken.frame.index)
                worker.done(0)
        assert indices == list(range(12))
    finally:
        assert worker.stop(5)
