"""Read-only tables with row selection, sorted by clicking a heading. Used by dialogs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PyQt6.QtCore import QItemSelectionModel, Qt
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from edgeemo.ui.labels import tip_of

Cell = str | tuple[str, float | str]  # text, or (text, sort key)


class _Item(QTableWidgetItem):
    def __init__(self, cell: Cell, record: int) -> None:
        text, key = cell if isinstance(cell, tuple) else (cell, cell.casefold())
        super().__init__(text)
        self.key: Any = key
        self.record = record

    def __lt__(self, other: QTableWidgetItem) -> bool:
        if not isinstance(other, _Item):
            return False
        table = self.tableWidget()
        if isinstance(table, RowTable) and table.in_own_order:
            return self.record < other.record
        return bool(self.key < other.key)


class RowTable(QTableWidget):
    """A table whose rows are selected as a whole. Rows show records; sorting does not change a record's number.

    Args:
        name: accessible name.
        wide: the column that takes the remaining width.
    """

    def __init__(self, name: str, headings: Sequence[str], *, wide: int) -> None:
        super().__init__(0, len(headings))
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels(list(headings))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        numbers, columns = self.verticalHeader(), self.horizontalHeader()
        assert numbers is not None
        assert columns is not None
        numbers.hide()
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
        # the original order until a heading is clicked; a third click restores it
        columns.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        columns.setSortIndicatorClearable(True)
        columns.sortIndicatorChanged.connect(self._on_sorting)
        self.in_own_order = False

    def fill(self, records: Sequence[Sequence[Cell]], tips: Sequence[str] = ()) -> None:
        """Show these records; the sorting and the selected record numbers stay. If there are fewer records than before,
        only the uppermost stays selected: the other numbers may now be those of other records.

        Args:
            records: for each record, one cell per column.
            tips: one tool tip per record; (): none.
        """
        chosen = [record for record in self.chosen if record < len(records)]
        if len(records) < self.rowCount():
            chosen = chosen[:1]
        self.setSortingEnabled(False)
        self.setRowCount(len(records))
        selection, model = self.selectionModel(), self.model()
        assert model is not None
        # one signal for all items: each signal fits the columns to all rows, so hundreds of rows would take seconds
        model.blockSignals(True)
        for row, cells in enumerate(records):
            for column, cell in enumerate(cells):
                item = _Item(cell, row)
                item.setToolTip(tip_of(tips[row]) if tips else "")
                self.setItem(row, column, item)
        model.blockSignals(False)
        if records:
            model.dataChanged.emit(model.index(0, 0), model.index(len(records) - 1, self.columnCount() - 1))
        self.setSortingEnabled(True)
        if selection is not None and self.chosen != chosen:
            # not `choose`, which would scroll
            self.clearSelection()
            how = QItemSelectionModel.SelectionFlag
            for record in chosen:
                selection.select(model.index(self.row_of(record), 0), how.Select | how.Rows)

    @property
    def chosen(self) -> list[int]:
        """Numbers of the selected records, from top to bottom."""
        return [self.record_at(row) for row in sorted({index.row() for index in self.selectedIndexes()})]

    def record_at(self, row: int) -> int:
        item = self.item(row, 0)
        assert isinstance(item, _Item)
        return item.record

    def row_of(self, record: int) -> int:
        """The current row of a record."""
        return next(row for row in range(self.rowCount()) if self.record_at(row) == record)

    def choose(self, records: Sequence[int]) -> None:
        """Select only these records."""
        self.clearSelection()
        mode = self.selectionMode()
        self.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        for record in records:
            self.selectRow(self.row_of(record))
        self.setSelectionMode(mode)

    def choose_first(self) -> None:
        """Select the uppermost record if none is selected."""
        if self.rowCount() and not self.chosen:
            self.choose([self.record_at(0)])

    def _on_sorting(self, column: int) -> None:
        model = self.model()
        if column < 0 and model is not None:
            self.in_own_order = True
            model.sort(0)
            self.in_own_order = False
