"""The bar that replays a session: draws its overlay over the video or an empty picture. Made by `window`."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtWidgets import QPushButton, QWidget

from edgeemo.recording import Recording
from edgeemo.types import Result
from edgeemo.ui.language import tr
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.transport import Transport
from edgeemo.ui.words import clock

TICK_MS = 33
PATIENCE_S = 0.03  # time to wait for a picture: nearly all are decoded by then
POLL_MS = 10
CLOSE_S = 1.0  # time for the last picture when the window closes


class ReplayBar(Transport):
    """Plays a session; a button ends the replay.

    Pictures are decoded in another thread: far behind a key frame, one takes seconds.

    Signals:
        arrived: a Result to show. During a drag of the slider some frames are left out.
        toggled: playback started or paused.
        left: the replay was closed.
    """

    toggled = pyqtSignal()
    arrived = pyqtSignal(object)
    left = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("the recording"), parent)
        self._scenes: Scenes | None = None
        self._decoding = ThreadPoolExecutor(1, "edgeemo-replay")
        self._closing: Future[None] | None = None
        self._pending: Future[Result] | None = None  # the frame that is being decoded
        self._wanted: int | None = None  # the frame to decode after it
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self._collect)
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

    def close_decoder(self) -> None:
        """End the thread, because the window is closing."""
        self._decoding.shutdown(wait=False)
        if self._closing is not None:
            wait([self._closing], CLOSE_S)

    def _show_button(self) -> None:
        super()._show_button()
        self.toggled.emit()

    def _drop(self) -> None:
        self._timer.stop()
        self._poll.stop()
        if self._scenes is not None and self._scenes.has_pictures:
            # in its thread, which may be decoding
            self._closing = self._decoding.submit(self._scenes.close)
        self._scenes = self._pending = self._wanted = None
        self._show_button()

    def _restart(self) -> None:
        if self._scenes is not None:
            self._began = monotonic(), self.time

    def _tick(self) -> None:
        if self._scenes is None or self._pending is not None:
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
        recording = self._scenes.recording
        time = float(recording.times[index]) - recording.begin
        self.place.setText(tr("{time} of {length}", time=clock(time), length=clock(recording.seconds)))
        self._wanted = index
        if self._pending is None:
            self._decode()

    def _decode(self) -> None:
        wanted, self._wanted = self._wanted, None
        if self._scenes is None or wanted is None:
            return
        if not self._scenes.has_pictures:
            self.arrived.emit(self._scenes.result(wanted))
            return
        self._pending = self._decoding.submit(self._scenes.result, wanted)
        self._poll.start()
        wait([self._pending], PATIENCE_S)
        self._collect()

    def _collect(self) -> None:
        if self._pending is None or not self._pending.done():
            return
        done, self._pending = self._pending, None
        self._poll.stop()
        try:
            self.arrived.emit(done.result())
        finally:
            self._decode()
