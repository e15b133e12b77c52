"""The history and the timeline of the window, and keys that set markers."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import frame
from fakes import result as made_result
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.ui.history import MOST_PEOPLE, MOST_ROWS, History, thinned
from edgeemo.ui.settings import Settings
from edgeemo.ui.timeline import Timeline
from engines import LABELS

# history and timeline


@pytest.mark.parametrize("faces", [0, 1, 3])
def test_history_keeps_a_row_a_face_and_frame(faces: int) -> None:
    history = History()
    for index in range(600):
        history.add(made_result(faces, index=index))
    assert history.people == list(range(1, faces + 1))
    for person in history.people:
        series = history.series(person)
        assert len(series.times) == 600
        assert dict(history.shares(person))["happiness"] == pytest.approx(1)
    assert len(history.series(99).times) == 0
    assert history.shares(99) == []


def test_unsure_time_is_told_apart_as_in_reports() -> None:
    history = History()
    for index in range(101):
        shown = made_result(1, index=index)
        history.add(replace(shown, doubts=(("face 31 px",),)) if index < 50 else shown)
    shares = dict(history.shares(1))
    assert (shares["unsure"], shares["happiness"]) == pytest.approx((0.5, 0.5))
    history.add(made_result(1, index=81))  # the file is played again from there
    assert dict(history.shares(1))["unsure"] == pytest.approx(50 / 81)


def test_history_does_not_grow_for_ever() -> None:
    history = History()
    frame = made_result(1)
    for index in range(MOST_ROWS + 5000):
        history.add(replace(frame, frame=replace(frame.frame, index=index, time=index / 25)))
    series = history.series(1)
    assert len(series.times) <= MOST_ROWS
    assert series.times[-1] == pytest.approx((MOST_ROWS + 4999) / 25)
    assert (np.diff(series.times) > 0).all()


def test_a_street_full_of_passers_by_does_not_fill_the_memory() -> None:
    history = History()
    seen = made_result(1)
    for number in range(1, 2 * MOST_PEOPLE):
        faces = replace(seen.faces, ids=np.array([number], np.int64))
        history.add(replace(seen, faces=faces, frame=replace(seen.frame, time=float(number))))
    assert len(history.people) == MOST_PEOPLE
    assert history.people[-1] == 2 * MOST_PEOPLE - 1


def test_a_plot_gets_few_rows_and_a_gap_where_the_face_was_away() -> None:
    history = History()
    for index in [*range(2000), *range(4000, 5000)]:
        history.add(made_result(1, index=index))
    times, values = thinned(history.series(1), 0, 1000, 300)
    assert len(times) < 400
    assert np.isnan(values).any(axis=1).sum() == 1
    few, _ = thinned(history.series(1), 10, 12, 300)
    assert 45 < len(few) < 60
    nobody, none = thinned(history.series(7), 0, 10, 300)
    assert len(nobody) == len(none) == 0


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    made = Timeline()
    qtbot.addWidget(made)
    made.resize(600, 200)
    made.show()
    return made


def test_the_timeline_follows_until_somebody_moves_it(qtbot: QtBot, timeline: Timeline) -> None:
    history = History()
    timeline.show_history(history)
    for index in range(2000):
        history.add(made_result(2, index=index))
    timeline.refresh()
    (begin, end), _ = timeline.plot.getPlotItem().getViewBox().viewRange()
    assert end == pytest.approx(history.end)
    assert end - begin == pytest.approx(30)
    assert timeline.title.text() == "Person 1"
    assert "Happiness 100 %" in timeline.legend.text()
    timeline.plot.getPlotItem().getViewBox().sigRangeChangedManually.emit([True, False])
    assert timeline.follow.isVisible()
    qtbot.mouseClick(timeline.follow, Qt.MouseButton.LeftButton)
    assert not timeline.follow.isVisible()
    timeline.show_person(2)
    assert timeline.title.text() == "Person 2"


def test_the_timelines_words_catch_up_after_the_last_picture(qtbot: QtBot, timeline: Timeline) -> None:
    history = History()
    timeline.show_history(history)
    history.add(made_result(1, index=0))
    timeline.refresh()
    assert timeline.title.text() == "Person 1"
    assert timeline.legend.text() == ""
    history.add(made_result(1, index=1))
    timeline.refresh()
    assert timeline.legend.text() == ""  # updated just now
    qtbot.waitUntil(lambda: timeline.legend.text() == "Happiness 100 %")


def test_a_click_in_the_timeline_seeks(qtbot: QtBot, timeline: Timeline) -> None:
    history = History()
    for index in range(100):
        history.add(made_result(1, index=index))
    timeline.show_history(history, whole=True)
    with qtbot.waitSignal(timeline.sought) as sought:
        qtbot.mouseClick(
            timeline.plot.viewport(), Qt.MouseButton.LeftButton, pos=timeline.plot.viewport().rect().center()
        )
    assert 1 < sought.args[0] < 3


def test_the_window_fills_the_timeline_and_a_card_chooses_the_person(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    studio.faces = 2
    window = make()
    shows(qtbot, window)
    qtbot.waitUntil(lambda: window.timeline.title.text() == "Person 1")
    qtbot.mouseClick(window.faces.cards[1], Qt.MouseButton.LeftButton)
    assert window.timeline.person == 2
    window.faces.cards[0].setFocus()
    qtbot.keyClick(window.faces.cards[0], Qt.Key.Key_Return)
    assert window.timeline.person == 1


def test_keys_set_markers(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    window.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_M)
    qtbot.keyClick(window, Qt.Key.Key_3)
    assert [marker.label for marker in window.history.markers] == ["mark 1", "3"]


def test_the_timeline_can_be_hidden_and_stays_so(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    store = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    window = make(settings=Settings(store), begin=False)
    assert window.timeline.isVisible()
    window.menus.timeline_action.trigger()
    assert not window.timeline.isVisible()
    again = make(settings=Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)), begin=False)
    assert not again.timeline.isVisible()


def test_a_class_that_another_engine_lacks_is_not_shown_for_everyone(qtbot: QtBot) -> None:
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.show()
    shown = made_result(1)
    for labels, title in ((LABELS, "Other of everyone"), (LABELS[:8], "Person 1")):
        history = History()
        values = shown.probabilities[:, : len(labels)]
        for index in range(3):
            history.add(replace(shown, labels=labels, probabilities=values, raw=values, frame=frame(index)))
        timeline.show_history(history)
        timeline.show_everyone("other")
        assert timeline.title.text() == title


def test_the_plot_is_saved_without_a_mouse(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make()
    shows(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    (dialog,) = window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "plot.svg"))
    assert "Plot written" in window.banner.text
    assert (tmp_path / "plot.svg").stat().st_size > 0
