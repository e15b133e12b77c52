"""Seeking in a file that plays in a real window: times, frames and speeds."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeClip
from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.capture import open_source
from edgeemo.capture.ffmpeg import open_video
from edgeemo.capture.file import play
from edgeemo.capture.playhead import Playhead, SeekTarget, go_to
from edgeemo.config import Config
from edgeemo.ui.player import PlayerState
from edgeemo.ui.window import Window

FRAMES, FPS = 50, 25
WAIT_MS = 20_000


@pytest.fixture
def window(qtbot: QtBot, make: Windows, studio: Studio, make_clip: MakeClip) -> Window:
    """A window that plays a clip whose frame n has grey level 20 + 4n, paused at its beginning."""
    clip = make_clip("talk.mp4", frames=FRAMES)
    studio.clip = partial(open_source, paced=True)  # type: ignore[assignment]
    window = make(Config(source=str(clip)))
    shows(qtbot, window)
    window.player.pause()
    qtbot.waitUntil(window.file_bar.isVisible, timeout=WAIT_MS)
    return window


def is_at(window: Window, frame: int) -> None:
    """Whether clock and picture are those of a frame."""
    shown = window.video.result
    assert shown is not None
    assert shown.frame.time == pytest.approx(frame / FPS, abs=1e-3)
    assert float(shown.frame.image.mean()) == pytest.approx(20 + 4 * frame, abs=8)


def waits_for(qtbot: QtBot, window: Window, frame: int) -> None:
    qtbot.waitUntil(lambda: is_at(window, frame), timeout=WAIT_MS)


def test_a_paused_file_goes_to_places_and_frames_by_slider_and_keys(qtbot: QtBot, window: Window) -> None:
    bar = window.file_bar
    bar.slider.setValue(1200)
    waits_for(qtbot, window, 30)
    assert window.video.paints.delay() is not None, "the latency of a file is not known"
    for key, modifier, frame in (
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 31),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 32),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 31),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 30),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier, 0),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 0),
        (Qt.Key.Key_End, Qt.KeyboardModifier.NoModifier, FRAMES - 1),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, FRAMES - 2),
        (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier, 0),
    ):
        qtbot.keyClick(window.video, key, modifier)
        waits_for(qtbot, window, frame)
    assert window.player.state is PlayerState.PAUSED
    window.timeline.sought.emit(0.4)
    waits_for(qtbot, window, 10)
    assert bar.place.text() == "0:00.4 of 0:02.0"
    # the timeline has one value per frame, however often it was shown
    for person in window.history.people:
        times = window.history.series(person).times
        assert (times[1:] > times[:-1]).all()
    assert window.history.end == pytest.approx(0.4, abs=1e-3)


def test_many_places_asked_for_at_once_end_at_the_last(qtbot: QtBot, window: Window) -> None:
    for place in range(100, 1700, 40):
        window.file_bar.slider.setValue(place)
    waits_for(qtbot, window, 41)  # 1660 ms: the frame nearest to it


def test_a_file_that_has_ended_can_be_wound_back_and_speeds_hold(qtbot: QtBot, window: Window) -> None:
    assert [window.file_bar.set_speed(speed) for speed in (0.25, 4.0)] == [None, None]
    assert window.player.playhead is not None
    assert window.player.playhead.speed == 4.0
    window.start_or_pause()
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED, timeout=WAIT_MS)
    assert window.file_bar.isVisible()
    window.file_bar.seek(1.0)
    qtbot.waitUntil(lambda: window.player.state is PlayerState.PLAYING, timeout=WAIT_MS)
    assert window.player.playhead is not None
    assert window.player.playhead.speed == 4.0
    first: list[float] = []
    window.player.arrived.connect(lambda result: first.append(result.frame.time))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED, timeout=WAIT_MS)
    assert min(first) >= 0.99


def test_a_place_in_a_file_that_cannot_be_opened_again_is_not_sought_in_another(
    qtbot: QtBot, window: Window, make_clip: MakeClip
) -> None:
    window.start_or_pause()
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED, timeout=WAIT_MS)
    gone = Path(window.config.source)
    other = gone.rename(gone.with_name("other.mp4"))
    window.file_bar.go_to_edge(end=False)
    qtbot.waitUntil(lambda: window.player.state is PlayerState.FAILED, timeout=WAIT_MS)
    window.live.choose_source(str(other))
    qtbot.waitUntil(lambda: window.player.state is PlayerState.PLAYING, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: window.player.state is PlayerState.ENDED, timeout=WAIT_MS)


def test_a_recording_and_a_replay_keep_the_file_from_being_wound(qtbot: QtBot, window: Window) -> None:
    asked = window.recording.changed.connect(lambda: window.file_bar.seek(1.0))  # before the bar is updated
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active, timeout=WAIT_MS)
    window.recording.changed.disconnect(asked)
    shown = window.video.result
    window.showing.show_figures()
    assert not window.file_bar.isEnabled()
    window.file_bar.seek(1.0)
    assert window.player.playhead is not None
    assert not window.player.playhead.has_seeked
    assert window.video.result is shown
    window.record_or_end()
    qtbot.waitUntil(lambda: not window.recording.active)
    window.showing.show_figures()
    assert window.file_bar.isEnabled()


class ClockedPlayhead(Playhead):
    """Its clock advances only while it sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 100.0

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_the_speed_is_that_of_the_clock_and_no_frame_is_left_out(make_clip: MakeClip) -> None:
    clip = str(make_clip("talk.mp4", frames=FRAMES))
    video = open_video(clip)
    assert video is not None
    playhead = ClockedPlayhead()
    playhead.speed = 4.0
    passed: list[tuple[float, float]] = []  # media time, clock
    for frame in play(lambda: video, clip, "talk.mp4", paced=True, playhead=playhead):
        passed.append((frame.time, playhead.clock))
        if len(passed) == 20:
            playhead.speed = 0.25
    assert len(passed) == FRAMES
    media, clock = np.diff(np.array(passed), axis=0).T
    np.testing.assert_allclose(media, 1 / FPS, atol=2e-3)
    np.testing.assert_allclose(clock[:19], 1 / FPS / 4, atol=2e-3)
    # the frame after the change is due at once, and the pace starts with it
    np.testing.assert_allclose(clock[20:], 4 / FPS, atol=8e-3)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv", "clip.mp4"])
def test_every_frame_of_a_container_is_found_and_the_one_before(name: str, make_clip: MakeClip) -> None:
    video = open_video(str(make_clip(name, frames=FRAMES)))
    assert video is not None
    assert video.can_seek
    for frame in (33, 7, 49, 0, 12):
        assert go_to(video, SeekTarget(frame / FPS))
        assert video.time == pytest.approx(frame / FPS, abs=2e-3)
        assert go_to(video, SeekTarget(frame / FPS, before=True))
        assert video.time == pytest.approx(max(0, frame - 1) / FPS, abs=2e-3)
    assert go_to(video, SeekTarget(99.0))
    assert video.time == pytest.approx((FRAMES - 1) / FPS, abs=2e-3)
    video.close()


def test_a_looped_file_is_not_wound(make_clip: MakeClip) -> None:
    clip: Path = make_clip("a.mp4", frames=5)
    assert open_source(str(clip), loop=True, paced=True).playhead is None  # type: ignore[attr-defined]
    assert open_source(str(clip)).playhead is None  # type: ignore[attr-defined]
