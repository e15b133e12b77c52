"""Probabilities over time, of one person or of everyone.

Zoom with the wheel or keys, move by dragging or with keys, click to go there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

import numpy as np
from PyQt6.QtCore import QPoint, Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from edgeemo.report.classes import DASHED, UNSURE, folded, shown_classes
from edgeemo.types import F32
from edgeemo.ui.bars import Bars
from edgeemo.ui.history import History, thinned
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr
from edgeemo.ui.plot_file import ask_and_save
from edgeemo.ui.settings import Settings
from edgeemo.ui.theme import LIGHT, Theme, named, person_colour, readable
from edgeemo.ui.timeline_plot import Line, ProbabilityPlot
from edgeemo.ui.words import name_of, percent, person_name

REFRESH_MS = 100  # interval of redrawing the plot
WORDS_S = 0.5  # interval of updating the text above the plot
SPAN_S = 30.0  # visible time range while the plot follows the newest frame
SHORTEST_S, LONGEST_S = 0.2, 24 * 3600.0  # limits of zooming with keys
POINTS = 300  # points per curve
LEAST_SHOWN = 0.02  # classes that never exceed this are not drawn
LEAST_TOLD = 0.01  # smaller values are not listed above the plot
BETWEEN = "   "
MOST_LINES = 12  # maximum number of persons in the plot and in the menu
NOTHING = (-1, -1, 0.0, 0.0)  # rows, person, begin and end of the drawn curves
NARROW = 560  # width below which the names at the right are hidden


class Timeline(QWidget):
    """Follows the newest frame until the user zooms or drags; the button "Follow" resumes.

    Signals:
        sought: media time in seconds that was clicked.
        chosen: number of the person selected in the menu.
        saved: Path of a plot.
        failed: an exception: the plot could not be saved.
    """

    sought = pyqtSignal(float)
    chosen = pyqtSignal(int)
    saved = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, settings: Settings | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings or Settings()
        self.setObjectName("timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumHeight(118)
        self._theme = LIGHT
        self._history = History()
        self._person: int | None = None
        self._everyone = ""  # the class chosen for everyone
        self._hidden: set[str] = set()  # hidden classes
        self._at: float | None = None  # the cursor's media time
        self._hover: float | None = None
        self._drawn = NOTHING
        self._texts_at = -math.inf  # clock time of the last text update
        self._texts_stale = False  # whether the plot changed since then
        self._following = True
        self._whole = False  # shows a complete recording instead of following
        self._baseline_of: Callable[[int], F32 | None] = lambda person: None
        self._names: Mapping[int, str] = {}
        self.plot = ProbabilityPlot()
        self.plot.getPlotItem().setXRange(0, SPAN_S, padding=0)
        self.plot.getPlotItem().getViewBox().sigRangeChangedManually.connect(self._moved)
        self.plot.sought.connect(self.sought)
        self.plot.hovered.connect(self._on_hover)
        self.plot.asked.connect(self._on_asked)
        self.axis = self.plot.axis
        self._make_header()
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(REFRESH_MS)
        self.set_theme(LIGHT)

    @property
    def history(self) -> History:
        return self._history

    @property
    def person(self) -> int | None:
        """The person shown: the selected one if present at the cursor or newest frame, else another visible one."""
        time = self._history.end if self._at is None else self._at
        return self._history.shown_at(time, self._person)

    @property
    def _shared(self) -> str:
        """The class shown for everyone, if the history has it; empty: one person is shown."""
        return self._everyone if self._everyone in shown_classes(self._history.labels) else ""

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.plot.set_theme(theme)
        self.distribution.set_theme(theme)
        self._restart()

    def show_names(self, names: Mapping[int, str]) -> None:
        """Show these names instead of numbers."""
        self._names = names
        self._restart()

    def change_history(self, history: History) -> None:
        """Show the same time range of a history after changes of persons or markers."""
        self._history = history
        self._restart()
        self.show_markers()
        self.refresh()

    def show_history(self, history: History, *, whole: bool = False) -> None:
        """Show another history: completely, or its newest seconds."""
        self._history = history
        self._person = None
        self._restart()
        self._whole, self._following = whole, not whole
        self.follow.hide()
        self._at = None
        self.plot.cursor.hide()
        if whole:
            self._show_all()
        self.show_markers()
        self.refresh()

    def show_baselines(self, baseline_of: Callable[[int], F32 | None]) -> None:
        """Set the function that returns a person's (K,) neutral baseline or None."""
        self._baseline_of = baseline_of
        self._restart()

    def show_person(self, person: int | None) -> None:
        """Show one person; None: whoever is present."""
        self._person, self._everyone = person, ""
        self._restart()
        self.refresh()
        if person is not None:
            self.chosen.emit(person)

    def show_everyone(self, shown: str) -> None:
        """Show one class for everyone, one curve per person."""
        self._everyone = shown
        self._restart()
        self.refresh()

    def show_class(self, shown: str, visible: bool) -> None:
        """Show or hide the curve of a class."""
        (self._hidden.discard if visible else self._hidden.add)(shown)
        self._restart()
        self.refresh()

    def show_cursor(self, time: float) -> None:
        self._at = time
        self.plot.cursor.setValue(time)
        self.plot.cursor.show()

    def show_markers(self) -> None:
        self.plot.show_markers(self._history.markers)

    def zoom(self, factor: float) -> None:
        """Multiply the visible time range; the cursor stays in place, else the newest frame, else the middle."""
        begin, end = self.plot.view
        factor = min(max(factor, SHORTEST_S / (end - begin)), LONGEST_S / (end - begin))
        at = end if self._following else (begin + end) / 2
        if self._at is not None and begin <= self._at <= end:
            at = self._at
        self._show_range(at - (at - begin) * factor, at + (end - at) * factor)

    def pan(self, share: float) -> None:
        """Move the visible time range by a share of its length; negative: back."""
        begin, end = self.plot.view
        self._show_range(begin + share * (end - begin), end + share * (end - begin))

    def ask_for_file(self) -> None:
        """Ask for a file and save the plot."""
        ask_and_save(self, self._settings, self.saved.emit, self.failed.emit)

    def reset_range(self) -> None:
        """Follow the newest frame again; show all of a replay."""
        if self._whole:
            self._show_all()
            self.refresh()
        else:
            self.go_on_following()

    def go_on_following(self) -> None:
        self._following = True
        self.follow.hide()
        self.refresh()

    def refresh(self) -> None:
        """Redraw if there are new rows and the timeline is visible; cheap otherwise."""
        if not self.isVisible():
            return
        history = self._history
        if history.begin is not None:
            self.plot.begin_at(history.begin)
        if self._following:
            end = max(history.end, (history.begin or 0.0) + SPAN_S)
            self.plot.getPlotItem().setXRange(end - SPAN_S, end, padding=0)
        begin, end = self.plot.view
        person = self.person
        state = (history.rows, -2 if person is None else person, begin, end)
        if state != self._drawn:
            self._drawn = state
            self._texts_stale = True
            wide = self.width() >= NARROW
            self.plot.names.setVisible(wide)
            self.classes.setVisible(wide and person is not None)
            self.people.setVisible(person is not None)
            self.distribution.setVisible(wide and person is not None and not self._shared)
            if person is None:
                self._show_nobody()
            else:
                self.plot.show_lines(self._lines(person, begin, end))
        # without a new row too, so that the text matches the plot after the last picture
        if self._texts_stale and person is not None and monotonic() - self._texts_at >= WORDS_S:
            self._texts_stale, self._texts_at = False, monotonic()
            self._show_texts(person)

    def _lines(self, person: int, begin: float, end: float) -> list[Line]:
        baseline = self._baseline_of(person)
        self.relative.setVisible(baseline is not None and not self._shared)
        if self.relative.isChecked() and (baseline is None or self._shared):
            self.relative.setChecked(False)
        keys = shown_classes(self._history.labels)
        if self._shared:
            return self._lines_of_everyone(keys.index(self._shared), begin, end)
        times, values = thinned(self._history.series(person), begin, end, POINTS)
        if baseline is not None and self.relative.isChecked():
            values = np.asarray(values - baseline, np.float32)
        columns = folded(values, self._history.labels).T
        return [
            Line(key, name_of(key), self._theme.classes[key], key in DASHED, times, rows)
            for key, rows in zip(keys, columns, strict=True)
            if key not in self._hidden
            and len(rows)
            and float(np.abs(np.nan_to_num(rows)).max(initial=0.0)) > LEAST_SHOWN
        ]

    def _lines_of_everyone(self, column: int, begin: float, end: float) -> list[Line]:
        lines: list[Line] = []
        for person in self._history.people:
            times, values = thinned(self._history.series(person), begin, end, POINTS)
            seen = (times >= begin) & (times <= end)
            if not seen.any() or len(lines) == MOST_LINES:
                continue
            colour = readable(person_colour(person).name(), self._theme.surface)
            rows = np.asarray(folded(values, self._history.labels)[:, column], np.float32)
            lines.append(Line(f"person {person}", self._called(person), colour, False, times, rows))
        return lines

    def _called(self, person: int) -> str:
        return self._names.get(person) or (tr("Faces") if person < 0 else person_name(person))

    def _show_nobody(self) -> None:
        self._texts_at = -math.inf
        self.title.setText(tr("Timeline"))
        self.dot.hide()
        self.legend.setText(tr("Expressions over time appear here."))
        self.plot.show_lines([])

    def _show_texts(self, person: int) -> None:
        """Show the person and shares of time, or the values under the pointer."""
        if self._shared:
            self.title.setText(tr("{expression} of everyone", expression=name_of(self._shared)))
            self.dot.hide()
            self.legend.setText("")
            return
        self.title.setText(self._called(person))
        self.dot.setVisible(person > 0)
        self.dot.setStyleSheet(f"background: {person_colour(person).name()}; border-radius: 5px;")
        keys = shown_classes(self._history.labels)
        parts = np.array([part for _, part in self._history.shares(person)], np.float32)
        shares: list[tuple[str, float]] = []
        if len(parts):
            values = [*folded(parts[:-1], self._history.labels).tolist(), float(parts[-1])]
            shares = list(zip((*keys, UNSURE), values, strict=True))
        self.legend.setText(self._fitting(self._under_pointer(person) or _ranked(shares)))
        self.legend.setToolTip(tr("Share of this person's time so far"))
        self.distribution.show_classes(shares, "", short=True)

    def _fitting(self, words: list[str]) -> str:
        """As many of the texts as fit."""
        while words and self.legend.fontMetrics().horizontalAdvance(BETWEEN.join(words)) > self.legend.width():
            words = words[:-1]
        return BETWEEN.join(words)

    def _under_pointer(self, person: int) -> list[str]:
        """The values under the pointer, for example "0:12", "Happiness 80 %", "Neutral 12 %"; empty without data."""
        values = None if self._hover is None else self._history.values_at(person, self._hover)
        if self._hover is None or values is None:
            return []
        keys = shown_classes(self._history.labels)
        pairs = list(zip(keys, folded(values, self._history.labels).tolist(), strict=True))
        return [*self.axis.tickStrings([self._hover], 1.0, 0.1), *_ranked(pairs)]

    def _restart(self) -> None:
        self._drawn = NOTHING
        self._texts_at = -math.inf

    def _show_range(self, begin: float, end: float) -> None:
        self._moved()
        self.plot.getPlotItem().setXRange(begin, end, padding=0)
        self.refresh()

    def _show_all(self) -> None:
        begin = self._history.begin or 0.0
        self.plot.getPlotItem().setXRange(begin, max(self._history.end, begin + 1.0), padding=0.01)

    def _moved(self, *_: object) -> None:
        if self._following:
            self._following = False
            self.follow.show()

    def _on_hover(self, time: float | None) -> None:
        self._hover = time
        self._texts_at, self._texts_stale = -math.inf, True

    def _on_relative(self, relative: bool) -> None:
        self.plot.show_relative(relative)
        self._restart()
        self.refresh()

    def _on_asked(self, where: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Save as PNG or SVG…"), self.ask_for_file)
        menu.popup(where)

    def _fill_people(self) -> None:
        self.people_menu.clear()
        self.people_menu.addAction(tr("Whoever is there"), partial(self.show_person, None))
        for person in self._history.people[-MOST_LINES:]:
            self.people_menu.addAction(self._called(person).replace("&", "&&"), partial(self.show_person, person))
        everyone = self.people_menu.addMenu(tr("Everyone"))
        for key in shown_classes(self._history.labels):
            if everyone is not None:
                everyone.addAction(name_of(key), partial(self.show_everyone, key))

    def _fill_classes(self) -> None:
        self.classes_menu.clear()
        for key in shown_classes(self._history.labels):
            action = self.classes_menu.addAction(name_of(key))
            if action is not None:
                action.setCheckable(True)
                action.setChecked(key not in self._hidden)
                action.toggled.connect(partial(self.show_class, key))

    def _make_header(self) -> None:
        self.dot = Label()
        self.dot.setFixedSize(10, 10)
        self.dot.hide()
        self.title = named(Label(tr("Timeline")), "heading")
        self.legend = named(Label(), "muted")
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.relative = named(QPushButton(tr("Relative")), "small")
        self.relative.setCheckable(True)
        self.relative.setToolTip(tr("Show differences from the neutral baseline instead of probabilities"))
        self.relative.toggled.connect(self._on_relative)
        self.relative.hide()
        self.follow = named(QPushButton(tr("Follow")), "small")
        self.follow.setToolTip(tr("Show the newest seconds again"))
        self.follow.setAccessibleName(tr("Follow the newest frame"))
        self.follow.clicked.connect(self.go_on_following)
        self.follow.hide()
        self.people_menu, self.classes_menu = QMenu(self), QMenu(self)
        self.people_menu.aboutToShow.connect(self._fill_people)
        self.classes_menu.aboutToShow.connect(self._fill_classes)
        self.people, self.classes = (
            named(QPushButton(tr("Persons")), "small"),
            named(QPushButton(tr("Classes")), "small"),
        )
        self.people.setMenu(self.people_menu)
        self.people.setToolTip(tr("Whose curves are shown"))
        self.classes.setMenu(self.classes_menu)
        self.classes.setToolTip(tr("Which curves are shown"))
        self.distribution = Bars()
        self.distribution.setFixedWidth(140)
        self.distribution.setAccessibleName(tr("Share of time per expression so far"))
        self.distribution.hide()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(16, 4, 16, 0)
        top.setSpacing(10)
        top.addWidget(self.dot)
        top.addWidget(self.title)
        top.addWidget(self.legend, 1)
        for widget in (self.relative, self.follow, self.people, self.classes, self.distribution):
            top.addWidget(widget)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.plot, 1)
        middle.addWidget(self.plot.names)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addLayout(middle, 1)


def _ranked(pairs: list[tuple[str, float]]) -> list[str]:
    """The three largest with their percentage."""
    top = sorted(pairs, key=lambda item: -item[1])[:3]
    return [f"{name_of(key)} {percent(part)}" for key, part in top if part >= LEAST_TOLD]
