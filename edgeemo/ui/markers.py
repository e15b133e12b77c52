"""The dialog Markers: go to, rename, end, delete, import and export markers of a session. Opened by `replaying`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QInputDialog,
    QVBoxLayout,
    QWidget,
)

from edgeemo.recording import Marker
from edgeemo.ui.buttons import action_button
from edgeemo.ui.file_dialogs import open_dialog, save_dialog
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import marker_words
from edgeemo.ui.review import Review
from edgeemo.ui.screen import open_with_size
from edgeemo.ui.settings import Settings
from edgeemo.ui.tables import Cell, RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import clock

TABLES = translatable("Events (*.tsv *.csv *.txt)")


class MarkersDialog(QDialog):
    """The markers of the replayed session.

    Signals:
        sought: media time to go to.
    """

    sought = pyqtSignal(float)

    def __init__(self, review: Review, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Markers"))
        self._review, self._settings = review, settings
        self._listed: tuple[Marker, ...] = ()
        self.table = RowTable(tr("Markers"), [tr("Label"), tr("At"), tr("Lasts")], wide=0)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.itemDoubleClicked.connect(lambda _: self.go_to_chosen())
        self.nothing = named(Label(tr("No markers yet. Press M, or 1 to 9, at the frame that is shown.")), "muted")
        self.add = action_button(tr("Add here"), review.mark)
        self.go = action_button(tr("Go to"), self.go_to_chosen)
        self.rename = action_button(tr("Rename…"), self.rename_chosen)
        self.end = action_button(tr("Ends here"), lambda: review.end_marker(self.chosen[0]))
        self.delete = action_button(tr("Delete"), lambda: review.delete_markers(self.chosen))
        self.undo = action_button(tr("Undo"), review.undo)
        self.read = action_button(tr("Import…"), lambda: self._ask(tr("Import events"), review.import_markers))
        self.write = action_button(
            tr("Export…"), lambda: self._ask(tr("Export events"), review.export_markers, save=True)
        )
        rows = (self.add, self.go, self.rename, self.end, self.delete, self.undo), (self.read, self.write)
        layout = QVBoxLayout(self)
        layout.addWidget(self.nothing)
        layout.addWidget(self.table, 1)
        for buttons in rows:
            row = QHBoxLayout()
            for button in buttons:
                row.addWidget(button)
            row.addStretch()
            layout.addLayout(row)
        for key, action in (
            (Qt.Key.Key_F2, self.rename_chosen),
            (Qt.Key.Key_Delete, lambda: review.delete_markers(self.chosen)),
            (Qt.Key.Key_Return, self.go_to_chosen),
            (Qt.Key.Key_Enter, self.go_to_chosen),  # of the keypad
        ):
            QShortcut(QKeySequence(key), self.table, action, context=Qt.ShortcutContext.WidgetShortcut)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self, review.undo)
        review.changed.connect(self.fill)
        self.fill()
        open_with_size(self, 560, 380)

    @property
    def chosen(self) -> list[Marker]:
        """The selected markers, sorted by time."""
        return [self._listed[record] for record in sorted(self.table.chosen)]

    def fill(self) -> None:
        recording = self._review.recording
        self._listed = recording.markers if recording is not None else ()
        begin = recording.begin if recording is not None else 0.0
        cells: list[Sequence[Cell]] = []
        for marker in self._listed:
            lasts = clock(marker.duration) if marker.duration else ""
            at = marker.time - begin
            cells.append((marker_words(marker.label), (clock(at), at), (lasts, marker.duration)))
        self.table.fill(cells)
        self.nothing.setVisible(not self._listed)
        self._enable()

    def go_to_chosen(self) -> None:
        if self.chosen:
            self.sought.emit(self.chosen[0].time)

    def rename_chosen(self) -> None:
        if len(self.chosen) != 1:
            return
        marker = self.chosen[0]
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(tr("Rename"))
        dialog.setLabelText(tr("Label of the marker:"))
        shown = marker_words(marker.label)
        dialog.setTextValue(shown)

        def rename(label: str) -> None:
            if label != shown:  # otherwise the translation of a label would be stored
                self._review.rename_marker(marker, label)

        dialog.textValueSelected.connect(rename)
        dialog.open()

    def _ask(self, title: str, then: Callable[[Path], None], *, save: bool = False) -> None:
        if save:
            dialog = save_dialog(self._settings, "events", title, self, [TABLES], "events.tsv")
        else:
            dialog = open_dialog(self._settings, "events", title, self, [TABLES])
        dialog.fileSelected.connect(lambda path: then(Path(path)))
        dialog.open()

    def _enable(self) -> None:
        one = len(self.chosen) == 1
        for button in (self.rename, self.end):
            button.setEnabled(one)
        for button in (self.go, self.delete):
            button.setEnabled(bool(self.chosen))
        self.undo.setEnabled(self._review.can_undo)
        self.write.setEnabled(bool(self._listed))
