"""The bar that replays a session: draws its overlay over the video or an empty picture. Made by `window`."""

from __future__ import annotations

from time import monotonic

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtWidgets import QPushButton, QWidget

from edgeemo.recording import Recording
from edgeemo.ui.language import tr
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.transport import Transport
from edgeemo.ui.words import clock

TICK_MS = 33


class ReplayBar(Transport):
    """Plays a session; a button ends the replay.

    Signals:
        arrived: a Result to show.
        toggled: playback started or paused.
        left: the replay was closed.
    """

    toggled = pyqtSignal()
    arrived = pyqtSignal(object)
    left = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("the recording"), parent)
        self._scenes: Scenes | None = None
        self._began = (0.0, 0.0)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.slider.setToolTip(tr("Arrow keys: one frame; Page keys: a second"))
        self.slider.valueChanged.connect(self._show)
        self.slider.actionTriggered.connect(lambda _: self.pause())
        self.leave = QPushButton(tr("Back to live"))
        self.leave.setToolTip(tr("End the replay"))
        self.leave.clicked.connect(self.end)
        self._row.addWidget(self.leave)

    @property
    def recording(self) -> Recording | None:
        """The replayed recording; None without a replay."""
        return self._scenes.recording if self._scenes is not None else None

    @property
    def can_seek(self) -> bool:
        return self._scenes is not None

    @property
    def playing(self) -> bool:
        return self._timer.isActive()

    def fit(self, *, narrow: bool) -> None:
        super().fit(narrow=narrow)
        self.leave.setText(tr("Live") if narrow else tr("Back to live"))

    def begin(self, recording: Recording) -> None:
        """Show the first frame of a recording and play."""
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
        """Continue with the same session after changes of persons or markers."""
        if self._scenes is not None:
            self._scenes.change(recording)
            if len(self._scenes):
                self._show(self.slider.value())

    @property
    def time(self) -> float:
        """Media time of the frame on screen."""
        if self._scenes is None or not len(self._scenes):
            return 0.0
        return float(self._scenes.recording.times[self.slider.value()])

    def seek(self, time: float) -> None:
        """Go to a media time."""
        if self._scenes is not None and len(self._scenes):
            self.slider.setValue(self._scenes.nearest(time))
            self._restart()

    def step(self, frames: int) -> None:
        self.pause()
        self.slider.setValue(self.slider.value() + frames)

    def leap(self, seconds: float) -> None:
        if self._scenes is not None and len(self._scenes):
            self.seek(self.time + seconds)

    def set_speed(self, speed: float) -> None:
        super().set_speed(speed)
        self._restart()

    def go_to_edge(self, end: bool) -> None:
        self.step((1 if end else -1) * (len(self._scenes) if self._scenes is not None else 0))

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

    def _show_button(self) -> None:
        super()._show_button()
        self.toggled.emit()

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
        self.place.setText(
            tr("{time} of {length}", time=clock(result.frame.time - recording.begin), length=clock(recording.seconds))
        )
        self.arrived.emit(result)
