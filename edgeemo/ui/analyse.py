"""The dialog that analyses a video file at full speed into a session. Opened by `window`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QDialog, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from edgeemo.capture.ffmpeg import open_video
from edgeemo.config import CaptureConfig, Config
from edgeemo.errors import EdgeemoError
from edgeemo.recording import Recorder, SessionFolder, SessionInfo
from edgeemo.recording.source_file import SourceFile
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr
from edgeemo.ui.player import Opener, analyse
from edgeemo.ui.record import engine_card
from edgeemo.ui.theme import named
from edgeemo.ui.words import clock, number

log = logging.getLogger(__name__)

TICK_MS = 150
# missing frames that are not reported (the larger of number and share), because headers may count too many frames
FEW_FRAMES, FEW_SHARE = 2, 0.002
END_S = 2.0


class AnalyseDialog(QDialog):
    """Analyses every frame of a file; cancelling deletes the session.

    Signals:
        analysed: the SessionFolder, and one line for each missing part.
        failed: an exception.
    """

    analysed = pyqtSignal(object, object)
    failed = pyqtSignal(object)

    def __init__(
        self, path: Path, config: Config, opener: Opener, sessions: Callable[[], Path], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Analyse a file"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(460)
        self._path = path
        self._config = replace(config, source=str(path), sources=(), sinks=(), frames=0, capture=CaptureConfig())
        self._opener = opener
        self._sessions = sessions
        self._stop = threading.Event()
        self._began = monotonic()
        self._total = 0
        self._recorder: Recorder | None = None
        self._folder: SessionFolder | None = None
        self._error: Exception | None = None
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setAccessibleName(tr("Progress"))
        self.figures = named(Label(tr("Opening …")), "muted")
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.figures, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.addWidget(Label(path.name))
        layout.addWidget(self.progress)
        layout.addLayout(row)
        self._thread = threading.Thread(target=self._work, name="edgeemo-analysis", daemon=True)
        self._thread.start()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def reject(self) -> None:
        """Cancel, also with the window's close button; closes when the thread has ended."""
        self._stop.set()
        self.cancel.setEnabled(False)
        self.figures.setText(tr("Cancelling …"))

    def end(self) -> None:
        """Cancel and wait briefly, because the window is closing."""
        self._timer.stop()
        self._stop.set()
        self._thread.join(END_S)
        if not self._thread.is_alive() and (error := self._discard()) is not None:
            self.failed.emit(error)
        super().reject()

    def _discard(self) -> EdgeemoError | None:
        """Delete the session; returns the error if that fails."""
        try:
            if self._folder is not None and self._folder.path.is_dir():
                self._folder.delete()
        except EdgeemoError as error:
            return error
        return None

    def _work(self) -> None:
        try:
            decoder = open_video(str(self._path))
            if decoder is not None:
                self._total = decoder.count
                decoder.close()
            analyse(self._opener, self._config, self._open_recorder, self._stop)
        except Exception as error:
            log.debug("the analysis ended with an error", exc_info=True)
            self._error = error
        if self._stop.is_set():
            # `end` may have stopped waiting
            self._discard()
        else:
            self._note_missing()

    def _open_recorder(self, labels: tuple[str, ...], engine: str) -> Recorder:
        file = SourceFile.of(self._path) if self._path.is_file() else None
        info = SessionInfo(self._path.stem, self._path.name, engine, labels, file=file)
        self._folder = SessionFolder.create(self._sessions(), info, card=engine_card(self._config.engine))
        self._recorder = Recorder(self._folder, labels)
        return self._recorder

    def _note_missing(self) -> None:
        """Record in the session which frames of the file could not be read."""
        recorder = self._recorder
        if recorder is None:
            return
        if self._error is not None:
            recorder.note_missing(f"The end of the file: {self._error}")
        lost = self._total - recorder.frames
        # frames after a loss were read, but not recorded
        if not recorder.losses and self._total and lost > max(FEW_FRAMES, self._total * FEW_SHARE):
            recorder.note_missing(
                f"{lost:,} of the {self._total:,} frames of {self._path.name} could not be read; the file is damaged"
            )

    def _tick(self) -> None:
        recorder = self._recorder
        if recorder is not None and not self._stop.is_set():
            frames, seconds = recorder.frames, max(monotonic() - self._began, 1e-3)
            if self._total:
                self.progress.setRange(0, self._total)
                self.progress.setValue(min(frames, self._total))
            self.figures.setText(
                tr(
                    "{length} of video, {rate} frames per second, {times} times real time",
                    length=clock(recorder.seconds),
                    rate=number(frames / seconds),
                    times=number(recorder.seconds / seconds, 1),
                )
            )
        if self._thread.is_alive():
            return
        if self._stop.is_set():
            self.end()
            return
        self._timer.stop()
        folder, error = self._folder, self._error
        # keep the frames before the point where a file is cut off
        if folder is not None and recorder is not None and recorder.frames:
            self.analysed.emit(folder, recorder.missing)
        else:
            unwanted = self._discard()
            if (error := error or unwanted) is not None:
                self.failed.emit(error)
        self.accept()
