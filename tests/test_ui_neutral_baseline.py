"""The neutral baseline of a person."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import result as made_result
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows, shows

from edgeemo.config import Config
from edgeemo.errors import SourceError
from edgeemo.recording import Recorder, SessionFolder, SessionInfo, load
from edgeemo.types import Frame
from edgeemo.ui.history import History
from edgeemo.ui.neutral_baseline import BaselineCapture, BaselineControl, Baselines
from engines import LABELS

# the neutral baseline


class FastClip(Clip):
    """A clip that delivers ten seconds of media time in a fraction of a second."""

    def frames(self) -> Iterator[Frame]:
        for shown in super().frames():
            yield replace(shown, time=shown.index * 0.1)


def test_the_face_at_rest_is_taken_told_kept_and_taken_back(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    studio.clip = FastClip
    window = make()
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active)
    window.neutral_baseline.take()
    assert "look neutral for 10 seconds" in window.banner.text
    qtbot.waitUntil(lambda: "baseline is taken" in window.banner.text)
    qtbot.waitUntil(lambda: window.faces.cards[0].relative.text() == "Against the neutral baseline: no difference")
    window.timeline.refresh()
    assert window.timeline.relative.isVisible()
    window.timeline.relative.click()
    assert window.timeline.relative.isChecked()
    window.recording.end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (path,) = (tmp_path / "sessions").iterdir()
    (track,) = load(path).tracks
    assert track.baseline is not None
    assert track.baseline[1] == pytest.approx(0.9, abs=0.01)
    assert track.probabilities[:, 1] == pytest.approx(0.9, abs=0.01)
    window.neutral_baseline.forget()
    qtbot.waitUntil(lambda: window.faces.cards[0].relative.isHidden())
    window.timeline.refresh()
    assert not window.timeline.relative.isVisible()


def test_a_baseline_of_another_engine_is_not_compared_with(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    studio.clip = FastClip
    window = make()
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active)
    window.neutral_baseline.take()
    qtbot.waitUntil(lambda: "baseline is taken" in window.banner.text)
    window.live.choose_preset("Calm")
    qtbot.waitUntil(lambda: bool(window.history.markers))
    assert window.neutral_baseline.baselines.of(1) is not None
    window.live.choose_engine("other")
    qtbot.waitUntil(lambda: "baselines of the other engine were removed" in window.banner.text)
    assert window.neutral_baseline.baselines.of(1) is None
    window.recording.end()
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)
    (path,) = (tmp_path / "sessions").iterdir()
    assert [track.baseline for track in load(path).tracks] == [None]


def test_a_baseline_of_other_files_of_an_engine_is_not_compared_with(
    qtbot: QtBot, make: Windows, studio: Studio
) -> None:
    """The engine is opened again with a lost source; meanwhile its folder may have been replaced."""
    studio.clip = FastClip
    window = make(Config(source="rtsp://camera/1"))
    shows(qtbot, window)
    window.neutral_baseline.take()
    qtbot.waitUntil(lambda: "baseline is taken" in window.banner.text)
    for files, kept in (("hybrid_lite", True), ("replaced", False)):
        studio.fingerprints["hybrid_lite"] = files
        opened = len(studio.configs)
        window.player._fail(window.player._ticket, SourceError("no data for 5 s"))
        window.live._reopen()
        qtbot.waitUntil(lambda opened=opened: len(studio.configs) > opened)
        shows(qtbot, window)
        qtbot.waitUntil(lambda kept=kept: ("other engine were removed" in window.banner.text) is not kept)
        assert (window.neutral_baseline.baselines.of(1) is not None) is kept


def test_going_back_in_a_file_starts_the_ten_seconds_again(qtbot: QtBot, make: Windows) -> None:
    window = make(begin=False)
    for index in range(60):
        window.history.add(made_result(1, index=index, time=100 + index))
    taken = BaselineControl(window.player, window.timeline, window.recording, window.banner, window)
    taken._taking = BaselineCapture(1, window.history.end)
    for index in range(110):
        window.history.add(made_result(1, index=index, time=50 + index / 10))
        taken.look()
    assert taken.baselines.of(1) is not None


def test_the_baseline_of_a_merged_person_is_shown(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit", "clip.mp4", "fake", LABELS))
    recorder = Recorder(folder, LABELS)
    for index in range(20):
        shown = made_result(1, index=index)
        ids = np.array([1 if index < 10 else 2], np.int64)
        recorder.write(replace(shown, faces=replace(shown.faces, ids=ids)))
    recorder.keep_baseline(2, {"neutral": 1.0})
    recorder.close()
    window = make(begin=False)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    window.replay.pause()
    window.replay.seek(0)
    assert window.faces.cards[0].relative.text() == ""
    window.replaying.review.merge([1, 2])
    assert "happiness +90" in window.faces.cards[0].relative.text()
    window.neutral_baseline.baselines.forget(1)
    window.replaying.review.name(1, "Anna")
    assert window.faces.cards[0].relative.text() == ""
    window.replaying.review.undo()
    window.replaying.review.undo()
    assert window.neutral_baseline.baselines.people == [2]


def test_without_a_face_there_is_no_face_at_rest(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 0
    window = make()
    shows(qtbot, window)
    window.neutral_baseline.take()
    assert "select a tracked face" in window.banner.text


def test_a_face_that_was_hardly_seen_gives_no_face_at_rest() -> None:
    history = History()
    for index in range(5):
        history.add(made_result(1, index=index))
    taking = BaselineCapture(1, 0.0)
    assert taking.finish(history.series(1), history.labels) is None
    assert taking.left(4.0) == pytest.approx(6)


def test_what_differs_most_from_the_face_at_rest_is_told_first() -> None:
    shown = made_result(1)
    baselines = Baselines(LABELS)
    assert baselines.words(shown, 0) == ""
    baselines.keep(1, {"happiness": 0.3, "neutral": 0.7})
    assert baselines.words(shown, 0) == "Against the neutral baseline: neutral -69, happiness +60"
