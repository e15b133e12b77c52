"""Recording from the window when something goes wrong: what is lost is told at once, in the session and at the end."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import shutil
from pathlib import Path

import pytest
from conftest import MakeClip
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.config import CaptureConfig, Config
from edgeemo.recording import load
from edgeemo.report.page import page
from edgeemo.ui.player import State
from edgeemo.ui.window import Window


def start(qtbot: QtBot, window: Window, video: str) -> None:
    window.settings.video = video
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.recorder is not None and window.recording.recorder.frames > 5)


@pytest.mark.parametrize("video", ["none", "whole"])
def test_a_session_folder_that_is_removed_ends_the_recording_with_a_message(
    qtbot: QtBot, make: Windows, tmp_path: Path, video: str
) -> None:
    window = make()
    start(qtbot, window, video)
    (folder,) = (tmp_path / "sessions").iterdir()
    shutil.rmtree(folder)
    qtbot.waitUntil(lambda: not window.recording.active, timeout=10_000)
    qtbot.waitUntil(lambda: "moved or deleted" in window.banner.text)
    assert window.banner.kind == "error"
    assert window.video.recording == ""
    assert window.player.state is State.PLAYING


def test_a_disk_that_fills_up_is_told_before_during_and_after(
    qtbot: QtBot, make: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    window = make()
    start(qtbot, window, "whole")
    assert window.video.recording.endswith("video")
    usage = usage._replace(free=500 << 20)
    qtbot.waitUntil(lambda: "disk is nearly full" in window.banner.text, timeout=10_000)
    usage = usage._replace(free=50 << 20)
    qtbot.waitUntil(lambda: "The video could not go on" in window.banner.text, timeout=10_000)
    assert window.recording.active
    assert window.video.recording.endswith("data only")
    window.record_or_end()
    qtbot.waitUntil(lambda: "Recorded with losses" in window.banner.text)
    assert "the video could not go on" in window.banner.text
    (folder,) = (tmp_path / "sessions").iterdir()
    assert "the video could not go on" in page([("", [load(folder)])])


def test_an_analysed_file_that_is_damaged_says_so_in_window_session_and_report(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path, make_clip: MakeClip
) -> None:
    from edgeemo.capture import open_source

    clip = make_clip("talk.avi", frames=200)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 3
    data[middle : middle + len(data) // 4] = bytes(len(data) // 4)
    clip.write_bytes(data)
    studio.clip = open_source  # type: ignore[assignment]
    window = make(Config(source="clip.mp4", capture=CaptureConfig()), begin=False)
    window.analyse_file(clip)
    qtbot.waitUntil(lambda: "talk" in window.banner.text, timeout=20_000)
    assert window.banner.kind == "error"
    assert "could not be read" in window.banner.text
    (folder,) = (tmp_path / "sessions").iterdir()
    recording = load(folder)
    assert 0 < len(recording.frames) < 200
    lost = 200 - len(recording.frames)
    assert f"{lost} of the 200 frames" in " ".join(recording.missing)
    assert f"{lost} of the 200 frames" in page([("", [recording])])
