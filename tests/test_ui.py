from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from windows import GREY, HEIGHT, WIDTH, Studio, Windows, shows

from edgeemo.capture import DEMO_CLIP
from edgeemo.config import Config
from edgeemo.types import Faces, Frame, Result
from edgeemo.ui.app import keep_opencvs_qt_out
from edgeemo.ui.player import PlayerState
from edgeemo.ui.snapshot import save_snapshot
from edgeemo.ui.window import Window
from engines import LABELS, Emotion
from engines.bundle import ZOO


def pixel(window: Window, x: float, y: float) -> tuple[int, int, int]:
    """The colour at a place of the picture, given as fractions of its width and height."""
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


def test_keys_pause_save_and_dismiss(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(Config())
    shows(qtbot, window)
    window.video.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PAUSED
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PLAYING
    window.banner.show_message("notice", "A camera was connected.", ("Use it", lambda: None))
    (button,) = window.banner.buttons
    button.setFocus()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert window.banner.text == ""
    assert window.focusWidget() is window.video, "Space would press another button"
    window.banner.show_message("notice", "A camera was connected.")
    window.banner.dismiss_button.setFocus()
    qtbot.keyClick(window.banner.dismiss_button, Qt.Key.Key_Escape)
    assert window.banner.text == ""
    assert window.focusWidget() is window.video
    qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(list((tmp_path / "Pictures").glob("*.png"))))


def test_the_space_bar_presses_the_focused_button_once(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.keyClick(window.toolbar.start_button, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PAUSED
    qtbot.keyClick(window.toolbar.stop_button, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.STOPPED


def tabbed(qtbot: QtBot, window: Window) -> QWidget:
    """The widget that Tab reaches from the one with the focus."""
    before = window.focusWidget()
    assert before is not None
    qtbot.keyClick(before, Qt.Key.Key_Tab)
    after = window.focusWidget()
    assert after is not None
    return after


def test_every_control_can_be_reached_by_tab_and_has_a_name(qtbot: QtBot, make: Windows) -> None:
    window = make(Config())
    window.resize(1000, 700)  # a low window hides the timeline
    shows(qtbot, window)
    controls = {
        window.toolbar.source,
        window.toolbar.engine,
        window.toolbar.start_button,
        window.toolbar.stop_button,
        window.toolbar.snapshot_button,
        window.banner.dismiss_button,
    }
    window.banner.show_message("notice", "A camera was connected.", ("Use it", window.take_snapshot))
    QApplication.processEvents()
    reached = [window.focusWidget()]
    assert reached == [window.video]
    while (at := tabbed(qtbot, window)) not in reached:
        reached.append(at)
    assert controls <= set(reached)
    bar, banner, rest = (
        [at for at in reached if part.isAncestorOf(at)] for part in (window.toolbar, window.banner, window.timeline)
    )
    cards = [at for at in reached if at in window.faces.cards]
    assert reached == [window.video, *bar, *banner, *rest, *cards], "from top to bottom, then the cards"
    assert bar
    assert banner
    for row in (bar, banner, rest):  # the timeline's controls appear with the first curve
        places = [at.mapTo(window, QPoint(0, 0)).x() for at in row]
        assert places == sorted(places), "from left to right"
    assert cards
    for at in reached[1:]:
        at.setFocus()
        QApplication.processEvents()
        focused = at.grab().toImage()
        at.clearFocus()
        QApplication.processEvents()
        assert at.grab().toImage() != focused, f"the focus of {at.accessibleName()} is invisible"
        assert at.accessibleName() or at.text()
    for control in controls:
        assert control.toolTip()
        assert control.accessibleName() or control.text()


def test_only_opencvs_own_qt_is_kept_out() -> None:
    own = str(Path(cv2.__file__).parent / "qt" / "plugins")
    environment = {"QT_QPA_PLATFORM_PLUGIN_PATH": own, "QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/root"}
    keep_opencvs_qt_out(environment)
    assert environment == {"QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/root"}


@pytest.mark.skipif(not DEMO_CLIP.is_file(), reason="the demo clip has not been made yet")
@pytest.mark.skipif(not (ZOO / "hybrid_lite" / "model.onnx").is_file(), reason="hybrid_lite is not trained yet")
def test_the_app_runs_on_the_demo_clip_until_it_is_interrupted(qtbot: QtBot, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-m", "edgeemo", "--source", "demo", "--sink", f"jsonl:{results}"],
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        # the settings of the user who runs the tests do not change
        env={**os.environ, "PYTHONPATH": root, "XDG_CONFIG_HOME": str(tmp_path)},
    ) as process:
        try:
            qtbot.waitUntil(lambda: results.is_file() and results.stat().st_size > 0, timeout=20_000)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130
        finally:
            process.kill()
