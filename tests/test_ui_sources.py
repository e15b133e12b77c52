"""Choosing a source or an engine in the window, and what happens when it fails or ends."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import re
from pathlib import Path
from threading import Event

import pytest
from fakes import FakeSink
from PyQt6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot
from windows import CAMERA, Clip, Studio, Windows, press, shows

from edgeemo.config import Config
from edgeemo.errors import SinkError, SourceError
from edgeemo.ui.engine_facts import EngineFacts
from edgeemo.ui.live import NO_CAMERA
from edgeemo.ui.pickers import shown_name
from edgeemo.ui.player import PlayerState
from edgeemo.ui.settings import PRESETS


def test_without_a_camera_the_window_says_so_and_loops_the_demo_clip(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    window = make(Config())
    shows(qtbot, window)
    assert window.banner.text == NO_CAMERA
    (config,) = studio.configs
    assert config.source == "demo"
    assert config.capture.loop
    assert config.capture.paced


def test_the_first_camera_is_taken_when_none_is_named(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make(Config(), cameras=[CAMERA])
    shows(qtbot, window)
    assert studio.configs[0].source == CAMERA.uri
    assert window.banner.text == ""
    assert "Desk camera" in window.toolbar.source.text()


def test_choosing_another_source_closes_the_first(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make()
    shows(qtbot, window)
    window.toolbar.source.chosen.emit("other.mp4")
    qtbot.waitUntil(lambda: len(studio.clips) == 2)
    shows(qtbot, window)
    assert studio.clips[0].released
    assert studio.configs[1].source == "other.mp4"
    assert not studio.configs[1].capture.loop
    assert window.video.result is not None
    assert window.video.result.frame.origin == "other.mp4"


def test_choosing_another_engine_opens_the_same_source_with_it(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make()
    shows(qtbot, window)
    window.toolbar.engine.fill()
    (other,) = [action for action in window.toolbar.engine.choices.actions() if action.data() == "other"]
    other.trigger()
    qtbot.waitUntil(lambda: window.status_bar.description.toolTip() == "other, fake runtime")
    shows(qtbot, window)
    assert [clip.name for clip in studio.clips] == ["clip.mp4"]  # the source continues to play


def test_the_engine_menu_tells_accuracy_speed_and_size(
    qtbot: QtBot, make: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    picker = make(begin=False).toolbar.engine
    picker.choices.aboutToShow.emit()

    def words() -> list[str]:
        return [action.text() for action in picker.choices.actions() if action.data()]

    qtbot.waitUntil(lambda: all("\t" in each for each in words()))
    lite, other = words()
    assert re.fullmatch(r"hybrid_lite\t\d\d\.\d % right, \d\.\d MB", lite)
    assert other == "other\tcannot be used"  # there is no such bundle
    picker.measure.trigger()
    assert not picker.measure.isEnabled()
    assert picker.measure.text() == "Measuring their speed …"
    qtbot.waitUntil(picker.measure.isEnabled, timeout=60_000)
    assert picker.measure.text() == "Measure their speed here"
    assert re.fullmatch(r"hybrid_lite\t\d\d\.\d % right, \d+\.\d ms, \d\.\d MB", words()[0])


def test_a_source_opens_while_engines_are_measured(
    qtbot: QtBot, make: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = make()
    shows(qtbot, window)
    go_on = Event()

    def slow(name: str, **options: object) -> EngineFacts:
        assert go_on.wait(60)
        return EngineFacts(name, ms=1.5)

    monkeypatch.setattr("edgeemo.ui.live.facts_of", slow)
    picker = window.toolbar.engine
    picker.measure.trigger()
    window.live.choose_source("other.mp4")
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.frame.origin == "other.mp4")
    assert not picker.measure.isEnabled()
    go_on.set()
    qtbot.waitUntil(picker.measure.isEnabled)
    assert all("1.5 ms" in action.text() for action in picker.choices.actions() if action.data())


def test_what_was_chosen_last_wins(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.delay = 0.1
    window = make()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        window.live.choose_source(name)
    shows(qtbot, window)
    assert window.video.result is not None
    assert window.video.result.frame.origin == "c.mp4"
    # only the source being opened meanwhile, and the last one chosen, are opened
    opened = [config.source for config in studio.configs]
    assert opened[-1] == "c.mp4"
    assert len(opened) <= 2


def test_sinks_of_the_configuration_are_opened_only_once(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.sinks["jsonl:out.jsonl"] = FakeSink()
    window = make(Config(source="clip.mp4", sinks=("jsonl:out.jsonl",)))
    shows(qtbot, window)
    window.live.choose_source("other.mp4")
    qtbot.waitUntil(lambda: len(studio.configs) == 2)
    assert [config.sinks for config in studio.configs] == [("jsonl:out.jsonl",), ()]


def test_a_wrong_engine_is_an_error_in_the_window_with_a_way_back(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make(Config(source="clip.mp4", engine="nosuch"))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED)
    assert window.banner.kind == "error"
    assert "No engine named 'nosuch'" in window.banner.text
    press(qtbot, window, "Use hybrid_lite")
    shows(qtbot, window)
    assert window.banner.text == ""


def test_a_wrong_engine_chosen_while_a_clip_plays_leaves_the_old_one_playing(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    window = make()
    shows(qtbot, window)
    window.live.choose_engine("nosuch")
    qtbot.waitUntil(lambda: "No engine named 'nosuch'" in window.banner.text)
    assert window.player.state is PlayerState.PLAYING
    assert window.live.config.engine == "hybrid_lite"
    assert window.player.engine_description == "hybrid_lite, fake runtime"
    before = window.video.result
    qtbot.waitUntil(lambda: window.video.result is not before)


def test_another_engine_or_smoothing_keeps_the_sinks_and_a_recording(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    written = studio.sinks["keep"] = FakeSink()
    window = make(Config(source="clip.mp4", sinks=("keep",)))
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active)
    recorder = window.recording.recorder
    assert recorder is not None
    window.live.choose_engine("other")
    window.live.choose_preset("Calm")
    qtbot.waitUntil(lambda: window.player.engine_description == "other, fake runtime")
    qtbot.waitUntil(lambda: (playing := window.player.config) is not None and playing.smooth == PRESETS["Calm"])
    so_far = recorder.frames, len(written.frames)
    qtbot.waitUntil(lambda: recorder.frames > so_far[0] and len(written.frames) > so_far[1])
    assert window.recording.recorder is recorder
    assert recorder.error == ""
    assert not written.closed
    assert len(studio.clips) == 1
    assert window.live.config.engine == "other"
    assert "other, Calm" in [marker.label for marker in window.history.markers]


def test_a_missing_file_is_an_error_in_the_window_that_offers_the_demo_clip(qtbot: QtBot, make: Windows) -> None:
    window = make(Config(source="missing.mp4"))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED)
    assert window.banner.text == "No file missing.mp4; check its name"
    assert window.toolbar.start_button.isEnabled()
    press(qtbot, window, "Play the demo clip")
    assert shows(qtbot, window).frame.origin == "demo"


def test_a_source_that_breaks_off_keeps_its_last_picture_and_can_be_tried_again(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    studio.clip = lambda name: Clip(name, frames=20, error=SourceError("camera lost; plug it in again"))
    window = make()
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED)
    assert "Camera lost" in window.banner.text
    assert window.video.result is not None
    assert window.toolbar.snapshot_button.isEnabled()
    studio.clip = Clip
    press(qtbot, window, "Try again")
    shows(qtbot, window)
    assert window.banner.text == ""


def test_a_fault_of_ours_is_told_and_the_window_stays(qtbot: QtBot, make: Windows) -> None:
    window = make(Config(source="broken"))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED)
    assert "bug in edgeemo" in window.banner.text
    window.live.choose_source("clip.mp4")
    shows(qtbot, window)


def test_the_end_of_a_file_is_told_and_it_can_be_played_again(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=10)
    window = make()
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED)
    assert window.banner.text == "clip.mp4 has ended."
    assert window.video.result is not None
    studio.clip = Clip
    press(qtbot, window, "Play again")
    shows(qtbot, window)


def test_a_single_picture_stays_with_its_name_and_no_message(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=1, still=True)
    window = make(Config(source="portrait.jpg"))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED)
    assert window.video.result is not None
    assert window.banner.text == ""
    assert window.status_bar.figures.text() == "portrait.jpg"


def test_a_source_without_a_single_frame_says_that_there_is_nothing(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    studio.clip = lambda name: Clip(name, frames=0)
    window = make()
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED)
    assert window.video.message == "Nothing to show"
    assert not window.toolbar.snapshot_button.isEnabled()


def test_a_sink_that_fails_on_closing_is_told(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.closing = SinkError("cannot finish out.mp4; the disk is full")
    window = make()
    shows(qtbot, window)
    window.player.stop()
    qtbot.waitUntil(lambda: "disk is full" in window.banner.text)


def test_a_dropped_file_is_played(qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path) -> None:
    window = make()
    shows(qtbot, window)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "dropped.mp4"))])
    window.dropEvent(
        QDropEvent(
            QPointF(50, 50),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            QEvent.Type.Drop,
        )
    )
    qtbot.waitUntil(lambda: studio.configs[-1].source == str(tmp_path / "dropped.mp4"))


def test_the_source_menu_lists_cameras_demo_and_dialogs(qtbot: QtBot, make: Windows) -> None:
    window = make(cameras=[CAMERA], begin=False)
    window.toolbar.source.fill()
    words = [action.text() for action in window.toolbar.source.choices.actions() if action.text()]
    assert words == ["Desk camera", "Demo clip", "Open file…", "Open folder…", "Open stream URL…"]
    bare = make(begin=False)
    bare.toolbar.source.fill()
    assert "No camera found" in [action.text() for action in bare.toolbar.source.choices.actions()]


def test_an_address_that_was_typed_is_opened(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make()
    shows(qtbot, window)
    window.toolbar.source.open_stream.trigger()
    (dialog,) = window.findChildren(QInputDialog)
    dialog.setTextValue("  rtsp://somewhere/live ")
    dialog.accept()
    qtbot.waitUntil(lambda: studio.configs[-1].source == "rtsp://somewhere/live")


def test_a_file_that_was_picked_is_opened(qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path) -> None:
    window = make()
    shows(qtbot, window)
    (tmp_path / "picked.mp4").touch()
    window.toolbar.source.open_file.trigger()
    (dialog,) = window.findChildren(QFileDialog)
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile(str(tmp_path / "picked.mp4"))
    dialog.accept()
    qtbot.waitUntil(lambda: studio.configs[-1].source == str(tmp_path / "picked.mp4"))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("demo", "Demo clip"),
        ("0", "Camera 0"),
        ("/dev/video0", "Desk camera"),
        ("/dev/v4l/by-id/a-camera", "Desk camera"),
        ("/home/me/clip.mp4", "clip.mp4"),
        ("pictures/", "pictures"),
        ("rtsp://me:secret@host:554/live?token=secret", "rtsp://host/live"),
        ("http://[broken", "stream"),
    ],
)
def test_a_source_is_named_as_people_would_and_without_its_password(uri: str, name: str) -> None:
    assert shown_name(uri, [CAMERA]) == name
