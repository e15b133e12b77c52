"""Faults while recording from the window: losses are reported at once, in the session and at the end."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import shutil
from pathlib import Path

import pytest
from conftest import MakeClip
from fakes import FakeSink
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows, shows

from edgeemo.config import CaptureConfig, Config
from edgeemo.errors import SinkError, SourceError
from edgeemo.recording import load
from edgeemo.report.page import page
from edgeemo.types import Marker, Result
from edgeemo.ui.player import PlayerState
from edgeemo.ui.window import Window
from engines import LABELS


def start(qtbot: QtBot, window: Window, video: str) -> None:
    window.settings.video = video
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.recorder is not None and window.recording.recorder.frames > 5)


@pytest.mark.parametrize("video", ["none", "whole"])
def test_a_session_folder_that_is_removed_ends_the_recording_with_a_message(
    qtbot: QtBot, make: Windows, tmp_path: Path, video: str
) -> None:
    window = make()
    start(qtbot, window, video)
    (folder,) = (tmp_path / "sessions").iterdir()
    shutil.rmtree(folder)
    qtbot.waitUntil(lambda: not window.recording.active, timeout=10_000)
    qtbot.waitUntil(lambda: "moved or deleted" in window.banner.text)
    assert window.banner.kind == "error"
    assert window.video.recording == ""
    assert window.player.state is PlayerState.PLAYING


def test_a_disk_that_fills_up_is_told_before_during_and_after(
    qtbot: QtBot, make: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    window = make()
    start(qtbot, window, "whole")
    assert window.video.recording.endswith("video")
    usage = usage._replace(free=500 << 20)
    qtbot.waitUntil(lambda: "disk is nearly full" in window.banner.text, timeout=10_000)
    usage = usage._replace(free=50 << 20)
    qtbot.waitUntil(lambda: "The video could not continue" in window.banner.text, timeout=10_000)
    assert window.recording.active
    assert window.video.recording.endswith("data only")
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded with losses" in window.banner.text)
    assert "the video could not continue" in window.banner.text
    (folder,) = (tmp_path / "sessions").iterdir()
    assert "the video could not continue" in page([("", [load(folder)])])


def test_an_analysed_file_that_is_damaged_says_so_in_window_session_and_report(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path, make_clip: MakeClip
) -> None:
    from edgeemo.capture import open_source

    clip = make_clip("talk.avi", frames=200)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 3
    data[middle : middle + len(data) // 4] = bytes(len(data) // 4)
    clip.write_bytes(data)
    studio.clip = open_source  # type: ignore[assignment]
    window = make(Config(source="clip.mp4", capture=CaptureConfig()), begin=False)
    window.analyse_file(clip)
    qtbot.waitUntil(lambda: "talk" in window.banner.text, timeout=20_000)
    assert window.banner.kind == "error"
    assert "could not be read" in window.banner.text
    (folder,) = (tmp_path / "sessions").iterdir()
    recording = load(folder)
    assert 0 < len(recording.frames) < 200
    lost = 200 - len(recording.frames)
    assert f"{lost} of the 200 frames" in " ".join(recording.missing)
    assert f"{lost} of the 200 frames" in page([("", [recording])])


def test_markers_of_another_program_are_in_timeline_and_session(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    lsl = pytest.importorskip("pylsl", reason="the extra lsl is not installed", exc_type=(ImportError, RuntimeError))
    name = f"test-window-{os.getpid()}"
    sender = lsl.StreamOutlet(lsl.StreamInfo(name, "Markers", 1, lsl.IRREGULAR_RATE, "string", f"id-{name}"))
    window = make(Config(source="rtsp://camera/live", markers=f"lsl:{name}"))
    start(qtbot, window, "none")
    qtbot.waitUntil(sender.have_consumers, timeout=30_000)
    sender.push_sample(["stimulus 1"])
    markers = window.timeline.history.markers
    qtbot.waitUntil(lambda: [marker.label for marker in markers] == ["stimulus 1"], timeout=30_000)
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (folder,) = (tmp_path / "sessions").iterdir()
    (kept,) = load(folder).markers
    assert (kept.label, kept.time) == ("stimulus 1", pytest.approx(markers[0].time, abs=1e-3))
    # its clock time lies between those of the frames
    recording = load(folder)
    walls = [recording.walls[frame] for frame in recording.frames.tolist()]
    assert kept.wall is not None
    assert walls[0] - 1 < kept.wall < walls[-1] + 1


class MarkerSink(FakeSink):
    """Stores its markers."""

    def __init__(self) -> None:
        super().__init__()
        self.markers: list[Marker] = []

    def write(self, result: Result) -> None:
        self.markers += result.markers


class PromptSink(MarkerSink):
    takes_markers = True

    def take_marker(self, marker: Marker) -> None:
        self.markers.append(marker)


def test_markers_set_in_the_window_reach_the_outputs_once_and_the_session_once(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    kept, prompt = MarkerSink(), PromptSink()
    studio.sinks |= {"keep": kept, "prompt": prompt}
    window = make(Config(source="clip.mp4", sinks=("keep", "prompt")))
    start(qtbot, window, "none")
    window.mark("smile")
    (marker,) = window.history.markers
    qtbot.waitUntil(lambda: bool(kept.markers))
    window.player.pause()
    window.mark()
    qtbot.waitUntil(lambda: len(prompt.markers) == 2)
    window.player.resume()
    qtbot.waitUntil(lambda: len(kept.markers) == 2)
    assert kept.markers == prompt.markers == window.history.markers
    assert kept.markers[0].wall is not None
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (folder,) = (tmp_path / "sessions").iterdir()
    assert [(each.label, each.time) for each in load(folder).markers] == [
        ("smile", marker.time),
        ("mark 2", kept.markers[1].time),
    ]
    assert [each.label for each in window.history.markers] == ["smile", "mark 2"]


def test_an_output_that_failed_is_opened_again(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.sinks["keep"] = SinkError("there is no such device")  # type: ignore[assignment]
    window = make(Config(source="clip.mp4", sinks=("keep",)))
    qtbot.waitUntil(lambda: "no such device" in window.banner.text)
    kept = studio.sinks["keep"] = FakeSink()
    again, *_ = window.banner.buttons
    again.click()
    qtbot.waitUntil(lambda: bool(kept.frames))
    window.player.stop()
    shown = len(kept.frames)
    window.start_or_pause()
    shows(qtbot, window)
    assert len(kept.frames) - shown <= 2, "a second run would overwrite the first one's output"


LOST = SourceError("the stream ended; check the camera")


def lose(qtbot: QtBot, studio: Studio, make: Windows) -> Window:
    """A window that records a stream, which has just been lost."""
    studio.clip = lambda name: Clip(name, frames=80, error=LOST)
    window = make(Config(source="rtsp://camera/live"))
    start(qtbot, window, "whole")
    studio.clip = Clip
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED, timeout=20_000)
    return window


def test_a_stream_that_drops_is_recorded_on_in_the_same_session_with_one_clock(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    window = lose(qtbot, studio, make)
    recorder = window.recording.recorder
    assert recorder is not None
    assert window.video.recording.endswith("waiting for the source")
    before = recorder.frames
    qtbot.waitUntil(lambda: recorder.frames > before + 20, timeout=20_000)
    assert window.recording.recorder is recorder
    assert window.video.recording.endswith("video")
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (folder,) = (tmp_path / "sessions").iterdir()
    recording = load(folder)
    assert len(recording.frames) == recorder.frames
    steps = recording.times[1:] - recording.times[:-1]
    assert (steps > 0).all()
    (marker,) = recording.markers
    assert marker.label == "no signal"
    assert marker.duration == pytest.approx(steps.max(), abs=0.3)
    assert marker in window.timeline.history.markers
    assert len(recording.walls) == recorder.frames
    before_gap = recording.walls[int(recording.frames[int(steps.argmax())])]
    assert marker.wall == pytest.approx(before_gap, abs=0.5), "the clock time of the interval is that of its start"
    # a face after the gap may be another person
    assert [track.id for track in recording.tracks] == [1, 2]
    assert (window.timeline.history.series(1).times < window.timeline.history.series(2).times[0]).all()


def test_a_recording_ends_when_nobody_waits_for_the_stream_any_more(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    window = lose(qtbot, studio, make)
    (stop,) = window.banner.buttons
    assert stop.text() == "Stop trying"
    stop.click()
    assert not window.recording.active
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)


def test_a_file_that_breaks_off_ends_the_recording(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=80, error=LOST)
    window = make()
    start(qtbot, window, "none")
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED, timeout=20_000)
    assert not window.recording.active


def test_a_change_of_engine_is_marked_in_the_session_and_a_failed_one_is_not(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    window = make()
    start(qtbot, window, "none")
    begun = window.history.begin
    window.live.choose_engine("nosuch")
    qtbot.waitUntil(lambda: "No engine named 'nosuch'" in window.banner.text)
    assert window.history.markers == []
    window.live.choose_engine("other")
    qtbot.waitUntil(lambda: len(window.history.markers) == 1)
    assert window.history.begin == begun
    assert window.recording.active
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (folder,) = (tmp_path / "sessions").iterdir()
    assert [marker.label for marker in load(folder).markers] == ["other, Balanced"]


def test_the_record_button_says_what_is_kept(qtbot: QtBot, make: Windows) -> None:
    window = make()
    window.resize(1280, 800)
    button = window.toolbar.record_button
    assert button.text() == "Record (data only)"
    window.menus.video_actions["blurred"].trigger()
    assert button.text() == "Record (faces covered)"
    qtbot.waitUntil(button.isEnabled)
    before = button.geometry()
    start(qtbot, window, "whole")
    qtbot.waitUntil(lambda: button.text() == "End")
    QApplication.processEvents()
    assert button.geometry().contains(before.center()), "a second click must end the recording"
    window.record_or_end()
    window.show_mode()
    assert button.text() == "Record (video)"
    window.resize(640, 480)
    qtbot.waitUntil(lambda: button.text() == "")
    assert button.accessibleName() == "Record (video)"


def test_a_session_names_the_engine_that_was_being_chosen(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    window = make()
    shows(qtbot, window)
    studio.engine_s = 0.4
    window.live.choose_engine("other")
    start(qtbot, window, "none")
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (folder,) = (tmp_path / "sessions").iterdir()
    assert load(folder).engine == "other, fake runtime"


def test_a_recording_that_begins_while_playback_stops_leaves_no_empty_session(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    window = make()
    shows(qtbot, window)
    window.record_or_end()
    window.player.stop()
    window.start_or_pause()
    start(qtbot, window, "none")
    # another thread removes the empty session
    qtbot.waitUntil(lambda: len(list((tmp_path / "sessions").iterdir())) == 1, timeout=10_000)


def test_an_engine_with_other_classes_begins_a_new_run_unless_something_is_recorded(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    studio.classes["other"] = LABELS[:8]
    window = make()
    start(qtbot, window, "none")
    window.live.choose_engine("other")
    qtbot.waitUntil(lambda: "stop the outputs first" in window.banner.text)
    assert window.recording.active
    window.record_or_end()
    window.live.choose_engine("other")
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.labels == LABELS[:8])
    assert window.timeline.history.labels == LABELS[:8]
    assert window.live.config.engine == "other"
