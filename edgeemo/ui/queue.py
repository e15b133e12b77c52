"""The dialog Queue: process many videos into one dataset, like `edgeemo batch`. Opened by `window`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, QTimer, QUrl, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDropEvent
from PyQt6.QtWidgets import (
    QDialog,
    QMessageBox,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from edgeemo.batch.inputs import SUFFIXES as VIDEO_SUFFIXES
from edgeemo.batch.inputs import find_inputs
from edgeemo.batch.share import Share
from edgeemo.capture.pictures import is_picture
from edgeemo.config import CaptureConfig, Config
from edgeemo.errors import EdgeemoError
from edgeemo.ui.buttons import action_button, button_rows
from edgeemo.ui.file_dialogs import VIDEOS, folder_dialog, open_dialog
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import error_words, message_words
from edgeemo.ui.screen import open_with_size
from edgeemo.ui.settings import Settings
from edgeemo.ui.tables import RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import clock, number

if TYPE_CHECKING:  # these import pyarrow, which is optional
    from edgeemo.batch.command import Ending
    from edgeemo.batch.inputs import Input
    from edgeemo.batch.work import Task

log = logging.getLogger(__name__)

TICK_MS = 200
FIND_MS, PATIENCE_S = 30, 0.03  # nearly all videos are found within `PATIENCE_S`
MOST_REFUSED = 3  # paths that cannot be read and are named
END_S = 8.0  # time for the workers to end when closing
WAITS, DONE = translatable("waits"), translatable("done")
EMPTY = translatable("Drop videos or folders here, or add some.")


class QueueWatcher:
    """Receives the progress of a batch; read by the window's thread."""

    def __init__(self, todo: Sequence[Input]) -> None:
        self.completed = Share(todo)
        self.places: dict[str, float] = {}  # file in progress -> seconds of media time
        self.frames = 0
        self._running: dict[Task, int] = {}

    def running(self, task: Task, frames: int, seconds: float, share: float) -> None:
        self._running[task] = frames
        self.places[task.file.file] = seconds
        self.completed.running(task, share)

    def ended(self, task: Task, frames: int, *, whole: bool) -> None:
        self._running.pop(task, None)
        self.frames += frames
        self.completed.ended(task, whole=whole)

    def summary(self) -> str:
        return tr("{done} of %n files", len(self.completed.todo), done=len(self.completed.ended_files))

    @property
    def frames_so_far(self) -> int:
        return self.frames + sum(list(self._running.values()))

    @property
    def share(self) -> float:
        """Completed share of the bytes, 0..1."""
        return self.completed.done / self.completed.size if self.completed.size else 1.0


class Finder(threading.Thread):
    """Looks for videos.

    Args:
        paths: files and folders.
        added: those of them that are new.

    Attributes:
        usable, refused: paths that can be read, and errors of the others.
        found: real path -> video.
    """

    def __init__(self, paths: Sequence[str], added: Sequence[str]) -> None:
        super().__init__(name="edgeemo-queue-finder", daemon=True)
        self.added = added
        self.usable: list[str] = []
        self.refused: list[Exception] = []
        self.found: dict[str, Input] = {}
        self._asked = dict.fromkeys(paths)

    def run(self) -> None:
        for path in self._asked:
            try:
                self.found |= {os.path.realpath(each.file): each for each in find_inputs([path]).files}
                self.usable.append(path)
            except EdgeemoError as error:
                self.refused.append(error)


