"""The menus of the window: everything without a button. Made by `window`, which connects their signals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QAction, QActionGroup, QKeySequence
from PyQt6.QtWidgets import QMenu, QMenuBar

from edgeemo.ui.file_dialogs import VIDEOS, open_dialog
from edgeemo.ui.language import tr
from edgeemo.ui.settings import PRESETS, VIDEO_CHOICES, Settings

if TYPE_CHECKING:
    from edgeemo.ui.window import Window


class Menus(QObject):
    """Session, View and Help.

    Args:
        bar: the menu bar.
        settings: the initial choices. A choice of what a recording keeps is stored there immediately.

    Signals:
        record, mark, sessions, people, markers, queue, plot, take_baseline, forget_baseline, health, preferences,
            doctor, welcome, keys, about: the entry was selected.
        analyse: Path of a video file.
        video: what a recording stores from now on.
        timeline, saliency: whether it is checked now.
        preset: name of a smoothing preset.
    """

    record = pyqtSignal()
    mark = pyqtSignal()
    sessions = pyqtSignal()
    people = pyqtSignal()
    markers = pyqtSignal()
    queue = pyqtSignal()
    plot = pyqtSignal()
    analyse = pyqtSignal(object)
    timeline = pyqtSignal(bool)
    preset = pyqtSignal(str)
    video = pyqtSignal(str)
    take_baseline = pyqtSignal()
    forget_baseline = pyqtSignal()
    saliency = pyqtSignal(bool)
    health = pyqtSignal()
    preferences = pyqtSignal()
    doctor = pyqtSignal()
    keys = pyqtSignal()
    about = pyqtSignal()
    welcome = pyqtSignal()

    def __init__(self, bar: QMenuBar, settings: Settings) -> None:
        super().__init__(bar)
        self._bar = bar
        self._settings = settings
        self._fill_session(_menu(bar.addMenu(tr("&Session"))))
        self._fill_view(_menu(bar.addMenu(tr("&View"))))
        help_menu = _menu(bar.addMenu(tr("&Help")))
        self._action(help_menu, tr("Check this machine"), self.doctor.emit)
        self._action(help_menu, tr("Before you begin"), self.welcome.emit)
        self._action(help_menu, tr("Keyboard shortcuts"), self.keys.emit, "F1")
        self._action(help_menu, tr("About edgeemo"), self.about.emit)

    @property
    def shortcuts(self) -> list[tuple[str, str]]:
        """(key, text) of every entry with a key."""
        found = []
        for top in self._bar.actions():
            menu = top.menu()
            for action in menu.actions() if menu is not None else ():
                if not action.shortcut().isEmpty():
                    found.append(
                        (
                            action.shortcut().toString(QKeySequence.SequenceFormat.NativeText),
                            action.text().replace("&", "").rstrip("…"),
                        )
                    )
        return found

    def _fill_session(self, menu: QMenu) -> None:
        menu.setToolTipsVisible(True)
        self._action(menu, tr("Record or end the recording"), self.record.emit, "Ctrl+R")
        self._action(menu, tr("Set a marker  (M, or 1 to 9)"), self.mark.emit)
        menu.addSeparator()
        choices = QActionGroup(self)
        self.video_actions: dict[str, QAction] = {}
        heading = menu.addAction(tr("What a recording keeps"))
        if heading is not None:
            heading.setEnabled(False)
        for name, (words, tip) in VIDEO_CHOICES.items():
            chosen = self._settings.video == name
            action = self._choice(menu, choices, tr(words), partial(self._choose_video, name), chosen)
            action.setToolTip(tr(tip))
            self.video_actions[name] = action
        menu.addSeparator()
        self._action(menu, tr("Recorded sessions…"), self.sessions.emit, "Ctrl+L")
        self._action(menu, tr("Persons of the replay…"), self.people.emit, "Ctrl+P")
        self._action(menu, tr("Markers of the replay…"), self.markers.emit, "Ctrl+M")
        self._action(menu, tr("Analyse a video file…"), self.ask_for_file, "Ctrl+Shift+A")
        self._action(menu, tr("Queue of videos…"), self.queue.emit, "Ctrl+Shift+Q")

    def _fill_view(self, menu: QMenu) -> None:
        self.timeline_action = self._tick(menu, tr("Timeline"), self.timeline.emit, "Ctrl+T")
        self.timeline_action.setChecked(self._settings.timeline)
        self._action(menu, tr("Save the timeline…"), self.plot.emit, "Ctrl+Shift+S")
        presets = _menu(menu.addMenu(tr("Smoothing")))
        group = QActionGroup(self)
        self.preset_actions = {
            name: self._choice(presets, group, tr(name), partial(self.preset.emit, name), self._settings.preset == name)
            for name in PRESETS
        }
        self._action(menu, tr("Take a neutral baseline (10 seconds)"), self.take_baseline.emit, "Ctrl+B")
        self._action(menu, tr("Forget the neutral baseline"), self.forget_baseline.emit, "Ctrl+Shift+B")
        self.saliency_action = self._tick(menu, tr("What the engine looks at"), self.saliency.emit, "Ctrl+E")
        menu.addSeparator()
        self._action(menu, tr("Health and latency"), self.health.emit, "Ctrl+H")
        self._action(menu, tr("Settings…"), self.preferences.emit, "Ctrl+,")

    def _choose_video(self, name: str) -> None:
        self._settings.video = name
        self.video.emit(name)

    def ask_for_file(self) -> None:
        """Ask for a video to analyse."""
        window = self._bar.window()
        assert window is not None
        dialog = open_dialog(self._settings, "video", tr("Analyse a video file"), window, [VIDEOS])
        dialog.fileSelected.connect(lambda path: self.analyse.emit(Path(path)))
        dialog.open()

    def _action(self, menu: QMenu, words: str, action: Callable[[], object], key: str = "") -> QAction:
        made = QAction(words, menu)
        if key:
            made.setShortcut(QKeySequence(key))
        made.triggered.connect(lambda: action())
        menu.addAction(made)
        return made

    def _tick(self, menu: QMenu, words: str, action: Callable[[bool], object], key: str) -> QAction:
        made = QAction(words, menu)
        made.setCheckable(True)
        made.setShortcut(QKeySequence(key))
        made.triggered.connect(action)
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


def connect_menus(menus: Menus, window: Window) -> None:
    """Connect the entries."""
    menus.record.connect(window.record_or_end)
    menus.mark.connect(window.mark)
    menus.sessions.connect(window.library.show)
    menus.people.connect(window.replaying.show_people)
    menus.markers.connect(window.replaying.show_markers)
    menus.analyse.connect(window.analyse_file)
    menus.queue.connect(window.show_queue)
    menus.timeline.connect(window.show_timeline)
    menus.plot.connect(window.timeline.ask_for_file)
    menus.video.connect(lambda _: window.show_mode())
    menus.preset.connect(window.live.choose_preset)
    menus.take_baseline.connect(window.neutral_baseline.take)
    menus.forget_baseline.connect(window.neutral_baseline.forget)
    menus.saliency.connect(window.show_saliency)
    menus.health.connect(window.dialogs.show_health)
    menus.preferences.connect(window.show_settings)
    menus.doctor.connect(window.dialogs.show_doctor)
    menus.welcome.connect(window.dialogs.show_welcome)
    menus.keys.connect(lambda: window.dialogs.show_keys(menus.shortcuts))
    menus.about.connect(window.dialogs.show_about)


def _menu(menu: QMenu | None) -> QMenu:
    assert menu is not None
    return menu
