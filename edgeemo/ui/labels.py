"""Labels and tool tips that show a text as it is: names of files, persons and cameras may look like HTML."""

from __future__ import annotations

from html import escape

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QLabel


class Label(QLabel):
    """A label of plain text; a `QLabel` renders text that looks like HTML."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)


def tip_of(text: str) -> str:
    """A tool tip that shows this text; Qt would render one that looks like HTML."""
    return f"<p style='white-space: pre-wrap'>{escape(text)}</p>" if "<" in text or "&" in text else text
