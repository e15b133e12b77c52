"""The keys of the window, and the dialog that lists them. Called by `window`."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PyQt6.QtWidgets import QDialog, QLabel, QWidget

from edgeemo.ui.language import tr, translatable
from edgeemo.ui.screen import open_with_size, scroll_with_close

if TYPE_CHECKING:
    from edgeemo.ui.window import Window

SCROLL_BAR = 20  # pixels
ZOOM, MOVE = 1.5, 0.25  # per key press: factor of the timeline's visible range, and share of it to move by
# keys that have no menu entry
KEYS = (
    (translatable("Space"), translatable("Pause, resume, start")),
    (translatable("Esc"), translatable("Dismiss the message")),
    (translatable("M, 1 to 9"), translatable("Set a marker")),
    (translatable("Ctrl+S"), translatable("Save a snapshot")),
    (translatable("Ctrl+."), translatable("Stop")),
    (translatable("Ctrl+O, Ctrl+Shift+O, Ctrl+U"), translatable("Open a file, a folder, a stream")),
    (translatable("Left, Right"), translatable("One frame back or forward (replay, file); one picture (folder)")),
    (translatable("Shift+Left, Shift+Right"), translatable("Five seconds back or forward (replay, file)")),
    (translatable("Home, End"), translatable("Start and end of a replay or file")),
    (translatable("- and +"), translatable("Speed of a replay or file")),
    (translatable("Ctrl+Plus, Ctrl+Minus"), translatable("Zoom the timeline")),
    (translatable("Ctrl+Left, Ctrl+Right"), translatable("Move the timeline")),
    (translatable("Ctrl+0"), translatable("Show the newest seconds, or all of a replay, in the timeline")),
    (translatable("F2, Delete, Ctrl+Z"), translatable("In a list: rename, delete, undo")),
    (translatable("Ctrl+Q"), translatable("Close the window")),
)


def press(window: Window, event: QKeyEvent) -> bool:
    """Handle a key; False if the window does not use it.

    The keys are not shortcuts, because a focused button must get the space bar.
    """
    key = event.key()
    if window.replay.press(event) or window.file_bar.press(event):
        return True
    if key == Qt.Key.Key_Space:
        window.start_or_pause()
    elif key == Qt.Key.Key_Escape:
        window.banner.dismiss()
    elif key == Qt.Key.Key_M:
        window.mark()
    elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9 and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
        window.mark(event.text())
    elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and window.thumbnails.isVisible():
        window.thumbnails.step(1 if key == Qt.Key.Key_Right else -1)
    else:
        return False
    return True


def add_shortcuts(window: Window) -> None:
    """Keys that work wherever the focus is."""
    for key, action in (
        (QKeySequence("Ctrl+S"), window.take_snapshot),
        (QKeySequence("Ctrl+."), window.player.stop),
        (QKeySequence(QKeySequence.StandardKey.Quit), window.leave),
        (QKeySequence("Ctrl++"), partial(window.timeline.zoom, 1 / ZOOM)),
        (QKeySequence("Ctrl+="), partial(window.timeline.zoom, 1 / ZOOM)),  # "+" without Shift on US keyboards
        (QKeySequence("Ctrl+-"), partial(window.timeline.zoom, ZOOM)),
        (QKeySequence("Ctrl+Left"), partial(window.timeline.pan, -MOVE)),
        (QKeySequence("Ctrl+Right"), partial(window.timeline.pan, MOVE)),
        (QKeySequence("Ctrl+0"), window.timeline.reset_range),
    ):
        QShortcut(key, window, action)
    source = window.toolbar.source
    window.addActions([source.open_file, source.open_folder, source.open_stream])


class KeysDialog(QDialog):
    """All keys.

    Args:
        menu: (key, text) of the menu's entries.
    """

    def __init__(self, menu: list[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Keyboard shortcuts"))
        rows = "".join(
            f"<tr><td style='padding: 2px 24px 2px 0'><b>{escape(key)}</b></td>"
            f"<td style='padding: 2px 0'>{escape(words)}</td></tr>"
            for key, words in (*((tr(key), tr(words)) for key, words in KEYS), *menu)
        )
        self.text = QLabel(f"<table>{rows}</table>")
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        scroll = scroll_with_close(self, self.text)
        whole = self.text.sizeHint() + self.sizeHint() - scroll.sizeHint()
        self.text.setWordWrap(True)
        open_with_size(self, whole.width() + SCROLL_BAR, whole.height() + 4)
