"""What the window does besides playing: timeline, sessions, replay, report, health, settings."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from fakes import result as made_result
from pyarrow import parquet
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows, shows

from edgeemo.capture import CameraInfo
from edgeemo.config import Config
from edgeemo.errors import SourceError
from edgeemo.recording import Recorder, Recording, SessionFolder, SessionInfo, load
from edgeemo.types import Counters, Frame, Result
from edgeemo.ui.camera_watch import CameraWatch
from edgeemo.ui.groups_dialog import GroupsDialog
from edgeemo.ui.health import HealthDialog, Paints, power, temperatures
from edgeemo.ui.health import load as load_average
from edgeemo.ui.history import MOST_PEOPLE, MOST_ROWS, History, thinned
from edgeemo.ui.neutral_baseline import BaselineCapture, Baselines
from edgeemo.ui.player import PlayerState
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.sessions import SessionsDialog
from edgeemo.ui.settings import PRESETS, Settings
from edgeemo.ui.thumbnails import LONGEST, Thumbnails
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.welcome import DoctorDialog, WelcomeDialog
from edgeemo.ui.window import Window
from engines import LABELS


def record(
    parent: Path, name: str = "Visit", frames: int = 30, *, video: str = "none", faces: int = 1
) -> SessionFolder:
    folder = SessionFolder.create(parent, SessionInfo(name, "clip.mp4", "fake", LABELS, video=video), card="# Card")
    recorder = Recorder(folder, LABELS, video=video)
    for index in range(frames):
        recorder.write(made_result(faces, index=index, size=64))
        if video != "none":
            sleep(0.005)  # as live frames come: the encoder drops those that come too fast
    recorder.mark("smile", at=0.5)
    recorder.close()
    assert recorder.error == ""
    return folder


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
    assert timeline.legend.text() == ""  # told just now
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


# recording


def test_recording_shows_a_light_keeps_markers_and_offers_what_comes_next(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    window = make()
    assert not window.toolbar.record_button.isEnabled()
    shows(qtbot, window)
    qtbot.mouseClick(window.toolbar.record_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.recording.active)
    assert window.video.recording.startswith("REC")
    recorder = window.recording.recorder
    assert recorder is not None
    qtbot.waitUntil(lambda: recorder.frames > 20)
    window.mark("joke")
    qtbot.mouseClick(window.toolbar.record_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Recorded: clip.mp4" in window.banner.text)
    assert window.video.recording == ""
    (path,) = (tmp_path / "sessions").iterdir()
    read = load(path)
    assert len(read.frames) == recorder.frames
    assert [marker.label for marker in read.markers] == ["joke"]
    assert read.video is None
    assert [button.text() for button in window.banner.buttons] == ["Replay", "Report", "Sessions…"]


def test_closing_the_window_finishes_the_recording(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    window = make()
    window.settings.video = "blurred"
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.recorder is not None and window.recording.recorder.frames > 10)
    window.close()
    (path,) = (tmp_path / "sessions").iterdir()
    assert SessionFolder(path).read().ended
    assert (path / "video.mkv").stat().st_size > 0
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []


def test_another_source_ends_the_recording(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make()
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.recorder is not None and window.recording.recorder.frames > 5)
    window.live.choose_source("other.mp4")
    assert not window.recording.active
    qtbot.waitUntil(lambda: "Recorded" in window.banner.text)


def test_a_folder_that_cannot_be_written_is_told_and_the_picture_goes_on(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    (tmp_path / "sessions").write_text("in the way")
    window = make()
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.banner.kind == "error" and "is a file" in window.banner.text)
    assert not window.recording.active
    assert window.player.state is PlayerState.PLAYING


# sessions, replay, report


def test_the_list_replays_and_scrubs_a_session(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    record(tmp_path / "sessions", video="whole")
    window = make(begin=False)
    window.library.show()
    assert window.library.dialog is not None
    assert window.library.dialog.table.rowCount() == 1
    window.library.dialog.replay_chosen()
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    assert window.video.result is not None
    assert window.timeline.history.people == [1]
    assert [marker.label for marker in window.timeline.history.markers] == ["smile"]
    window.replay.pause()
    window.timeline.sought.emit(0.81)
    assert window.video.result.frame.index == 20
    window.replay.slider.setValue(3)
    assert window.video.result.frame.index == 3
    assert window.faces.cards[0].expression.text() == "Happiness"
    # the pictures of the fake are grey and grow lighter
    assert abs(int(window.video.result.frame.image.mean()) - 43) < 6
    qtbot.mouseClick(window.replay.leave, Qt.MouseButton.LeftButton)
    assert window.replay.recording is None
    window.start_or_pause()
    shows(qtbot, window)


def test_a_replay_plays_to_its_end_by_itself(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = record(tmp_path / "sessions", frames=10)
    window = make(begin=False)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    assert window.replay.playing
    qtbot.waitUntil(lambda: not window.replay.playing)
    assert window.replay.slider.value() == 9


def test_choosing_a_source_leaves_the_replay(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = record(tmp_path / "sessions")
    window = make()
    shows(qtbot, window)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    assert window.player.state is PlayerState.STOPPED
    window.live.choose_source("other.mp4")
    assert shows(qtbot, window).frame.origin == "other.mp4"
    assert window.replay.recording is None


@pytest.mark.parametrize("faces", [0, 2])
def test_without_a_video_faces_are_shown_on_an_empty_picture(tmp_path: Path, faces: int) -> None:
    scenes = Scenes(load(record(tmp_path, faces=faces).path))
    shown = scenes.result(4)
    assert len(shown.faces) == faces
    assert shown.frame.image.std() == 0
    assert scenes.nearest(-5) == 0
    assert scenes.nearest(999) == len(scenes) - 1


def test_the_place_in_the_video_is_right_forwards_and_backwards(tmp_path: Path) -> None:
    scenes = Scenes(load(record(tmp_path, frames=100, video="whole").path))
    for index in (0, 1, 2, 60, 61, 10, 99, 98):
        assert abs(float(scenes.result(index).frame.image.mean()) - (40 + index)) < 4, index
    scenes.close()


def test_one_click_makes_a_report_and_two_sessions_stand_side_by_side(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    record(tmp_path / "sessions", "One")
    record(tmp_path / "sessions", "Two")
    window = make(begin=False)
    window.library.show()
    listed = window.library.dialog
    assert listed is not None
    listed.report_chosen()
    qtbot.waitUntil(lambda: "Report written" in window.banner.text)
    listed.table.selectAll()
    (page,) = (tmp_path / "sessions").glob("*/report.html")
    assert "Side by side" not in page.read_text(encoding="utf-8")
    listed.report_chosen()
    qtbot.waitUntil(lambda: "Side by side" in page.read_text(encoding="utf-8"))


def test_two_named_groups_are_compared_on_one_page(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    for name in ("One", "Two", "Three"):
        record(tmp_path / "sessions", name)
    window = make(begin=False)
    window.library.show()
    listed = window.library.dialog
    assert listed is not None
    assert listed.compare.isEnabled()
    qtbot.mouseClick(listed.compare, Qt.MouseButton.LeftButton)
    (dialog,) = listed.findChildren(GroupsDialog)
    assert not dialog.compare.isEnabled()
    assert "at least one session" in dialog.hint.text()
    for row, group in ((0, 0), (1, 1), (2, 0)):
        dialog.choose(row, group)
    # a session moves from one group to the other, it is never in both
    dialog.choose(2, 1)
    assert [len(dialog.members(group)) for group in (0, 1)] == [1, 2]
    dialog.names[0].setText("Before")
    dialog.names[1].setText("Before")
    assert not dialog.compare.isEnabled()
    dialog.names[1].setText("After <b>treatment</b>")
    qtbot.mouseClick(dialog.compare, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Report written" in window.banner.text)
    (page,) = (tmp_path / "sessions").glob("comparison *.html")
    text = page.read_text(encoding="utf-8")
    assert "Side by side" in text
    assert "Before" in text
    assert "After &lt;b&gt;treatment&lt;/b&gt;" in text
    listed.fill()
    assert listed.table.rowCount() == 3


def test_sessions_that_are_selected_are_in_groups_already(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folders = [record(tmp_path / "sessions", name) for name in ("One", "Two")]
    listed = [(folder, folder.read()) for folder in folders]
    dialog = GroupsDialog(listed, folders)
    qtbot.addWidget(dialog)
    assert [dialog.members(group) for group in (0, 1)] == [[folders[0]], [folders[1]]]
    assert dialog.compare.isEnabled()


def test_a_session_is_exported_renamed_and_deleted(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = record(tmp_path / "sessions")
    window = make(begin=False)
    window.library.show()
    listed = window.library.dialog
    assert listed is not None
    listed.exported.emit([folder], tmp_path / "out.csv")
    qtbot.waitUntil(lambda: "30 rows written" in window.banner.text)
    assert (tmp_path / "out.csv").is_file()
    listed.export_chosen()
    (files,) = listed.findChildren(QFileDialog)
    files.setDirectory(str(tmp_path))
    name = folder.read().name
    assert Path(files.selectedFiles()[0]).name == f"{name}.csv"
    files.selectNameFilter("ELAN (*.eaf)")
    files.filterSelected.emit("ELAN (*.eaf)")
    assert Path(files.selectedFiles()[0]).name == f"{name}.eaf"
    files.selectNameFilter("Parquet (*.parquet)")
    files.filterSelected.emit("Parquet (*.parquet)")
    assert Path(files.selectedFiles()[0]).name == f"{name}.parquet"
    files.accept()
    parquet_file = tmp_path / f"{name}.parquet"
    qtbot.waitUntil(lambda: str(parquet_file) in window.banner.text)
    assert parquet.read_table(parquet_file).num_rows == 30
    listed.rename_chosen()
    (dialog,) = listed.findChildren(QInputDialog)
    dialog.setTextValue("Interview")
    dialog.accept()
    item = listed.table.item(0, 0)
    assert item is not None
    assert item.text() == "Interview"
    listed.delete_chosen()
    (box,) = listed.findChildren(QMessageBox)
    (sure,) = [button for button in box.findChildren(QPushButton) if button.text() == "Delete for good"]
    qtbot.mouseClick(sure, Qt.MouseButton.LeftButton)
    assert listed.table.rowCount() == 0
    assert not folder.path.exists()


def test_an_empty_list_says_how_to_fill_it(qtbot: QtBot, tmp_path: Path) -> None:
    listed = SessionsDialog(lambda: tmp_path / "none")
    qtbot.addWidget(listed)
    listed.show()
    assert all(part.isVisible() for part in listed.nothing)
    assert not listed.replay.isEnabled()
    assert not listed.delete.isEnabled()


def test_a_file_is_analysed_into_a_session(qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path) -> None:
    studio.clip = lambda name: Clip(name, frames=30)
    window = make(begin=False)
    window.analyse_file(tmp_path / "talk.mp4")
    qtbot.waitUntil(lambda: "Recorded: talk" in window.banner.text)
    assert not studio.configs[0].capture.paced
    (path,) = (tmp_path / "sessions").iterdir()
    assert len(load(path).frames) > 0


def test_an_analysis_that_is_cancelled_leaves_nothing(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(begin=False)
    dialog = window.analyse_file(tmp_path / "talk.mp4")
    qtbot.waitUntil(lambda: "times real time" in dialog.figures.text())
    qtbot.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_closing_the_window_cancels_an_analysis(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    window = make(begin=False)
    dialog = window.analyse_file(tmp_path / "talk.mp4")
    qtbot.waitUntil(lambda: "times real time" in dialog.figures.text())
    window.close()
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []


def test_an_analysis_of_a_missing_file_is_told(qtbot: QtBot, make: Windows) -> None:
    window = make(begin=False)
    window.analyse_file(Path("missing.mp4"))
    qtbot.waitUntil(lambda: "No file missing.mp4" in window.banner.text)


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


def test_a_recording_without_a_frame_can_be_replayed(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    empty = Recording("x", tmp_path, "", "", "", LABELS, np.zeros(0, np.int64), np.zeros(0), ())
    window = make(begin=False)
    window.replaying.begin(empty)
    assert window.replay.recording is empty
    window.replay.play_or_pause()
    window.replay.seek(3)
    window.replay.end()


# the neutral baseline


class FastClip(Clip):
    """Ten seconds of media time in a fraction of one."""

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


def test_without_a_face_there_is_no_face_at_rest(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.faces = 0
    window = make()
    shows(qtbot, window)
    window.neutral_baseline.take()
    assert "a face is tracked" in window.banner.text


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


# a camera that is lost


def test_a_lost_camera_comes_back_by_itself(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=10, error=SourceError("the camera was unplugged; plug it in again"))
    window = make(Config(source="/dev/video7"))
    qtbot.waitUntil(lambda: "Retrying automatically" in window.banner.text)
    last = window.video.result
    assert last is not None
    studio.clip = Clip
    qtbot.waitUntil(lambda: window.player.state is PlayerState.PLAYING and window.video.result is not last)
    assert window.banner.text == ""


def test_trying_again_can_be_stopped(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=10, error=SourceError("the camera was unplugged; plug it in again"))
    window = make(Config(source="/dev/video7"))
    qtbot.waitUntil(lambda: "Retrying automatically" in window.banner.text)
    (stop,) = window.banner.buttons
    qtbot.mouseClick(stop, Qt.MouseButton.LeftButton)
    assert not window.live.retrying
    assert len(studio.configs) == 1


# a camera that is plugged in


class Desk:
    """Cameras whose device files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def plug(self, name: str) -> None:
        (self.folder / name).touch()

    def cameras(self) -> list[CameraInfo]:
        return [CameraInfo(str(path), f"Camera {path.name}", str(path)) for path in sorted(self.folder.iterdir())]


