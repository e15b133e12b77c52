"""Keep the window and its dialogs within the screen. Called by `window` and the dialogs."""

from __future__ import annotations

from PyQt6.QtCore import QSize
from PyQt6.QtWidgets import QWidget

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


def size_on_screen(dialog: QWidget, width: int, height: int) -> QSize:
    """The size of a dialog, limited to that of the screen."""
    screen = dialog.screen()
    if screen is None:
        return QSize(width, height)
    room = screen.availableGeometry()
    return QSize(min(width, room.width()), min(height, room.height() - FRAME))
