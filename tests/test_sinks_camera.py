"""`camera:`: the pictures that a virtual camera gets through pyvirtualcam's driver interface, and its errors."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from fakes import frame, result

from edgeemo.cli import main
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import U8, Result
from engines import LABELS


def with_a_bar(result: Result) -> U8:
    picture = result.frame.image.copy()
    picture[: picture.shape[0] // 4] = (0, 0, 255)
    return picture


class Driver:
    """A fake of v4l2loopback, registered with pyvirtualcam like any other driver."""

    made: ClassVar[list[Driver]] = []

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        self.size, self.name, self.closed = (width, height), device, False
        self.pictures: list[U8] = []
        self.broken = False
        Driver.made.append(self)

    def send(self, picture: U8) -> None:
        if self.broken:
            raise RuntimeError("error writing frame:\n No such device")
        width, height = self.size
        self.pictures.append(picture.reshape(height, width, 3).copy())

    def close(self) -> None:
        self.closed = True

    def device(self) -> str | None:
        return self.name

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Driver]:
    pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="the extra camera is not installed")
    monkeypatch.setattr(Driver, "made", [])
    monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, "v4l2loopback", Driver)
    return Driver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a machine with a real camera, video0, and a virtual one, video9."""
    classes = tmp_path / "sys/class/video4linux"
    classes.mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    for name, place in (("video0", "pci0000:00/usb1/video4linux"), ("video9", "virtual/video4linux")):
        device = tmp_path / "sys/devices" / place / name
        device.mkdir(parents=True)
        (classes / name).symlink_to(device)
        (tmp_path / "dev" / name).touch()
    return tmp_path


def opened(root: Path, target: str = "/dev/video9", sources: tuple[str, ...] = ()) -> Any:
    from edgeemo.sinks.camera import CameraSink

    return CameraSink(target, SinkContext(LABELS, draw=with_a_bar, sources=sources), root=root)


def of_size(width: int, height: int, origin: str = "clip.mp4") -> Result:
    image = np.full((height, width, 3), 90, np.uint8)
    return replace(result(1), frame=replace(frame(0, origin=origin), image=image))


def test_the_picture_with_its_overlay_reaches_the_driver(driver: type[Driver], root: Path) -> None:
    sink = opened(root)
    for size in ((129, 65), (129, 65), (258, 64)):
        sink.write(of_size(*size))
    sink.close()
    sink.close()
    (camera,) = driver.made
    assert (camera.name, camera.size, camera.closed) == ("/dev/video9", (128, 64), True)
    first, _, wide = camera.pictures
    assert first[0, 0].tolist() == [0, 0, 255]  # blue, green, red
    assert first[-1, -1].tolist() == [90, 90, 90]
    # fitted into the camera's size, with black above and below
    assert wide[0, 64].tolist() == [0, 0, 0]
    assert wide[40, 64].tolist() == [90, 90, 90]


def test_of_several_sources_the_first_is_shown(driver: type[Driver], root: Path) -> None:
    sink = opened(root, sources=("door", "hall"))
    for origin in ("hall", "door", "hall"):
        sink.write(of_size(128, 64, origin))
    assert len(driver.made[0].pictures) == 1


def test_a_driver_that_goes_away_is_one_line(driver: type[Driver], root: Path) -> None:
    sink = opened(root)
    sink.write(of_size(128, 64))
    driver.made[0].broken = True
    with pytest.raises(SinkError, match=r"virtual camera /dev/video9: error writing frame: No such device"):
        sink.write(of_size(128, 64))


@pytest.mark.skipif(sys.platform != "linux", reason="devices are named so on Linux only")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("OBS", r"needs the device of a virtual camera: write camera:/dev/video9"),
        ("/dev/video7", r"no such device; install the driver .*modprobe v4l2loopback video_nr=7 "),
        ("/dev/video0", r"is a real camera and accepts no pictures; install the driver"),
    ],
)
def test_what_is_no_virtual_camera_is_told_with_what_to_install(target: str, said: str, root: Path) -> None:
    pytest.importorskip("pyvirtualcam", reason="the extra camera is not installed")
    with pytest.raises(ConfigError, match=said):
        opened(root, target)


@pytest.mark.skipif(Path("/dev/video9").exists(), reason="there is such a camera")
def test_a_device_that_is_no_driver_is_refused_by_the_library(root: Path) -> None:
    """pyvirtualcam's code for v4l2loopback refuses it."""
    pytest.importorskip("pyvirtualcam", reason="the extra camera is not installed")
    sink = opened(root)
    with pytest.raises(SinkError, match="cannot show pictures on the virtual camera /dev/video9: "):
        sink.write(of_size(128, 64))


def test_without_the_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "edgeemo.sinks.camera", raising=False)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    assert main(["run", "--source", "demo", "--frames", "1", "--sink", "camera:/dev/video9"]) == 2
    error = capsys.readouterr().err
    assert "needs pyvirtualcam, which is not installed: pip install" in error
    assert error.count("\n") == 1


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="there is such a camera")
def test_without_the_driver_the_command_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyvirtualcam", reason="the extra camera is not installed")
    assert main(["run", "--source", "demo", "--frames", "1", "--sink", "camera:/dev/video99"]) == 2
    error = capsys.readouterr().err
    assert "v4l2loopback-dkms" in error
    assert error.count("\n") == 1


def test_a_camera_needs_a_device() -> None:
    with pytest.raises(ConfigError, match="camera:/dev/videoN"):
        open_sink("camera:", SinkContext(LABELS, draw=with_a_bar))
