"""The dialog that assigns sessions to named groups for a report. Opened by `sessions`."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from edgeemo.recording.folder import SessionFolder, SessionInfo
from edgeemo.ui.buttons import action_button
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr
from edgeemo.ui.screen import open_with_size
from edgeemo.ui.tables import Cell, RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import date

LETTERS = "ABCDEFGH"
FEWEST = 2  # groups
NAMES_IN_A_ROW = 2


class GroupsDialog(QDialog):
    """Two to eight groups; one check box per session and group. A session is in at most one group.

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
        self._listed = list(listed)
        self._group_of: list[int | None] = [None] * len(self._listed)
        paths = [folder.path for folder in chosen]
        for row, (folder, _) in enumerate(self._listed):
            if folder.path in paths:
                self._group_of[row] = min(paths.index(folder.path), FEWEST - 1)
        self.names: list[QLineEdit] = []
        self._labels: list[Label] = []
        self._fields = QGridLayout()
        self.add = action_button(tr("Add a group"), self.add_group)
        self.remove = action_button(tr("Remove the last group"), self.remove_group)
        changes = QHBoxLayout()
        changes.addWidget(self.add)
        changes.addWidget(self.remove)
        changes.addStretch()
        self.hint = named(Label(), "muted")
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
        for _ in range(FEWEST):
            self._add_name()
        self.table = self._filled_table()
        self._column = QVBoxLayout(self)
        self._column.addLayout(self._fields)
        self._column.addLayout(changes)
        self._column.addWidget(self.table, 1)
        self._column.addLayout(row_of_buttons)
        self._enable()
        open_with_size(self, 700, 440)

    def members(self, group: int) -> list[SessionFolder]:
        """The sessions in a group, from top to bottom."""
        return [folder for (folder, _), which in zip(self._listed, self._group_of, strict=True) if which == group]

    def choose(self, row: int, group: int, inside: bool = True) -> None:
        """Add a session to a group, or remove it."""
        self._box(row, group).setCheckState(Qt.CheckState.Checked if inside else Qt.CheckState.Unchecked)

    def add_group(self) -> None:
        self._add_name()
        self._show_groups()
        self.names[-1].setFocus()

    def remove_group(self) -> None:
        """Remove the last group; its sessions are in no group then."""
        last = len(self.names) - 1
        for widget in (self.names.pop(), self._labels.pop()):
            self._fields.removeWidget(widget)
            widget.deleteLater()
        self._group_of = [None if group == last else group for group in self._group_of]
        self._show_groups()

    def _add_name(self) -> None:
        group = len(self.names)
        letter = LETTERS[group]
        name = QLineEdit(tr("Group {letter}", letter=letter))
        name.setAccessibleName(tr("Name of group {letter}", letter=letter))
        name.setMaxLength(60)
        name.textChanged.connect(self._enable)
        label = Label(tr("Name of &{letter}:", letter=letter))
        label.setBuddy(name)
        row, place = divmod(group, NAMES_IN_A_ROW)
        self._fields.addWidget(label, row, 2 * place)
        self._fields.addWidget(name, row, 2 * place + 1)
        self.names.append(name)
        self._labels.append(label)

    def _show_groups(self) -> None:
        old, self.table = self.table, self._filled_table()
        self._column.replaceWidget(old, self.table)
        old.deleteLater()
        self._enable()

    def _filled_table(self) -> RowTable:
        letters = LETTERS[: len(self.names)]
        table = RowTable(tr("Sessions and their groups"), [*letters, tr("Session"), tr("Recorded")], wide=len(letters))
        cells: list[Sequence[Cell]] = []
        for row, (_, info) in enumerate(self._listed):
            unticked: list[Cell] = [("", row)] * len(letters)
            cells.append((*unticked, info.name, (date(info.started), info.started)))
        table.fill(cells)
        for row, group in enumerate(self._group_of):
            for column, letter in enumerate(letters):
                box = table.item(table.row_of(row), column)
                assert box is not None
                box.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
                box.setToolTip(tr("In group {letter}", letter=letter))
                box.setCheckState(Qt.CheckState.Checked if group == column else Qt.CheckState.Unchecked)
        table.itemChanged.connect(self._on_changed)
        return table

    def _box(self, row: int, group: int) -> QTableWidgetItem:
        """The box of a session, wherever the table is sorted to."""
        item = self.table.item(self.table.row_of(row), group)
        assert item is not None
        return item

    def _on_changed(self, item: QTableWidgetItem) -> None:
        group = item.column()
        if group < len(self.names):
            row = self.table.record_at(item.row())
            if item.checkState() == Qt.CheckState.Checked:
                before, self._group_of[row] = self._group_of[row], group
                if before is not None and before != group:
                    self.choose(row, before, inside=False)
            elif self._group_of[row] == group:
                self._group_of[row] = None
        self._enable()

    def _enable(self) -> None:
        names = [name.text().strip() for name in self.names]
        different = all(names) and len(set(names)) == len(names)
        complete = all(self.members(group) for group in range(len(names)))
        if not different:
            hint = tr("Give each group a different name.")
        elif not complete:
            hint = tr("Tick at least one session for each group.")
        else:
            hint = ", ".join(f"{name}: {len(self.members(group))}" for group, name in enumerate(names))
        self.hint.setText(hint)
        self.compare.setEnabled(different and complete)
        self.add.setEnabled(len(names) < len(LETTERS))
        self.remove.setEnabled(len(names) > FEWEST)

    def _compare(self) -> None:
        self.compared.emit([(name.text().strip(), self.members(group)) for group, name in enumerate(self.names)])
        self.accept()
