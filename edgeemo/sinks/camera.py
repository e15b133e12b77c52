"""The sink `camera`: a virtual camera for OBS and video calls with picture and overlay, through pyvirtualcam.

On Linux the driver is v4l2loopback; OBS includes one for Windows and macOS.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pyvirtualcam

from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.video import fitted
from edgeemo.types import Result, Sink

DEVICE = re.compile(r"/dev/video(\d{1,3})")
FPS = 30.0  # a hint for the driver; frames are sent as they arrive
DRIVER = (
    "install the driver (Debian, Ubuntu: sudo apt install v4l2loopback-dkms) and load it: "
    "sudo modprobe v4l2loopback video_nr={number} card_label=edgeemo exclusive_caps=1"
)


class CameraSink(Sink):
    """`camera:/dev/videoN`: other programs see the picture with boxes and names as a camera.

    The camera has the size of the first picture (with even sides); later sizes are fitted into it. With several
    sources, the first one is shown.

    Args:
        root: root of the file system with `dev` and `sys`.

    Raises:
        ConfigError: the target is not a virtual camera; the message says what to install.
    """

    pictures = True

    def __init__(self, target: str, context: SinkContext, *, root: Path = Path("/")) -> None:
        if sys.platform == "linux":
            _expect_virtual(target, root)
        self._target = target
        self._draw = context.draw
        self._source = context.sources[0] if context.sources else ""
        self._camera: pyvirtualcam.Camera | None = None

    def write(self, result: Result) -> None:
        if self._source and result.frame.origin != self._source:
            return
        picture = self._draw(result)
        camera = self._camera
        try:
            if camera is None:
                height, width = picture.shape[:2]
                # drivers store one colour sample per 2x2 pixels
                size = max(2, width // 2 * 2), max(2, height // 2 * 2)
                camera = self._camera = pyvirtualcam.Camera(
                    *size, FPS, fmt=pyvirtualcam.PixelFormat.BGR, device=self._target
                )
            camera.send(fitted(picture, (camera.width, camera.height)))
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise SinkError(f"cannot show pictures on the virtual camera {self._target}: {reason}") from error

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def _expect_virtual(target: str, root: Path) -> None:
    """Check that the target is a virtual camera.

    Raises:
        ConfigError: it is not.
    """
    match = DEVICE.fullmatch(target)
    if match is None:
        raise ConfigError(f"sink camera:{target} needs the device of a virtual camera: write camera:/dev/video9")
    advice = DRIVER.format(number=match[1])
    if not (root / target.lstrip("/")).exists():
        raise ConfigError(f"sink camera:{target}: there is no such device; {advice}")
    known = root / "sys/class/video4linux" / f"video{match[1]}"
    # link to the parent of the device: .../devices/virtual/... or .../devices/pci...
    if known.exists() and "virtual" not in known.resolve().parts:
        raise ConfigError(f"sink camera:{target} is a real camera and accepts no pictures; {advice}")
