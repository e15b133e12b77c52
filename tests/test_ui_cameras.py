"""Cameras that are lost, come back or are connected."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path

from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot
from windows import Clip, Studio, Windows, shows

from edgeemo.capture import CameraInfo
from edgeemo.config import Config
from edgeemo.errors import SourceError
from edgeemo.ui.camera_watch import CameraWatch
from edgeemo.ui.player import PlayerState
from edgeemo.ui.window import Window

# lost cameras


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


def test_stop_also_ends_the_attempts_and_their_message(qtbot: QtBot, make: Windows, studio: Studio) -> None:
    studio.clip = lambda name: Clip(name, frames=10, error=SourceError("the camera was unplugged; plug it in again"))
    window = make(Config(source="/dev/video7"))
    qtbot.waitUntil(lambda: "Retrying automatically" in window.banner.text)
    window.player.stop()
    assert not window.live.retrying
    assert window.banner.text == ""


# newly connected cameras


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
