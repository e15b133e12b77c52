"""The plot of the timeline: curves, their names at the right, markers, cursor. Used by `timeline`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg  # type: ignore[import-untyped]
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QContextMenuEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from edgeemo.recording import Marker
from edgeemo.types import F32
from edgeemo.ui.language import tr
from edgeemo.ui.messages import marker_words
from edgeemo.ui.theme import LIGHT, Theme
from edgeemo.ui.words import clock

WIDTH = 2  # line width in logical pixels
NAMES_WIDTH = 92
LEAST_NAMED = 0.04  # curves that end lower get no name, because the names would overlap at the bottom
MARKER_ROWS = 3  # rows for the labels of neighbouring markers
MOST_LABELS = 60  # of markers in and beside the view: a label takes about a millisecond, and more would overlap
RESCALED = 0.02  # relative change of scale above which labels are placed again
LABEL_ALPHA = 210  # opacity (0..255) of the background of labels, which keeps them readable on a curve
LETTER = 7.0  # approximate width of a letter of a label in pixels


@dataclass(frozen=True, eq=False)
class Line:
    """One curve.

    Attributes:
        key: identifies it.
        name: text at its end.
        colour: #rrggbb.
        dashed: drawn with a broken line.
        times: (n,) media time in seconds.
        values: (n,), NaN for gaps.
    """

    key: str
    name: str
    colour: str
    dashed: bool
    times: npt.NDArray[np.float64]
    values: F32


class _Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """A curve whose bounds are the plot's view: computing the bounds of its points takes longer than drawing them."""

    def __init__(self, **options: Any) -> None:
        self._bounds = QRectF()
        super().__init__(**options)

    def boundingRect(self) -> QRectF:  # noqa: N802
        return self._bounds

    def viewTransformChanged(self) -> None:  # noqa: N802
        # call this before the bounds change; otherwise the scene keeps the old ones
        self.prepareGeometryChange()
        box = self.getViewBox()
        self._bounds = QRectF() if box is None else QRectF(box.viewRect())

    def paint(self, painter: QPainter, *how: Any) -> None:
        super().paint(painter, *how)
        if self.xData is None or not len(self.xData):
            return
        # draw the path again beside the first line, with its pen, because a wide line takes twice as long and leaks
        # memory in PyQt
        scale, path, device = painter.deviceTransform(), self.getPath(), painter.device()
        across, down = 1 / abs(scale.m11()), 1 / abs(scale.m22())
        for _ in range(round(WIDTH * (1.0 if device is None else device.devicePixelRatioF())) - 1):
            # shift alternately sideways and down, so that no slope has gaps
            for step in ((across, 0.0), (0.0, down)):
                painter.translate(*step)
                painter.drawPath(path)


class ClockAxis(pg.AxisItem):  # type: ignore[misc]
    """Shows the time since the first frame, in the format of the replay bar and the report.

    The data use media time.
    """

    def __init__(self) -> None:
        super().__init__("bottom")
        self.setStyle(maxTextLevel=0)  # finer ticks would have other decimals
        self.begin = 0.0

    def tickValues(self, low: float, high: float, size: float) -> Any:  # noqa: N802
        # round numbers of the shown time, not of media time
        levels = super().tickValues(low - self.begin, high - self.begin, size)
        return [(spacing, [value + self.begin for value in values]) for spacing, values in levels]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        return [moment(value - self.begin, spacing) if value >= self.begin else "" for value in values]


def moment(seconds: float, spacing: float) -> str:
    """A time on the axis with the decimals that the tick spacing needs."""
    return clock(seconds, next((digits for digits in (0, 1, 2) if spacing * 10**digits >= 0.999), 3))


