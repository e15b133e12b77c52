"""Buttons for dialogs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from PyQt6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

NARROW = 800  # width of a screen in pixels below which longer translations need several rows


def action_button(words: str, action: Callable[[], object], tip: str = "") -> QPushButton:
    """A button that Enter in an input field does not press."""
    button = QPushButton(words)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: action())
    return button


def button_rows(dialog: QWidget, *groups: Sequence[QPushButton | None]) -> QVBoxLayout:
    """Buttons from the left in one row, or in one row per group on a narrow screen; None is empty space."""
    screen = dialog.screen()
    narrow = screen is not None and screen.availableGeometry().width() < NARROW
    rows = QVBoxLayout()
    for group in groups if narrow else (tuple(chain(*groups)),):
        row = QHBoxLayout()
        for button in group if None in group else (*group, None):
            if button is None:
                row.addStretch()
            else:
                row.addWidget(button)
        rows.addLayout(row)
    return rows
