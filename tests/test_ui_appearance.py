"""Appearance of the window: both themes, no text cut off at any size, pictures of unusual shapes."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QPoint
from PyQt6.QtWidgets import QApplication, QLabel, QPushButton
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.config import Config
from edgeemo.recording.folder import SessionFolder, SessionInfo
from edgeemo.report.colours import contrast
from edgeemo.types import Faces, Frame, Result
from edgeemo.ui.bars import Bars
from edgeemo.ui.groups_dialog import GroupsDialog
from edgeemo.ui.style_sheet import apply_theme
from edgeemo.ui.theme import DARK, LIGHT, Theme
from edgeemo.ui.video import VideoView
from edgeemo.ui.window import Window
from engines import LABELS


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_both_themes_colour_the_whole_window(qtbot: QtBot, make: Windows, theme: object) -> None:
    window = make()
    assert isinstance(theme, type(LIGHT))
    window.set_theme(theme)
    shows(qtbot, window)
    image = window.grab().toImage()
    corner = image.pixelColor(3, window.height() // 2)
    assert corner.name() == theme.window
    side = image.pixelColor(image.width() - 4, window.height() // 2)
    assert side.name() == theme.surface


def cut_texts(window: Window) -> list[str]:
    """Texts of the window that do not fit into their widgets."""
    found = []
    for label in window.findChildren(QLabel):
        if not label.isVisible() or not label.text():
            continue
        wide = max(label.fontMetrics().horizontalAdvance(line) for line in label.text().splitlines())
        wraps = label.wordWrap()
        tall = label.heightForWidth(label.width()) if wraps else label.sizeHint().height()
        if label.height() < tall - 1 or (not wraps and label.contentsRect().width() < wide - 1):
            found.append(label.text())
    for button in window.findChildren(QPushButton):
        if button.isVisible() and button.width() < button.sizeHint().width():
            found.append(button.text())
    return found


SCALED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from PyQt6.QtWidgets import QDialog
from edgeemo.ui.language import use_language
from test_ui_appearance import Config, GroupsDialog, Studio, Window, QApplication, cut_texts
app = QApplication([])
use_language(app, sys.argv[2])
studio = Studio()
studio.faces = 2
window = Window(Config(source="a rather long name of a clip.mp4"), opener=studio.open, cameras=list, engines=list)
window.resize(640, 430)
window.show()
window.begin()
def look():
    if window.video.result is None:
        return
    window.player.arrived.disconnect(look)
    window.banner.show_message("notice", "Desk camera was connected.", ("Use it", lambda: None))
    for _ in range(20):  # a text that has just changed is laid out with the next events
        app.processEvents()
        if not cut_texts(window):
            break
    print(window.devicePixelRatioF(), window.width(), window.height(), cut_texts(window))
    window.library.show()
    window.show_queue()
    groups = GroupsDialog([], parent=window)
    groups.show()
    app.processEvents()
    window.show_settings()
    window.dialogs.show_keys(window.menus.shortcuts)
    window.dialogs.show_about()
    window.dialogs.show_doctor()
    app.processEvents()
    shown = window.findChildren(QDialog)
    assert len(shown) == 7, shown
    print([type(each).__name__ for each in shown if each.width() > 640 or each.height() > 430])
    app.quit()
window.player.arrived.connect(look)
app.exec()
window.close()
sys.stdout.flush()
os._exit(0)  # as the app ends: the self-test may still be loading libraries with threads
"""


@pytest.mark.parametrize("language", ["en", "de"])
def test_at_twice_the_size_nothing_is_cut_on_a_screen_of_1280_by_860(language: str) -> None:
    environment = {**os.environ, "QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", SCALED, str(Path(__file__).parent), language],
        capture_output=True, text=True, timeout=300, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["2.0 640 430 []", "[]"], done.stdout


def test_dialogs_are_not_larger_than_the_screen(qtbot: QtBot, make: Windows) -> None:
    window = make(begin=False)
    window.library.show()
    queue = window.show_queue()
    screen = window.screen()
    assert screen is not None
    room = screen.availableGeometry()
    for dialog in (window.library.dialog, queue):
        assert dialog is not None
        assert dialog.width() <= room.width()
        assert dialog.height() < room.height()
    assert queue.height() >= min(440, room.height() - 40), "word-wrapped labels must not make a list low"


@pytest.mark.parametrize("faces", [0, 1, 2])
@pytest.mark.parametrize("size", [(640, 400), (640, 480), (760, 480), (900, 600), (1280, 800)])
def test_no_words_are_cut(qtbot: QtBot, make: Windows, studio: Studio, size: tuple[int, int], faces: int) -> None:
    studio.faces = faces
    window = make()
    window.resize(*size)
    shows(qtbot, window)
    qtbot.waitUntil(lambda: (window.timeline.person is not None) == bool(faces))

    def nothing_is_cut() -> None:
        assert cut_texts(window) == []

    # a changed text gets its room in the next layout; a text that does not fit never does
    qtbot.waitUntil(nothing_is_cut)


