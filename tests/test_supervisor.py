from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from fakes import FakeSource, frame
from servers import MjpegServer, RtspServer, until

from edgeemo.capture import open_source
from edgeemo.config import ServiceConfig
from edgeemo.errors import SourceError
from edgeemo.service.supervisor import Supervisor
from edgeemo.types import Frame, Source, State

QUICK = ServiceConfig(stalled_s=0.8, backoff_s=0.02, backoff_max_s=0.1, open_timeout_s=3, read_timeout_s=1)


class Running:
    """A supervisor whose frames are taken by a thread."""

    def __init__(self, opener, config: ServiceConfig = QUICK, *, live: bool = False) -> None:  # type: ignore[no-untyped-def]
        self.wake = threading.Event()
        self.supervisor = Supervisor("door", opener, self.wake, config, live=live)
        self.frames: list[Frame] = []
        self._stop = threading.Event()
        self._taker = threading.Thread(target=self._take)

    def __enter__(self) -> Running:
        self.supervisor.start()
        self._taker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._taker.join()
        self.supervisor.stop(5)

    @property
    def states(self) -> list[State]:
        return [state for _, state in self.supervisor.history]

    def _take(self) -> None:
        while not self._stop.is_set():
            self.wake.wait(0.02)
            self.wake.clear()
            self.supervisor.check()
            taken = self.supervisor.take()
            if taken is not None:
                self.frames.append(taken)
                self.supervisor.done(0)


class Openings:
    """Gives one source after another; an exception stands for one that cannot be opened."""

    def __init__(self, *items: Source | Exception) -> None:
        self._items = list(items)

    def __call__(self) -> Source:
        item = self._items.pop(0) if self._items else SourceError("nothing there")
        if isinstance(item, Exception):
            raise item
        return item


class Camera:
    """A live source that gives frames slowly, may fall silent, and ends with an error when told."""

    live = True
    pause_s = 0.0
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
        until(lambda: running.supervisor.ended)
    assert [each.index for each in running.frames] == list(range(30))
    assert {each.origin for each in running.frames} == {"door"}
    assert all(each.wall is not None for each in running.frames)
    assert running.states == [State.CONNECTING, State.LIVE, State.ENDED]


def test_a_lost_source_goes_through_every_state_and_its_numbers_go_on() -> None:
    first, second = Camera(), Camera()
    with Running(Openings(SourceError("not yet"), first, SourceError("gone"), second)) as running:
        until(lambda: running.supervisor.status().state is State.LIVE)
        first.silent.set()
        until(lambda: running.supervisor.status().state is State.STALLED)
        first.silent.clear()
        until(lambda: running.supervisor.status().state is State.LIVE)
        first.ends.set()
        until(lambda: running.supervisor.status().connects == 2)
        until(lambda: running.supervisor.status().captured > 5)
        status = running.supervisor.status()
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
        for camera in cameras:
            until(lambda: running.supervisor.status().state is State.LIVE)
            time.sleep(0.05)
            camera.ends.set()
            until(lambda: running.supervisor.status().state is not State.LIVE)
    status = running.supervisor.status()
    assert status.captured == status.processed + status.dropped + status.waiting
    assert status.waiting <= 1
    assert status.processed == len(running.frames) > 0


def test_a_damaged_file_is_not_begun_again() -> None:
    with Running(Openings(FakeSource(5, error=SourceError("breaks off")), FakeSource(5))) as running:
        until(lambda: running.supervisor.ended)
    assert len(running.frames) == 5
    assert running.supervisor.status().error == "breaks off"


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
        until(lambda: running.supervisor.status().connects == 2)
        until(lambda: len(running.frames) > 3)
        release.set()
        fresh.ends.set()
    assert State.STALLED in running.states
    assert [each.index for each in running.frames] == sorted({each.index for each in running.frames})


def test_an_exception_that_nobody_expected_is_lost_and_tried_again() -> None:
    camera = Camera()
    with Running(Openings(RuntimeError("a driver's fault"), camera)) as running:
        until(lambda: running.supervisor.status().state is State.LIVE)
        camera.ends.set()


def test_it_stops_while_it_waits_for_a_source() -> None:
    with Running(Openings(), ServiceConfig(backoff_s=60, backoff_max_s=60)) as running:
        until(lambda: running.supervisor.status().state is State.BACK_OFF)
        assert running.supervisor.stop(2)


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
        until(lambda: running.supervisor.status().state in (State.LOST, State.BACK_OFF), "loss")
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
        until(lambda: running.supervisor.status().state is not State.LIVE, "trouble")
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
            until(lambda: running.supervisor.status().state in (State.LOST, State.BACK_OFF), "loss")
            server.start()
            before = len(running.frames)
            until(lambda: len(running.frames) > before + 3, "frames again")
            assert running.supervisor.status().connects == 2
    finally:
        server.kill()