class EndNames(QWidget):
    """Names at the ends of the curves, without overlap.

    Args:
        place: returns the y position of a value in pixels from the widget's top.
    """

    def __init__(self, place: Callable[[float], float], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._place = place
        self._names: list[tuple[float, str, str]] = []
        self.setFixedWidth(NAMES_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(NAMES_WIDTH, 60)

    def show_names(self, names: list[tuple[float, str, str]]) -> None:
        """Show (value at the end, name, colour) each."""
        if names != self._names:
            self._names = names
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        tall = self.fontMetrics().height() * 0.95
        heights = spread([self._place(value) for value, *_ in self._names], tall, tall / 2, self.height() - tall / 2)
        for y, (_, name, colour) in zip(heights, self._names, strict=True):
            painter.setPen(QColor(colour))
            room = QRectF(4, y - tall / 2, self.width() - 6, tall)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name)
        painter.end()


class ProbabilityPlot(pg.PlotWidget):  # type: ignore[misc]
    """Draws curves and markers.

    Signals:
        sought: media time in seconds that was clicked.
        asked: screen position (QPoint) for a context menu.
        hovered: media time under the pointer; None: it left the plot.
    """

    sought = pyqtSignal(float)
    asked = pyqtSignal(object)
    hovered = pyqtSignal(object)

    def __init__(self) -> None:
        self.axis = ClockAxis()
        super().__init__(axisItems={"bottom": self.axis})
        self._theme = LIGHT
        self._curves: dict[str, _Curve] = {}
        self._marks: list[Any] = []
        self._markers: tuple[Marker, ...] = ()
        self._marked_scale = 0.0  # pixels per second at which the markers' labels were placed
        self._marked = (0.0, 0.0)  # media time from and to which markers are drawn
        self.names = EndNames(self._y_of)
        self.setAccessibleName(tr("Probabilities over time"))
        self.setToolTip(tr("Wheel: zoom. Drag: move. Click: go there. M or 1 to 9: set a marker."))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        item = self.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setMouseEnabled(x=True, y=False)
        item.getAxis("left").setWidth(46)
        self.show_relative(False)
        self.scene().sigMouseClicked.connect(self._clicked)
        self.scene().sigMouseMoved.connect(self._on_moved)
        self.cursor = pg.InfiniteLine(angle=90, movable=False)
        self.cursor.hide()
        item.addItem(self.cursor, ignoreBounds=True)

    @property
    def view(self) -> tuple[float, float]:
        """Media time at the left and right edge."""
        (begin, end), _ = self.getPlotItem().getViewBox().viewRange()
        return begin, end

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.setBackground(theme.surface)
        for side in ("left", "bottom"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(theme.line)
            axis.setTextPen(theme.muted)
        self.cursor.setPen(pg.mkPen(theme.text, width=1.5))
        for curve in self._curves.values():
            self.getPlotItem().removeItem(curve)
        self._curves = {}
        self._draw_markers()

    def show_relative(self, relative: bool) -> None:
        """Set the axis range for differences from a baseline, or for probabilities."""
        item = self.getPlotItem()
        item.setYRange(*((-1.05, 1.05) if relative else (-0.02, 1.1)), padding=0)
        ticks = [(-1, "-100"), (0, "0"), (1, "+100")] if relative else [(0, "0"), (0.5, "50"), (1, "100 %")]
        item.getAxis("left").setTicks([ticks])

    def begin_at(self, begin: float) -> None:
        """Set the media time at which the axis starts."""
        if begin != self.axis.begin:
            self.axis.begin = begin
            self.axis.picture = None  # discard the axis drawn with the old start
            self.axis.update()

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Draw only these curves."""
        shown = {line.key for line in lines}
        for key, drawn in self._curves.items():
            if key not in shown:
                drawn.hide()
        ends = []
        for line in lines:
            curve = self._curves.get(line.key)
            if curve is None:
                style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
                curve = _Curve(pen=pg.mkPen(line.colour, style=style), connect="finite")
                self._curves[line.key] = curve
                self.getPlotItem().addItem(curve, ignoreBounds=True)
                curve.viewTransformChanged()
            curve.setData(line.times, line.values)
            curve.show()
            seen = line.values[np.isfinite(line.values)]
            if len(seen) and abs(float(seen[-1])) >= LEAST_NAMED:
                ends.append((round(float(seen[-1]), 2), line.name, line.colour))
        self.names.show_names(ends)
        # only zooming changes the distances of labels; following must not rebuild them ten times per second
        (begin, end), (low, high) = self.view, self._marked
        if self._markers and (abs(self._scale / self._marked_scale - 1) > RESCALED or begin < low or end > high):
            self._draw_markers()

    def show_markers(self, markers: Sequence[Marker]) -> None:
        self._markers = tuple(markers)
        self._draw_markers()

    def _draw_markers(self) -> None:
        item = self.getPlotItem()
        for mark in self._marks:
            item.removeItem(mark)
        self._marks = []
        behind = QColor(self._theme.surface)
        behind.setAlpha(LABEL_ALPHA)
        pixels = self._marked_scale = self._scale
        begin, end = self.view
        low, high = self._marked = 2 * begin - end, 2 * end - begin
        near = [each for each in self._markers if each.time <= high and each.time + each.duration >= low]
        every = max(1, math.ceil(len(near) / MOST_LABELS))
        self._draw_lines([each.time for index, each in enumerate(near) if index % every])
        taken = [-np.inf] * MARKER_ROWS  # end of the last label in each row
        for marker in near[::every]:
            label = marker_words(marker.label)[:20]
            at = marker.time * pixels
            row = next((row for row in range(MARKER_ROWS) if taken[row] <= at), int(np.argmin(taken)))
            taken[row] = at + (len(label) + 1) * LETTER
            if marker.duration:
                colour = QColor(self._theme.accent)
                colour.setAlpha(38)
                span = (marker.time, marker.time + marker.duration)
                region = pg.LinearRegionItem(span, movable=False, brush=colour, pen=pg.mkPen(None))
                item.addItem(region, ignoreBounds=True)
                self._marks.append(region)
            line = pg.InfiniteLine(
                marker.time,
                angle=90,
                pen=pg.mkPen(self._theme.text, width=1, style=Qt.PenStyle.DashLine),
                label=label.replace("{", "{{").replace("}", "}}"),  # pyqtgraph formats it
                labelOpts={
                    "position": 0.92 - 0.14 * row, "color": self._theme.text, "anchors": [(0, 0.5), (0, 0.5)],
                    "fill": behind,
                },
            )  # fmt: skip
            item.addItem(line, ignoreBounds=True)
            self._marks.append(line)

    def _draw_lines(self, times: Sequence[float]) -> None:
        """Draw markers without labels, all in one item."""
        if times:
            pen = pg.mkPen(self._theme.text, width=1, style=Qt.PenStyle.DashLine)
            lines = pg.PlotCurveItem(np.repeat(times, 2), np.tile([-2.0, 2.0], len(times)), connect="pairs", pen=pen)
            self.getPlotItem().addItem(lines, ignoreBounds=True)
            self._marks.append(lines)

    @property
    def _scale(self) -> float:
        begin, end = self.view
        return float(max(self.width(), 1) / max(end - begin, 1e-6))

    def _y_of(self, value: float) -> float:
        """The position of a value in pixels from the widget's top."""
        box = self.getPlotItem().getViewBox()
        return float(self.mapFromScene(box.mapViewToScene(QPointF(self.view[0], value))).y())

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        if event is not None:
            self.asked.emit(event.globalPos())

    def leaveEvent(self, event: Any) -> None:  # noqa: N802
        self.hovered.emit(None)
        super().leaveEvent(event)

    def _on_moved(self, place: QPointF) -> None:
        box = self.getPlotItem().getViewBox()
        inside = box.sceneBoundingRect().contains(place)
        self.hovered.emit(float(box.mapSceneToView(place).x()) if inside else None)

    def _clicked(self, event: Any) -> None:
        box = self.getPlotItem().getViewBox()
        if event.button() != Qt.MouseButton.LeftButton or not box.sceneBoundingRect().contains(event.scenePos()):
            return
        self.sought.emit(float(box.mapSceneToView(QPointF(event.scenePos())).x()))


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Positions closest to the wanted ones with a minimum distance `apart`, in the given order."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = [min(max(wanted[index], low), high) for index in order]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + apart)
    limit = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - apart
    found = [0.0] * len(wanted)
    for place, index in zip(places, order, strict=True):
        found[index] = place
    return found
