"""The queue of videos: real files, worker processes and dataset, in the window."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep

import pytest
from conftest import MakeClip
from PyQt6.QtCore import QMimeData, QPointF, QSettings, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows

from edgeemo.batch.inputs import Input, Inputs, find_inputs
from edgeemo.batch.split import Part
from edgeemo.batch.work import Task
from edgeemo.ui.player import PlayerState
from edgeemo.ui.queue import QueueDialog, QueueWatcher, is_for_queue
from edgeemo.ui.settings import Settings
from edgeemo.ui.window import Window

parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.timeout(300)
LONG_MS = 120_000


def states(dialog: QueueDialog) -> list[str]:
    items = (dialog.table.item(row, 2) for row in range(dialog.table.rowCount()))
    return [item.text() for item in items if item is not None]


def found(qtbot: QtBot, window: Window) -> QueueDialog:
    """The queue after its videos have been found."""
    dialog = window.queue
    assert dialog is not None
    qtbot.waitUntil(lambda: not dialog.looking)
    return dialog


@pytest.fixture
def window(make: Windows, tmp_path: Path) -> Window:
    kept = Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    kept.welcomed = True
    return make(settings=kept, begin=False)


def test_dropped_videos_become_one_dataset_and_a_damaged_one_is_told(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip
) -> None:
    clips = [make_clip(name, frames=12) for name in ("a.mp4", "b.mp4")]
    (tmp_path / "c.mp4").write_bytes(b"no video at all")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in (*clips, tmp_path / "c.mp4")])
    offered = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
    drop = QDropEvent(QPointF(5, 5), offered, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    drop.setDropAction(Qt.DropAction.MoveAction)  # what a drag without a key proposes
    window.dropEvent(drop)
    assert drop.isAccepted()
    assert drop.dropAction() == Qt.DropAction.CopyAction, "the program it comes from may delete a moved file"
    dialog = found(qtbot, window)
    assert states(dialog) == ["waits"] * 3
    output = tmp_path / "dataset"
    dialog._set_output(str(output))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    assert window.settings.queue[0] == str(output)
    qtbot.waitUntil(lambda: not dialog.running, timeout=LONG_MS)
    assert states(dialog)[:2] == ["done", "done"]
    assert states(dialog)[2].startswith("failed: c.mp4 is not a video")
    QApplication.processEvents()
    header, view = dialog.table.horizontalHeader(), dialog.table.viewport()
    assert header is not None
    assert view is not None
    assert header.length() <= view.width(), "the reason is cut off"
    assert "1 failed" in dialog.figures.text()
    assert dialog.progress.value() == dialog.progress.maximum()
    assert window.settings.queue == ()
    assert parquet.read_table(output / "failures.parquet").num_rows == 1
    assert len(list((output / "rows").glob("*.parquet"))) == 2


def test_a_queue_is_paused_kept_and_resumed_the_next_time(
    qtbot: QtBot,
    window: Window,
    make: Windows,
    studio: Studio,
    tmp_path: Path,
    make_clip: MakeClip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # one process reads the files one after the other, so that some remain when the first is done
    monkeypatch.setattr("edgeemo.batch.command.usable_cpus", lambda: 1)
    for number in range(4):
        make_clip(f"{number}.mp4", frames=50, width=320, height=240)
    window.show_queue([str(tmp_path)])
    dialog = found(qtbot, window)
    output = tmp_path / "dataset"
    dialog._set_output(str(output))
    dialog.start_or_pause()
    qtbot.waitUntil(lambda: bool(dialog._watcher and dialog._watcher.completed.ended_files), timeout=LONG_MS)
    dialog.start.setFocus()
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dialog.running, timeout=LONG_MS)
    assert dialog.start.text() == "Resume"
    assert dialog.focusWidget() is dialog.start, "Space would close the dialog"
    assert "Paused" in dialog.figures.text()
    done = {path: path.stat().st_mtime_ns for path in (output / "rows").glob("*.parquet")}
    assert 0 < len(done) < 4
    assert states(dialog).count("done") == len(done)
    window.close()

    studio.clip = lambda name: Clip(name, frames=5)
    again = make(settings=Settings(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)))
    assert "was not finished" in again.banner.text
    qtbot.waitUntil(lambda: again.player.state is PlayerState.ENDED, timeout=LONG_MS)
    assert "was not finished" in again.banner.text, "the end of the clip must not replace the offer"
    (resume,) = again.banner.buttons
    resume.click()
    assert again.queue is not None
    assert again.banner.text == "", "the offer is taken"
    found(qtbot, again)
    qtbot.waitUntil(lambda: again.queue is not None and not again.queue.running, timeout=LONG_MS)
    assert states(again.queue) == ["done"] * 4
    assert again.queue._watcher is not None
    assert len(again.queue._watcher.completed.todo) == 4 - len(done), "a file that was done is read again"
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(list((output / "rows").glob("*.parquet"))) == 4


def test_progress_counts_what_is_read_of_files_in_progress() -> None:
    files = [Input("a.mp4", size=100), Input("b.mp4", size=100)]
    watcher = QueueWatcher(files)
    assert watcher.share == 0
    watcher.running(Task(files[0], Path("a.parquet")), 10, 0.4, 0.25)
    assert watcher.share == pytest.approx(0.125)
    watcher.ended(Task(files[0], Path("a.parquet")), 40, whole=True)
    first, second = (
        Task(files[1], Path("b.parquet"), part=Part(n, 20 * n, 20 * n + 20, 0, 0.0, n == 1)) for n in (0, 1)
    )
    watcher.running(first, 20, 0.8, 0.5)
    watcher.ended(first, 20, whole=False)
    watcher.running(second, 10, 1.2, 0.25)
    assert watcher.share == pytest.approx(0.875)
    watcher.ended(second, 20, whole=False)
    watcher.ended(Task(files[1], Path("b.parquet"), joined=(Path("0"), Path("1"))), 0, whole=True)
    assert watcher.share == 1
    assert watcher.frames_so_far == 80


def test_closing_asks_before_it_stops_what_runs(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip
) -> None:
    make_clip("a.mp4", frames=200)
    window.show_queue([str(tmp_path / "a.mp4")])
    dialog = found(qtbot, window)
    dialog._set_output(str(tmp_path / "dataset"))
    dialog.start_or_pause()
    dialog.close()
    (box,) = dialog.findChildren(QMessageBox)
    default = box.defaultButton()
    assert default is not None
    assert default.text() == "Keep running"
    default.click()
    assert dialog.running
    dialog.reject()
    (stop,) = [each for each in dialog.findChildren(QPushButton) if each.text() == "Stop" and each.isVisible()]
    began = monotonic()
    stop.click()
    assert monotonic() - began < 0.5, "the window waits for the workers"
    qtbot.waitUntil(lambda: not dialog.running and not dialog.isVisible(), timeout=LONG_MS)
    assert window.settings.queue != ()


def test_a_folder_of_videos_goes_to_the_queue_and_one_of_pictures_is_played(
    tmp_path: Path, make_clip: MakeClip, pictures: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_clip("a.mp4", frames=3).rename(folder / "a.mp4")
    assert is_for_queue([str(folder)])
    assert not is_for_queue([str(folder / "a.mp4")])
    assert is_for_queue([str(folder / "a.mp4"), str(folder)])
    assert not is_for_queue([str(pictures)])
    assert not is_for_queue([str(tmp_path / "none")])


def test_what_is_no_video_is_refused_in_one_line(qtbot: QtBot, window: Window, tmp_path: Path) -> None:
    window.show_queue([str(tmp_path / "none.mp4")])
    dialog = found(qtbot, window)
    assert "no file or folder" in dialog.figures.text()
    assert not dialog.start.isEnabled()


def test_the_queue_uses_the_engine_of_the_window_until_it_has_begun(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip
) -> None:
    window.show_queue([str(make_clip("a.mp4", frames=3))])
    dialog = found(qtbot, window)
    dialog._faults = {str(tmp_path / "a.mp4"): "it was damaged"}
    dialog._set_output(str(tmp_path / "dataset"))
    assert states(dialog) == ["waits"], "the fault is that of another dataset"
    for chosen, used in (("first", "first"), ("second", "second"), ("third", "second")):
        window.live.choose_engine(chosen)
        dialog.start_or_pause()
        assert dialog._config.engine == used
        qtbot.waitUntil(lambda: not dialog.running, timeout=LONG_MS)
        assert f"no engine named '{used}'" in dialog.figures.text().lower()
        if chosen == "second":
            dialog._error = None  # as after a pause


def test_a_video_that_is_dropped_while_the_queue_runs_is_read_too(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip
) -> None:
    window.show_queue([str(make_clip("a.mp4", frames=12))])
    dialog = found(qtbot, window)
    dialog._set_output(str(tmp_path / "dataset"))
    dialog.start_or_pause()
    window.show_queue([str(make_clip("b.mp4", frames=12))])
    found(qtbot, window)
    assert states(dialog)[1] == "waits"
    assert len(window.settings.queue) == 3
    qtbot.waitUntil(dialog.show_folder.isEnabled, timeout=LONG_MS)
    assert states(dialog) == ["done", "done"]
    assert len(list((tmp_path / "dataset" / "rows").glob("*.parquet"))) == 2
    window.show_queue([str(make_clip("c.mp4", frames=12))])
    found(qtbot, window)
    assert states(dialog) == ["done", "done", "waits"]


def test_a_video_that_is_gone_does_not_keep_the_others_from_being_resumed(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip
) -> None:
    here = make_clip("a.mp4", frames=3)
    window.settings.queue = [str(tmp_path / "dataset"), str(tmp_path / "gone.mp4"), str(here)]
    window.show_queue()
    dialog = found(qtbot, window)
    assert states(dialog) == ["waits"]
    assert "gone.mp4" in dialog.figures.text()
    assert dialog.start.isEnabled()


def test_a_slow_folder_does_not_freeze_the_window_and_the_queue_starts_when_it_is_read(
    qtbot: QtBot, window: Window, tmp_path: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(paths: Sequence[str]) -> Inputs:
        sleep(0.4)
        return find_inputs(paths)

    monkeypatch.setattr("edgeemo.ui.queue.find_inputs", slow)
    window.settings.queue = [str(tmp_path / "dataset"), str(make_clip("a.mp4", frames=3))]
    began = monotonic()
    dialog = window.show_queue()
    dialog.start_or_pause()
    window.show_queue([str(make_clip("b.mp4", frames=3))])
    assert monotonic() - began < 0.35
    assert dialog.figures.text() == "Looking for videos …"
    assert not dialog.running
    qtbot.waitUntil(lambda: dialog.running, timeout=10_000)
    assert states(dialog) == ["waits"] * 2
    dialog.end()
