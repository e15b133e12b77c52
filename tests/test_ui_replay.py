"""The replay of a session: the picture of the file that was analysed, speeds, steps, people and markers."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import av
import cv2
import numpy as np
import pytest
from conftest import MakeClip
from fakes import make_bundle, result
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication, QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.capture import open_source
from edgeemo.config import Config
from edgeemo.errors import RecordingError
from edgeemo.recording import Marker, Recorder, Recording, SessionFolder, SessionInfo, load
from edgeemo.recording.markers import write_markers
from edgeemo.recording.people import Name, write_edits
from edgeemo.recording.source_file import SourceFile
from edgeemo.stages.overlay import draw
from edgeemo.types import U8
from edgeemo.ui import saliency_overlay
from edgeemo.ui.language import use_language
from edgeemo.ui.overlay_video import write_overlay
from edgeemo.ui.people import person_menu
from edgeemo.ui.scenes import Scenes
from edgeemo.ui.transport import SPEEDS
from edgeemo.ui.window import Window
from engines import LABELS, Emotion, ModelSpec


def recorded(parent: Path, *, frames: int = 100, faces: int = 1, file: Path | None = None) -> SessionFolder:
    """A recording with 25 frames per second."""
    about = SourceFile.of(file) if file is not None else None
    folder = SessionFolder.create(parent / "sessions", SessionInfo("Visit", "clip.mp4", "fake", LABELS, file=about))
    recorder = Recorder(folder, LABELS)
    for index in range(frames):
        recorder.write(result(faces, index=index))
    recorder.close()
    return folder


def replayed(qtbot: QtBot, make: Windows, folder: SessionFolder) -> Window:
    window = make(begin=False)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    window.replay.pause()
    return window


def settled(qtbot: QtBot, window: Window) -> None:
    """Wait until the picture of the slider's place is shown."""
    qtbot.waitUntil(lambda: window.replay._pending is None)


def grey(window: Window) -> float:
    assert window.video.result is not None
    return float(window.video.result.frame.image.mean())


def test_an_analysed_file_is_seen_under_its_replay_and_asked_for_once_when_moved(
    qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path, make_clip: MakeClip
) -> None:
    clip = make_clip("talk.mp4", frames=50)
    studio.clip = open_source  # type: ignore[assignment]
    window = make(begin=False)
    window.analyse_file(clip)
    qtbot.waitUntil(lambda: "Recorded: talk" in window.banner.text, timeout=20_000)
    (path,) = (tmp_path / "sessions").iterdir()
    folder = SessionFolder(path)
    window.library.replay(folder)
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    window.replay.pause()
    for index in (40, 10, 11):
        window.replay.slider.setValue(index)
        settled(qtbot, window)
        assert grey(window) == pytest.approx(20 + 4 * index, abs=8)

    moved = clip.rename(tmp_path / "elsewhere.mp4")
    window.library.replay(folder)
    qtbot.waitUntil(lambda: "talk.mp4 is no longer in" in window.banner.text)
    (find,) = window.banner.buttons
    find.click()
    (dialog,) = window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(moved))
    qtbot.waitUntil(
        lambda: window.replay.recording is not None and window.replay.recording.file == SourceFile.of(moved)
    )
    window.replay.pause()
    window.replay.slider.setValue(40)
    settled(qtbot, window)
    assert grey(window) == pytest.approx(180, abs=8)
    assert window.banner.text == ""


