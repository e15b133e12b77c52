"""Keep the window and its dialogs within the screen. Called by `window` and the dialogs."""

from __future__ import annotations

from PyQt6.QtCore import QSize
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QScrollArea, QVBoxLayout, QWidget

FRAME = 40  # pixels of the desktop's title bar and borders


def fit_to_screen(window: QWidget, smallest: tuple[int, int]) -> None:
    """Limit a window to the screen's size at any scale and remembered size.

    Args:
        smallest: minimum width and height in logical pixels, if the screen is large enough.
    """
    screen = window.screen()
    if screen is None:
        return
    room = screen.availableGeometry()
    width, height = room.width(), room.height() - FRAME
    window.setMinimumSize(min(smallest[0], width), min(smallest[1], height))
    if not window.isMaximized():
        window.resize(min(window.width(), width), min(window.height(), height))


def open_with_size(dialog: QWidget, width: int, height: int) -> None:
    """Set the initial size of a dialog, at most the size of the screen.

    Not a `sizeHint`: Qt ignores its height in a layout with word-wrapped labels.
    """
    room = QSize(width, height)
    if (screen := dialog.screen()) is not None:
        room = screen.availableGeometry().size() - QSize(0, FRAME)
    dialog.resize(room.boundedTo(QSize(width, height)))


def scroll_with_close(dialog: QDialog, content: QWidget) -> QScrollArea:
    """Fill a dialog with content that can be scrolled, above the button Close."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setWidget(content)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout = QVBoxLayout(dialog)
    layout.addWidget(scroll, 1)
    layout.addWidget(buttons)
    return scroll
