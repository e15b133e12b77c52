from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import re
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np
import pytest
from fakes import FakeSink
from PyQt6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent, QImage
from PyQt6.QtWidgets import QApplication, QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot
from windows import GREY, HEIGHT, WIDTH, Clip, Studio, Windows, shows

from edgeemo.capture import DEMO_CLIP, CameraInfo
from edgeemo.config import Config
from edgeemo.errors import SinkError, SourceError
from edgeemo.types import Faces, Frame, Result
from edgeemo.ui.app import keep_opencvs_qt_out
from edgeemo.ui.live import NO_CAMERA
from edgeemo.ui.pickers import shown_name
from edgeemo.ui.player import PlayerState
from edgeemo.ui.settings import PRESETS
from edgeemo.ui.snapshot import save_snapshot
from edgeemo.ui.window import Window
from engines import LABELS, Emotion
from engines.bundle import ZOO

CAMERA = CameraInfo(uri="/dev/v4l/by-id/a-camera", name="Desk camera", device="/dev/video0")


def press(qtbot: QtBot, window: Window, words: str) -> None:
    (button,) = [button for button in window.banner.buttons if button.text() == words]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def pixel(window: Window, x: float, y: float) -> tuple[int, int, int]:
    """Colour at a place of the picture, given in parts of its width and height."""
    where = window.video.picture_rect()
    image = window.video.grab().toImage()
    ratio = image.devicePixelRatio()
    colour = image.pixelColor(
        round((where.x() + x * where.width()) * ratio), round((where.y() + y * where.height()) * ratio)
    )
    return colour.red(), colour.green(), colour.blue()


def test_starting_brings_picture_cards_figures_and_the_engine(qtbot: QtBot, make: Windows) -> None:
    window = make()
    result = shows(qtbot, window)
    assert result.frame.image.shape == (HEIGHT, WIDTH, 3)
    (card,) = window.faces.cards
    assert card.expression.text() == "Happiness"
    assert card.confidence.text() == "90 %"
    assert card.person.text() == "Person 1"
    qtbot.waitUntil(lambda: "frames per second" in window.status_bar.figures.text())
    qtbot.waitUntil(lambda: "latency" in window.status_bar.figures.text())
    assert "dropped" in window.status_bar.figures.text()
    assert window.status_bar.description.toolTip() == "hybrid_lite, fake runtime"
    assert window.windowTitle().startswith("clip.mp4")


