"""The timeline: classes folded into eight and "other", names at the ends, everyone at once, markers, colours."""

from __future__ import annotations

import os
import tracemalloc

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fakes import probabilities, result
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QImage, QPainter, QPixmap
from PyQt6.QtWidgets import QApplication, QFileDialog, QMenu
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.recording import Marker
from edgeemo.report.classes import folded, name_of, shown_class, shown_classes
from edgeemo.report.colours import contrast
from edgeemo.ui.history import History
from edgeemo.ui.theme import DARK, LIGHT, person_colour, readable
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.timeline_plot import MOST_LABELS, moment, spread
from engines import LABELS


def test_three_classes_that_name_no_expression_are_one_other() -> None:
    assert shown_classes(LABELS) == (*LABELS[:8], "other")
    assert shown_classes(LABELS[:8]) == LABELS[:8]
    values = np.arange(22, dtype=np.float32).reshape(2, 11)
    assert folded(values, LABELS)[:, 8].tolist() == [8 + 9 + 10, 19 + 20 + 21]
    assert folded(values[:0], LABELS).shape == (0, 9)
    assert folded(values[:, :8], LABELS[:8]) is not None
    assert [shown_class(label) for label in ("fear", "none", "unsure")] == ["fear", "other", "unsure"]
    assert [name_of(label) for label in ("fear", "no_face", "unsure")] == ["Fear", "Other", "Unsure"]


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    history = History()
    for index in range(250):
        values = probabilities(2, best=1)
        values[1] = probabilities(1, best=2)[0]
        shown = result(2, index=index)
        history.add(replace(shown, probabilities=values, raw=values))
    made = Timeline()
    qtbot.addWidget(made)
    made.resize(900, 220)
    made.show()
    made.show_history(history, whole=True)
    return made


def drawn(timeline: Timeline) -> dict[str, str]:
    return {key: curve.opts["pen"].color().name() for key, curve in timeline.plot._curves.items() if curve.isVisible()}


def test_curves_have_names_and_can_be_switched_off(timeline: Timeline) -> None:
    assert drawn(timeline) == {"happiness": LIGHT.classes["happiness"], "other": LIGHT.classes["other"]}
    assert [name for _, name, _ in timeline.plot.names._names] == [
        "Happiness"
    ]  # a curve that ends at the bottom has no name
    timeline.show_class("happiness", False)
    assert "happiness" not in drawn(timeline)
    timeline.classes_menu.aboutToShow.emit()
    (action,) = [each for each in timeline.classes_menu.actions() if each.text() == "Happiness"]
    assert not action.isChecked()
    action.trigger()
    assert "happiness" in drawn(timeline)
    timeline.set_theme(DARK)
    timeline.refresh()
    assert drawn(timeline)["happiness"] == DARK.classes["happiness"]


def test_everyone_is_shown_over_one_another(timeline: Timeline) -> None:
    timeline.people_menu.aboutToShow.emit()
    (everyone,) = timeline.people_menu.findChildren(QMenu)
    (sadness,) = [action for action in everyone.actions() if action.text() == "Sadness"]
    sadness.trigger()
    assert timeline.title.text() == "Sadness of everyone"
    assert drawn(timeline) == {
        f"person {number}": readable(person_colour(number).name(), LIGHT.surface) for number in (1, 2)
    }
    assert [name for _, name, _ in timeline.plot.names._names] == ["Person 2"]
    (second,) = [action for action in timeline.people_menu.actions() if action.text() == "Person 2"]
    second.trigger()
    assert timeline.title.text() == "Person 2"
    assert timeline.person == 2


def test_the_values_under_the_pointer_are_told(qtbot: QtBot, timeline: Timeline) -> None:
    timeline.plot.hovered.emit(5.0)
    qtbot.waitUntil(lambda: timeline.legend.text().startswith("0:05.0   Happiness 90 %"))
    timeline.plot.hovered.emit(None)
    qtbot.waitUntil(lambda: timeline.legend.text().startswith("Happiness 100 %"))


