from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from fakes import FakeSink, result, sink_worker
from servers import until

from edgeemo.errors import SinkError
from edgeemo.run.sink_worker import BATCH, TICK_S, SinkWorker
from edgeemo.sinks import ReaderGone
from edgeemo.types import Result


class Held(FakeSink):
    """Blocks in `write` until it is released."""

    def __init__(self, *, pictures: bool = False) -> None:
        super().__init__()
        self.pictures = pictures
        self.writing = threading.Event()
        self.release = threading.Event()

    def write(self, result: Result) -> None:
        self.writing.set()
        assert self.release.wait(20)
        super().write(result)


@contextmanager
def held(size: int, *, pictures: bool = False) -> Iterator[tuple[SinkWorker, Held]]:
    """A worker whose sink is busy with result 0, so that later results wait in its queue."""
    sink = Held(pictures=pictures)
    worker = SinkWorker("held", lambda: sink, size=size, first=sink)
    worker.offer(result(0, index=0))
    assert sink.writing.wait(10)
    try:
        yield worker, sink
    finally:
        sink.release.set()
        assert worker.close(10)


def test_a_full_queue_drops_the_oldest_results_of_live_sources() -> None:
    with held(3) as (worker, sink):
        for index in range(1, 8):
            worker.offer(result(0, index=index))
        assert not worker.has_room
        assert worker.status().dropped == 4
    assert sink.frames == [0, 5, 6, 7]


def test_results_of_files_are_never_dropped_for_those_of_live_sources() -> None:
    with held(3) as (worker, sink):
        for index in (1, 2, 3, 4):
            worker.offer(result(0, index=index), must_arrive=index != 2)
        for index in (10, 11):
            worker.offer(result(0, index=index))
        assert worker.status().dropped == 3  # 2, 10 and 11
    assert sink.frames == [0, 1, 3, 4]


def test_pictures_in_a_queue_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = result(0).frame.image.nbytes
    monkeypatch.setattr("edgeemo.run.sink_worker.MAX_BYTES", 2 * one)
    with held(8, pictures=True) as (worker, sink):
        for index in range(1, 6):
            worker.offer(result(0, index=index))
        assert worker.status().waiting == 2
    assert sink.frames == [0, 4, 5]


def test_room_in_a_queue_that_was_full_wakes_whoever_waits_for_it() -> None:
    sink, woken = Held(), threading.Event()
    worker = SinkWorker("held", lambda: sink, size=1, first=sink, wake=woken.set)
    for index in range(2):
        worker.offer(result(0, index=index), must_arrive=True)
        sink.writing.wait(10)
    assert not worker.has_room
    woken.clear()
    sink.release.set()
    assert woken.wait(10)
    assert worker.close(10)
    assert sink.frames == [0, 1]


