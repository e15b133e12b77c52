"""Closing the window ends every thread; the window answers while a source is opened."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pytest
from PyQt6.QtCore import QSettings
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from sessions import record
from windows import Clip, Studio, Windows, shows

from edgeemo.errors import SinkError
from edgeemo.recording import load
from edgeemo.ui.player import PlayerState
from edgeemo.ui.settings import Settings
from engines.bundle import ZOO

# %s: what keeps a thread in native code when the window closes
CLOSING = """
import sys
import time
import edgeemo.ui.app as app
from PyQt6.QtCore import QTimer
from edgeemo.cli import main

class Closing(app.Window):
    def begin(self):
        super().begin()
        self.player.arrived.connect(self.measure)

    def measure(self):
        self.player.arrived.disconnect(self.measure)
        %s
        QTimer.singleShot(%d, self.close)

class Slow:
    def __del__(self):
        time.sleep(1)  # the interpreter still ends when the network's run returns

slow = Slow()
app.Window = Closing
sys.exit(main(["--source", "demo"]))
"""


def own_threads(before: set[threading.Thread]) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread not in before]


def test_closing_ends_every_thread(qtbot: QtBot, make: Windows) -> None:
    before = set(threading.enumerate())
    window = make()
    shows(qtbot, window)
    assert own_threads(before)
    began = monotonic()
    window.close()
    assert monotonic() - began < 2.0
    assert own_threads(before) == []


def test_closing_while_a_source_is_slow_ends_every_thread(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    before = set(threading.enumerate())
    studio.clip = lambda name: Clip(name, stuck=True)
    window = make()
    shows(qtbot, window)
    window.close()
    assert own_threads(before) == []


def test_closing_while_a_session_is_being_opened_closes_that_too(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    before = set(threading.enumerate())
    studio.delay = 0.3
    window = make()
    qtbot.waitUntil(lambda: bool(studio.configs))
    window.close()
    assert own_threads(before) == []
    assert window.player.state is not PlayerState.PLAYING


def test_closing_a_paused_window_ends_every_thread(qtbot: QtBot, make: Windows) -> None:
    before = set(threading.enumerate())
    window = make()
    shows(qtbot, window)
    window.player.pause()
    window.close()
    assert own_threads(before) == []


def test_edits_that_are_made_while_a_source_opens_are_written_when_the_window_closes(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    folder = record(tmp_path / "sessions")
    store = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    window = make(begin=False, settings=Settings(store))
    release = threading.Event()
    try:
        window.library.replay(folder)
        qtbot.waitUntil(lambda: window.replay.recording is not None)
        # as a source or an engine whose opening takes long
        window.player.in_background(partial(release.wait, 30), lambda: None, lambda error: None)  # type: ignore[arg-type]
        window.replaying.review.name(1, "Anna")
        window.mark("late")
        window.take_snapshot()
        window.close()
        read = load(folder.path)
        assert [track.name for track in read.tracks] == ["Anna"]
        assert "late" in [marker.label for marker in read.markers]
        assert len(list((tmp_path / "Pictures").iterdir())) == 1
        assert "geometry" in (tmp_path / "settings.ini").read_text()
    finally:
        release.set()


def test_a_write_that_fails_while_the_window_closes_is_logged(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replayed = record(tmp_path / "sessions", frames=5)
    studio.closing = SinkError("csv:rows.csv: the disk is full")
    (tmp_path / "file").touch()
    window = make(settings=Settings(QSettings(str(tmp_path / "file" / "s.ini"), QSettings.Format.IniFormat)))
    shows(qtbot, window)
    window.library.export([replayed], tmp_path / "none" / "out.csv")
    window.replaying.review.begin(load(replayed.path))
    shutil.rmtree(replayed.path)
    window.replaying.review.name(1, "Anna")
    window.close()
    told = "\n".join(each.getMessage() for each in caplog.records if each.levelname == "ERROR")
    for expected in ("the disk is full", "people.json", str(replayed.path), "cannot write the settings"):
        assert expected in told
    assert "Traceback" not in caplog.text


def test_the_window_answers_while_a_session_is_being_opened(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.delay = 0.4
    window = make()
    assert window.player.state is PlayerState.OPENING
    assert "Opening" in window.video.message
    assert not window.toolbar.start_button.isEnabled()
    assert window.toolbar.stop_button.isEnabled()
    turns = 0
    while window.player.state is PlayerState.OPENING and turns < 10_000:
        QApplication.processEvents()
        sleep(0.001)
        turns += 1
    assert turns > 10
    shows(qtbot, window)


def closed(tmp_path: Path, step: str, after_ms: int) -> subprocess.CompletedProcess[str]:
    # neither settings nor remembered speeds
    own = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path))
    environment = {**os.environ, **own, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", CLOSING % (step, after_ms)]
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not (ZOO / "densenet" / "manifest.json").is_file(), reason="not trained yet")
def test_closing_while_an_engine_is_measured_ends_without_a_crash(tmp_path: Path) -> None:
    step = 'self.live.find_facts(["densenet", "hybrid"], True, lambda facts: None)'
    done = closed(tmp_path, step, 2000)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("after_ms", [400, 900])
def test_closing_during_the_self_test_ends_without_a_crash(tmp_path: Path, after_ms: int) -> None:
    done = closed(tmp_path, "self.dialogs.show_doctor()", after_ms)
    assert done.returncode == 0, done.stderr
