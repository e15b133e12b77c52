"""Open cameras with OpenCV, without its warnings. Called by `camera`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from edgeemo.capture import desktop_cameras
from edgeemo.types import U8, Frame

# seconds until a read from an unplugged camera fails; OpenCV's default is 10
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Decoder:
    """One opened camera."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def grab(self) -> bool:
        """Take the next frame; False if there is none."""
        try:
            return bool(self._capture.grab())
        except cv2.error:
            return False

    def image(self) -> U8 | None:
        """The frame that was grabbed, upright, (H, W, 3) BGR."""
        try:
            ok, image = self._capture.retrieve()
        except cv2.error:
            return None
        return bgr(image) if ok and image is not None and image.size else None

    def read(self) -> U8 | None:
        return self.image() if self.grab() else None

    def live(self, name: str, began: float) -> Iterator[Frame]:
        """Frames as they arrive, until there are no more; times strictly increase.

        Args:
            name: name of the camera.
            began: when it was opened, by `time.monotonic`.
        """
        index, last = 0, 0.0
        while (image := self.read()) is not None:
            last = max(time.monotonic() - began, last + 1e-6)
            yield Frame(image, index, last, name)
            index += 1

    def close(self) -> None:
        self._capture.release()


def open_camera(device: str, *, width: int = 0, height: int = 0, fps: float = 0.0, fourcc: str = "") -> Decoder | None:
    """Open a camera by its device file; None if that fails.

    Args:
        width, height, fps, fourcc: requested format; 0 or empty: the camera's default. The camera may choose another
            one.
    """
    options: list[int] = []
    if fourcc:
        options += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc)]
    if width and height:
        options += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
    if fps:
        options += [cv2.CAP_PROP_FPS, round(fps)]
    decoder = _open(device, options)
    if decoder is None and options:
        # if the requested format is missing, use the default
        decoder = _open(device, [])
    if decoder is not None:
        # only the newest frame matters: frames queued in the driver are late
        decoder._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return decoder


def _open(device: str, options: Sequence[int]) -> Decoder | None:
    try:
        if device.isdigit():
            opened = desktop_cameras.open_capture(int(device), options)
            return Decoder(opened) if opened is not None else None
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2, options)
    except (cv2.error, UnicodeError):
        return None
    if not capture.isOpened():
        capture.release()
        return None
    return Decoder(capture)


def bgr(image: np.ndarray) -> U8:
    """Any picture from OpenCV -> (H, W, 3) uint8 BGR, C-contiguous."""
    if image.dtype == np.uint16:
        image = image >> 8
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_GRAY2BGR)
    elif image.shape[2] == 4:
        image = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_BGRA2BGR)
    return np.ascontiguousarray(image, dtype=np.uint8)
