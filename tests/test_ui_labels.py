"""Names that look like HTML are shown as they are."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QTextDocument
from PyQt6.QtWidgets import QLabel, QMessageBox
from pytestqt.qtbot import QtBot
from sessions import record
from windows import CAMERA, Windows

from edgeemo.capture import CameraInfo
from edgeemo.ui.labels import tip_of
from edgeemo.ui.preferences import SettingsDialog
from edgeemo.ui.tables import RowTable

NAME = "<b>R&D</b> <img src=x>"


@pytest.mark.parametrize("text", [NAME, "a.mp4", "a < b", "R&D", "&lt;b&gt;", f"one\n{NAME}\n  two"])
def test_a_tool_tip_shows_the_text(qtbot: QtBot, text: str) -> None:
    tip, shown = tip_of(text), text
    if tip != text:
        document = QTextDocument()
        document.setHtml(tip)
        shown = document.toPlainText()
    assert shown == text


def test_labels_tips_boxes_and_buttons_of_the_window_show_names_as_they_are(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    record(tmp_path / "sessions", NAME)
    window = make(begin=False, cameras=[CameraInfo(CAMERA.uri, NAME, CAMERA.device)])
    window.toolbar.source.show_source(CAMERA.uri)
    window.status_bar.describe(NAME)
    window.banner.show_message("notice", NAME, (NAME, lambda: None))
    assert window.banner.buttons[0].text() == NAME.replace("&", "&&")
    window.show_settings()
    window.dialogs.show_health()
    window.show_queue()
    window.library.show()
    assert window.library.dialog is not None
    window.library.dialog.delete_chosen()
    (box,) = window.library.dialog.findChildren(QMessageBox)
    assert NAME in box.text()
    assert box.textFormat() is Qt.TextFormat.PlainText
    box.reject()
    table = RowTable("Videos", ["File"], wide=0)
    qtbot.addWidget(table)
    table.fill([(NAME,)], [NAME])
    item = table.item(0, 0)
    assert item is not None
    for tip in (window.toolbar.source.toolTip(), window.status_bar.description.toolTip(), item.toolTip()):
        assert "&lt;b&gt;R&amp;D&lt;/b&gt;" in tip
    labels = window.findChildren(QLabel)
    assert len(labels) > 30
    rich = [each for each in labels if each.textFormat() is Qt.TextFormat.AutoText]
    # boxes set the format of their labels; those of a form are not names
    assert [each.text() for each in rich if not isinstance(each.parent(), QMessageBox | SettingsDialog)] == []
