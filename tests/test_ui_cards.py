"""The cards beside the picture: texts for unsure faces."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from fakes import result as made_result
from pytestqt.qtbot import QtBot

from edgeemo.types import F32, Faces, Frame, Result
from edgeemo.ui.cards import FaceCard, FacePanel
from edgeemo.ui.video import VideoView
from edgeemo.ui.words import title_of
from engines import LABELS


def judged(values: F32, emotion: str, **changes: Any) -> Result:
    """A result of one face, 31 pixels wide."""
    box = np.array([[10, 10, 41, 41]], np.float32)
    faces = Faces(box, np.zeros((1, 6, 2), np.float32), np.ones(1, np.float32), np.ones(1, np.int64))
    shown = Frame(np.full((90, 160, 3), 90, np.uint8), 0, 0.0, "x")
    return Result(shown, faces, values, values, LABELS, (emotion,), **changes)


def test_an_unsure_face_says_so_with_the_reasons_on_its_card(qtbot: QtBot) -> None:
    panel = FacePanel()
    qtbot.addWidget(panel)
    values = np.full((1, len(LABELS)), 0.3, np.float32)
    values[0, LABELS.index("fear")] = 0.4
    panel.show_result(judged(values, "fear", doubts=(("face 31 px", "turned 38 degrees"),)))
    (card,) = panel.cards
    assert card.expression.text() == "Unsure"
    assert card.reason.text() == "Perhaps fear: face 31 px, turned 38 degrees"
    assert card.confidence.text() == "", "an unsure face has no percentage"
    panel.show_result(judged(values, "fear"))
    assert card.expression.text() == "Fear"
    assert card.reason.isHidden()


def test_a_screen_reader_is_told_of_an_unsure_face(qtbot: QtBot) -> None:
    view = VideoView()
    qtbot.addWidget(view)
    shown = made_result(2)
    for doubts, words in (((), "Happiness, Happiness"), ((("face 31 px",), ()), "Unsure, Happiness")):
        view.show_result(replace(shown, doubts=doubts))
        assert view.accessibleDescription() == words


def test_a_short_unsure_card_names_its_leading_classes(qtbot: QtBot) -> None:
    card = FaceCard()
    qtbot.addWidget(card)
    values = np.full((1, len(LABELS)), 0.001, np.float32)
    values[0, :2] = 0.51, 0.48
    card.show_face(judged(values, "happiness", doubts=(("between neutral and happiness",),)), 0, short=True)
    assert card.others.text() == "Neutral 51 %  ·  Happiness 48 %"
    card.show_face(judged(values, "neutral"), 0, short=True)
    assert card.others.text().startswith("Happiness 48 %  ·  ")


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (0.0, "Perhaps fear: 40 % sure"),
        (0.35, "Perhaps fear: 40 % sure"),
        (0.25, "Perhaps fear or anger: 40 % sure"),
        (0.12, "Perhaps fear, anger or neutral: 40 % sure"),
        (0.01, "Perhaps fear: 40 % sure"),  # more than three say nothing
    ],
)
def test_an_unsure_card_names_the_expressions_that_the_picture_allows(
    qtbot: QtBot, threshold: float, words: str
) -> None:
    panel = FacePanel()
    qtbot.addWidget(panel)
    values = np.full((1, len(LABELS)), 0.0125, np.float32)
    for name, value in (("fear", 0.4), ("anger", 0.3), ("neutral", 0.2)):
        values[0, LABELS.index(name)] = value
    panel.show_result(judged(values, "fear", doubts=(("40 % sure",),), plausible_from=threshold))
    shown = panel.cards[0].reason.text()
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == words
    assert " %" not in shown, "a line could end between the number and its unit"


def test_the_words_over_a_face_have_a_percentage_only_where_it_is_sure() -> None:
    values = np.full((1, len(LABELS)), 0.01, np.float32)
    values[0, LABELS.index("happiness")], values[0, LABELS.index("neutral")] = 0.71, 0.29
    assert title_of(judged(values, "happiness"), 0) == "#1 Happiness 71 %"
    held = judged(values, "neutral", doubts=(("between neutral and happiness",),))
    assert title_of(held, 0) == "#1 Unsure: between neutral and happiness"
    assert title_of(held, 0, names={1: "Anna"}) == "Anna Unsure: between neutral and happiness"


def test_latency_is_from_the_capture_of_a_frame_until_it_is_painted(qtbot: QtBot) -> None:
    view = VideoView()
    qtbot.addWidget(view)
    result = judged(np.full((1, len(LABELS)), 1 / len(LABELS), np.float32), "neutral")
    assert view.paints.delay() is None
    view.show_result(replace(result, frame=replace(result.frame, captured=perf_counter() - 3.0)))
    assert view.paints.delay() is None, "it is not on the screen yet"
    view.grab()
    first = view.paints.delay()
    assert first is not None
    assert first >= 3000
    view.grab()
    assert view.paints.delay() == first, "painting the same frame again is no delay"
    view.show_result(result)  # a result of a replay has no capture time
    view.grab()
    assert view.paints.delay() == first
    view.show_message("Opening …")
    assert view.paints.delay() is None
