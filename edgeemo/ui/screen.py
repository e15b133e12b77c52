"""Keeps the window within the screen. Called by the window."""

from __future__ import annotations

from PyQt6.QtWidgets import QWidget

FRAME = 40  # pixels of the desktop's title bar and borders


def fit_to_screen(window: QWidget, smallest: tuple[int, int]) -> None:
    """Never larger than the screen, whatever its scale and whatever size was remembered.

    Args:
        smallest: width and height in logical pixels below which the window should not go, where the screen allows.
    """
    screen = window.screen()
    if screen is None:
        return
    room = screen.availableGeometry()
    width, height = room.width(), room.height() - FRAME
    window.setMinimumSize(min(smallest[0], width), min(smallest[1], height))
    if not window.isMaximized():
        window.resize(min(window.width(), width), min(window.height(), height))
