"""Sessions in the window: record, replay, report, compare, export, analyse."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, thread_time

import numpy as np
import pytest
from conftest import MakeClip
from pyarrow import parquet
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from sessions import record
from windows import Clip, Studio, Windows, shows

from edgeemo.errors import SourceError
from edgeemo.recording import Recording, SessionFolder, Track, load
from edgeemo.recording.export import export
from edgeemo.ui.groups_dialog import GroupsDialog
from edgeemo.ui.player import PlayerState
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.sessions import SessionsDialog
from engines import LABELS

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
    assert not window.library.dialog.isVisible()
    qtbot.waitUntil(lambda: window.video.result is not None)
    assert window.timeline.history.people == [1]
    assert [marker.label for marker in window.timeline.history.markers] == ["smile"]
    window.replay.pause()
    window.timeline.sought.emit(0.81)
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.frame.index == 20)
    window.replay.slider.setValue(3)
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.frame.index == 3)
    assert window.faces.cards[0].expression.text() == "Happiness"
    # the fake's pictures are grey and become lighter
    assert window.video.result is not None
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


def test_an_edit_of_a_long_session_does_not_freeze_the_window(tmp_path: Path) -> None:
    """Naming a person froze it for 0.2 s per hour with two faces."""
    count = 100_000
    frames = np.arange(count)
    tracks = [
        Track(
            number,
            frames[first:],
            frames[first:] / 25,
            np.full((count - first, 4), 9.0, np.float32),
            *np.ones((2, count - first), np.float32),
            np.ones((count - first, len(LABELS)), np.float32),
            *np.zeros((3, count - first), np.int64),
            np.zeros((count - first, 6), np.float32),
        )
        for number, first in ((3, 0), (1, 50_000))
    ]
    read = Recording("Long", tmp_path, "", "", "", LABELS, frames, frames / 25, tuple(tracks))
    scenes = Scenes(read)
    began = thread_time()
    scenes.change(read)
    assert thread_time() - began < 0.1
    for index, ids in ((0, [3]), (49_999, [3]), (50_000, [3, 1]), (count - 1, [3, 1])):
        assert scenes.result(index).faces.ids.tolist() == ids


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
    assert "<h1>Before and After &lt;b&gt;treatment&lt;/b&gt;</h1>" in text
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
    qtbot.waitUntil(lambda: str(parquet_file) in window.banner.text, timeout=20_000)  # pyarrow is imported
    assert parquet.read_table(parquet_file).num_rows == 30
    listed.rename_chosen()
    (dialog,) = listed.findChildren(QInputDialog)
    dialog.setTextValue("Interview")
    dialog.accept()
    qtbot.waitUntil(lambda: (item := listed.table.item(0, 0)) is not None and item.text() == "Interview")
    listed.delete_chosen()
    (box,) = listed.findChildren(QMessageBox)
    (sure,) = [button for button in box.findChildren(QPushButton) if button.text() == "Delete for good"]
    hold, held = threading.Event(), threading.Event()
    window.player.with_files(lambda: bool(held.set() or hold.wait(20)) and None, lambda: None, listed.failed.emit)
    held.wait(20)
    qtbot.mouseClick(sure, Qt.MouseButton.LeftButton)  # a long video takes seconds
    assert folder.path.exists(), "it is deleted in the window's thread"
    hold.set()
    qtbot.waitUntil(lambda: listed.table.rowCount() == 0)
    assert not folder.path.exists()


def test_a_session_that_another_window_deleted_is_told(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = record(tmp_path / "sessions", frames=2)
    window = make(begin=False)
    window.library.show()
    listed = window.library.dialog
    assert listed is not None
    folder.delete()
    listed.delete_chosen()
    (box,) = listed.findChildren(QMessageBox)
    (move,) = [button for button in box.findChildren(QPushButton) if button.text() == "Move to trash"]
    qtbot.mouseClick(move, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "is not a recorded session" in window.banner.text)
    assert listed.table.rowCount() == 0


def test_a_recording_begins_while_a_long_export_is_written(
    qtbot: QtBot, make: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of two persons takes a quarter of a minute as CSV."""
    may_end = threading.Event()

    def slow(sessions: Sequence[Recording], path: Path) -> int:
        may_end.wait(20)
        return export(sessions, path)

    monkeypatch.setattr("edgeemo.ui.library.export", slow)
    folder = record(tmp_path / "sessions", frames=5)
    window = make()
    shows(qtbot, window)
    window.library.export([folder], tmp_path / "out.csv")
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active)
    may_end.set()
    qtbot.waitUntil(lambda: "5 rows written" in window.banner.text)


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
    with qtbot.waitSignal(dialog.finished):
        qtbot.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_an_analysis_that_is_cancelled_while_it_opens_leaves_nothing(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    studio.delay = 1.0
    window = make(begin=False)
    dialog = window.analyse_file(tmp_path / "talk.mp4")
    with qtbot.waitSignal(dialog.finished, timeout=20_000):
        began = monotonic()
        qtbot.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
        assert monotonic() - began < 0.5, "the window waits for the engine"
    assert not (tmp_path / "sessions").exists()


def test_an_analysis_without_a_frame_leaves_nothing(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path
) -> None:
    studio.clip = lambda name: Clip(name, frames=0, error=SourceError("talk.mp4 has no frame that can be decoded"))
    window = make(begin=False)
    window.analyse_file(tmp_path / "talk.mp4")
    qtbot.waitUntil(lambda: "no frame that can be decoded" in window.banner.text)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_an_analysis_that_could_not_be_stored_does_not_blame_the_file(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path, make_clip: MakeClip
) -> None:
    clip = make_clip("talk.mp4", frames=50)
    window = make(begin=False)
    studio.clip = lambda name: Clip(name, frames=200)
    dialog = window.analyse_file(clip)
    qtbot.waitUntil(lambda: dialog._recorder is not None and dialog._recorder.frames > 5)
    recorder = dialog._recorder
    assert recorder is not None
    shutil.rmtree(recorder.folder.path)
    qtbot.waitUntil(lambda: bool(recorder.losses), timeout=10_000)
    dialog._total = 500
    dialog._thread.join(20)
    assert "could not be read" not in " ".join(recorder.missing)


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


def test_a_recording_without_a_frame_can_be_replayed(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    empty = Recording("x", tmp_path, "", "", "", LABELS, np.zeros(0, np.int64), np.zeros(0), ())
    window = make(begin=False)
    window.replaying.begin(empty)
    assert window.replay.recording is empty
    window.replay.play_or_pause()
    window.replay.seek(3)
    window.replay.end()