@pytest.mark.parametrize("size", [(640, 400), (640, 480), (760, 480), (900, 600), (1280, 800)])
def test_nothing_is_cut_off_at_any_size(qtbot: QtBot, make: Windows, size: tuple[int, int]) -> None:
    window = make(Config())
    window.resize(*size)
    shows(qtbot, window)
    QApplication.processEvents()
    assert (window.width(), window.height()) == size
    for button in (
        window.toolbar.source,
        window.toolbar.engine,
        window.toolbar.start_button,
        window.toolbar.stop_button,
        window.toolbar.snapshot_button,
    ):
        assert button.width() >= button.sizeHint().width()
        assert window.rect().contains(button.geometry())


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (4000, 20), (33, 17)])
def test_pictures_of_odd_shapes_are_shown(qtbot: QtBot, size: tuple[int, int]) -> None:
    view = VideoView()
    qtbot.addWidget(view)
    view.resize(400, 300)
    values = np.full((1, len(LABELS)), 1 / len(LABELS), np.float32)
    box = np.array([[0, 0, size[0], size[1]]], np.float32)
    faces = Faces(box, np.zeros((1, 6, 2), np.float32), np.ones(1, np.float32), np.ones(1, np.int64))
    frame = Frame(np.full((size[1], size[0], 3), 200, np.uint8), 0, 0.0, "x")
    view.show_result(Result(frame, faces, values, values, LABELS, ("neutral",)))
    assert not view.grab().isNull()
    assert view.rect().toRectF().contains(view.picture_rect())


def test_bars_without_classes_are_drawn(qtbot: QtBot) -> None:
    bars = Bars()
    qtbot.addWidget(bars)
    bars.resize(200, 20)
    assert not bars.grab().isNull()


def test_the_words_on_screen_are_about_expressions(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    assert window.faces.promise.text().split("\n") == ["Expressions, not feelings.", "Nothing leaves this machine."]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_fields_and_boxes_have_edges_that_can_be_seen(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, theme: Theme
) -> None:
    listed = [(SessionFolder(tmp_path / "a"), SessionInfo("a", "clip.mp4", "fake", ("neutral",)))]
    apply_theme(qapp, theme)
    dialog = GroupsDialog(listed)
    qtbot.addWidget(dialog)
    dialog.show()
    picture = dialog.grab().toImage()

    def colour(point: QPoint) -> str:
        return picture.pixelColor(point).name()

    field = dialog.names[1]
    edge = field.mapTo(dialog, QPoint(0, field.height() // 2))
    assert contrast(colour(edge), colour(edge - QPoint(4, 0))) >= 3
    item, view = dialog.table.item(0, 0), dialog.table.viewport()
    assert item is not None
    assert view is not None
    box = dialog.table.visualItemRect(item)
    start = view.mapTo(dialog, box.topLeft() + QPoint(0, box.height() // 2))
    row = [colour(start + QPoint(step, 0)) for step in range(box.width())]
    assert max(contrast(each, theme.surface) for each in row) >= 3, "no box can be seen"


def test_bars_that_are_painted_in_part_look_like_bars_painted_whole(qtbot: QtBot) -> None:
    """Compare what is on the screen, which holds earlier parts, with `grab`, which paints the whole widget."""
    bars = Bars()
    qtbot.addWidget(bars)
    bars.resize(260, 200)
    bars.show()
    qtbot.waitExposed(bars)
    screen = bars.screen()
    assert screen is not None
    keys = ["neutral", "happiness", "surprise", "sadness"]
    random = np.random.default_rng(3)
    for number in range(30):
        values = random.random(4) if number % 3 else random.random(4) * [0.002, 0.9, 0.002, 0.002]
        bars.show_classes(list(zip(keys, values.tolist(), strict=True)), keys[number // 10], short=False)
        QApplication.processEvents()
        seen = screen.grabWindow(bars.winId()).toImage()
        whole = bars.grab().toImage()
        assert seen.size() == whole.size()
        for y in range(0, whole.height(), 3):
            for x in range(0, whole.width(), 3):
                one, two = seen.pixelColor(x, y), whole.pixelColor(x, y)
                pair = zip(one.getRgb()[:3], two.getRgb()[:3], strict=True)
                assert max(abs(a - b) for a, b in pair) <= 60, (number, x, y)  # within a pixel of a bar's end
