from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import MakeClip
from sources import read

from edgeemo.capture import CameraInfo, list_cameras, open_source
from edgeemo.capture.camera import CameraSource
from edgeemo.errors import SourceError

# the grammar


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "the source is empty"),
        ("nowhere.mp4", "there is no file or folder 'nowhere.mp4'"),
        ("-1", "there is no file or folder '-1'"),
        ("99", "there is no camera 99: /dev/video99 does not exist"),
        ("/dev/video99", "there is no /dev/video99"),
        ("csi://x", "write csi:// and the number of the camera"),
        ("ftp://host/clip.mp4", "ftp:// is not a kind of source"),
        ("rtsp://", "names no host"),
        ("rtsp://host:port/", "is not a valid address"),
    ],
)
def test_a_source_that_cannot_be_is_told_in_one_line_before_anything_opens(uri: str, says: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("uri", "live"), [("demo", False), ("rtsp://cam/1", True), ("http://cam/mjpeg", True)])
def test_streams_are_live_and_files_are_not(uri: str, live: bool) -> None:
    assert open_source(uri).live is live


def test_a_device_that_is_no_camera_is_an_error() -> None:
    frames, error = read(open_source("/dev/null"))
    assert not frames
    assert "/dev/null is not a camera" in error


def test_a_file_url_is_a_file(make_clip: MakeClip) -> None:
    clip = make_clip("with space.mp4", frames=3)
    frames, error = read(open_source(f"file://{str(clip).replace(' ', '%20')}"))
    assert (len(frames), error) == (3, "")


# cameras


def test_the_list_of_cameras_is_empty_without_devices(tmp_path: Path) -> None:
    assert list_cameras(tmp_path, tmp_path) == []


def test_a_video_device_that_is_no_camera_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    (tmp_path / "video1").symlink_to("/dev/null")
    (tmp_path / "video2").symlink_to(tmp_path / "gone")
    assert list_cameras(tmp_path, tmp_path) == []


def querycap(driver: str, bus: str, capabilities: int) -> bytes:
    """The kernel's reply: struct v4l2_capability."""
    return struct.pack("=16s32s32sIII3I", driver.encode(), b"card", bus.encode(), 0, 0x84000000, capabilities, 0, 0, 0)


def test_of_a_raspberry_pi_only_cameras_are_listed_and_its_csi_camera_by_the_address_that_works(
    tmp_path: Path,
) -> None:
    capture, both = 0x04200001, 0x04208000  # VIDEO_CAPTURE, VIDEO_M2M
    nodes = {
        "video0": querycap("unicam", "platform:fe801000.csi", capture),
        "video1": querycap("unicam", "platform:fe801000.csi", 0x04A00000),  # META_CAPTURE
        "video2": querycap("uvcvideo", "usb-0000:01:00.0-1.2", capture),
        "video10": querycap("bcm2835-codec", "platform:bcm2835-codec", both),
        "video14": querycap("bcm2835-isp", "platform:bcm2835-isp", capture),
        "video19": querycap("rpivid", "platform:rpivid", both),
        "video24": querycap("pispbe", "platform:1000880000.pisp_be", 0x04201000),
    }
    for name in nodes:
        (tmp_path / name).touch()
        (tmp_path / "names" / name).mkdir(parents=True)
        (tmp_path / "names" / name / "name").write_text(f"{name}'s name")
    cameras = list_cameras(tmp_path, tmp_path / "names", lambda device: nodes[device.name])
    assert cameras == [
        CameraInfo(str(tmp_path / "video2"), "video2's name", str(tmp_path / "video2")),
        CameraInfo("csi://0", "CSI camera 0", str(tmp_path / "video0")),
    ]


@pytest.mark.skipif(not list_cameras(), reason="no camera is connected")
def test_a_connected_camera_gives_frames() -> None:
    camera = list_cameras()[0]
    assert isinstance(camera, CameraInfo)
    stream = open_source(camera.uri).frames()
    frames = list(itertools.islice(stream, 3))
    stream.close()
    assert [frame.index for frame in frames] == [0, 1, 2]


def test_a_camera_that_gives_nothing_is_an_error(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"")
    frames, error = read(CameraSource(str(device), name="camera 0"))
    assert not frames
    assert "cannot open camera 0" in error


# noise


def test_nothing_reaches_the_terminal_but_our_own_words(demo_clip: Path, tmp_path: Path) -> None:
    data = demo_clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "random.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "noise.mp4").write_bytes(data[:8000] + np.random.default_rng(0).bytes(100_000))
    folder = tmp_path / "pictures"
    folder.mkdir()
    png = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    (folder / "a.png").write_bytes(png[:3000])
    (folder / "b.png").write_bytes(png[:3000] + b"\xff" * 100 + png[3100:])
    (folder / "c.jpg").write_bytes(jpeg[:2000])
    (folder / "d.png").write_bytes(png)
    code = """
import logging, sys
logging.disable(logging.WARNING)
from edgeemo.capture import open_source
from edgeemo.errors import SourceError
for uri in sys.argv[1:]:
    try:
        print(sum(1 for _ in open_source(uri).frames()))
    except SourceError as error:
        print("SourceError")
"""
    names = ["cut.mp4", "random.mp4", "noise.mp4", "pictures"]
    uris = [*(str(tmp_path / name) for name in names), "rtsp://127.0.0.1:9/a", "/dev/video98", "/dev/null", "demo"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENCV")}
    done = subprocess.run(
        [sys.executable, "-c", code, *uris], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["SourceError"] * 7 + ["310"]
