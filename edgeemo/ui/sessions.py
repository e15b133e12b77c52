"""The list of recorded sessions: replay, report, export, rename, delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QInputDialog,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from edgeemo.errors import EdgeemoError
from edgeemo.recording.folder import TRASH, SessionFolder, SessionInfo, list_sessions
from edgeemo.ui.buttons import action_button, button_rows
from edgeemo.ui.file_dialogs import save_dialog
from edgeemo.ui.groups_dialog import GroupsDialog
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import message_words
from edgeemo.ui.player import Job
from edgeemo.ui.screen import open_with_size
from edgeemo.ui.settings import Settings
from edgeemo.ui.tables import Cell, RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import clock, date

EXPORTS = (("CSV", ".csv"), ("Parquet", ".parquet"), ("ELAN", ".eaf"), (translatable("Video with overlay"), ".mp4"))
VIDEO_WORDS = {
    "none": translatable("no video"),
    "blurred": translatable("faces covered"),
    "whole": translatable("whole"),
}
ANALYSED = translatable("the analysed file")


class SessionsDialog(QDialog):
    """The recorded sessions, newest first.

    Args:
        folder: returns the folder of sessions.
        work: `Player.with_files`, because deleting a long video takes seconds; None: in the window's thread.

    Signals:
        replayed: a SessionFolder.
        reported: a list of SessionFolders.
        exported: a list of SessionFolders, and the Path to write.
        compared: [(name of a group, its SessionFolders), ...].
        wanted: "video" (open a video) or "analysis" (analyse a video), from a button of the empty list.
        failed: an exception.
    """

    wanted = pyqtSignal(str)
    replayed = pyqtSignal(object)
    reported = pyqtSignal(object)
    compared = pyqtSignal(object)
    exported = pyqtSignal(object, object)
    failed = pyqtSignal(object)

    def __init__(
        self,
        folder: Callable[[], Path],
        settings: Settings | None = None,
        parent: QWidget | None = None,
        work: Callable[[Job, Job, Callable[[Exception], None]], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Sessions"))
        self._folder = folder
        self._work = work or _in_place
        self._settings = settings or Settings()
        self._listed: list[tuple[SessionFolder, SessionInfo]] = []
        headings = [tr("Name"), tr("Recorded"), tr("Length"), tr("Source"), tr("Video")]
        self.table = RowTable(tr("Recorded sessions"), headings, wide=0)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.itemDoubleClicked.connect(lambda _: self.replay_chosen())
        words = tr("Nothing is recorded yet. Press the red button while the picture plays, or analyse a video.")
        self.open_video = action_button(tr("Open a video…"), partial(self.wanted.emit, "video"))
        self.analyse = action_button(tr("Analyse a video…"), partial(self.wanted.emit, "analysis"))
        hint = named(Label(words), "muted")
        hint.setWordWrap(True)
        self.nothing = (hint, self.open_video, self.analyse)
        self.replay = action_button(tr("Replay"), self.replay_chosen, tr("Play it again (Enter)"))
        self.report = action_button(
            tr("Report"), self.report_chosen, tr("A page with plots; choose two for side by side")
        )
        self.compare = action_button(tr("Compare…"), self.compare_chosen, tr("Named groups of sessions side by side"))
        self.export = action_button(
            tr("Export…"), self.export_chosen, tr("As CSV, Parquet, annotations for ELAN, or video")
        )
        self.rename = action_button(tr("Rename…"), self.rename_chosen, tr("Give it another name (F2)"))
        self.delete = action_button(tr("Delete…"), self.delete_chosen, tr("Move it to the trash (Delete)"))
        self.undo = action_button(
            tr("Undo delete"), self.restore_deleted, tr("Restore what was moved to the trash (Ctrl+Z)")
        )
        self._deleted: list[SessionFolder] = []
        self.place = named(Label(), "muted")
        self.place.setWordWrap(True)
        self.place.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        offers = QHBoxLayout()
        offers.addWidget(hint, 1)
        offers.addWidget(self.open_video)
        offers.addWidget(self.analyse)
        layout.addLayout(offers)
        layout.addWidget(self.table, 1)
        using = (self.replay, self.report, self.compare, self.export)
        layout.addLayout(button_rows(self, using, (self.rename, self.delete, self.undo)))
        layout.addWidget(self.place)
        for key, action in (
            (Qt.Key.Key_F2, self.rename_chosen),
            (Qt.Key.Key_Delete, self.delete_chosen),
            (Qt.Key.Key_Return, self.replay_chosen),
            (Qt.Key.Key_Enter, self.replay_chosen),  # of the keypad
            (QKeySequence.StandardKey.Undo, self.restore_deleted),
        ):
            QShortcut(QKeySequence(key), self.table, action, context=Qt.ShortcutContext.WidgetShortcut)
        self.fill()
        open_with_size(self, 860, 420)

    @property
    def chosen(self) -> list[SessionFolder]:
        """The selected sessions, from top to bottom."""
        return [self._listed[record][0] for record in self.table.chosen]

    def fill(self) -> None:
        """Reload the folder."""
        folder = self._folder()
        selected = {each.path for each in self.chosen}
        self._listed = list(list_sessions(folder))
        self.table.fill(
            [_cells(info) for _, info in self._listed],
            ["\n".join(map(message_words, info.missing)) for _, info in self._listed],
        )
        for part in self.nothing:
            part.setVisible(not self._listed)
        self.place.setText(tr("Kept in {folder}", folder=folder))
        self._select(selected)
        self._enable()

    def replay_chosen(self) -> None:
        if len(self.chosen) == 1:
            self.replayed.emit(self.chosen[0])

    def report_chosen(self) -> None:
        if self.chosen:
            self.reported.emit(self.chosen)

    def compare_chosen(self) -> None:
        """Open the dialog for groups of sessions, which start with the selected ones."""
        if len(self._listed) < 2:
            return
        dialog = GroupsDialog(self._listed, self.chosen if len(self.chosen) > 1 else (), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.compared.connect(self.compared)
        dialog.open()

    def export_chosen(self) -> None:
        """Ask for a file and export the selected sessions."""
        folders = self.chosen
        if not folders:
            return
        kinds = EXPORTS if len(folders) == 1 else EXPORTS[:2]
        names = {folder.path: info.name for folder, info in self._listed}
        stem = file_name(names[folders[0].path]) if len(folders) == 1 else f"{len(folders)} sessions"
        filters = [f"{tr(name)} (*{end})" for name, end in kinds]
        dialog = save_dialog(self._settings, "export", tr("Export"), self, filters, f"{stem}.csv")
        dialog.fileSelected.connect(lambda path: self.exported.emit(folders, Path(path)))
        dialog.open()

    def rename_chosen(self) -> None:
        if len(self.chosen) != 1:
            return
        folder = self.chosen[0]
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(tr("Rename"))
        dialog.setLabelText(tr("Name of the session:"))
        dialog.setTextValue(self._listed[self.table.chosen[0]][1].name)
        dialog.textValueSelected.connect(lambda name: self._try(lambda: folder.rename(name)))
        dialog.open()

    def delete_chosen(self) -> None:
        chosen = self.chosen
        if not chosen:
            return
        listed = [self._listed[record][1].name for record in self.table.chosen[:3]]
        names = ", ".join(listed) + (tr(" and others") if len(chosen) > 3 else "")
        words = tr(
            "Move {names} to the trash? Undo restores it; the trash is the folder {trash} of the sessions.",
            names=names,
            trash=TRASH,
        )
        box = QMessageBox(QMessageBox.Icon.NoIcon, tr("Delete"), words, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        cancel = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        move = box.addButton(tr("Move to trash"), QMessageBox.ButtonRole.DestructiveRole)
        gone = box.addButton(tr("Delete for good"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)

        def answered(button: object) -> None:
            if button is move:
                self._deleted = []
            for folder in chosen if button in (move, gone) else ():
                self._try(partial(self._trash, folder) if button is move else folder.delete)

        box.buttonClicked.connect(answered)
        box.open()
        if cancel is not None:
            cancel.setFocus()

    def restore_deleted(self) -> None:
        """Restore the sessions that were moved to the trash last."""
        deleted, self._deleted = self._deleted, []
        for folder in deleted:
            self._try(partial(_restore, folder))

    def _trash(self, folder: SessionFolder) -> None:
        self._deleted.append(folder.move_to_trash())

    def _select(self, paths: set[Path]) -> None:
        """Select these sessions; if none of them is listed, the current row."""
        if not self._listed:
            return
        records = [record for record, (folder, _) in enumerate(self._listed) if folder.path in paths]
        nearest = min(max(self.table.currentRow(), 0), len(self._listed) - 1)
        self.table.choose(records or [self.table.record_at(nearest)])

    def _try(self, action: Callable[[], None]) -> None:
        def failed(error: Exception) -> None:
            self.failed.emit(error)
            self.fill()

        self._work(action, self.fill, failed)

    def _enable(self) -> None:
        count = len(self.chosen)
        for button in (self.replay, self.rename):
            button.setEnabled(count == 1)
        for button in (self.report, self.export, self.delete):
            button.setEnabled(count > 0)
        self.undo.setVisible(bool(self._deleted))
        self.compare.setEnabled(len(self._listed) > 1)


def _cells(info: SessionInfo) -> Sequence[Cell]:
    length = clock(info.seconds) + ("" if info.ended and not info.missing else tr(" (incomplete)"))
    video = tr(ANALYSED) if info.file is not None else tr(VIDEO_WORDS.get(info.video, info.video))
    return info.name, (date(info.started), info.started), (length, info.seconds), info.source, video


def file_name(name: str) -> str:
    """A session's name as a file name that every operating system permits."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]+', " ", name).strip(" .")[:80] or "session"


def _in_place(work: Job, then: Job, otherwise: Callable[[Exception], None]) -> None:
    try:
        work()
    except EdgeemoError as error:
        otherwise(error)
    else:
        then()


def _restore(folder: SessionFolder) -> None:
    folder.restore()