@pytest.mark.parametrize("reopen", [False, True])
def test_an_error_ends_a_sink_for_good_or_until_it_is_opened_again(
    reopen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.REOPEN_S", 0.01)
    broken, fresh = FakeSink(fails_at=1, error=SinkError("disk full")), FakeSink()
    worker = SinkWorker("frail", lambda: fresh, size=8, first=broken, reopen=reopen)
    for index in range(2):
        worker.offer(result(0, index=index))
    until(lambda: broken.closed)
    until(lambda: worker.idle)
    assert str(worker.failure) == ("None" if reopen else "disk full")
    until(lambda: worker.status().error == ("" if reopen else "disk full"))
    worker.offer(result(0, index=2))
    assert worker.close(10)
    assert broken.frames == [0]
    assert fresh.frames == ([2] if reopen else [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_stays_full_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.REOPEN_S", 0.01)
    worker = sink_worker("jsonl:/dev/full", size=8)
    for index in range(20):
        worker.offer(result(0, index=index))
        until(lambda: worker.idle)
        threading.Event().wait(0.02)
    assert worker.close(10)
    assert worker.status().dropped == 20
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("reopen", [False, True])
def test_a_reader_that_has_gone_is_a_failure_in_any_case(reopen: bool) -> None:
    sink = FakeSink(fails_at=0, error=ReaderGone("gone"))
    worker = SinkWorker("pipe", lambda: sink, size=8, first=sink, reopen=reopen)
    worker.offer(result(0, index=0))
    until(lambda: isinstance(worker.failure, ReaderGone))
    assert worker.close(10)


def test_an_idle_sink_is_ticked() -> None:
    class Ticking(FakeSink):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    sink = Ticking()
    worker = SinkWorker("ticking", lambda: sink, size=8, first=sink)
    until(lambda: sink.ticks > 2)
    before, began = sink.ticks, monotonic()
    threading.Event().wait(3 * TICK_S)
    assert sink.ticks - before <= (monotonic() - began) / TICK_S + 1
    assert worker.close(10)


def test_a_busy_sink_is_not_ticked_after_every_result() -> None:
    class Ticking(FakeSink):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    sink = Ticking()
    worker = SinkWorker("ticking", lambda: sink, size=500, first=sink)
    for index in range(500):
        worker.offer(result(0, index=index), must_arrive=True)
    assert worker.close(10)
    assert len(sink.frames) == 500
    assert sink.ticks < 100


def test_the_time_of_a_write_is_measured() -> None:
    with held(3) as (worker, sink):
        assert worker.write_ms == 0.0
        assert not worker.idle
        sink.release.set()
        until(lambda: worker.idle)
        assert worker.write_ms > 0.0


def test_what_a_sink_lost_later_and_its_fault_are_in_the_status() -> None:
    class Away(FakeSink):
        @property
        def fault(self) -> str:
            return "the broker is away"

        @property
        def lost(self) -> int:
            return 3

    sink = Away()
    worker = SinkWorker("away", lambda: sink, size=8, first=sink)
    worker.offer(result(0))
    until(lambda: worker.idle)
    status = worker.status()
    assert (status.written, status.dropped, status.error) == (0, 3, "the broker is away")
    assert worker.close(10)


@pytest.mark.parametrize("reopen", [False, True])
def test_a_sink_that_hangs_is_left_behind(reopen: bool) -> None:
    sink = Held()
    worker = SinkWorker("hanging", lambda: sink, size=8, first=sink, reopen=reopen)
    worker.offer(result(0))
    assert sink.writing.wait(10)
    assert not worker.close(0.05)
    sink.release.set()
    until(lambda: sink.closed)  # else its port or lock would be taken when the next sink is opened


def test_a_file_s_sink_gets_the_time_it_needs_as_long_as_it_writes() -> None:
    class Slow(FakeSink):
        def write(self, result: Result) -> None:
            threading.Event().wait(0.05)
            super().write(result)

    sink = Slow()
    worker = SinkWorker("slow", lambda: sink, size=64, first=sink, reopen=False)
    for index in range(20):
        worker.offer(result(0, index=index), must_arrive=True)
    assert worker.close(0.8)  # writing all of it takes a second
    assert sink.frames == list(range(20))


class Deaf(Held):
    """A sink whose reader does not read: `write` waits until `stop_waiting` is called, then fails."""

    def write(self, result: Result) -> None:
        super().write(result)
        raise SinkError("nobody reads it")

    def stop_waiting(self) -> None:
        self.release.set()


def test_a_sink_that_nobody_reads_is_told_of_the_end_and_not_opened_again() -> None:
    again: list[Deaf] = []

    def opener() -> Deaf:
        again.append(Deaf())
        return again[-1]

    worker = SinkWorker("deaf", opener, size=8, first=Deaf())
    for index in range(5):
        worker.offer(result(0, index=index), must_arrive=True)
    assert worker.close(10)
    assert not again
    assert worker.status().dropped == 5
    assert worker.status().error == "nobody reads it"


def test_results_of_a_file_are_written_as_soon_as_there_is_a_batch_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.TICK_S", 60.0)
    sink = FakeSink()
    worker = SinkWorker("file", lambda: sink, size=64, first=sink)
    threading.Event().wait(0.05)
    for index in range(BATCH):
        worker.offer(result(0, index=index), must_arrive=True)
    until(lambda: len(sink.frames) == BATCH)
    assert worker.close(10)


def test_a_live_result_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.TICK_S", 60.0)
    sink = FakeSink()
    worker = SinkWorker("live", lambda: sink, size=64, first=sink)
    threading.Event().wait(0.05)
    worker.offer(result(0))
    until(lambda: sink.frames == [0])
    assert worker.close(10)


def test_a_flush_writes_what_waits_for_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.sink_worker.TICK_S", 60.0)
    sink = FakeSink()
    worker = SinkWorker("file", lambda: sink, size=64, first=sink)
    threading.Event().wait(0.05)
    worker.offer(result(0), must_arrive=True)
    worker.flush()
    until(lambda: sink.frames == [0])
    assert worker.close(10)


def test_a_sink_that_fails_at_its_end_is_not_opened_again() -> None:
    opened: list[FakeSink] = []

    class Broken(FakeSink):
        def close(self) -> None:
            raise SinkError("disk full")

    worker = SinkWorker("frail", lambda: opened.append(FakeSink()) or opened[-1], size=8, first=Broken())  # type: ignore[func-returns-value]
    assert worker.close(10)
    assert worker.status().error == "disk full"
    assert not opened


def test_a_file_that_was_rotated_is_reopened_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rotated(FakeSink):
        reopened = 0

        def reopen(self) -> None:
            self.reopened += 1

    monkeypatch.setattr("edgeemo.run.sink_worker.TICK_S", 60.0)
    sink = Rotated()
    worker = SinkWorker("file", lambda: sink, size=64, first=sink)
    threading.Event().wait(0.05)
    worker.reopen_file()
    until(lambda: sink.reopened == 1)
    assert worker.close(10)
