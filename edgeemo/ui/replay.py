"""A recorded session, played again: its overlay drawn again over the video, or over an empty picture."""

from __future__ import annotations

from functools import partial
from time import monotonic

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QActionGroup, QKeyEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QSlider, QWidget

from edgeemo.recording import Recording
from edgeemo.report.plots import clock
from edgeemo.ui.icons import icon
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.theme import LIGHT, Theme, named

TICK_MS = 33
SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
LEAP_S = 5.0  # Shift and an arrow key


class ReplayBar(QWidget):
    """Play at any of `SPEEDS`, scrub, step frame by frame, and leave.

    Signals:
        arrived: a Result to show.
        left: the replay was closed.
    """

    arrived = pyqtSignal(object)
    left = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("replay")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = LIGHT
        self._scenes: Scenes | None = None
        self._began = (0.0, 0.0)
        self._speed = 1.0
        self.play = QPushButton()
        self.play.clicked.connect(self.play_or_pause)
        self.back = QPushButton()
        self.back.setToolTip("One frame back (Left; with Shift five seconds)")
        self.back.setAccessibleName("One frame back")
        self.back.clicked.connect(lambda: self.step(-1))
        self.forward = QPushButton()
        self.forward.setToolTip("One frame on (Right; with Shift five seconds)")
        self.forward.setAccessibleName("One frame on")
        self.forward.clicked.connect(lambda: self.step(1))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Place in the recording")
        self.slider.setToolTip("Arrow keys: one frame; Page keys: a second")
        self.slider.valueChanged.connect(self._show)
        self.slider.actionTriggered.connect(lambda _: self.pause())
        self.speed = QPushButton()
        self.speed.setToolTip("Speed (- and +)")
        self._choose_speed_from_menu()
        self.place = named(QLabel(), "muted")
        self.leave = QPushButton("Back to live")
        self.leave.setToolTip("End the replay")
        self.leave.clicked.connect(self.end)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 4, 14, 4)
        row.setSpacing(10)
        for button in (self.back, self.play, self.forward):
            row.addWidget(button)
        row.addWidget(self.slider, 1)
        row.addWidget(self.place)
        row.addWidget(self.speed)
        row.addWidget(self.leave)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.hide()

    @property
    def recording(self) -> Recording | None:
        """What is replayed; None without a replay."""
        return self._scenes.recording if self._scenes is not None else None

    @property
    def playing(self) -> bool:
        return self._timer.isActive()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.back.setIcon(icon("back", theme.text))
        self.forward.setIcon(icon("forward", theme.text))
        self._show_button()

    def fit(self, *, narrow: bool) -> None:
        """In a narrow window: only what has no key of its own."""
        for button in (self.back, self.forward, self.speed):
            button.setVisible(not narrow)
        self.leave.setText("Live" if narrow else "Back to live")

    def begin(self, recording: Recording) -> None:
        """Show the first frame of a recording, and play."""
        self._drop()
        self._scenes = Scenes(recording)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(self._scenes) - 1))
        self.slider.setPageStep(max(1, round(len(self._scenes) / max(recording.seconds, 1))))
        self.slider.setValue(0)
        self.slider.blockSignals(False)
        self.show()
        if len(self._scenes):
            self._show(0)
            self.play_or_pause()

    def change(self, recording: Recording) -> None:
        """Go on with the same session, in which persons or markers have changed."""
        if self._scenes is not None:
            self._scenes.change(recording)
            if len(self._scenes):
                self._show(self.slider.value())

    @property
    def time(self) -> float:
        """Media time of the frame that is shown."""
        if self._scenes is None or not len(self._scenes):
            return 0.0
        return float(self._scenes.recording.times[self.slider.value()])

    def seek(self, time: float) -> None:
        """Go to a media time."""
        if self._scenes is not None and len(self._scenes):
            self.slider.setValue(self._scenes.nearest(time))
            self._restart()

    def step(self, frames: int) -> None:
        """Hold the picture and go some frames on, or back."""
        self.pause()
        self.slider.setValue(self.slider.value() + frames)

    def leap(self, seconds: float) -> None:
        """Go some seconds on, or back; what plays plays on."""
        if self._scenes is not None and len(self._scenes):
            self.seek(self.time + seconds)

    def set_speed(self, speed: float) -> None:
        """Play so many times as fast as it was."""
        self._speed = speed
        self.speed.setText(f"{speed:g}x")
        self.speed.setAccessibleName(f"Speed: {speed:g} times")
        self._speeds[speed].setChecked(True)
        self._restart()

    def press(self, event: QKeyEvent) -> bool:
        """Do what a key of the window means during a replay; False: nothing."""
        if self._scenes is None:
            return False
        key, leaps = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            way = 1 if key == Qt.Key.Key_Right else -1
            if leaps:
                self.leap(way * LEAP_S)
            else:
                self.step(way)
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.step(len(self._scenes) * (1 if key == Qt.Key.Key_End else -1))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            at = SPEEDS.index(self._speed) + (-1 if key == Qt.Key.Key_Minus else 1)
            self.set_speed(SPEEDS[min(max(at, 0), len(SPEEDS) - 1)])
        else:
            return False
        return True

    def play_or_pause(self) -> None:
        if self._scenes is None or not len(self._scenes):
            return
        if self._timer.isActive():
            self.pause()
            return
        if self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        self._restart()
        self._timer.start()
        self._show_button()

    def pause(self) -> None:
        self._timer.stop()
        self._show_button()

    def end(self) -> None:
        """Leave the replay."""
        if self._scenes is not None:
            self._drop()
            self.hide()
            self.left.emit()

    def _drop(self) -> None:
        self._timer.stop()
        if self._scenes is not None:
            self._scenes.close()
        self._scenes = None
        self._show_button()

    def _restart(self) -> None:
        if self._scenes is not None:
            self._began = monotonic(), self.time

    def _tick(self) -> None:
        if self._scenes is None:
            return
        clocked, media = self._began
        index = self._scenes.nearest(media + (monotonic() - clocked) * self._speed)
        if index > self.slider.value():
            self.slider.setValue(index)
        if self.slider.value() >= self.slider.maximum():
            self.pause()

    def _show(self, index: int) -> None:
        if self._scenes is None:
            return
        result = self._scenes.result(index)
        recording = self._scenes.recording
        self.place.setText(f"{clock(result.frame.time - recording.begin)} of {clock(recording.seconds)}")
        self.arrived.emit(result)

    def _choose_speed_from_menu(self) -> None:
        menu, group = QMenu(self.speed), QActionGroup(self)
        self._speeds = {}
        for speed in SPEEDS:
            action = group.addAction(f"{speed:g}x")
            assert action is not None
            action.setCheckable(True)
            action.triggered.connect(partial(self.set_speed, speed))
            self._speeds[speed] = action
        menu.addActions(group.actions())
        self.speed.setMenu(menu)
        self.set_speed(1.0)

    def _show_button(self) -> None:
        name, words = ("pause", "Pause") if self._timer.isActive() else ("play", "Play")
        self.play.setIcon(icon(name, self._theme.text))
        self.play.setToolTip(f"{words} (Space)")
        self.play.setAccessibleName(f"{words} the recording")