def test_keys_zoom_and_move_a_live_timeline(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    timeline = window.timeline
    window.show_timeline(True)
    qtbot.waitUntil(lambda: timeline.history.rows > 2)
    timeline.refresh()
    begin, end = timeline.plot.view  # starts at the first frame
    qtbot.keyClick(window.video, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)
    assert timeline.plot.view == pytest.approx((end - 20, end), abs=0.5), "the newest frame stays"
    assert timeline.follow.isVisible()
    qtbot.keyClick(window.video, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert timeline.plot.view[1] < end
    qtbot.keyClick(window.video, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert not timeline.follow.isVisible()
    assert timeline.plot.view == pytest.approx((begin, end), abs=1)


def test_keys_zoom_and_move_the_timeline_of_a_replay(timeline: Timeline) -> None:
    begin, end = whole = timeline.plot.view
    timeline.show_cursor(2.0)
    timeline.zoom(0.5)
    assert timeline.plot.view == pytest.approx((2 - (2 - begin) / 2, 2 + (end - 2) / 2)), "the cursor stays"
    timeline.zoom(2.0)
    assert timeline.plot.view == pytest.approx(whole)
    timeline.pan(0.25)
    assert timeline.plot.view == pytest.approx((begin + (end - begin) / 4, end + (end - begin) / 4))
    for factor, length in ((0.5, 0.2), (2.0, 24 * 3600)):
        for _ in range(40):
            timeline.zoom(factor)
        assert np.ptp(timeline.plot.view) == pytest.approx(length)
    timeline.reset_range()
    assert timeline.plot.view == pytest.approx(whole)


@pytest.mark.parametrize("span", [0.8, 3.4, 4.7, 47.0, 400.0])
def test_the_times_of_one_axis_have_as_many_decimals(timeline: Timeline, span: float) -> None:
    timeline.resize(700 if span == 3.4 else 960, 240)
    timeline.show()
    timeline.plot.getPlotItem().setXRange(0, span, padding=0)
    QApplication.processEvents()
    canvas = QPixmap(timeline.plot.axis.size().toSize())
    painter = QPainter(canvas)
    *_, texts = timeline.plot.axis.generateDrawSpecs(painter)
    painter.end()
    shown = [text for _, _, text in texts if text]
    assert len(shown) >= 2
    assert len({len(text.partition(".")[2]) for text in shown}) == 1, shown


def test_persons_who_pass_by_take_little_memory() -> None:
    history = History()
    tracemalloc.start()
    for index in range(300):
        shown = result(1, index=index)
        history.add(replace(shown, faces=replace(shown.faces, ids=np.array([index + 1]))))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(history.people) == 300
    assert taken < 1 << 20


def test_markers_side_by_side_have_labels_at_different_heights(timeline: Timeline) -> None:
    timeline.history.markers = [
        Marker(5.0, "first"),
        Marker(5.1, "second"),
        Marker(5.2, "third"),
        Marker(9.0, "film", 1),
    ]
    timeline.show_markers()
    lines = [mark for mark in timeline.plot._marks if hasattr(mark, "label")]
    heights = [line.label.orthoPos for line in lines]
    assert len(set(heights[:3])) == 3
    assert heights[3] == heights[0]
    assert len(timeline.plot._marks) == 5  # an interval also has a region


def test_following_leaves_the_markers_as_they_are_and_zooming_places_them_again(qtbot: QtBot) -> None:
    history = History()
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(900, 220)
    timeline.show()
    timeline.show_history(history)
    for index in range(100):
        history.add(result(1, index=index))
    history.markers = [Marker(1.0, "first"), Marker(1.5, "second")]
    timeline.show_markers()
    timeline.refresh()
    before = list(timeline.plot._marks)
    for index in range(100, 1200):
        history.add(result(1, index=index))
    timeline.refresh()
    assert timeline.plot.view[1] == pytest.approx(history.end)
    assert timeline.plot._marks == before
    assert len({mark.label.orthoPos for mark in before}) == 2
    timeline.plot.getPlotItem().setXRange(0, 3)
    timeline._moved()
    timeline.refresh()
    assert len({mark.label.orthoPos for mark in timeline.plot._marks}) == 1


@pytest.mark.parametrize("wanted", [[], [50], [50, 50, 50], [10, 90, 11], [99, 98, 97], [0, 0, 0, 0, 0]])
def test_names_lie_apart_and_inside(wanted: list[float]) -> None:
    places = spread(wanted, 15, 5, 95)
    assert all(below - above >= 15 for above, below in pairwise(sorted(places)))
    assert all(5 <= place <= 95 for place in places)
    assert sorted(range(len(places)), key=lambda i: places[i]) == sorted(range(len(wanted)), key=lambda i: wanted[i])


@pytest.mark.parametrize(
    ("seconds", "spacing", "words"),
    [
        (0, 5, "0:00"),
        (5, 5, "0:05"),
        (65, 5, "1:05"),
        (12.5, 0.5, "0:12.5"),
        (2.25, 0.05, "0:02.25"),
        (3725, 60, "1:02:05"),
    ],
)
def test_the_axis_says_times_as_everything_else_does(seconds: float, spacing: float, words: str) -> None:
    assert moment(seconds, spacing) == words


def test_the_plot_is_saved_as_png_and_svg(qtbot: QtBot, timeline: Timeline, tmp_path: Path) -> None:
    timeline.plot.asked.emit(timeline.mapToGlobal(timeline.rect().center()))
    menu = next(menu for menu in timeline.findChildren(QMenu) if menu.isVisible())
    menu.actions()[0].trigger()
    (dialog,) = timeline.findChildren(QFileDialog)
    for name in ("plot.png", "plot.svg"):
        with qtbot.waitSignal(timeline.saved) as saved:
            dialog.fileSelected.emit(str(tmp_path / name))
        assert saved.args == [tmp_path / name]
    image = QImage(str(tmp_path / "plot.png"))
    assert (image.width(), image.height()) == (2 * timeline.width(), 2 * timeline.height())
    colours = {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(image.height())}
    assert LIGHT.classes["happiness"] in colours
    svg = (tmp_path / "plot.svg").read_text()
    assert "Happiness" in svg
    assert svg.count("<polyline") + svg.count("<path") > 5  # curves and axes stay vectors
    with qtbot.waitSignal(timeline.failed) as failed:
        dialog.fileSelected.emit(str(tmp_path / "nowhere" / "plot.png"))
    assert "cannot write" in str(failed.args[0])
    menu.close()


def test_the_chosen_person_keeps_an_edge(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 2
    window = make()
    shows(qtbot, window)
    qtbot.waitUntil(lambda: len(window.faces.cards) == 2)
    window.timeline.show_person(2)
    assert [card.property("chosen") for card in window.faces.cards] == [False, True]
    window.timeline.show_person(1)
    assert [card.property("chosen") for card in window.faces.cards] == [True, False]


def test_a_colour_is_made_readable_and_kept_where_it_is() -> None:
    assert contrast(readable("#f0e442", "#ffffff"), "#ffffff") >= 3
    assert contrast(readable("#0000a0", "#15181d"), "#15181d") >= 3
    assert readable("#0072b2", "#ffffff") == "#0072b2"


def test_all_colours_pass_the_script() -> None:
    script = Path(__file__).parents[1] / "scripts" / "check-colours"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_thousand_markers_are_a_few_items_and_those_in_view_have_labels(timeline: Timeline) -> None:
    """Building one item per marker froze the window for seconds at every further marker."""
    timeline.history.markers = [Marker(3.0 * index, f"stimulus {index}") for index in range(1000)]
    plot = timeline.plot
    plot.getPlotItem().setXRange(300, 330, padding=0)
    timeline.show_markers()
    assert len(plot._marks) < 40
    plot.getPlotItem().setXRange(600, 630, padding=0)
    plot.show_lines([])
    labels = {mark.label.format for mark in plot._marks if hasattr(mark, "label")}
    assert {f"stimulus {index}" for index in range(200, 211)} <= labels
    plot.getPlotItem().setXRange(0, 3000, padding=0)
    plot.show_lines([])
    assert len(plot._marks) <= MOST_LABELS + 1
    without, *labelled = plot._marks
    assert len(without.xData) == 2 * (1000 - len(labelled)), "a marker has no line"


@pytest.mark.parametrize("label", ['{"trial": 1}', "{", "{value}"])
def test_a_label_with_braces_is_shown_as_it_is(timeline: Timeline, label: str) -> None:
    timeline.history.markers = [Marker(1.0, label)]
    timeline.show_markers()
    assert [mark.label.toPlainText() for mark in timeline.plot._marks] == [label]
