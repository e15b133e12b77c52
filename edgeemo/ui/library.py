"""List, replay, report, compare and export recorded sessions. Made by `window`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from PyQt6.QtCore import QObject, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWidgets import QWidget

from edgeemo.errors import EdgeemoError
from edgeemo.recording import Recording, SessionFolder, load
from edgeemo.recording.export import ELAN, export
from edgeemo.report import write_report
from edgeemo.ui.banner import Banner
from edgeemo.ui.file_dialogs import VIDEOS, open_dialog
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import message_words
from edgeemo.ui.overlay_video import ENDING as OVERLAY
from edgeemo.ui.overlay_video import write_overlay
from edgeemo.ui.player import Player
from edgeemo.ui.sessions import SessionsDialog
from edgeemo.ui.settings import Settings

ROWS_WRITTEN = translatable("%n rows written to {path}")
FRAMES_WRITTEN = translatable("%n frames written to {path}")
ANNOTATIONS_WRITTEN = translatable("%n annotations written to {path}")


class Library(QObject):
    """The recorded sessions. Files are read and written outside the window's thread; the banner shows the result.

    Signals:
        read: a Recording to replay.
        wanted: "video" or "analysis", offered by the empty list.
        failed: an exception.
    """

    read = pyqtSignal(object)
    wanted = pyqtSignal(str)
    failed = pyqtSignal(object)

    def __init__(
        self, player: Player, banner: Banner, folder: Callable[[], Path], settings: Settings, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._player = player
        self._banner = banner
        self._folder = folder
        self._settings = settings
        self._window = parent
        self.dialog: SessionsDialog | None = None

    def show(self) -> None:
        """Open the list, or bring it to the front."""
        if self.dialog is None:
            self.dialog = SessionsDialog(self._folder, self._settings, self._window, self._player.with_files)
            self.dialog.wanted.connect(self.wanted)
            self.dialog.replayed.connect(self.replay)
            self.dialog.reported.connect(self.report)
            self.dialog.compared.connect(self.compare)
            self.dialog.exported.connect(self.export)
            self.dialog.failed.connect(self.failed)
        self.dialog.fill()
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.table.setFocus()

    def replay(self, folder: SessionFolder) -> None:
        """Load a session for replay; if its analysed video is missing, ask for it."""
        found: list[Recording] = []
        moved: list[Path] = []

        def read() -> None:
            found.append(load(folder.path))
            file = found[0].file
            if found[0].video is None and file is not None and not file.is_there:
                moved.append(Path(file.path))

        def show() -> None:
            self.read.emit(found[0])
            if self.dialog is not None:
                # it would cover the picture
                self.dialog.hide()
            if moved:
                self._banner.show_message(
                    "notice",
                    tr(
                        "The video {name} is no longer in {folder}, so no picture is shown.",
                        name=moved[0].name,
                        folder=moved[0].parent,
                    ),
                    (tr("Find it…"), lambda: self._ask_for_video(folder, moved[0])),
                )

        self._player.with_files(read, show, self.failed.emit)

    def _ask_for_video(self, folder: SessionFolder, was: Path) -> None:
        title = tr("Where is {name}?", name=was.name)
        dialog = open_dialog(self._settings, "video", title, self._window, [VIDEOS])

        def found(path: str) -> None:
            self._player.with_files(lambda: folder.find_file(Path(path)), lambda: self.replay(folder), self.failed.emit)

        dialog.fileSelected.connect(found)
        dialog.open()

    def report(self, folders: Sequence[SessionFolder]) -> None:
        """Write the report of one session, or of two side by side, and offer to open it."""
        pages: list[Path] = []

        def write() -> None:
            read = [load(folder.path) for folder in folders]
            groups = [(each.name, [each]) for each in read] if len(read) == 2 else [("", read)]
            pages.append(write_report(groups, folders[0].path / "report.html"))

        self._beside(write, lambda: self._on_report(pages[0]))

    def compare(self, groups: Sequence[tuple[str, Sequence[SessionFolder]]]) -> None:
        """Write one page with groups of sessions side by side, into the folder of the sessions."""
        path = self._folder() / f"comparison {datetime.now():%Y-%m-%d %H.%M.%S}.html"

        def write() -> None:
            write_report([(name, [load(folder.path) for folder in members]) for name, members in groups], path)

        self._beside(write, lambda: self._on_report(path))

    def export(self, folders: Sequence[SessionFolder], path: Path) -> None:
        """Export sessions, or one session as a video with overlay."""
        ending = path.suffix.lower()
        video = ending == OVERLAY and len(folders) == 1
        what = {ELAN: ANNOTATIONS_WRITTEN, OVERLAY: FRAMES_WRITTEN}.get(ending, ROWS_WRITTEN)
        rows: list[int] = []

        def told() -> None:
            self._banner.show_message("notice", tr(what, rows[0], path=path), seconds=8)

        def write() -> None:
            read = [load(folder.path) for folder in folders]
            rows.append(write_overlay(read[0], path) if video else export(read, path))

        if video:
            self._banner.show_message("notice", tr("Writing {name} …", name=path.name), seconds=8)
        self._beside(write, told)

    def _beside(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Work after the edits that are being stored, in a separate thread: a recording must not wait for an export."""

        def begin() -> None:
            self._player.beside(work, then, self.failed.emit)

        self._player.with_files(lambda: None, begin, self.failed.emit)

    def tell_recorded(self, folder: SessionFolder, missing: Sequence[str] = ()) -> None:
        """Report that a session has ended: what is missing, and possible next steps."""
        if self.dialog is not None:
            self.dialog.fill()
        try:
            name = folder.read().name
        except EdgeemoError as error:
            self.failed.emit(error)
            return
        self._banner.show_message(
            "error" if missing else "notice",
            tr("Recorded with losses: {name}. {losses}", name=name, losses="; ".join(map(message_words, missing)))
            if missing
            else tr("Recorded: {name}", name=name),
            (tr("Replay"), lambda: self.replay(folder)),
            (tr("Report"), lambda: self.report([folder])),
            (tr("Sessions…"), self.show),
        )

    def _on_report(self, page: Path) -> None:
        def show() -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))

        self._banner.show_message("notice", tr("Report written to {path}", path=page), (tr("Open"), show))