def test_a_picture_that_takes_long_to_decode_does_not_freeze_the_window(
    qtbot: QtBot, make: Windows, tmp_path: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seek behind a distant key frame: 0.4 s of computing in a clip of 1280x720, more in larger ones."""
    decoded: list[float] = []
    image = Scenes._image

    def slow(scenes: Scenes, at: float) -> U8:
        sleep(0.3)
        decoded.append(at)
        return image(scenes, at)

    window = replayed(qtbot, make, recorded(tmp_path, frames=50, file=make_clip("talk.mp4", frames=50)))
    settled(qtbot, window)
    monkeypatch.setattr(Scenes, "_image", slow)
    began = monotonic()
    for index in (10, 20, 30, 40):
        window.replay.slider.setValue(index)
    assert monotonic() - began < 0.25
    assert window.replay.place.text().startswith("0:01.6 of")
    qtbot.waitUntil(lambda: window.video.result is not None and window.video.result.frame.index == 40)
    assert decoded == [0.4, 1.6], "every place of a drag is decoded"
    assert grey(window) == pytest.approx(180, abs=8)
    window.replay.slider.setValue(20)
    window.replay.end()
    assert window.video.result is None or window.video.result.frame.index == 40
    before = monotonic()
    window.close()
    assert monotonic() - before < 2


def test_another_file_is_not_taken_for_the_one_that_was_analysed(tmp_path: Path, make_clip: MakeClip) -> None:
    clip, other = make_clip("a.mp4", frames=50), make_clip("b.mp4", frames=30)
    folder = recorded(tmp_path, file=clip)
    with pytest.raises(RecordingError, match=r"b\.mp4 is not the video that was analysed; choose a\.mp4"):
        folder.find_file(other)
    with pytest.raises(RecordingError, match="cannot read"):
        folder.find_file(tmp_path / "none.mp4")
    data = bytearray(clip.read_bytes())
    data[len(data) // 2] ^= 1
    other.write_bytes(data)
    with pytest.raises(RecordingError):
        folder.find_file(other)
    assert load(folder.path).file == SourceFile.of(clip)


def test_keys_step_leap_and_change_the_speed(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = replayed(qtbot, make, recorded(tmp_path, frames=400))
    slider = window.replay.slider
    slider.setValue(10)
    for key, modifier, place in (
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 11),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 10),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier, 135),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier, 10),
        (Qt.Key.Key_End, Qt.KeyboardModifier.NoModifier, 399),
        (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier, 0),
    ):
        qtbot.keyClick(window.video, key, modifier)
        assert slider.value() == place
    qtbot.keyClick(window.video, Qt.Key.Key_Plus)
    assert window.replay.speed.text() == "1.5x"
    for _ in SPEEDS:
        qtbot.keyClick(window.video, Qt.Key.Key_Minus)
    assert window.replay.speed.text() == "0.25x"
    qtbot.keyClick(window.video, Qt.Key.Key_Space)
    assert window.replay.playing
    assert window.toolbar.start_button.text() == "Pause"
    assert "no pictures were recorded" in window.status_bar.figures.text()
    qtbot.mouseClick(window.replay.forward, Qt.MouseButton.LeftButton)
    assert not window.replay.playing
    assert window.toolbar.start_button.text() == "Resume"


def test_the_speed_is_that_of_the_clock(
    qtbot: QtBot, make: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = replayed(qtbot, make, recorded(tmp_path, frames=400))
    now = 100.0
    monkeypatch.setattr("edgeemo.ui.replay.monotonic", lambda: now)
    window.replay.slider.setValue(0)
    window.replay.set_speed(4.0)
    window.replay.play_or_pause()
    now = 101.0
    qtbot.waitUntil(lambda: window.replay.slider.value() == 100)
    window.replay.set_speed(0.25)
    now = 103.0
    qtbot.waitUntil(lambda: window.replay.slider.value() == 112)


def test_a_replay_fits_a_narrow_window(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = replayed(qtbot, make, recorded(tmp_path, frames=400))
    window.resize(640, 430)
    qtbot.waitUntil(lambda: not window.replay.speed.isVisible())
    qtbot.waitUntil(lambda: window.minimumSizeHint().width() <= 640)
    assert window.width() == 640
    window.resize(1280, 800)
    qtbot.waitUntil(window.replay.speed.isVisible)


def test_persons_are_named_merged_split_and_left_out_and_every_step_is_undone(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    folder = recorded(tmp_path, faces=2)
    window = replayed(qtbot, make, folder)
    window.replay.slider.setValue(50)
    window.replaying.show_people()
    dialog, review = window.replaying.people, window.replaying.review
    assert dialog is not None
    assert dialog.table.chosen == [0]
    qtbot.mouseClick(dialog.name, Qt.MouseButton.LeftButton)
    (asked,) = dialog.findChildren(QInputDialog)
    asked.setTextValue("Anna")
    asked.accept()
    assert [card.person.text() for card in window.faces.cards] == ["Anna", "Person 2"]
    assert window.timeline.title.text() == "Anna"
    assert window.replay.slider.value() == 50

    dialog.table.selectAll()
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert "visible together" in window.banner.text
    dialog.table.selectRow(1)
    qtbot.mouseClick(dialog.split, Qt.MouseButton.LeftButton)
    assert window.banner.text == "", "an old refusal is still shown"
    assert [card.person.text() for card in window.faces.cards] == ["Anna", "Person 3"]
    window.replay.slider.setValue(49)
    assert [card.person.text() for card in window.faces.cards] == ["Anna", "Person 2"]
    dialog.table.selectRow(2)
    qtbot.mouseClick(dialog.exclude, Qt.MouseButton.LeftButton)
    window.replay.slider.setValue(60)
    assert [card.person.text() for card in window.faces.cards] == ["Anna"]
    assert dialog.table.item(2, 4).text() == "left out"  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: [track.person for track in load(folder.path).tracks] == ["Anna", "Person 2"])

    for people in (["Anna", "Person 2", "Person 3"], ["Anna", "Person 2"], ["Person 1", "Person 2"]):
        qtbot.mouseClick(dialog.undo, Qt.MouseButton.LeftButton)
        assert review.recording is not None
        assert [track.person for track in review.recording.tracks] == people
    assert not dialog.undo.isEnabled()
    qtbot.waitUntil(lambda: load(folder.path).edits == ())


def test_a_card_has_a_menu_for_its_person(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = replayed(qtbot, make, recorded(tmp_path, faces=2))
    review = window.replaying.review
    menu = person_menu(review, 2, window)
    assert menu is not None
    words = {action.text(): action for action in menu.actions()}
    words["Leave out"].trigger()
    assert [card.person.text() for card in window.faces.cards] == ["Person 1"]
    window.replay.end()
    assert person_menu(review, 1, window) is None


def test_markers_are_set_ended_renamed_deleted_and_exchanged(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    window = replayed(qtbot, make, folder)
    window.replay.slider.setValue(25)
    qtbot.keyClick(window.video, Qt.Key.Key_3)
    window.replaying.show_markers()
    dialog, review = window.replaying.markers, window.replaying.review
    assert dialog is not None
    dialog.table.selectRow(0)
    window.replay.slider.setValue(75)
    qtbot.mouseClick(dialog.end, Qt.MouseButton.LeftButton)
    assert window.timeline.history.markers == [Marker(1.0, "3", 2.0)]
    qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    dialog.table.selectRow(0)
    review.rename_marker(dialog.chosen[0], "film")
    assert [dialog.table.item(row, 0).text() for row in range(2)] == ["film", "mark 2"]  # type: ignore[union-attr]
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    assert window.replay.slider.value() == 25
    review.export_markers(tmp_path / "events.tsv")
    qtbot.waitUntil(lambda: "2 markers written" in window.banner.text)
    review.delete_markers(dialog.chosen)
    assert dialog.table.rowCount() == 1
    review.import_markers(tmp_path / "events.tsv")
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 3)
    qtbot.mouseClick(dialog.undo, Qt.MouseButton.LeftButton)
    assert dialog.table.rowCount() == 1
    review.import_markers(tmp_path / "none.tsv")
    qtbot.waitUntil(lambda: "cannot read" in window.banner.text.lower())
    qtbot.waitUntil(lambda: load(folder.path).markers == (Marker(3.0, "mark 2"),))


def test_the_window_does_not_wait_for_the_engine_of_saliency_maps(
    qtbot: QtBot, make: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = saliency_overlay._open

    def slow(config: Config, stack: ExitStack) -> tuple[ModelSpec, saliency_overlay.HeatOf]:
        sleep(1)
        return opened(config, stack)

    monkeypatch.setattr(saliency_overlay, "_open", slow)
    window = make()
    shows(qtbot, window)
    began = monotonic()
    for _ in range(2):
        window.menus.saliency_action.trigger()
    assert monotonic() - began < 0.5
    assert not window.saliency.active


def test_a_saliency_map_of_the_source_is_not_painted_over_a_replay(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(Config(source="clip.mp4", engine=str(make_bundle(tmp_path / "tiny"))))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.waitUntil(lambda: window.video.heat is not None)
    window.library.replay(recorded(tmp_path))
    qtbot.waitUntil(lambda: window.replay.recording is not None)
    assert window.video.heat is None
    assert not window.saliency.active
    window.replay.end()
    window.start_or_pause()
    qtbot.waitUntil(lambda: window.video.heat is not None)


def test_persons_and_markers_need_a_replay(make: Windows) -> None:
    window = make(begin=False)
    window.replaying.show_people()
    assert "replay a session" in window.banner.text
    assert window.replaying.people is None


def test_a_session_is_exported_as_a_video_with_overlay_and_names(
    qtbot: QtBot, make: Windows, tmp_path: Path, make_clip: MakeClip
) -> None:
    clip = make_clip("talk.mp4", frames=30, width=320, height=240)
    folder = recorded(tmp_path, frames=30, file=clip)
    write_edits(folder.path, [Name(1, "Anna")])
    window = make(begin=False)
    out = tmp_path / "out.mp4"
    window.library.export([folder], out)
    qtbot.waitUntil(lambda: f"30 frames written to {out}" in window.banner.text, timeout=60_000)
    video = cv2.VideoCapture(str(out))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == 30
    assert frames[0].shape == (240, 320, 3)
    # the grey of the file, and the colour of the overlay
    assert float(frames[29][200:, 250:].mean()) == pytest.approx(20 + 4 * 29, abs=10)
    yellow = np.array(Emotion.HAPPINESS.bgr)
    assert (np.abs(frames[29].astype(int) - yellow).sum(axis=2) < 60).sum() > 20
    assert not list(tmp_path.glob(".*.mp4"))
    window.library.export([folder], tmp_path / "nowhere" / "out.mp4")
    qtbot.waitUntil(lambda: "cannot write" in window.banner.text.lower())


def test_a_session_without_frames_gives_no_video(tmp_path: Path) -> None:
    empty = Recording("x", tmp_path, "", "", "", LABELS, np.zeros(0, np.int64), np.zeros(0), ())
    with pytest.raises(RecordingError, match="no frames"):
        write_overlay(empty, tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_two_windows_that_replay_a_session_lose_nothing_of_each_other(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    folder = recorded(tmp_path)
    first, second = (replayed(qtbot, make, folder).replaying.review for _ in range(2))
    first.name(1, "Anna")
    first.mark("first")
    qtbot.waitUntil(lambda: len(load(folder.path).markers) == 1 and load(folder.path).tracks[0].name == "Anna")
    second.mark("second")
    qtbot.waitUntil(lambda: {each.label for each in load(folder.path).markers} == {"first", "second"})
    with qtbot.waitSignal(second.failed) as refused:
        second.name(1, "Ben")
    assert "another window has changed the persons" in str(refused.args[0])
    assert load(folder.path).tracks[0].name == "Anna"


def test_leave_out_never_takes_somebody_in(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = replayed(qtbot, make, recorded(tmp_path, faces=2))
    window.replaying.show_people()
    dialog, review = window.replaying.people, window.replaying.review
    assert dialog is not None
    review.exclude(2)
    dialog.table.selectAll()
    assert dialog.exclude.text() == "Leave out"
    dialog.exclude.click()
    assert review.recording is not None
    assert review.recording.tracks == ()
    dialog.table.selectAll()
    assert dialog.exclude.text() == "Take in"
    dialog.exclude.click()
    assert len(review.recording.tracks) == 2


def test_one_of_two_equal_markers_is_deleted(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    review = replayed(qtbot, make, folder).replaying.review
    review.mark("1")
    review.mark("1")
    assert review.recording is not None
    review.delete_markers(review.recording.markers[:1])
    assert len(review.recording.markers) == 1
    qtbot.waitUntil(lambda: load(folder.path).markers == review.recording.markers)  # type: ignore[union-attr]


def test_a_video_with_overlay_never_replaces_the_analysed_one(
    qtbot: QtBot, make: Windows, tmp_path: Path, make_clip: MakeClip
) -> None:
    clip = make_clip("talk.mp4", frames=5)
    folder = recorded(tmp_path, frames=5, file=clip)
    before = clip.read_bytes()
    with pytest.raises(RecordingError, match=r"talk\.mp4 is the video that was analysed; choose another path"):
        write_overlay(load(folder.path), tmp_path / "sessions" / ".." / "talk.mp4")
    assert clip.read_bytes() == before
    clip.unlink()
    out = tmp_path / "out.mp4"
    out.touch()
    assert write_overlay(load(folder.path), out) == 5


def test_a_video_of_several_sessions_is_refused(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = make(begin=False)
    folders = [recorded(tmp_path, frames=2), recorded(tmp_path, frames=2)]
    window.library.export(folders, tmp_path / "out.mp4")
    qtbot.waitUntil(lambda: window.banner.kind == "error" and "out.mp4" in window.banner.text)
    assert not (tmp_path / "out.mp4").exists()


def test_a_snapshot_of_a_replay_has_the_names(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    write_edits(folder.path, [Name(1, "Anna")])
    window = replayed(qtbot, make, folder)
    window.take_snapshot()
    qtbot.waitUntil(lambda: "Snapshot saved" in window.banner.text)
    (path,) = (tmp_path / "Pictures").glob("*.png")
    shown = window.video.result
    assert shown is not None
    named, plain = (draw(shown.frame.image, shown, names=names) for names in ({1: "Anna"}, {}))
    assert (named != plain).any()
    assert (cv2.imread(str(path)) == named).all()


@pytest.mark.parametrize(
    ("name", "form", "codec"),
    [("a.ts", "mpegts", "libx264"), ("a.mpg", "mpeg", "mpeg2video"), ("a.h264", "h264", "libx264")],
)
def test_the_picture_is_that_of_its_frame_in_containers_without_an_index(
    tmp_path: Path, name: str, form: str, codec: str
) -> None:
    clip = tmp_path / name
    with av.open(str(clip), "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 12
        for index in range(120):
            picture = np.full((48, 64, 3), 40 + index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    shown = [(frame.time, float(frame.image.mean())) for frame in open_source(str(clip)).frames()]
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit", file=SourceFile.of(clip)))
    recorder = Recorder(folder, LABELS)
    for index, (time, _) in enumerate(shown):
        recorder.write(result(1, index=index, time=time))
    recorder.close()
    scenes = Scenes(load(folder.path))
    for index in (0, 1, 60, 30, 31, 100, 5, 110, 117, 40, 119, 2, 0):
        assert float(scenes.result(index).frame.image.mean()) == pytest.approx(shown[index][1], abs=0.5), index
    scenes.close()


def test_after_a_merge_nobody_else_is_selected(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    window = replayed(qtbot, make, recorded(tmp_path))
    review = window.replaying.review
    for index in (20, 40):
        window.replay.slider.setValue(index)
        assert review.recording is not None
        review.split(review.recording.tracks[-1].id)
    window.replaying.show_people()
    dialog = window.replaying.people
    assert dialog is not None
    dialog.table.choose([0, 1])
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert dialog.table.rowCount() == 2
    assert dialog.chosen == [1]
    assert not dialog.merge.isEnabled()


def test_open_dialogs_show_the_session_that_is_replayed(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    first, second = recorded(tmp_path, faces=2), recorded(tmp_path, faces=1)
    write_edits(first.path, [Name(1, "Anna")])
    write_markers(first.path, [Marker(1.0, "joke")])
    window = replayed(qtbot, make, first)
    window.replaying.show_people()
    window.replaying.show_markers()
    people, markers = window.replaying.people, window.replaying.markers
    assert people is not None
    assert markers is not None
    window.library.replay(second)
    qtbot.waitUntil(lambda: window.replay.recording is not None and window.replay.recording.path == second.path)
    assert [people.table.item(row, 0).text() for row in range(people.table.rowCount())] == ["Person 1"]  # type: ignore[union-attr]
    assert markers.table.rowCount() == 0
    assert not people.undo.isEnabled()


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    use_language(qapp, "de")
    yield
    use_language(qapp, "en")


def test_a_label_that_is_shown_translated_stays_as_it_is_recorded(
    qtbot: QtBot, german: None, make: Windows, tmp_path: Path
) -> None:
    folder = recorded(tmp_path)
    write_markers(folder.path, [Marker(1.0, "no signal")])
    window = replayed(qtbot, make, folder)
    window.replaying.show_markers()
    dialog, review = window.replaying.markers, window.replaying.review
    assert dialog is not None
    for typed, label in (("kein Signal", "no signal"), ("Pause", "Pause")):
        dialog.rename_chosen()
        asked = dialog.findChildren(QInputDialog)[-1]
        assert asked.textValue() == "kein Signal"
        asked.setTextValue(typed)
        asked.accept()
        assert review.recording is not None
        assert [marker.label for marker in review.recording.markers] == [label]
