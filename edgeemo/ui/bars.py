"""Bars of the probabilities of a face, or of shares of time. Used by `cards`."""

from __future__ import annotations

from PyQt6.QtCore import QRect, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from edgeemo.ui.theme import LIGHT, Theme
from edgeemo.ui.words import name_of, percent


class Bars(QWidget):
    """One bar per class with its name and percentage, or in the short form all of them in one line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._classes: list[tuple[str, float]] = []
        self._drawn: list[tuple[str, str, int]] = []  # what the row of each class shows
        self._shown = ""
        self._short = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_classes(self, classes: list[tuple[str, float]], shown: str, *, short: bool) -> None:
        """Show the values of `shown_classes` and highlight the class `shown`."""
        taller = short is not self._short or len(classes) != len(self._classes)
        whole = taller or short or shown != self._shown
        drawn = self._drawn
        self._classes, self._shown, self._short = classes, shown, short
        self._drawn = [(key, percent(probability), round(probability * self.width())) for key, probability in classes]
        if taller:
            self.updateGeometry()
        if whole:
            self.update()
        else:
            # most classes look the same in the next picture
            row = self._row()
            for index, (old, new) in enumerate(zip(drawn, self._drawn, strict=True)):
                if old != new:
                    self.update(0, index * row, self.width(), row)

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, 10 if self._short else len(self._classes) * self._row())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(120, self.sizeHint().height())

    def _row(self) -> int:
        return round(self.fontMetrics().height() * 1.2)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._short:
            self._paint_line(painter)
        else:
            self._paint_rows(painter, self.rect() if event is None else event.rect())
        painter.end()

    def _paint_line(self, painter: QPainter) -> None:
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(0, 1, self.width(), 8), 4, 4)
        painter.setClipPath(clip)
        painter.fillRect(self.rect(), QColor(self._theme.track))
        x = 0.0
        for key, probability in self._classes:
            width = self.width() * probability
            painter.fillRect(QRectF(x, 0, width, self.height()), QColor(self._theme.classes[key]))
            x += width

    def _paint_rows(self, painter: QPainter, exposed: QRect) -> None:
        metrics = QFontMetricsF(self.font())
        row = self._row()
        names = max((metrics.horizontalAdvance(name_of(key)) for key, _ in self._classes), default=0.0) + 10
        numbers = metrics.horizontalAdvance("100 %") + 8
        track = max(self.width() - names - numbers, 10.0)
        thick = max(6.0, row * 0.42)
        for index, (key, probability) in enumerate(self._classes):
            top = index * row
            if top >= exposed.bottom() + 1 or top + row <= exposed.top():
                continue
            chosen = key == self._shown
            painter.setPen(QColor(self._theme.text if chosen else self._theme.muted))
            line = QRectF(0, top, self.width(), row)
            painter.drawText(line, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name_of(key))
            painter.drawText(
                line, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), percent(probability)
            )
            bar = QRectF(names, top + (row - thick) / 2, track, thick)
            round_ends = QPainterPath()
            round_ends.addRoundedRect(bar, thick / 2, thick / 2)
            painter.fillPath(round_ends, QColor(self._theme.track))
            painter.save()
            painter.setClipPath(round_ends)
            bar.setWidth(track * min(max(probability, 0.0), 1.0))
            painter.fillRect(bar, QColor(self._theme.classes[key]))
            painter.restore()
