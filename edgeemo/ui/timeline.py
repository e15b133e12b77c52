"""Probabilities over time for one person: zoom with the wheel, move by dragging, click to go there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import numpy as np
import pyqtgraph as pg  # type: ignore[import-untyped]
from PyQt6.QtCore import QPointF, QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QPainter
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from edgeemo.stages.overlay import percent
from edgeemo.types import F32
from edgeemo.ui.cards import Bars
from edgeemo.ui.history import History, thinned
from edgeemo.ui.theme import LIGHT, Theme, named
from engines.spec import Emotion

REFRESH_MS = 100  # the plot need not be as quick as the picture
WORDS_S = 0.5  # nor the words above it as the plot
SPAN_S = 30.0  # shown while it follows
POINTS = 300  # a curve
WIDTH = 2  # of a curve, in logical pixels
NOTHING = (-1, -1, 0.0, 0.0)  # rows, person, begin and end of what is drawn


class _Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """A curve whose bounds are the plot's view: finding those of its points takes longer than drawing them."""

    def __init__(self, **options: Any) -> None:
        self._bounds = QRectF()
        super().__init__(**options)

    def boundingRect(self) -> QRectF:  # noqa: N802
        return self._bounds

    def viewTransformChanged(self) -> None:  # noqa: N802
        # before the bounds change, or the scene never forgets the old ones
        self.prepareGeometryChange()
        box = self.getViewBox()
        self._bounds = QRectF() if box is None else QRectF(box.viewRect())

    def paint(self, painter: QPainter, *how: Any) -> None:
        # lines of one pixel side by side: a wide one takes pyqtgraph twice as long, and PyQt loses memory by it
        device = painter.device()
        ratio = 1.0 if device is None else device.devicePixelRatioF()
        across, down = self.pixelWidth() / ratio, self.pixelHeight() / ratio
        super().paint(painter, *how)
        for _ in range(round(WIDTH * ratio) - 1):
            # alternately to the side and down, so that no slope shows gaps
            for step in ((across, 0.0), (0.0, down)):
                painter.translate(*step)
                super().paint(painter, *how)


