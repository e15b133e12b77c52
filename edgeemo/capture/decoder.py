"""FFmpeg and V4L2 through OpenCV, quietly: the only place that opens a `cv2.VideoCapture`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from edgeemo.types import U8, Frame

# FFmpeg writes its own remarks to file descriptor 2, past Python; both variables are read when the first video opens
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# a camera that was unplugged while it is waited for
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")
# UDP, the default of FFmpeg, loses packets of key frames; and it would watch a stream for 20 frames to tell its rate,
# which nobody asks, and hand them over late: an RTSP camera of 15 frames a second opens in 0.7 s instead of 2.0
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fpsprobesize;1")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Decoder:
    """One opened video, stream or camera.

    Attributes:
        fps: frames a second as the container says, or 25 where it says nothing sensible.
        count: frames in it as the container says, 0 where it does not; an estimate in many containers.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 1 <= fps <= 1000 else 25.0
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if math.isfinite(count) and 0 < count < 1e9 else 0

    @property
    def codec(self) -> str:
        """Four letters, for example "h264"."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("latin-1")

    def grab(self) -> bool:
        """Decode the next frame; False at the end, or where the data are damaged."""
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

    @property
    def time(self) -> float:
        """When the grabbed frame is to be shown, in seconds from an origin of the container's own."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3

    def seek(self, time: float) -> None:
        """Go near a time in seconds of a file: the next frame that is grabbed may lie a little before or behind it."""
        self._capture.set(cv2.CAP_PROP_POS_MSEC, time * 1e3)

    def live(self, name: str, began: float) -> Iterator[Frame]:
        """Frames of a camera or stream as they come, until there is none; each is stamped later than the one before.

        Args:
            name: of the source.
            began: when it was opened, by `time.monotonic`.
        """
        index, last = 0, 0.0
        while (image := self.read()) is not None:
            last = max(time.monotonic() - began, last + 1e-6)
            yield Frame(image, index, last, name)
            index += 1

    def close(self) -> None:
        self._capture.release()


def open_video(address: str, *, open_timeout: float = 0, read_timeout: float = 0) -> Decoder | None:
    """Open what FFmpeg can read; None where it cannot.

    Args:
        address: a path or URL.
        open_timeout, read_timeout: seconds, for streams; 0 leaves OpenCV's own.
    """
    # one thread decodes 640x360 in 0.4 ms; a second one saves nothing there, takes the pipeline's core and adds delay
    options = [cv2.CAP_PROP_N_THREADS, 1]
    if open_timeout:
        options += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(open_timeout * 1e3)]
    if read_timeout:
        options += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_timeout * 1e3)]
    return _open(address, cv2.CAP_FFMPEG, options)


def open_camera(device: str, *, width: int = 0, height: int = 0, fps: float = 0.0, fourcc: str = "") -> Decoder | None:
    """Open a camera by its device file; None where that fails.

    Args:
        width, height, fps, fourcc: what is asked of it; 0 or empty leaves its own. A camera may choose otherwise.
    """
    options: list[int] = []
    if fourcc:
        options += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc)]
    if width and height:
        options += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
    if fps:
        options += [cv2.CAP_PROP_FPS, round(fps)]
    decoder = _open(device, cv2.CAP_V4L2, options)
    if decoder is None and options:
        # a camera that lacks what is asked for is better than none
        decoder = _open(device, cv2.CAP_V4L2, [])
    if decoder is not None:
        # the newest frame counts: what queues up in the driver is late
        decoder._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return decoder


def _open(address: str, api: int, options: Sequence[int]) -> Decoder | None:
    try:
        capture = cv2.VideoCapture(address, api, options)
    except (cv2.error, UnicodeError):
        return None
    if not capture.isOpened():
        capture.release()
        return None
    return Decoder(capture)


def bgr(image: np.ndarray) -> U8:
    """Any picture that OpenCV gives -> (H, W, 3) uint8 BGR, C-contiguous."""
    if image.dtype == np.uint16:
        image = image >> 8
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_GRAY2BGR)
    elif image.shape[2] == 4:
        image = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_BGRA2BGR)
    return np.ascontiguousarray(image, dtype=np.uint8)
