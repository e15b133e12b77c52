"""A recorded session, played again: its overlay drawn anew over the video, or over an empty picture."""

from __future__ import annotations

from time import monotonic

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from edgeemo.recording import Recording
from edgeemo.report.plots import clock
from edgeemo.ui.icons import icon
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.theme import LIGHT, Theme, named

TICK_MS = 33


class ReplayBar(QWidget):
    """Play, scrub, and leave.

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
        self.play = QPushButton()
        self.play.clicked.connect(self.play_or_pause)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Place in the recording")
        self.slider.setToolTip("Arrow keys: one frame; Page keys: a second")
        self.slider.valueChanged.connect(self._show)
        self.slider.sliderMoved.connect(lambda _: self.pause())
        self.place = named(QLabel(), "muted")
        self.leave = QPushButton("Back to live")
        self.leave.setToolTip("End the replay")
        self.leave.clicked.connect(self.end)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 4, 14, 4)
        row.setSpacing(10)
        row.addWidget(self.play)
        row.addWidget(self.slider, 1)
        row.addWidget(self.place)
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
        self._show_button()

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

    def seek(self, time: float) -> None:
        """Go to a media time."""
        if self._scenes is not None and len(self._scenes):
            self.slider.setValue(self._scenes.nearest(time))
            self._restart()

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
            self._began = monotonic(), float(self._scenes.recording.times[self.slider.value()])

    def _tick(self) -> None:
        if self._scenes is None:
            return
        clocked, media = self._began
        index = self._scenes.nearest(media + monotonic() - clocked)
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

    def _show_button(self) -> None:
        name, words = ("pause", "Pause") if self._timer.isActive() else ("play", "Play")
        self.play.setIcon(icon(name, self._theme.text))
        self.play.setToolTip(f"{words} (Space)")
        self.play.setAccessibleName(f"{words} the recording")
