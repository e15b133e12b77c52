"""Buttons for dialogs."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtWidgets import QPushButton


def action_button(words: str, action: Callable[[], object], tip: str = "") -> QPushButton:
    """A button that Enter in an input field does not press."""
    button = QPushButton(words)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: action())
    return button
