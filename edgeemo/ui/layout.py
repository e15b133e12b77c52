"""The layout of the window. Called by `window`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from edgeemo.ui.window import Window


def laid_out(window: Window) -> QWidget:
    """Toolbar and banner above, picture over timeline, cards at the right, status bar below."""
    split = QSplitter(Qt.Orientation.Vertical)
    split.setChildrenCollapsible(False)
    split.addWidget(window.video)
    split.addWidget(window.timeline)
    split.setStretchFactor(0, 4)
    split.setStretchFactor(1, 1)
    split.setSizes([560, 190])
    left = QVBoxLayout()
    left.setSpacing(0)
    left.addWidget(split, 1)
    left.addWidget(window.thumbnails)
    left.addWidget(window.replay)
    left.addWidget(window.file_bar)
    middle = QHBoxLayout()
    middle.setSpacing(0)
    middle.addLayout(left, 1)
    middle.addWidget(window.faces)
    content = QWidget()
    layout = QVBoxLayout(content)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    layout.addWidget(window.toolbar)
    layout.addWidget(window.banner)
    layout.addLayout(middle, 1)
    layout.addWidget(window.status_bar)
    below = (window.thumbnails, window.replay, window.file_bar, window.timeline)
    order_focus((window.video, window.toolbar, window.banner, *below))
    return content


def order_focus(parts: Sequence[QWidget]) -> None:
    """Make Tab visit the controls of these parts in this order, before all others such as the cards.

    Tab starts at the first part, which has the focus when the window opens.
    """
    widgets = [each for part in parts for each in (part, *part.findChildren(QWidget))]
    for before, after in pairwise(
        each for each in widgets if each is parts[0] or each.focusPolicy() & Qt.FocusPolicy.TabFocus
    ):
        QWidget.setTabOrder(before, after)
