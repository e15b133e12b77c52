"""Essential behaviour of the window: pictures, deleting, keys, size, requested options."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import result
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

import edgeemo
from edgeemo.config import Config
from edgeemo.recording import Recorder, SessionFolder, SessionInfo
from edgeemo.ui.about import AboutDialog
from edgeemo.ui.history import History
from edgeemo.ui.keys import KeysDialog
from edgeemo.ui.pixels import as_pixmap
from edgeemo.ui.player import PlayerState
from edgeemo.ui.preferences import SettingsDialog
from edgeemo.ui.sessions import SessionsDialog
from edgeemo.ui.settings import PRESETS, Settings
from edgeemo.ui.theme import DARK
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.window import USUAL, Window
from engines import LABELS


def test_a_pixmap_outlives_the_array_it_was_made_from(qtbot: QtBot) -> None:
    for channels in (3, 4):
        pixels = np.full((40, 60, channels), 200, np.uint8)
        pixmap = as_pixmap(pixels)
        pixels[:] = 0
        assert pixmap.toImage().pixelColor(5, 5).red() == 200


def session(parent: Path, name: str) -> SessionFolder:
    folder = SessionFolder.create(parent, SessionInfo(name, "clip.mp4", "fake", LABELS))
    recorder = Recorder(folder, LABELS)
    recorder.write(result(1))
    recorder.close()
    return folder


@pytest.fixture
def listed(qtbot: QtBot, tmp_path: Path) -> SessionsDialog:
    for name in ("One", "Two", "Three"):
        session(tmp_path, name)
    dialog = SessionsDialog(lambda: tmp_path)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def names(dialog: SessionsDialog) -> list[str]:
    return [folder.read().name for folder in dialog.chosen]


def test_enter_keeps_a_session_and_deleting_can_be_undone(qtbot: QtBot, listed: SessionsDialog, tmp_path: Path) -> None:
    listed.table.selectRow(1)
    chosen = listed.chosen
    listed.delete_chosen()
    (box,) = listed.findChildren(QMessageBox)
    default = box.defaultButton()
    assert default is not None
    assert default.text() == "Cancel"
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert chosen[0].path.is_dir()
    assert listed.chosen == chosen
    QApplication.sendPostedEvents(None, 0)
    listed.delete_chosen()
    box = listed.findChildren(QMessageBox)[-1]
    (move,) = [button for button in box.findChildren(QPushButton) if button.text() == "Move to trash"]
    qtbot.mouseClick(move, Qt.MouseButton.LeftButton)
    assert listed.table.rowCount() == 2
    assert (tmp_path / ".trash" / chosen[0].path.name).is_dir()
    assert listed.undo.isVisible()
    qtbot.mouseClick(listed.undo, Qt.MouseButton.LeftButton)
    assert listed.table.rowCount() == 3
    assert chosen[0].read().name == "Two"
    assert not listed.undo.isVisible()


def test_the_selection_stays_after_renaming_and_the_list_opens_with_one(listed: SessionsDialog) -> None:
    assert len(names(listed)) == 1
    listed.table.selectRow(1)
    (folder,) = listed.chosen
    folder.rename("Renamed")
    listed.fill()
    assert names(listed) == ["Renamed"]


def test_the_list_of_the_window_opens_with_a_selection_and_the_focus(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    session(tmp_path / "sessions", "One")
    window = make(begin=False)
    window.library.show()
    dialog = window.library.dialog
    assert dialog is not None
    assert names(dialog) == ["One"]
    assert dialog.focusWidget() is dialog.table
    dialog.close()
    window.library.show()
    assert names(dialog) == ["One"]


def test_space_pauses_right_after_the_launch(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    focused = window.focusWidget()
    assert focused is not None
    qtbot.keyClick(focused, Qt.Key.Key_Space)
    assert window.player.state is PlayerState.PAUSED
    window.player.stop()
    window.toolbar.start_button.setFocus()
    window.live.start_or_pause()
    assert window.focusWidget() is window.video


def test_an_engine_that_is_asked_for_wins_even_if_it_is_the_usual_one(studio: Studio, tmp_path: Path) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.engine = "other"
    for given, engine in ((True, Config.engine), (False, "other")):
        window = Window(
            Config(),
            opener=studio.open,
            cameras=list,
            engines=list,
            settings=kept,
            engine_given=given,
            devices=tmp_path,
        )
        assert window.config.engine == engine
        window.close()


def test_the_window_is_never_larger_than_the_screen(make: Windows, tmp_path: Path) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.welcomed = True
    large = make(settings=kept, begin=False)
    large.resize(5000, 4000)
    large.close()
    # with a stored size, and with the default size, which is larger than the test's screen
    for window in (make(settings=kept, begin=False), make(begin=False)):
        screen = window.screen()
        assert screen is not None
        room = screen.availableGeometry()
        assert room.width() < USUAL[0]
        assert window.width() <= room.width()
        assert window.height() <= room.height()


@pytest.mark.parametrize(("size", "faces"), [((640, 400), 1), ((640, 480), 1), ((640, 480), 2)])
def test_no_card_is_cut_in_a_small_window(
    qtbot: QtBot, make: Windows, studio: Studio, size: tuple[int, int], faces: int
) -> None:
    studio.faces = faces
    window = make()
    window.resize(*size)
    shows(qtbot, window)

    def every_card_is_whole() -> None:
        assert [card.visibleRegion().boundingRect() for card in window.faces.cards] == [
            card.rect() for card in window.faces.cards
        ]

    qtbot.waitUntil(every_card_is_whole)


def test_a_marker_stands_at_one_time_in_timeline_scrubber_and_report(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit", "clip.mp4", "fake", LABELS))
    recorder = Recorder(folder, LABELS)
    for index in range(100):
        recorder.write(result(1, index=index, time=0.77 + index / 25))
    recorder.mark("smile", at=1.67)
    recorder.close()
    window = make(begin=False)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    window.replay.pause()
    window.timeline.refresh()
    axis = window.timeline.axis
    assert axis.tickStrings([1.67], 1.0, 0.1) == ["0:00.9"]
    assert 0.77 in axis.tickValues(0.77, 4.73, 600)[0][1]
    (marker,) = window.timeline.history.markers
    window.replay.seek(marker.time)
    assert window.replay.place.text().startswith("0:00.9 of")


def test_after_a_cut_the_timeline_shows_who_is_there(qtbot: QtBot) -> None:
    history = History()
    for index in range(200):
        # a cut after 4 s: the tracks end and two others begin
        first = 1 if index < 100 else 3
        shown = result(2, index=index, time=index / 25)
        ids = np.array([first, first + 1], np.int64)
        history.add(replace(shown, faces=replace(shown.faces, ids=ids)))
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.show_history(history)
    assert timeline.person == 3
    timeline.show_person(4)
    assert timeline.person == 4
    timeline.show_person(2)
    assert timeline.person == 3
    # in a replay the cursor determines the person
    timeline.show_cursor(2.0)
    assert timeline.person == 2
    assert History().shown_at(1.0) is None
    assert history.shown_at(60.0, 2) == 2


def test_settings_hold_at_once_and_until_the_next_time(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.welcomed = True
    window = make(settings=kept)
    shows(qtbot, window)
    window.show_settings()
    (dialog,) = window.findChildren(SettingsDialog)
    for box, name in ((dialog.themes, "dark"), (dialog.videos, "blurred"), (dialog.presets, "Calm")):
        box.setCurrentIndex(box.findData(name))
        box.activated.emit(box.currentIndex())
    assert window.video._theme is DARK
    assert window.menus.video_actions["blurred"].isChecked()
    assert window.menus.preset_actions["Calm"].isChecked()
    dialog.limit.setValue(60)
    dialog.limit.editingFinished.emit()
    qtbot.waitUntil(lambda: (playing := window.player.config) is not None and playing.quality.min_confidence == 0.6)
    assert window.player.config is not None
    assert window.player.config.smooth == PRESETS["Calm"]
    qtbot.waitUntil(lambda: "hybrid_lite, Calm, unsure below 60 %" in [m.label for m in window.history.markers])
    window.close()
    again = make(settings=Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)), begin=False)
    assert again.video._theme is DARK
    assert again.settings.video == "blurred"
    assert again.config.quality.min_confidence == 0.6


def test_the_folder_of_sessions_is_chosen_unless_the_environment_names_one(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEEMO_SESSIONS", raising=False)
    window = Window(Config(), opener=studio.open, cameras=list, engines=list, devices=tmp_path)
    window.show_settings()
    (dialog,) = window.findChildren(SettingsDialog)
    dialog._ask_for_folder()
    (files,) = dialog.findChildren(QFileDialog)
    files.fileSelected.emit(str(tmp_path / "mine"))
    assert dialog.place.text() == str(tmp_path / "mine")
    folder = session(tmp_path / "mine", "One")
    window.library.show()
    assert window.library.dialog is not None
    assert [each.path for each in window.library.dialog.chosen] == [folder.path]
    monkeypatch.setenv("EDGEEMO_SESSIONS", str(tmp_path / "other"))
    window.library.show()
    assert window.library.dialog.chosen == []
    window.close()


def test_about_names_version_engine_and_licences(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    window.menus.about.emit()
    (dialog,) = window.findChildren(AboutDialog)
    for words in (edgeemo.__version__, "hybrid_lite, fake runtime", "PyQt6", "GPL", "numpy", "BSD"):
        assert words in dialog.text.text()


def test_every_key_of_a_menu_is_in_the_list_of_keys(make: Windows) -> None:
    window = make(begin=False)
    window.menus.keys.emit()
    (dialog,) = window.findChildren(KeysDialog)
    for key in ("Ctrl+R", "Ctrl+L", "Ctrl+P", "Ctrl+,", "Space", "Shift+Left"):
        assert f"<b>{key}" in dialog.text.text()