class QueueDialog(QDialog):
    """Add videos, start, pause and resume. Finished files are kept; `settings` stores the queue in case of a crash.

    Args:
        config: returns the window's engine, smoothing and limits; a queue that has begun keeps its own.
        output: folder of the dataset.

    Signals:
        failed: an exception that ended the run.
    """

    failed = pyqtSignal(object)

    def __init__(
        self, config: Callable[[], Config], output: Path, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Queue of videos"))
        self.setAcceptDrops(True)
        self._window_config = config
        self._config = config()
        self._settings = settings
        self._output = output
        self._paths: list[str] = []
        self._inputs: tuple[Input, ...] = ()
        self._begun: dict[str, Input] = {}  # file -> input, of the latest run
        self._faults: dict[str, str] = {}
        self._watcher: QueueWatcher | None = None
        self._ended: set[str] = set()  # files finished by earlier runs of this queue
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ending: Ending | None = None
        self._error: Exception | None = None
        self._began = 0.0
        self._finished = self._leaving = False
        self._asked: list[str] = []  # paths to look for after those of the finder
        self._finder: Finder | None = None
        self._starts_later = False  # start when the videos have been found
        self._make_parts()
        self._found_timer = QTimer(self)
        self._found_timer.timeout.connect(self._on_found)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self.fill()
        open_with_size(self, 720, 440)

    @property
    def running(self) -> bool:
        return self._thread is not None

    def add(self, paths: Sequence[str]) -> None:
        """Add video files, and folders to search for video files. Paths that cannot be read are named and left out.

        They are read in another thread: a folder may be large, or on a slow network drive.
        """
        self._asked += paths
        if not self.looking:
            self._look()

    @property
    def looking(self) -> bool:
        """Whether videos are being looked for."""
        return self._finder is not None

    def _look(self) -> None:
        added, self._asked = self._asked, []
        self._finder = Finder((*self._paths, *added), added)
        self._finder.start()
        self._finder.join(PATIENCE_S)
        if self._finder.is_alive():
            self.figures.setText(tr("Looking for videos …"))
        self._found_timer.start(FIND_MS)
        self._on_found()

    def _on_found(self) -> None:
        finder = self._finder
        if finder is None or finder.is_alive():
            return
        self._finder = None
        self._found_timer.stop()
        self.figures.setText("\n".join(map(error_words, finder.refused[:MOST_REFUSED])))
        self._finished &= not any(path in finder.usable for path in finder.added)
        self._paths, self._inputs = finder.usable, tuple(sorted(finder.found.values()))
        if self.running:  # they are read when the run ends
            self._settings.queue = [str(self._output), *self._paths]
        self.fill()
        if self._asked:
            self._look()
        elif self._starts_later:
            self.start_or_pause()

    def start_or_pause(self) -> None:
        """Start, resume or pause. After a pause, files in progress, or their last part, start again."""
        if self.running:
            self._stop.set()
            self.figures.setText(tr("Pausing …"))
            return
        self._starts_later = self.looking
        if self.looking or not self._inputs:
            return
        if not self._began or self._error is not None:
            now = self._window_config()
            self._config = replace(now, source="", sinks=(), frames=0, capture=CaptureConfig())
        self._settings.queue = [str(self._output), *self._paths]
        self._stop, self._leaving = threading.Event(), False
        if self._watcher is not None:
            self._ended |= self._watcher.completed.ended_files
        self._watcher, self._ending, self._error = None, None, None
        self._begun = {each.file: each for each in self._inputs}
        self._began = monotonic()
        self._thread = threading.Thread(target=self._work, args=(self._stop,), name="edgeemo-queue", daemon=True)
        self._thread.start()
        self._timer.start(TICK_MS)
        self.fill()

    def fill(self) -> None:
        """Show every file with its state."""
        states = [self._state_of(each.file) for each in self._inputs]
        self.table.fill(
            [
                (Path(each.file).name, (f"{number(each.size / 1e6, 1)} MB", each.size), state)
                for each, state in zip(self._inputs, states, strict=True)
            ],
            [f"{each.file}\n{state}" for each, state in zip(self._inputs, states, strict=True)],
        )
        self.nothing.setVisible(not self._inputs)
        self.place.setText(tr("Dataset: {folder}", folder=self._output))
        # enabled during a pause: a disabled button would pass the focus to Close
        self.start.setEnabled(bool(self._inputs) and not self._finished)
        self.start.setText(tr("Pause") if self.running else tr("Resume") if self._began else tr("Start"))
        for button in (self.files, self.folder, self.choose):
            button.setEnabled(not self.running)
        self.show_folder.setEnabled(self._finished)

    def reject(self) -> None:
        """Close; asks first if the queue is running."""
        if not self.running:
            super().reject()
            return
        words = tr("Stop the queue? Finished files are kept, and it can be resumed.")
        box = QMessageBox(QMessageBox.Icon.NoIcon, tr("Stop"), words, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        go_on = box.addButton(tr("Keep running"), QMessageBox.ButtonRole.RejectRole)
        stop = box.addButton(tr("Stop"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(go_on)
        box.setEscapeButton(go_on)
        box.buttonClicked.connect(lambda button: self._stop_and_leave() if button is stop else None)
        box.open()

    def _stop_and_leave(self) -> None:
        """Stop, and close when the files in progress have been given up."""
        self._leaving = True
        self._stop.set()
        self.figures.setText(tr("Stopping …"))

    def end(self) -> None:
        """Stop, wait and close, because the window is closing; the queue is stored for the next time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(END_S)
        self._timer.stop()
        self._thread = None
        super().reject()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        if event is not None and self.running:
            event.ignore()
            self.reject()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and dropped_paths(event) and not self.running:
            accept_copy(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        if event is not None and (paths := dropped_paths(event)):
            accept_copy(event)
            self.add(paths)

    def _work(self, stop: threading.Event) -> None:
        try:
            from edgeemo.batch.command import Options, perform

            def watch(todo: list[Input]) -> QueueWatcher:
                self._watcher = QueueWatcher(todo)
                return self._watcher

            options = Options(tuple(self._paths), str(self._output))
            self._ending = perform(self._config, options, tuple(self._begun.values()), watch, stop)
        except Exception as error:
            log.debug("the queue ended with an error", exc_info=True)
            self._error = error

    def _tick(self) -> None:
        if self._thread is not None and not self._thread.is_alive():
            self._timer.stop()
            self._thread = None
            self._on_end()
            if self._leaving:
                super().reject()
        elif self._watcher is not None and not self._stop.is_set():
            self._show_progress(self._watcher)
        self.fill()

    def _show_progress(self, watcher: QueueWatcher) -> None:
        """Show progress, speed and the estimated remaining time."""
        passed = max(monotonic() - self._began, 1e-3)
        share = watcher.share
        self.progress.setValue(round(share * 1000))
        words = [watcher.summary(), tr("{rate} frames per second", rate=number(watcher.frames_so_far / passed))]
        if share > 0:
            words.append(tr("about {time} left", time=clock(max(passed / share - passed, 10.0), 0)))
        self.figures.setText(", ".join(words))

    def _on_end(self) -> None:
        ending = self._ending
        if self._error is not None:
            self.figures.setText(error_words(self._error))
            self.failed.emit(self._error)
        elif ending is not None and ending.full:
            self.figures.setText(tr("The disk is full ({path}); free space, then resume.", path=ending.full))
        elif ending is not None and not self._stop.is_set():
            if self.looking or any(each.file not in self._begun for each in self._inputs):
                self.start_or_pause()
                return
            self._finished = True
            self._faults = {failure.file: failure.reason for failure in ending.failures}
            self.progress.setValue(1000)
            words = [tr("%n files", len(self._inputs)), tr("%n persons", ending.people)]
            words[1:1] = [tr("%n failed", len(self._faults))] if self._faults else []
            self.figures.setText(", ".join(words))
            self._settings.queue = ()
        else:
            self.figures.setText(tr("Paused. Finished files are kept."))
        self._stop.clear()

    def _state_of(self, file: str) -> str:
        watcher = self._watcher
        if file in self._faults:
            # the row already has the name
            reason = message_words(self._faults[file]).replace(file, Path(file).name)
            return tr("failed: {reason}", reason=reason)
        if watcher is None:
            return tr(DONE) if file in self._ended else tr(WAITS)
        # files of the run that are not to do were done before
        before = file in self._begun and file not in watcher.completed.todo
        if file in watcher.completed.ended_files or before or self._finished:
            return tr(DONE)
        if self.running and file in watcher.places:
            return tr("at {time}", time=clock(watcher.places[file], 0))
        return tr(WAITS)

    def _ask_for_files(self) -> None:
        dialog = open_dialog(self._settings, "video", tr("Add videos"), self, [VIDEOS], several=True)
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def _ask_for_folder(self, purpose: str, title: str, then: Callable[[str], None]) -> None:
        dialog = folder_dialog(self._settings, purpose, title, self)
        dialog.fileSelected.connect(then)
        dialog.open()

    def _add_one(self, path: str) -> None:
        self.add([path])

    def _set_output(self, path: str) -> None:
        self._output, self._finished, self._watcher = Path(path), False, None
        self._ended, self._faults, self._began = set(), {}, 0.0
        self.fill()

    def _open_output(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._output)))

    def _make_parts(self) -> None:
        self.table = RowTable(tr("Videos"), [tr("File"), tr("Size"), tr("State")], wide=2)
        self.nothing = named(Label(tr(EMPTY)), "muted")
        self.place = named(Label(), "muted")
        self.place.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setFormat("%p %")
        self.progress.setAccessibleName(tr("Progress"))
        self.figures = named(Label(), "muted")
        self.figures.setWordWrap(True)
        self.files = action_button(tr("Add files…"), self._ask_for_files)
        self.folder = action_button(
            tr("Add folder…"), lambda: self._ask_for_folder("video", tr("Add a folder"), self._add_one)
        )
        self.choose = action_button(
            tr("Dataset…"), lambda: self._ask_for_folder("dataset", tr("Where results go"), self._set_output)
        )
        self.show_folder = action_button(tr("Open dataset"), self._open_output)
        self.start = action_button(tr("Start"), self.start_or_pause)
        self.leave = action_button(tr("Close"), self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.nothing)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.place)
        layout.addWidget(self.progress)
        layout.addWidget(self.figures)
        adding = (self.files, self.folder, self.choose, self.show_folder, None)
        layout.addLayout(button_rows(self, adding, (self.start, self.leave)))


def dropped_paths(event: QDropEvent) -> list[str]:
    """Every dropped local file or folder."""
    data = event.mimeData()
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()] if data is not None else []


def accept_copy(event: QDropEvent) -> None:
    """Accept dropped files as a copy: after a move, the program they come from may delete them."""
    event.setDropAction(Qt.DropAction.CopyAction)
    event.accept()


def is_for_queue(paths: Sequence[str]) -> bool:
    """Whether dropped paths go to the queue: several paths, or a folder with videos and without pictures."""
    if len(paths) != 1:
        return bool(paths)
    folder = Path(paths[0])
    if not folder.is_dir():
        return False
    try:
        with os.scandir(folder) as entries:  # without a call to the disk per file
            names = [Path(each.path) for each in entries if each.is_file()]
    except OSError:
        return False
    return any(each.suffix.lower() in VIDEO_SUFFIXES for each in names) and not any(map(is_picture, names))