def test_the_picture_keeps_its_proportions_and_carries_the_box(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    where = window.video.picture_rect()
    assert where.width() / where.height() == pytest.approx(WIDTH / HEIGHT, rel=0.01)
    assert pixel(window, 0.9, 0.9) == (GREY, GREY, GREY)
    image = window.video.grab().toImage()
    wanted = Emotion.HAPPINESS.colour
    seen = {image.pixelColor(x, y).name() for x in range(0, image.width()) for y in range(0, image.height(), 3)}
    assert wanted in seen


def test_without_a_face_the_card_area_says_so(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 0
    window = make()
    result = shows(qtbot, window)
    assert len(result.faces) == 0
    assert window.faces.cards == []
    assert window.faces.nobody.text() == "No face"
    assert window.faces.nobody.isVisible()


def test_pause_holds_the_picture_and_going_on_releases_it(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.mouseClick(window.toolbar.start_button, Qt.MouseButton.LeftButton)
    assert window.player.state is PlayerState.PAUSED
    held = window.video.result
    qtbot.wait(150)
    assert window.video.result is held
    assert window.toolbar.start_button.text() == "Resume"
    assert window.toolbar.snapshot_button.isEnabled()
    qtbot.mouseClick(window.toolbar.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.video.result is not held)
    assert window.toolbar.start_button.text() == "Pause"


def test_stop_lets_the_source_go_and_clears_the_picture(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.mouseClick(window.toolbar.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: studio.clips[0].released)
    assert window.video.result is None
    assert window.faces.cards == []
    assert not window.toolbar.snapshot_button.isEnabled()
    qtbot.mouseClick(window.toolbar.start_button, Qt.MouseButton.LeftButton)
    shows(qtbot, window)
    assert len(studio.clips) == 2


def test_a_snapshot_is_a_png_of_the_frame_with_its_overlay(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.mouseClick(window.toolbar.snapshot_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Snapshot saved" in window.banner.text)
    (path,) = (tmp_path / "Pictures").glob("*.png")
    assert str(path) in window.banner.text
    saved = cv2.imread(str(path))
    assert saved.shape == (HEIGHT, WIDTH, 3)
    assert (saved == np.array(Emotion.HAPPINESS.bgr, np.uint8)).all(axis=2).sum() > 100
    assert tuple(saved[-1, -1]) == (GREY, GREY, GREY)


def test_two_snapshots_of_one_second_do_not_overwrite_each_other(tmp_path: Path) -> None:
    values = np.zeros((0, len(LABELS)), np.float32)
    result = Result(Frame(np.zeros((9, 9, 3), np.uint8), 0, 0.0, "x"), Faces.none(), values, values, LABELS, ())
    now = datetime(2026, 1, 2, 3, 4, 5)
    first, second = save_snapshot(result, tmp_path, now), save_snapshot(result, tmp_path, now)
    assert first.name == "edgeemo 2026-01-02 03.04.05.png"
    assert second.name == "edgeemo 2026-01-02 03.04.05 (2).png"
    assert QImage(str(second)).size() == QImage(str(first)).size()


def test_a_snapshot_that_cannot_be_saved_is_an_error_in_the_window(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    (tmp_path / "Pictures").write_text("in the way")
    window = make()
    shows(qtbot, window)
    window.take_snapshot()
    qtbot.waitUntil(lambda: window.banner.kind == "error" and bool(window.banner.text))
    assert "not a folder" in window.banner.text
    assert window.player.state is PlayerState.PLAYING


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
    assert [clip.name for clip in studio.clips] == ["clip.mp4"]  # the source plays on


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
    qtbot.waitUntil(picker.measure.isEnabled, timeout=60_000)
    assert re.fullmatch(r"hybrid_lite\t\d\d\.\d % right, \d+\.\d ms, \d\.\d MB", words()[0])


def test_what_was_chosen_last_wins(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.delay = 0.1
    window = make()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        window.live.choose_source(name)
    shows(qtbot, window)
    assert window.video.result is not None
    assert window.video.result.frame.origin == "c.mp4"
    # whatever was being opened when the others were chosen, and the last: those in between are not opened
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


def test_many_faces_get_short_cards_and_few_get_all_bars(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 5
    window = make()
    shows(qtbot, window)
    assert [card.person.text() for card in window.faces.cards] == [f"Person {number}" for number in range(1, 6)]
    crowd = window.faces.cards[0].bars.sizeHint().height()
    assert "Happiness" not in window.faces.cards[0].others.text()
    studio.faces = 1
    window.live.choose_source("other.mp4")
    qtbot.waitUntil(lambda: len(window.faces.cards) == 1)
    assert window.faces.cards[0].bars.sizeHint().height() > 5 * crowd


def test_cards_of_faces_that_leave_disappear(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 3
    window = make()
    shows(qtbot, window)
    assert window.faces.count.text() == "3"
    studio.faces = 0
    window.live.choose_source("empty.mp4")
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.frame.origin == "empty.mp4")
    assert window.faces.cards == []
    assert window.faces.count.text() == ""


def own_threads(before: set[threading.Thread]) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread not in before]


def test_closing_ends_every_thread(qtbot: QtBot, make: Windows) -> None:
    before = set(threading.enumerate())
    window = make()
    shows(qtbot, window)
    assert own_threads(before)
    began = monotonic()
    window.close()
    assert monotonic() - began < 2.0
    assert own_threads(before) == []


def test_closing_while_a_source_is_slow_ends_every_thread(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    before = set(threading.enumerate())
    studio.clip = lambda name: Clip(name, stuck=True)
    window = make()
    shows(qtbot, window)
    window.close()
    assert own_threads(before) == []


def test_closing_while_a_session_is_being_opened_closes_that_too(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    before = set(threading.enumerate())
    studio.delay = 0.3
    window = make()
    qtbot.waitUntil(lambda: bool(studio.configs))
    window.close()
    assert own_threads(before) == []
    assert window.player.state is not PlayerState.PLAYING


def test_closing_a_paused_window_ends_every_thread(qtbot: QtBot, make: Windows) -> None:
    before = set(threading.enumerate())
    window = make()
    shows(qtbot, window)
    window.player.pause()
    window.close()
    assert own_threads(before) == []


def test_the_window_answers_while_a_session_is_being_opened(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.delay = 0.4
    window = make()
    assert window.player.state is PlayerState.OPENING
    assert "Opening" in window.video.message
    assert not window.toolbar.start_button.isEnabled()
    assert window.toolbar.stop_button.isEnabled()
    turns = 0
    while window.player.state is PlayerState.OPENING and turns < 10_000:
        QApplication.processEvents()
        sleep(0.001)
        turns += 1
    assert turns > 10
    shows(qtbot, window)


def test_keys_pause_save_and_dismiss(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(Config())
    shows(qtbot, window)
    window.video.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PAUSED
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PLAYING
    assert window.banner.text
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert window.banner.text == ""
    qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(list((tmp_path / "Pictures").glob("*.png"))))


def test_the_space_bar_presses_the_focused_button_once(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.keyClick(window.toolbar.start_button, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PAUSED
    qtbot.keyClick(window.toolbar.stop_button, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.STOPPED


def test_every_control_can_be_reached_by_tab_and_has_a_name(qtbot: QtBot, make: Windows) -> None:
    window = make(Config())
    shows(qtbot, window)
    controls = {
        window.toolbar.source,
        window.toolbar.engine,
        window.toolbar.start_button,
        window.toolbar.stop_button,
        window.toolbar.snapshot_button,
        window.banner.dismiss_button,
    }
    reached = set()
    at = window.toolbar.start_button
    for _ in range(200):
        at = at.nextInFocusChain()
        if at.focusPolicy() & Qt.FocusPolicy.TabFocus and at.isVisible():
            reached.add(at)
    assert controls <= reached
    for control in controls:
        assert control.toolTip()
        assert control.accessibleName() or control.text()


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


def test_only_opencvs_own_qt_is_kept_out() -> None:
    own = str(Path(cv2.__file__).parent / "qt" / "plugins")
    environment = {"QT_QPA_PLATFORM_PLUGIN_PATH": own, "QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/root"}
    keep_opencvs_qt_out(environment)
    assert environment == {"QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/root"}


@pytest.mark.skipif(not DEMO_CLIP.is_file(), reason="the demo clip has not been made yet")
@pytest.mark.skipif(not (ZOO / "hybrid_lite" / "model.onnx").is_file(), reason="hybrid_lite is not trained yet")
def test_the_app_runs_on_the_demo_clip_until_it_is_interrupted(qtbot: QtBot, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    code = (
        "import sys; from edgeemo.config import Config; from edgeemo.ui import app\n"
        f"sys.exit(app.run(Config(source='demo', sinks=('jsonl:{results.as_posix()}',))))"
    )
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        # the settings of whoever runs the tests stay as they are
        env={**os.environ, "PYTHONPATH": root, "XDG_CONFIG_HOME": str(tmp_path)},
    ) as process:
        try:
            qtbot.waitUntil(lambda: results.is_file() and results.stat().st_size > 0, timeout=20_000)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130
        finally:
            process.kill()