class ClockAxis(pg.AxisItem):  # type: ignore[misc]
    """Seconds since the first frame, as the scrubber and the report count them; the data keep media time."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.begin = 0.0

    def tickValues(self, low: float, high: float, size: float) -> Any:  # noqa: N802
        # round numbers on the shown clock, not on the media's
        levels = super().tickValues(low - self.begin, high - self.begin, size)
        return [(spacing, [value + self.begin for value in values]) for spacing, values in levels]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        return list(super().tickStrings([value - self.begin for value in values], scale, spacing))


class Timeline(QWidget):
    """Follows the newest frame until somebody zooms or drags; "Follow" goes on.

    Signals:
        sought: somebody clicked at a media time in seconds.
    """

    sought = pyqtSignal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumHeight(118)
        self._theme = LIGHT
        self._history = History()
        self._person: int | None = None
        self._at: float | None = None  # the cursor's media time
        self._drawn = NOTHING
        self._told, self._untold = -math.inf, False  # when the words changed; whether the plot has since
        self._following = True
        self._curves: dict[str, Any] = {}
        self._lines: list[Any] = []
        self._baseline_of: Callable[[int], F32 | None] = lambda person: None
        self._names: Mapping[int, str] = {}

        self.relative = QPushButton("Relative")
        self.relative.setCheckable(True)
        self.relative.setToolTip("Show differences from the neutral baseline instead of probabilities")
        self.relative.toggled.connect(self._on_relative)
        self.relative.hide()
        self.title = named(QLabel("Timeline"), "heading")
        self.legend = named(QLabel(), "muted")
        self.follow = QPushButton("Follow")
        self.follow.setToolTip("Show the newest seconds again")
        self.follow.setAccessibleName("Follow the newest frame")
        self.follow.clicked.connect(self.go_on_following)
        self.follow.hide()
        self.distribution = Bars()
        self.distribution.setFixedWidth(180)
        self.distribution.setAccessibleName("Share of time an expression so far")
        top = QHBoxLayout()
        top.setContentsMargins(16, 4, 16, 0)
        top.setSpacing(12)
        top.addWidget(self.title)
        top.addWidget(self.legend, 1)
        top.addWidget(self.relative)
        top.addWidget(self.follow)
        top.addWidget(self.distribution)
        self.distribution.hide()

        self.axis = ClockAxis()
        self.plot = pg.PlotWidget(axisItems={"bottom": self.axis})
        self.plot.setAccessibleName("Probabilities over time")
        self.plot.setToolTip("Wheel: zoom. Drag: move. Click: go there. M or 1 to 9: set a marker.")
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        item = self.plot.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setMouseEnabled(x=True, y=False)
        item.setYRange(-0.02, 1.1, padding=0)
        item.setXRange(0, SPAN_S, padding=0)
        item.getAxis("left").setTicks([[(0, "0"), (0.5, "50"), (1, "100 %")]])
        item.getAxis("left").setWidth(46)
        item.getViewBox().sigRangeChangedManually.connect(self._moved)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._cursor.hide()
        item.addItem(self._cursor, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(REFRESH_MS)
        self.set_theme(LIGHT)

    @property
    def history(self) -> History:
        return self._history

    @property
    def person(self) -> int | None:
        """Who is shown: who was chosen, while that person is there at the cursor or newest frame; else who is."""
        time = self._history.end if self._at is None else self._at
        return self._history.shown_at(time, self._person)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.plot.setBackground(theme.surface)
        item = self.plot.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(theme.line)
            axis.setTextPen(theme.muted)
        self._cursor.setPen(pg.mkPen(theme.text, width=1.5))
        self.distribution.set_theme(theme)
        self.show_markers()
        self._begin_anew()

    def show_names(self, names: Mapping[int, str]) -> None:
        """Call persons by these names instead of their numbers."""
        self._names = names
        self._begin_anew()

    def change_history(self, history: History) -> None:
        """Show the same stretch of a history in which persons or markers have changed."""
        self._history = history
        self._begin_anew()
        self.show_markers()
        self.refresh()

    def show_history(self, history: History, *, whole: bool = False) -> None:
        """Show another history; all of it, or the newest seconds as it grows."""
        self._history = history
        self._person = None
        self._begin_anew()
        self._following = not whole
        self.follow.hide()
        self._at = None
        self._cursor.hide()
        if whole:
            begin = history.begin or 0.0
            self.plot.getPlotItem().setXRange(begin, max(history.end, begin + 1.0), padding=0.01)
        self.show_markers()
        self.refresh()

    def show_baselines(self, baseline_of: Callable[[int], F32 | None]) -> None:
        """Where a person's (K,) neutral baseline comes from; None for somebody without."""
        self._baseline_of = baseline_of
        self._begin_anew()

    def _on_relative(self, relative: bool) -> None:
        item = self.plot.getPlotItem()
        item.setYRange(*((-1.05, 1.05) if relative else (-0.02, 1.1)), padding=0)
        ticks = [(-1, "-100"), (0, "0"), (1, "+100")] if relative else [(0, "0"), (0.5, "50"), (1, "100 %")]
        item.getAxis("left").setTicks([ticks])
        self._begin_anew()
        self.refresh()

    def show_person(self, person: int) -> None:
        self._person = person
        self._begin_anew()
        self.refresh()

    def show_cursor(self, time: float) -> None:
        self._at = time
        self._cursor.setValue(time)
        self._cursor.show()

    def show_markers(self) -> None:
        item = self.plot.getPlotItem()
        for line in self._lines:
            item.removeItem(line)
        self._lines = []
        for marker in self._history.markers:
            line = pg.InfiniteLine(
                marker.time,
                angle=90,
                pen=pg.mkPen(self._theme.text, width=1, style=Qt.PenStyle.DashLine),
                label=marker.label[:20],
                labelOpts={"position": 0.92, "color": self._theme.text, "anchors": [(0, 0.5), (0, 0.5)]},
            )
            item.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def go_on_following(self) -> None:
        self._following = True
        self.follow.hide()
        self.refresh()

    def refresh(self) -> None:
        """Draw what is new; cheap when nothing is, or while the timeline is hidden."""
        if not self.isVisible():
            return
        history, item = self._history, self.plot.getPlotItem()
        if history.begin is not None and history.begin != self.axis.begin:
            self.axis.begin = history.begin
            self.axis.picture = None  # drawn with the former beginning
            self.axis.update()
        if self._following:
            end = max(history.end, (history.begin or 0.0) + SPAN_S)
            item.setXRange(end - SPAN_S, end, padding=0)
        (begin, end), _ = item.getViewBox().viewRange()
        person = self.person
        state = (history.rows, -2 if person is None else person, begin, end)
        if state != self._drawn:
            self._drawn = state
            self._untold = True
            if person is None:
                self._show_nobody()
            else:
                self._draw(person, begin, end)
        # also after the last picture: the words must not stay behind the plot
        if self._untold and person is not None and monotonic() - self._told >= WORDS_S:
            self._untold, self._told = False, monotonic()
            self._tell(person)

    def _show_nobody(self) -> None:
        self._told = -math.inf
        self.title.setText("Timeline")
        self.legend.setText("Expressions over time appear here.")
        # nobody's share yet: the words need the room in a narrow window
        self.distribution.hide()
        for curve in self._curves.values():
            curve.hide()

    def _draw(self, person: int, begin: float, end: float) -> None:
        series = self._history.series(person)
        times, values = thinned(series, begin, end, POINTS)
        baseline = self._baseline_of(person)
        self.relative.setVisible(baseline is not None)
        if baseline is None and self.relative.isChecked():
            self.relative.setChecked(False)
        if baseline is not None and self.relative.isChecked():
            values = np.asarray(values - baseline, np.float32)
        for column, label in enumerate(self._history.labels):
            emotion = Emotion.of(label)
            curve = self._curves.get(label)
            if curve is None:
                curve = self._curves[label] = _Curve(pen=emotion.colour, connect="finite")
                self.plot.getPlotItem().addItem(curve, ignoreBounds=True)
                curve.viewTransformChanged()
            rows = values[:, column]
            # a class that plays no part would only thicken the bottom line
            if len(rows) and float(np.abs(np.nan_to_num(rows)).max(initial=0.0)) > 0.02:
                curve.setData(times, rows)
                curve.show()
            else:
                curve.hide()

    def _tell(self, person: int) -> None:
        """Who it is, and that person's shares of the time."""
        self.title.setText(self._names.get(person) or ("Faces" if person < 0 else f"Person {person}"))
        parts = self._history.shares(person)
        top = sorted(parts, key=lambda item: -item[1])[:3]
        self.legend.setText(
            "   ".join(f"{Emotion.of(label).display} {percent(part)}" for label, part in top if part >= 0.01)
        )
        self.legend.setToolTip("Share of this person's time so far")
        self.distribution.show()
        self.distribution.show_classes([(Emotion.of(label), part) for label, part in parts], "", short=True)

    def _begin_anew(self) -> None:
        self._drawn = NOTHING
        self._told = -math.inf

    def _moved(self, *_: object) -> None:
        if self._following:
            self._following = False
            self.follow.show()

    def _clicked(self, event: Any) -> None:
        box = self.plot.getPlotItem().getViewBox()
        if event.button() != Qt.MouseButton.LeftButton or not box.sceneBoundingRect().contains(event.scenePos()):
            return
        self.sought.emit(float(box.mapSceneToView(QPointF(event.scenePos())).x()))
