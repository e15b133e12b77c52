"""Buttons, slider and keys for seeking in a replayed session or a file. Base of `replay` and `file_bar`."""

from __future__ import annotations

from functools import partial

from PyQt6.QtCore import QLocale, Qt
from PyQt6.QtGui import QActionGroup, QKeyEvent
from PyQt6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSlider, QWidget

from edgeemo.ui.icons import icon
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr
from edgeemo.ui.theme import LIGHT, Theme, named

SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
LEAP_S = 5.0  # step of Shift with an arrow key


class Transport(QWidget):
    """Plays at the `SPEEDS`, seeks, and steps frame by frame; subclasses implement these actions.

    Args:
        what: name in texts of what is played, such as "the recording".
    """

    def __init__(self, what: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("replay")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = LIGHT
        self._what = what
        self._speed = 1.0
        self.play = QPushButton()
        self.play.clicked.connect(self.play_or_pause)
        self.back = self._step_button(tr("One frame back"), tr("Left"), -1)
        self.forward = self._step_button(tr("One frame on"), tr("Right"), 1)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(tr("Place in {what}", what=what))
        self.speed = QPushButton()
        self.speed.setToolTip(tr("Speed (- and +)"))
        self._choose_speed_from_menu()
        self.place = named(Label(), "muted")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(14, 4, 14, 4)
        self._row.setSpacing(10)
        for button in (self.back, self.play, self.forward):
            self._row.addWidget(button)
        self._row.addWidget(self.slider, 1)
        self._row.addWidget(self.place)
        self._row.addWidget(self.speed)
        self.hide()

    @property
    def can_seek(self) -> bool:
        """Whether one can seek in what is played."""
        raise NotImplementedError

    @property
    def playing(self) -> bool:
        raise NotImplementedError

    def play_or_pause(self) -> None:
        raise NotImplementedError

    def step(self, frames: int) -> None:
        """Pause and go some frames forward or back."""
        raise NotImplementedError

    def leap(self, seconds: float) -> None:
        """Go some seconds forward or back; playback continues."""
        raise NotImplementedError

    def go_to_edge(self, end: bool) -> None:
        """Pause at the end or at the beginning."""
        raise NotImplementedError

    def set_speed(self, speed: float) -> None:
        """Set the playback speed: 2.0 is twice the original."""
        self._speed = speed
        self.speed.setText(f"{QLocale().toString(speed)}x")
        self.speed.setAccessibleName(tr("Speed: {speed} times", speed=QLocale().toString(speed)))
        self._speeds[speed].setChecked(True)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.back.setIcon(icon("back", theme.text))
        self.forward.setIcon(icon("forward", theme.text))
        self._show_button()

    def fit(self, *, narrow: bool) -> None:
        """In a narrow window, hide the buttons for single frames and for the speed, which have keys."""
        for button in (self.back, self.forward, self.speed):
            button.setVisible(not narrow)

    def press(self, event: QKeyEvent) -> bool:
        """Handle a key; False if the bar does not use it."""
        if not self.can_seek:
            return False
        key, leaps = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            way = 1 if key == Qt.Key.Key_Right else -1
            if leaps:
                self.leap(way * LEAP_S)
            else:
                self.step(way)
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.go_to_edge(key == Qt.Key.Key_End)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            at = SPEEDS.index(self._speed) + (-1 if key == Qt.Key.Key_Minus else 1)
            self.set_speed(SPEEDS[min(max(at, 0), len(SPEEDS) - 1)])
        else:
            return False
        return True

    def _step_button(self, words: str, key: str, frames: int) -> QPushButton:
        button = QPushButton()
        button.setToolTip(tr("{what} ({key}; with Shift five seconds)", what=words, key=key))
        button.setAccessibleName(words)
        button.clicked.connect(lambda: self.step(frames))
        return button

    def _choose_speed_from_menu(self) -> None:
        menu, group = QMenu(self.speed), QActionGroup(self)
        self._speeds = {}
        for speed in SPEEDS:
            action = group.addAction(f"{QLocale().toString(speed)}x")
            assert action is not None
            action.setCheckable(True)
            action.triggered.connect(partial(self.set_speed, speed))
            self._speeds[speed] = action
        menu.addActions(group.actions())
        self.speed.setMenu(menu)
        Transport.set_speed(self, 1.0)

    def _show_button(self) -> None:
        name, words = ("pause", tr("Pause")) if self.playing else ("play", tr("Play"))
        self.play.setIcon(icon(name, self._theme.text))
        self.play.setToolTip(tr("{what} (Space)", what=words))
        self.play.setAccessibleName(tr("{what} ({of})", what=words, of=self._what))
