"""Markers of other programs: received by real LSL inlets, converted to media time, stored."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeParts, FakeSource, frame, result

from edgeemo.capture.lsl_markers import open_markers
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.mailbox import Mailbox
from edgeemo.recording import Marker, Recorder, SessionFolder, SessionInfo, load
from edgeemo.run.markers import MarkerFeed
from edgeemo.run.runner import Runner
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import MarkerSource, Result
from edgeemo.ui.numbering import Numbering, RunPosition
from engines import LABELS

NAME = f"test-markers-{os.getpid()}"
WAIT_S = 30.0


class Given(MarkerSource):
    """Markers that have already arrived."""

    def __init__(self, *came: tuple[float, str]) -> None:
        self.came = list(came)
        self.closed = False

    def take(self) -> list[tuple[float, str]]:
        came, self.came = self.came, []
        return came

    def close(self) -> None:
        self.closed = True


def live(seconds: float, captured: float) -> Result:
    return replace(result(1), frame=replace(frame(0, time=seconds), captured=captured))


def test_a_marker_is_placed_by_its_moment_however_late_the_result_comes() -> None:
    feed = MarkerFeed(Given((100.0, "before"), (100.5, "after")))
    placed = feed.add_to(live(7.0, captured=100.2), "only", ["only"]).markers
    assert [(round(each.time, 6), each.label) for each in placed] == [(6.8, "before"), (7.3, "after")]
    assert feed.add_to(live(7.1, captured=100.3), "only", ["only"]).markers == ()


def test_every_source_gets_every_marker_in_its_own_time() -> None:
    feed = MarkerFeed(Given((50.0, "go")))
    names = ["door", "hall"]
    assert feed.add_to(live(1.0, captured=50.0), "door", names).markers == (Marker(1.0, "go"),)
    assert feed.add_to(live(9.0, captured=52.0), "hall", names).markers == (Marker(7.0, "go"),)


def test_a_frame_of_a_file_has_no_moment_so_the_marker_is_at_the_frame() -> None:
    placed = MarkerFeed(Given((50.0, "go"))).add_to(replace(result(1), frame=frame(0, time=3.0)), "a", ["a"])
    assert placed.markers == (Marker(3.0, "go"),)


@pytest.mark.parametrize(("played", "expected"), [(49.9, 3.1), (20.0, 3.0)])
def test_a_file_that_is_played_has_moments_unless_it_was_paused(played: float, expected: float) -> None:
    shown = replace(result(1), frame=frame(0, time=3.0))
    (placed,) = MarkerFeed(Given((50.0, "go"))).add_to(shown, "a", ["a"], played=played).markers
    assert placed.time == pytest.approx(expected)


def test_what_the_window_did_not_take_is_merged_into_what_it_gets() -> None:
    box: Mailbox[list[int]] = Mailbox(newest_only=True, merge=lambda old, new: old + new)
    for item in ([1], [2], [3]):
        box.put(item, timeout=0)
    assert (box.take(timeout=0), box.dropped) == ([1, 2, 3], 2)


@pytest.mark.parametrize("first", [0, 10])  # 10: the number that follows anyway
def test_after_a_source_came_back_markers_count_on_as_its_frames_do(first: int) -> None:
    numbering = Numbering(RunPosition(9, 10.0, 100.0, 1), now=lambda: 102.0)
    came = replace(result(1), frame=frame(first, time=0.0), markers=(Marker(-0.5, "go"),))
    numbering.write(came)
    frames = numbering.of(came)
    assert (frames.frame.index, frames.frame.time, frames.faces.ids.tolist()) == (10, 12.0, [2])
    assert numbering.of(came).markers == (Marker(11.5, "go"),)
    assert numbering.of_run(Marker(11.5, "go")) == Marker(-0.5, "go")


def test_markers_are_in_files_and_sessions_and_read_back(tmp_path: Path) -> None:
    context = SinkContext(LABELS, draw=lambda result: result.frame.image)
    folder = SessionFolder.create(tmp_path, SessionInfo("One", "camera 0", "fake", LABELS))
    recorder = Recorder(folder, LABELS)
    sinks = [open_sink(f"{kind}:{tmp_path / f'out.{kind}'}", context) for kind in ("jsonl", "sqlite")]
    for index in range(3):
        came = (Marker(index / 25 - 0.01, f"m{index}", wall=1e9 + index),) if index else ()
        for sink in (*sinks, recorder):
            sink.write(replace(result(1, index=index), markers=came))
    recorder.mark("own", at=0.0)
    for sink in (*sinks, recorder):
        sink.close()
    for target in (tmp_path / "out.jsonl", tmp_path / "out.sqlite", folder.path):
        read = load(target)
        markers = [each for each in read.markers if each.label != "own"]
        assert [(each.label, each.wall) for each in markers] == [("m1", 1e9 + 1), ("m2", 1e9 + 2)]
        assert [each.time for each in markers] == pytest.approx([0.03, 0.07])
        assert len(read.markers) == 2 + (target is folder.path)


@pytest.mark.parametrize("text", ["lsl:", "lsl", "udp:x", "lsl:a'b", "lsl:" + "x" * 200])
def test_a_stream_that_cannot_be_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--source", "demo", "--frames", "1", "--markers", text]) == 2
    error = capsys.readouterr().err
    assert "must be lsl:NAME" in error
    assert error.count("\n") == 1


def test_a_missing_library_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    assert main(["run", "--source", "demo", "--frames", "1", "--markers", "lsl:Task"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgeemo: markers lsl:Task: pylsl is missing: pip install")
    assert error.count("\n") == 1


@pytest.fixture
def lsl() -> Any:
    return pytest.importorskip("pylsl", reason="the extra lsl is not installed", exc_type=(ImportError, RuntimeError))


def outlet(lsl: Any, name: str, form: str = "string", channels: int = 1) -> Any:
    return lsl.StreamOutlet(lsl.StreamInfo(name, "Markers", channels, lsl.IRREGULAR_RATE, form, f"id-{name}"))


def waited(source: MarkerSource, count: int) -> list[tuple[float, str]]:
    """Waits for a number of markers; returns fewer after a time-out."""
    came: list[tuple[float, str]] = []
    deadline = time.monotonic() + WAIT_S
    while len(came) < count and time.monotonic() < deadline:
        came += source.take()
        threading.Event().wait(0.01)
    return came


def test_markers_of_a_real_outlet_have_the_moment_at_which_they_were_stamped(lsl: Any) -> None:
    source = open_markers(f"lsl:{NAME}")
    assert source is not None
    sender = outlet(lsl, NAME)
    assert sender.wait_for_consumers(WAIT_S)
    moments = []
    for number in range(5):
        before = time.perf_counter()
        stamp = lsl.local_clock()
        moments.append((before, time.perf_counter()))
        sender.push_sample([f"stimulus\n{number}"], stamp)
    came = waited(source, 5)
    assert [label for _, label in came] == [f"stimulus {number}" for number in range(5)]
    for (moment, _), (before, after) in zip(came, moments, strict=True):
        assert before - 0.05 < moment < after + 0.05
    # the sender's earlier time stamp is used, although the sample arrives now
    sender.push_sample(["earlier"], lsl.local_clock() - 20.0)
    ((earlier, _),) = waited(source, 1)
    assert time.perf_counter() - earlier == pytest.approx(20.0, abs=5.0)
    # the sending program is closed and restarted
    del sender
    again = outlet(lsl, NAME, "int32", channels=2)
    assert again.wait_for_consumers(WAIT_S)
    again.push_sample([7, 8])
    assert [label for _, label in waited(source, 1)] == ["7 8"]
    source.close()


def test_a_run_records_what_comes_while_it_runs(lsl: Any, tmp_path: Path) -> None:
    name = f"{NAME}-run"
    context = SinkContext(LABELS, draw=lambda result: result.frame.image)
    sender = outlet(lsl, name)
    pushed = threading.Event()

    def frames() -> Any:
        assert sender.wait_for_consumers(WAIT_S)
        for index in range(1000):
            yield frame(index)
            if index == 5:
                sender.push_sample(["go"])
                pushed.set()
            time.sleep(0.01)
            if index > 10 and "go" in (tmp_path / "out.jsonl").read_text():
                return

    source = FakeSource(live=True)
    source.frames = frames  # type: ignore[method-assign]
    parts = FakeParts({"clip": source}, {"file": lambda: open_sink(f"jsonl:{tmp_path / 'out.jsonl'}", context)})
    parts.marker_source = open_markers(f"lsl:{name}")
    runner = Runner(Config(source="clip", sinks=("file",)), parts)
    runner.run()
    runner.close()
    (marker,) = load(tmp_path / "out.jsonl").markers
    assert marker.label == "go"
    assert marker.wall == pytest.approx(time.time(), abs=120)


def test_a_run_closes_what_it_listened_to() -> None:
    parts = FakeParts({"clip": FakeSource()}, {})
    parts.marker_source = given = Given()
    runner = Runner(Config(source="clip"), parts)
    runner.run()
    runner.close()
    assert given.closed


def test_without_a_name_nothing_is_listened_to() -> None:
    assert open_markers("") is None


def test_markers_for_a_source_that_is_away_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.run.markers.MOST_WAITING", 3)
    given = Given()
    feed = MarkerFeed(given)
    for number in range(10):
        given.came = [(float(number), str(number))]
        assert len(feed.add_to(result(1), "door", ["door", "hall"]).markers) == 1
    assert [each.label for each in feed.add_to(result(1), "hall", ["door", "hall"]).markers] == ["7", "8", "9"]
