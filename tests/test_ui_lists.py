"""Tables that are sorted, empty states that offer the next step, and file dialogs that remember their folders."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path

import pytest
from PyQt6.QtCore import QPoint, QSettings, Qt
from PyQt6.QtGui import QIcon
from PyQt6.QtWidgets import QApplication, QFileDialog, QToolButton, QWidget
from pytestqt.qtbot import QtBot
from sessions import record
from windows import Windows, shows

from edgeemo.recording.folder import SessionFolder, SessionInfo
from edgeemo.ui.file_dialogs import VIDEOS, folder_dialog, open_dialog, save_dialog
from edgeemo.ui.groups_dialog import GroupsDialog
from edgeemo.ui.plot_file import KINDS
from edgeemo.ui.sessions import file_name
from edgeemo.ui.settings import Settings
from edgeemo.ui.tables import RowTable
from edgeemo.ui.words import clock


def first_column(table: RowTable) -> list[str]:
    return [item.text() for row in range(table.rowCount()) if (item := table.item(row, 0)) is not None]


def click_heading(qtbot: QtBot, table: RowTable, column: int) -> None:
    header = table.horizontalHeader()
    assert header is not None
    viewport = header.viewport()
    assert viewport is not None
    place = QPoint(header.sectionViewportPosition(column) + 6, header.height() // 2)
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=place)


@pytest.fixture
def table(qtbot: QtBot) -> RowTable:
    table = RowTable("Lengths", ["Name", "Length"], wide=0)
    qtbot.addWidget(table)
    table.resize(400, 200)
    table.fill([("b", (clock(65), 65)), ("C", (clock(9.5), 9.5)), ("a", (clock(3605), 3605))])
    table.show()
    return table


def test_a_table_is_sorted_by_value_and_a_third_click_brings_its_own_order_back(qtbot: QtBot, table: RowTable) -> None:
    assert first_column(table) == ["b", "C", "a"]
    table.selectRow(0)
    click_heading(qtbot, table, 1)
    assert first_column(table) == ["C", "b", "a"], "lengths are sorted as texts"
    assert table.chosen == [0], "the selection went to another record"
    click_heading(qtbot, table, 1)
    assert first_column(table) == ["a", "b", "C"]
    click_heading(qtbot, table, 1)
    assert first_column(table) == ["b", "C", "a"]
    click_heading(qtbot, table, 0)
    assert first_column(table) == ["a", "b", "C"], "capitals come first"
    table.fill([("b", ""), ("C", ""), ("a", ""), ("0", "")])
    assert first_column(table) == ["0", "a", "b", "C"], "new rows are not sorted"
    assert table.chosen == [0]
    table.choose([2, 3])
    assert table.chosen == [3, 2]


class Counting(RowTable):
    """Counts how often the width of a column is computed from its rows."""

    fitted = 0

    def sizeHintForColumn(self, column: int) -> int:  # noqa: N802
        self.fitted += 1
        return super().sizeHintForColumn(column)


def test_columns_are_fitted_once_and_not_for_every_cell(qtbot: QtBot) -> None:
    """Fitting them for every cell froze the window for six seconds at 300 videos."""
    table = Counting("Videos", ["File", "State"], wide=1)
    qtbot.addWidget(table)
    table.resize(400, 200)
    table.show()
    for name in ("a", "a longer name"):
        table.fitted = 0
        table.fill([(f"{name} {row}", "waits") for row in range(50)])
        QApplication.processEvents()
        assert 0 < table.fitted < 20
        assert table.columnWidth(0) >= table.sizeHintForColumn(0)


def test_times_of_tables_have_one_format() -> None:
    assert [clock(seconds) for seconds in (0, 4.62, 59.96, 65, 3725.25)] == [
        "0:00.0", "0:04.6", "1:00.0", "1:05.0", "1:02:05.2",
    ]  # fmt: skip


def test_groups_stay_with_their_sessions_however_the_list_is_sorted(qtbot: QtBot, tmp_path: Path) -> None:
    listed = [
        (SessionFolder(tmp_path / name), SessionInfo(name, "clip.mp4", "fake", ("neutral",), started=started))
        for name, started in (("beta", "2026-01-02T10:00:00"), ("alpha", "2026-03-02T10:00:00"))
    ]
    dialog = GroupsDialog(listed)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.choose(0, 0)
    click_heading(qtbot, dialog.table, 2)
    assert dialog.table.record_at(0) == 1
    dialog.choose(1, 1)
    assert [[folder.path.name for folder in dialog.members(group)] for group in (0, 1)] == [["beta"], ["alpha"]]
    dialog.choose(0, 1)
    assert dialog.members(0) == [], "a session is in two groups"


def test_more_than_two_groups_are_compared(qtbot: QtBot, tmp_path: Path) -> None:
    listed = [(SessionFolder(tmp_path / name), SessionInfo(name, "clip.mp4", "fake", ("neutral",))) for name in "pqrs"]
    dialog = GroupsDialog(listed, [listed[0][0], listed[1][0]])
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.remove.isEnabled()
    qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    assert not dialog.compare.isEnabled(), "a group is empty"
    headings = [dialog.table.horizontalHeaderItem(column) for column in range(5)]
    assert [heading.text() for heading in headings if heading] == ["A", "B", "C", "Session", "Recorded"]
    dialog.choose(2, 2)
    dialog.choose(3, 1)
    dialog.names[2].setText("After a year")
    with qtbot.waitSignal(dialog.compared) as compared:
        qtbot.mouseClick(dialog.compare, Qt.MouseButton.LeftButton)
    assert [(name, [folder.path.name for folder in members]) for name, members in compared.args[0]] == [
        ("Group A", ["p"]), ("Group B", ["q", "s"]), ("After a year", ["r"]),
    ]  # fmt: skip

    qtbot.mouseClick(dialog.remove, Qt.MouseButton.LeftButton)
    assert [len(dialog.members(group)) for group in range(3)] == [1, 2, 0]
    assert len(dialog.names) == 2
    for _ in range(9):
        qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    assert len(dialog.names) == 8


def test_a_dialog_begins_where_the_last_one_of_its_purpose_ended(qtbot: QtBot, tmp_path: Path) -> None:
    store = str(tmp_path / "s.ini")
    settings = Settings(QSettings(store, QSettings.Format.IniFormat))
    videos, exports = tmp_path / "videos", tmp_path / "exports"
    for folder in (videos, exports):
        folder.mkdir()
    (videos / "a.mp4").touch()
    parent = QWidget()
    qtbot.addWidget(parent)
    asked = open_dialog(settings, "video", "Open", parent, [VIDEOS])
    asked.setDirectory(str(videos))
    asked.selectFile(str(videos / "a.mp4"))
    asked.accept()
    saved = save_dialog(settings, "export", "Export", parent, ["CSV (*.csv)"], "rows.csv")
    saved.setDirectory(str(exports))
    saved.selectFile("rows")
    with qtbot.waitSignal(saved.fileSelected) as written:
        saved.accept()
    assert written.args == [str(exports / "rows.csv")], "the ending is not added"

    again = Settings(QSettings(store, QSettings.Format.IniFormat))
    assert Path(open_dialog(again, "video", "Open", parent, [VIDEOS]).directory().path()) == videos
    assert Path(save_dialog(again, "export", "Export", parent, [], "x.csv").directory().path()) == exports
    folder = folder_dialog(again, "video", "Add a folder", parent)
    assert Path(folder.directory().path()) == videos
    exports.rmdir()
    assert Path(save_dialog(again, "export", "Export", parent, [], "x.csv").directory().path()) != exports


def test_a_file_has_the_suffix_of_the_selected_kind(qtbot: QtBot, tmp_path: Path) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = save_dialog(Settings(), "plot", "Save", parent, KINDS, "timeline.png")
    dialog.setDirectory(str(tmp_path))
    dialog.selectNameFilter("SVG (*.svg)")
    dialog.filterSelected.emit("SVG (*.svg)")
    assert Path(dialog.selectedFiles()[0]).name == "timeline.svg"
    dialog.selectFile("plot")
    with qtbot.waitSignal(dialog.fileSelected) as written:
        dialog.accept()
    assert written.args == [str(tmp_path / "plot.svg")]


def test_the_keys_of_the_keypad_work_too(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    record(tmp_path / "sessions", frames=5)
    window = make(begin=False)
    window.library.show()
    listed = window.library.dialog
    assert listed is not None
    qtbot.waitUntil(listed.table.hasFocus)
    qtbot.keyClick(listed.table, Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    qtbot.keyClick(window.video, Qt.Key.Key_3, Qt.KeyboardModifier.KeypadModifier)
    assert {marker.label for marker in window.timeline.history.markers} == {"smile", "3"}


def test_the_buttons_of_a_file_dialog_show_their_icons(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(begin=False)
    dialog = open_dialog(Settings(), "video", "Open", window, [VIDEOS])
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.show()
    buttons = [button for button in dialog.findChildren(QToolButton) if button.isVisible()]
    assert len(buttons) >= 5
    for button in buttons:
        drawn = button.grab().toImage()
        colours = {drawn.pixel(x, y) for x in range(drawn.width()) for y in range(drawn.height())}
        button.setIcon(QIcon())
        plain = button.grab().toImage()
        assert colours - {plain.pixel(x, y) for x in range(plain.width()) for y in range(plain.height())}, (
            button.toolTip()
        )


@pytest.mark.parametrize(
    ("name", "proposed"),
    [("Visit 1: a/b?", "Visit 1  a b"), ("Größe.", "Größe"), ("...", "session"), ("x" * 99, "x" * 80)],
)
def test_an_export_is_called_as_its_session(name: str, proposed: str) -> None:
    assert file_name(name) == proposed


def test_empty_states_offer_to_open_a_video(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    offer = window.video.offer
    assert not offer.isVisible()
    window.player.stop()
    assert offer.isVisible()
    assert window.video.rect().contains(offer.geometry())
    qtbot.mouseClick(offer, Qt.MouseButton.LeftButton)
    (opened,) = window.findChildren(QFileDialog)
    assert opened.windowTitle() == "Open a video or picture"
    opened.reject()
    window.start_or_pause()
    shows(qtbot, window)
    assert not offer.isVisible()

    window.replaying.show_people()
    (sessions,) = window.banner.buttons
    sessions.click()
    listed = window.library.dialog
    assert listed is not None
    assert listed.isVisible()
    with qtbot.waitSignal(window.library.wanted) as wanted:
        qtbot.mouseClick(listed.analyse, Qt.MouseButton.LeftButton)
    assert wanted.args == ["analysis"]
    assert "Analyse a video file" in [dialog.windowTitle() for dialog in window.findChildren(QFileDialog)]