def test_a_camera_is_told_when_its_device_file_comes_and_goes(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "dev")
    desk.plug("video0")
    watch = CameraWatch(desk.cameras, desk.folder)
    watch.start()
    with qtbot.waitSignal(watch.plugged) as told:
        desk.plug("video1")
    assert told.args is not None
    assert told.args[0].name == "Camera video1"
    with qtbot.waitSignal(watch.unplugged) as told:
        (desk.folder / "video0").unlink()
    assert told.args is not None
    assert told.args[0].name == "Camera video0"
    watch.stop()


def test_without_a_folder_of_devices_it_looks_now_and_then(qtbot: QtBot, tmp_path: Path) -> None:
    cameras: list[CameraInfo] = []
    watch = CameraWatch(lambda: cameras, tmp_path / "nowhere")
    watch.start()
    cameras.append(CameraInfo("0", "Desk", "0"))
    with qtbot.waitSignal(watch.plugged):
        watch.look()
    watch.stop()


def test_a_new_camera_is_in_the_menu_and_offered_without_asking(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "dev")
    window = Window(
        Config(),
        opener=studio.open,
        cameras=desk.cameras,
        engines=lambda: ["hybrid_lite"],
        sessions=tmp_path / "sessions",
        devices=desk.folder,
    )
    qtbot.addWidget(window)
    window.show()
    window.begin()
    shows(qtbot, window)
    assert window.config.source == "demo"
    desk.plug("video3")
    qtbot.waitUntil(lambda: "Camera video3 was connected" in window.banner.text)
    assert "Camera video3" in [action.text() for action in window.toolbar.source.choices.actions()]
    (use,) = window.banner.buttons
    qtbot.mouseClick(use, Qt.MouseButton.LeftButton)
    assert window.config.source == str(desk.folder / "video3")
    window.close()
