"""The strip of small pictures of a folder."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fakes import result as made_result
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows, shows

from edgeemo.config import Config
from edgeemo.types import Result
from edgeemo.ui.language import use_language
from edgeemo.ui.player import PlayerState
from edgeemo.ui.thumbnails import LONGEST, Thumbnails

# pictures of a folder


def test_pictures_fill_a_strip_to_step_back_in(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=4, still=True, stuck=True)
    window = make(Config(source="pictures"))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED and window.thumbnails.count() == 4)
    assert window.thumbnails.isVisible()
    window.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_Left)
    assert window.video.result is not None
    assert window.video.result.frame.index == 2
    window.thumbnails.setCurrentRow(0)
    assert window.video.result.frame.index == 0


def test_a_video_has_no_strip(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    assert not window.thumbnails.isVisible()


def test_large_pictures_are_kept_smaller_with_their_faces(qtbot: QtBot) -> None:
    strip = Thumbnails()
    qtbot.addWidget(strip)
    kept: list[Result] = []
    strip.chosen.connect(kept.append)
    strip.add(made_result(2, size=1600))
    strip.add(made_result(0, index=1, size=20))
    strip.setCurrentRow(0)
    assert kept[0].frame.image.shape[1] == LONGEST
    assert kept[0].faces.boxes[0].tolist() == pytest.approx((made_result(2).faces.boxes[0] * 0.4).tolist())


def test_pictures_to_step_back_to_are_kept_compressed_and_look_the_same(qtbot: QtBot) -> None:
    strip = Thumbnails()
    qtbot.addWidget(strip)
    shown: list[Result] = []
    strip.chosen.connect(shown.append)
    ramp = np.linspace(0, 255, 1000, dtype=np.uint8)
    image = np.dstack(
        [np.tile(ramp, (800, 1)), np.tile(ramp[:800, None], (1, 1000)), np.full((800, 1000), 90, np.uint8)]
    )
    tracemalloc.start()
    for index in range(40):
        plain = made_result(1, index=index)
        strip.add(replace(plain, frame=replace(plain.frame, image=image.copy())))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 8 << 20  # the pixels of 40 pictures are 92 MiB
    strip.setCurrentRow(7)
    assert shown[0].frame.index == 7
    assert np.abs(shown[0].frame.image.astype(int) - image).max() <= 12


def test_a_picture_without_a_face_says_so_in_german(qtbot: QtBot, qapp: QApplication) -> None:
    use_language(qapp, "de")
    strip = Thumbnails()
    qtbot.addWidget(strip)
    strip.add(made_result(0))
    use_language(qapp, "en")
    item = strip.item(0)
    assert item is not None
    assert item.toolTip() == "clip.mp4: kein Gesicht"
