"""The status bar: speed, and the engine in use. Made by `window`."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from edgeemo.ui.labels import Label, tip_of
from edgeemo.ui.language import tr
from edgeemo.ui.player import Counters
from edgeemo.ui.theme import named
from edgeemo.ui.words import number


class ElidedLabel(Label):
    """Right-aligned, and elided so that it does not widen the window; the tool tip has the whole text."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._elide()

    def show_whole(self, text: str) -> None:
        if text != self._whole:
            self._whole = text
            self.setToolTip(tip_of(text))
            self._elide()

    def _elide(self) -> None:
        room = max(self.width() - 4, 0)
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, room))


class StatusBar(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("status_bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.figures = named(Label(), "muted")
        self.figures.setToolTip(
            tr(
                "Frames recognised per second; time from a frame's capture until it is on the screen (median); "
                "frames of a live source that were skipped to keep up"
            )
        )
        self.description = named(ElidedLabel(), "muted")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 6, 16, 6)
        layout.setSpacing(18)
        layout.addWidget(self.figures)
        layout.addWidget(self.description, 1)

    def say(self, words: str) -> None:
        """Show a text instead of the figures."""
        self.figures.setText(words)

    def show_figures(
        self, stats: Counters | None, *, paused: bool = False, still: str = "", delay_ms: float | None = None
    ) -> None:
        """Show the figures of a run.

        Args:
            still: name of the still picture on screen, or "".
            delay_ms: time from the capture of a frame to the screen; None: unknown.
        """
        parts = [tr("Paused")] if paused else []
        if still:
            parts.append(still)
        if stats is not None and stats.frames:
            parts.append(tr("{rate} frames per second", rate=number(stats.fps)))
            if delay_ms is not None:
                parts.append(tr("{latency} ms latency", latency=number(delay_ms)))
            parts.append(tr("%n dropped", stats.dropped))
        self.say("   ·   ".join(parts))

    def describe(self, engine: str) -> None:
        """Show engine and runtime; "" without an engine."""
        self.description.show_whole(engine)
