"""The dialogs Health, Welcome and self-test, and stored settings."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path

from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtGui import QAction
from pytestqt.qtbot import QtBot
from windows import Windows, shows

from edgeemo.config import Config
from edgeemo.types import Counters
from edgeemo.ui.health import HealthDialog, Paints, power, temperatures
from edgeemo.ui.health import load as load_average
from edgeemo.ui.settings import PRESETS, Settings
from edgeemo.ui.welcome import DoctorDialog, WelcomeDialog

# health, settings, first run


def test_health_shows_stages_drops_and_the_engine(qtbot: QtBot, tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("51500\n")
    (zone / "type").write_text("cpu-thermal\n")
    monitor = tmp_path / "sys/class/hwmon/hwmon3"
    monitor.mkdir(parents=True)
    for name, value in (("name", "ina3221"), ("in1_input", "5000"), ("curr1_input", "1400")):
        (monitor / name).write_text(value)
    dialog = HealthDialog()
    qtbot.addWidget(dialog)
    paints = Paints()
    paints.add(4.0)
    stats = Counters(90, 90, 10, 3.0, 30.0, 12.5, {"detect": 3.25, "classify": 1.5})
    dialog.show_stats(stats, "hybrid_lite, fake", paints, where=tmp_path)
    shown = {name.strip(): label.text() for name, label in dialog.values.items()}
    assert shown["Engine"] == "hybrid_lite, fake"
    assert shown["Find faces"] == "3.25 ms per frame"
    assert shown["Dropped"] == "10 (10 %)"
    assert shown["Temperature"] == "cpu-thermal 52 °C"
    assert shown["Power"] == "7.0 W"
    dialog.show_stats(None, "", Paints(), where=tmp_path / "nothing")
    assert "not known" in dialog.values["Temperature"].text()
    assert temperatures(tmp_path / "nothing") == []
    assert power(tmp_path / "nothing") is None
    assert load_average(tmp_path / "nothing") == ""


def test_health_is_filled_while_it_is_open(qtbot: QtBot, make: Windows) -> None:
    window = make()
    shows(qtbot, window)
    window.dialogs.show_health()
    health = window.dialogs.health
    assert health is not None
    qtbot.waitUntil(lambda: health.values["Engine"].text() == "hybrid_lite, fake runtime")
    health.close()


def test_what_was_chosen_is_remembered(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    def settings() -> Settings:
        return Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))

    kept = settings()
    kept.welcomed = True
    clip = tmp_path / "talk.mp4"
    clip.touch()
    window = make(settings=kept)
    shows(qtbot, window)
    window.live.choose_source(str(clip))
    window.live.choose_engine("other")
    window.menus.video_actions["blurred"].trigger()
    window.menus.preset_actions["Calm"].trigger()
    window.close()
    again = make(Config(), settings=settings(), begin=False)
    assert again.config.source == str(clip)
    assert again.config.engine == "other"
    assert again.config.smooth == PRESETS["Calm"]
    assert again.menus.video_actions["blurred"].isChecked()
    assert again.menus.preset_actions["Calm"].isChecked()


def test_what_the_command_line_asks_for_goes_before_what_is_remembered(make: Windows, tmp_path: Path) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.source = str(tmp_path)
    kept.engine = "other"
    window = make(Config(source="clip.mp4", engine="third"), settings=kept, begin=False)
    assert (window.config.source, window.config.engine) == ("clip.mp4", "third")


def test_a_file_that_is_gone_and_a_password_are_not_remembered(tmp_path: Path, make: Windows) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.source = "rtsp://me:secret@host/live"
    assert kept.source == ""
    for gone in (str(tmp_path / "gone.mp4"), "/dev/video97", "97"):
        kept.source = gone
        assert make(Config(), settings=kept, begin=False).config.source == ""


def test_the_first_run_says_what_to_mind_once(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    window = make(settings=kept)
    (note,) = window.findChildren(WelcomeDialog)
    for words in ("Nothing leaves this machine", "5(1)(f)", "Ask those who are filmed"):
        assert words in note.note.text()
    qtbot.mouseClick(note.understood, Qt.MouseButton.LeftButton)
    assert kept.welcomed
    assert make(settings=kept).findChildren(WelcomeDialog) == []


def test_the_self_test_shows_findings_with_their_mends(qtbot: QtBot, make: Windows) -> None:
    window = make(begin=False)
    window.dialogs.show_doctor()
    (dialog,) = window.findChildren(DoctorDialog)
    qtbot.waitUntil(lambda: dialog.verdict.text() != "Looking …", timeout=30_000)
    assert "python" in dialog.text.toPlainText().lower()
    dialog.close()


def test_no_key_is_used_by_two_menu_entries(make: Windows) -> None:
    window = make(begin=False)
    keys = [action.shortcut().toString() for action in window.findChildren(QAction)]
    used = [key for key in keys if key]
    assert len(used) > 5
    assert len(used) == len(set(used))
