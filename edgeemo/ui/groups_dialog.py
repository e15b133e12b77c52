"""The dialog that assigns sessions to two named groups for a report. Opened by `sessions`."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from edgeemo.recording.folder import SessionFolder, SessionInfo
from edgeemo.ui.language import tr
from edgeemo.ui.tables import Cell, RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import date

GROUPS = ("A", "B")
NAME_COLUMN = len(GROUPS)


class GroupsDialog(QDialog):
    """One check box per session and group; a session is in at most one group.

    Args:
        listed: all sessions.
        chosen: sessions to start with: the first in A, the others in B.

    Signals:
        compared: [(name of the group, its SessionFolders), ...], each with at least one session.
    """

    compared = pyqtSignal(object)

    def __init__(
        self,
        listed: Sequence[tuple[SessionFolder, SessionInfo]],
        chosen: Sequence[SessionFolder] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Compare groups"))
        self._folders = [folder for folder, _ in listed]
        self.names: list[QLineEdit] = []
        fields = QGridLayout()
        for column, group in enumerate(GROUPS):
            name = QLineEdit(tr("Group {letter}", letter=group))
            name.setAccessibleName(tr("Name of group {letter}", letter=group))
            name.setMaxLength(60)
            label = QLabel(tr("Name of &{letter}:", letter=group))
            label.setBuddy(name)
            fields.addWidget(label, 0, 2 * column)
            fields.addWidget(name, 0, 2 * column + 1)
            name.textChanged.connect(self._enable)
            self.names.append(name)
        headings = [*GROUPS, tr("Session"), tr("Recorded")]
        self.table = RowTable(tr("Sessions and their groups"), headings, wide=NAME_COLUMN)
        unticked: list[Cell] = [("", row) for row in range(len(listed))]
        self.table.fill(
            [
                (*[unticked[row]] * NAME_COLUMN, info.name, (date(info.started), info.started))
                for row, (_, info) in enumerate(listed)
            ]
        )
        paths = [folder.path for folder in chosen]
        for row, (folder, _) in enumerate(listed):
            place = paths.index(folder.path) if folder.path in paths else -1
            for column in range(NAME_COLUMN):
                box = self._box(row, column)
                box.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
                box.setToolTip(tr("In group {letter}", letter=GROUPS[column]))
                inside = place >= 0 and min(place, NAME_COLUMN - 1) == column
                box.setCheckState(Qt.CheckState.Checked if inside else Qt.CheckState.Unchecked)
        self.table.itemChanged.connect(self._on_changed)
        self.hint = named(QLabel(), "muted")
        self.hint.setWordWrap(True)
        self.compare = QPushButton(tr("Make the page"))
        self.compare.setDefault(True)
        self.compare.clicked.connect(self._compare)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        row_of_buttons = QHBoxLayout()
        row_of_buttons.addWidget(self.hint, 1)
        row_of_buttons.addWidget(cancel)
        row_of_buttons.addWidget(self.compare)
        layout = QVBoxLayout(self)
        layout.addLayout(fields)
        layout.addWidget(self.table, 1)
        layout.addLayout(row_of_buttons)
        self._enable()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(700, 420)

    def members(self, group: int) -> list[SessionFolder]:
        """The sessions in a group, from top to bottom."""
        return [folder for row, folder in enumerate(self._folders) if self._checked(row, group)]

    def choose(self, row: int, group: int, inside: bool = True) -> None:
        """Add a session to a group, or remove it."""
        self._box(row, group).setCheckState(Qt.CheckState.Checked if inside else Qt.CheckState.Unchecked)

    def _checked(self, row: int, group: int) -> bool:
        return self._box(row, group).checkState() == Qt.CheckState.Checked

    def _box(self, row: int, group: int) -> QTableWidgetItem:
        """The box of a session, wherever the table is sorted to."""
        item = self.table.item(self.table.row_of(row), group)
        assert item is not None
        return item

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() < NAME_COLUMN and item.checkState() == Qt.CheckState.Checked:
            for other in range(NAME_COLUMN):
                row = self.table.record_at(item.row())
                if other != item.column() and self._checked(row, other):
                    self.choose(row, other, inside=False)
        self._enable()

    def _enable(self) -> None:
        names = [name.text().strip() for name in self.names]
        if not all(names) or len(set(names)) < len(names):
            hint = tr("Give each group a different name.")
        elif not all(self.members(group) for group in range(NAME_COLUMN)):
            hint = tr("Tick at least one session for each group.")
        else:
            hint = ", ".join(f"{name}: {len(self.members(group))}" for group, name in enumerate(names))
        self.hint.setText(hint)
        ready = all(names) and len(set(names)) == len(names)
        self.compare.setEnabled(ready and all(self.members(group) for group in range(NAME_COLUMN)))

    def _compare(self) -> None:
        self.compared.emit([(name.text().strip(), self.members(group)) for group, name in enumerate(self.names)])
        self.accept()
