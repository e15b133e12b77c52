"""A recorded session, played again: its overlay drawn anew over the video, or over an empty picture."""

from __future__ import annotations

from time import monotonic

import numpy as np
from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from edgeemo.capture.decoder import Decoder, open_video
from edgeemo.recording import Recording
from edgeemo.report.plots import clock
from edgeemo.types import F32, U8, Faces, Frame, Result
from edgeemo.ui.icons import icon
from edgeemo.ui.theme import LIGHT, Theme, named

TICK_MS = 33
AHEAD_S = 2.0  # nearer pictures are reached faster by decoding than by seeking
EMPTY = 38  # grey level of the picture where no video was recorded


class Scenes:
    """The results of a recording, by the number of the frame in it.

    Args:
        recording: is only read from.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._rows: dict[int, list[tuple[int, int]]] = {}
        for which, track in enumerate(recording.tracks):
            for row, frame in enumerate(track.frames.tolist()):
                self._rows.setdefault(frame, []).append((which, row))
        self._decoder: Decoder | None = open_video(str(recording.video)) if recording.video is not None else None
        self._at = -1.0
        self._picture: U8 | None = None
        self._empty = self._blank()

    def __len__(self) -> int:
        return len(self.recording.times)

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def nearest(self, time: float) -> int:
        """The frame that was shown at a media time."""
        return max(0, min(int(np.searchsorted(self.recording.times, time + 1e-6, side="right")) - 1, len(self) - 1))

    def result(self, index: int) -> Result:
        """The result of a frame, 0 <= index < len."""
        recording = self.recording
        number, time = int(recording.frames[index]), float(recording.times[index])
        image = self._image(recording.video_time(time))
        rows = self._rows.get(number, [])
        tracks = [(recording.tracks[which], row) for which, row in rows]
        count, classes = len(tracks), len(recording.labels)
        boxes = np.array([track.boxes[row] for track, row in tracks], np.float32).reshape(count, 4)
        values: F32 = np.array([track.probabilities[row] for track, row in tracks], np.float32).reshape(count, classes)
        faces = Faces(
            boxes,
            np.zeros((count, 6, 2), np.float32),
            np.array([track.scores[row] for track, row in tracks], np.float32),
            np.array([track.id for track, _ in tracks], np.int64),
        )
        return Result(
            Frame(image, number, time, recording.origins.get(number, recording.source)),
            faces,
            values,
            values,
            recording.labels,
            tuple(recording.labels[int(track.emotions[row])] for track, row in tracks),
            doubts=tuple(
                tuple(track.reasons[number].split("; ")) if number in track.reasons else () for track, _ in tracks
            ),
        )

    def _image(self, at: float) -> U8:
        if self._decoder is None:
            return self._empty
        if at < self._at - 1e-3 or at > self._at + AHEAD_S:
            self._decoder.seek(at)
            self._at = -1.0
            self._picture = None
        period = 1 / self._decoder.fps
        while self._picture is None or self._at < at - period / 2:
            if not self._decoder.grab():
                break
            self._at = self._decoder.time
            image = self._decoder.image() if self._at >= at - 1.5 * period else None
            if image is not None:
                self._picture = image
        return self._picture if self._picture is not None else self._empty

    def _blank(self) -> U8:
        """As large as the faces need."""
        boxes = [track.boxes for track in self.recording.tracks if len(track)]
        reach = np.nanmax(np.concatenate(boxes), axis=0) if boxes else np.array([0, 0, 560, 300])
        width = int(np.clip(reach[2] * 1.15 if np.isfinite(reach[2]) else 640, 320, 3840))
        height = int(np.clip(reach[3] * 1.15 if np.isfinite(reach[3]) else 360, 180, 2160))
        width, height = max(width, round(height * 16 / 9)), max(height, round(width * 9 / 16))
        return np.full((height, width, 3), EMPTY, np.uint8)


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
        self._dress()

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
        self._dress()

    def pause(self) -> None:
        self._timer.stop()
        self._dress()

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
        self._dress()

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

    def _dress(self) -> None:
        name, words = ("pause", "Pause") if self._timer.isActive() else ("play", "Play")
        self.play.setIcon(icon(name, self._theme.text))
        self.play.setToolTip(f"{words} (Space)")
        self.play.setAccessibleName(f"{words} the recording")
