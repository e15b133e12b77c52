"""Tables of rows that are chosen, not edited."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget


def table_of_rows(name: str, headings: Sequence[str], *, wide: int, rows: int = 0) -> QTableWidget:
    """A table whose rows are chosen whole.

    Args:
        name: for those who cannot see it.
        wide: the column that takes the room that is left.
    """
    table = QTableWidget(rows, len(headings))
    table.setAccessibleName(name)
    table.setHorizontalHeaderLabels(list(headings))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTabKeyNavigation(False)
    table.setShowGrid(False)
    numbers, columns = table.verticalHeader(), table.horizontalHeader()
    assert numbers is not None
    assert columns is not None
    numbers.hide()
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    columns.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
    return table
