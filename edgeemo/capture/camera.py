"""Cameras of this machine: V4L2 on Linux, `desktop_cameras` elsewhere. Called by `open_source` and the app."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeemo.capture import desktop_cameras
from edgeemo.capture.decoder import open_camera
from edgeemo.errors import SourceError
from edgeemo.types import Frame

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP, linux/videodev2.h
_CAPTURE = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, _MPLANE
_HAS_DEVICE_CAPS = 0x80000000
_NAMES = ((0, 16), (48, 80))  # byte ranges of driver and bus_info in the reply
# Raspberry Pi drivers whose nodes are not cameras: raw data of a CSI sensor, the image signal processor's inputs and
# outputs, and codecs
_CSI_RECEIVERS = ("unicam", "rp1-cfe")
_PROCESSORS = ("bcm2835-isp", "pispbe", "bcm2835-codec", "rpivid", "rpi-hevc-dec")


@dataclass(frozen=True)
class CameraInfo:
    """A connected camera.

    Attributes:
        uri: its name for `open_source`; if possible a path that does not depend on the order of plugging in.
        name: the name that the camera reports.
        device: its device file.
    """

    uri: str
    name: str
    device: str


@dataclass(frozen=True)
class CameraFormat:
    """The requested format of a camera; 0 or empty leaves the choice to the camera.

    Attributes:
        format: a V4L2 code such as MJPG or YUYV.
    """

    width: int = 0
    height: int = 0
    fps: float = 0.0
    format: str = ""


class CameraSource:
    """Frames of a camera as they arrive, stamped with the seconds since it was opened.

    Raises:
        SourceError: there is no such camera, permission was denied, or it was unplugged.
    """

    live = True
    pause_s = 0.0
    decoder = ""

    def __init__(self, device: str, *, name: str, wanted: CameraFormat | None = None) -> None:
        self.name = name
        self._device = device
        self._wanted = wanted or CameraFormat()
        if device.isdigit():  # Windows and macOS number their cameras
            desktop_cameras.ask_permission()
        elif not os.path.exists(device):
            missing = name if name == device else f"{name}: {device} does not exist"
            raise SourceError(f"there is no {missing}; {_others()}")

    def frames(self) -> Iterator[Frame]:
        began = time.monotonic()
        wanted = self._wanted
        decoder = open_camera(
            self._device, width=wanted.width, height=wanted.height, fps=wanted.fps, fourcc=wanted.format
        )
        if decoder is None:
            raise SourceError(f"cannot open {self.name}: {_why_not(self._device)}")
        count = 0
        try:
            for frame in decoder.live(self.name, began):
                yield frame
                count += 1
        finally:
            decoder.close()
        raise SourceError(
            f"{self.name} stopped after {count} frames; check its cable, then start again"
            if count
            else f"{self.name} delivers no picture; close other programs that use it, or reconnect it"
        )


def _query(device: Path) -> bytes:
    """struct v4l2_capability: driver[16] card[32] bus_info[32] version capabilities device_caps reserved[3]."""
    if sys.platform == "win32":
        raise OSError(errno.ENOTTY, "V4L2 is Linux's")
    import fcntl

    handle = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return fcntl.ioctl(handle, _QUERYCAP, bytes(104))
    finally:
        os.close(handle)


def list_cameras(
    dev: Path = Path("/dev"),
    descriptions: Path = Path("/sys/class/video4linux"),
    query: Callable[[Path], bytes] = _query,
) -> list[CameraInfo]:
    """The connected cameras, found without opening a stream; empty if there are none.

    A camera on a Raspberry Pi's CSI connector is listed once, as csi://0, because its device nodes deliver raw sensor
    data.

    Args:
        dev, descriptions: Linux's folders of device files and of their descriptions.
        query: returns a device's reply to VIDIOC_QUERYCAP.
    """
    if sys.platform in desktop_cameras.APIS:
        return [CameraInfo(str(index), name, str(index)) for index, name in desktop_cameras.found()]
    stable: dict[str, str] = {}
    for link in sorted((dev / "v4l" / "by-id").glob("*")):
        stable.setdefault(os.path.realpath(link), str(link))
    cameras: list[CameraInfo] = []
    receivers: dict[str, str] = {}  # bus of a CSI connector -> its first node
    for device in sorted(dev.glob("video*"), key=lambda path: (len(path.name), path.name)):
        node = _ask(device, query)
        if not re.fullmatch(r"video\d+", device.name) or not node.captures:
            continue
        if node.driver in _CSI_RECEIVERS:
            receivers.setdefault(node.bus, str(device))
        if node.driver in _CSI_RECEIVERS + _PROCESSORS:
            continue
        try:
            name = (descriptions / device.name / "name").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            name = ""
        uri = stable.get(os.path.realpath(device), str(device))
        cameras.append(CameraInfo(uri, name or device.name, str(device)))
    csi = [
        CameraInfo(f"csi://{number}", f"CSI camera {number}", node) for number, node in enumerate(receivers.values())
    ]
    return cameras + csi


@dataclass(frozen=True)
class _Node:
    """What a video device reports; encoders, outputs and metadata nodes are video devices, too."""

    driver: str
    bus: str
    captures: bool


def _ask(device: Path, query: Callable[[Path], bytes]) -> _Node:
    try:
        answer = query(device)
    except OSError as error:
        # list it anyway: opening it reports the reason
        return _Node("", "", error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY))
    driver, bus = (answer[start:end].partition(b"\0")[0].decode("ascii", "replace") for start, end in _NAMES)
    capabilities, device_caps = struct.unpack_from("=II", answer, 84)
    chosen = device_caps if capabilities & _HAS_DEVICE_CAPS else capabilities
    return _Node(driver, bus, bool(chosen & _CAPTURE))


def _others() -> str:
    cameras = list_cameras()
    if not cameras:
        return "no camera is connected; connect one, or try the source demo"
    return "connected: " + ", ".join(f"{camera.name} at {camera.device}" for camera in cameras)


def _why_not(device: str) -> str:
    if sys.platform == "win32" or device.isdigit():
        return desktop_cameras.advice()
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return "permission denied; add yourself to the group video and log in again"
        if error.errno == errno.EBUSY:
            return "another program uses it; close that first"
        return f"{error.strerror}; {_others()}"
    if not _ask(Path(device), _query).captures:
        return f"{device} is not a camera; {_others()}"
    return "another program may be using it; close that first"
