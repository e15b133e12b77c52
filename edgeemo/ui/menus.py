"""The window's menus: everything that has no button of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtGui import QAction, QActionGroup, QKeySequence
from PyQt6.QtWidgets import QFileDialog, QMenu

from edgeemo.ui.pickers import VIDEOS
from edgeemo.ui.settings import PRESETS

if TYPE_CHECKING:
    from edgeemo.ui.window import Window

VIDEO_CHOICES = {
    "none": ("Record data only, no pictures", "Nobody can be recognised from it"),
    "blurred": ("Record video with faces covered", "A face that is not found is not covered"),
    "whole": ("Record video as it is", "Those filmed must have agreed"),
}


class Menus:
    """Session, View and Help."""

    def __init__(self, window: Window) -> None:
        self._window = window
        bar = window.menuBar()
        assert bar is not None
        session = _menu(bar.addMenu("&Session"))
        self.record = self._action(session, "Record or end the recording", window.record_or_end, "Ctrl+R")
        self.mark = self._action(session, "Set a marker  (M, or 1 to 9)", lambda: window.mark())
        session.addSeparator()
        choices = QActionGroup(window)
        self.video: dict[str, QAction] = {}
        for name, (words, tip) in VIDEO_CHOICES.items():
            self.video[name] = self._choice(
                session, choices, words, partial(self._choose_video, name), window.settings.video == name
            )
            self.video[name].setToolTip(tip)
        session.setToolTipsVisible(True)
        session.addSeparator()
        self.sessions = self._action(session, "Recorded sessions…", window.show_sessions, "Ctrl+L")
        self.analyse = self._action(session, "Analyse a video file…", self._ask_for_file, "Ctrl+Shift+A")

        view = _menu(bar.addMenu("&View"))
        self.timeline = self._action(
            view, "Timeline", lambda: window.show_timeline(self.timeline.isChecked()), "Ctrl+T"
        )
        self.timeline.setCheckable(True)
        self.timeline.setChecked(window.settings.timeline)
        presets = _menu(view.addMenu("How calm it is"))
        group = QActionGroup(window)
        self.presets = {
            name: self._choice(
                presets, group, name, partial(window.choose_preset, name), window.settings.preset == name
            )
            for name in PRESETS
        }
        self.baseline = self._action(view, "Take the face at rest (10 seconds)", window.rest.take, "Ctrl+B")
        self.forget = self._action(view, "Forget the face at rest", window.rest.forget, "Ctrl+Shift+B")
        self.saliency = self._action(
            view, "What the engine looks at", lambda: window.show_saliency(self.saliency.isChecked()), "Ctrl+E"
        )
        self.saliency.setCheckable(True)
        view.addSeparator()
        self.health = self._action(view, "Health and latency", window.show_health, "Ctrl+H")

        help_menu = _menu(bar.addMenu("&Help"))
        self.doctor = self._action(help_menu, "Check this machine", window.show_doctor)
        self.welcome = self._action(help_menu, "What to mind", window.show_welcome)

    def _choose_video(self, name: str) -> None:
        self._window.settings.video = name

    def _ask_for_file(self) -> None:
        dialog = QFileDialog(self._window, "Analyse a video file")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([VIDEOS, "All files (*)"])
        dialog.fileSelected.connect(lambda path: self._window.analyse_file(Path(path)))
        dialog.open()

    def _action(self, menu: QMenu, words: str, action: Callable[[], object], key: str = "") -> QAction:
        made = QAction(words, self._window)
        if key:
            made.setShortcut(QKeySequence(key))
        made.triggered.connect(lambda: action())
        menu.addAction(made)
        return made

    def _choice(
        self, menu: QMenu, group: QActionGroup, words: str, action: Callable[[], object], checked: bool
    ) -> QAction:
        made = self._action(menu, words, action)
        made.setCheckable(True)
        made.setChecked(checked)
        group.addAction(made)
        return made


def _menu(menu: QMenu | None) -> QMenu:
    assert menu is not None
    return menu
