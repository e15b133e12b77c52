"""Cameras on the CSI connector of a Jetson or a Raspberry Pi, through GStreamer. Called by `open_source`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from edgeemo.capture import gstreamer
from edgeemo.capture.camera import CameraFormat
from edgeemo.capture.ffmpeg import since
from edgeemo.capture.gstreamer import APPSINK, GStreamerError, Pipeline
from edgeemo.errors import SourceError
from edgeemo.types import Frame

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
FIRST_S = 10.0  # time-out for the first picture; the camera daemon takes seconds to start a sensor
SILENCE_S = 3.0
POLL_S = 0.25
# the element that reads a CSI camera -> advice if it delivers no picture
ADVICE = {
    "nvarguscamerasrc": "try: sudo systemctl restart nvargus-daemon",
    "libcamerasrc": "check the cable, and check that rpicam-hello shows a picture",
    "videotestsrc": "reinstall GStreamer",
}
MISSING = (
    "GStreamer has neither nvarguscamerasrc, which comes with JetPack, nor libcamerasrc (Raspberry Pi OS: "
    "sudo apt install gstreamer1.0-libcamera)"
)


class CsiCamera:
    """`csi://0`: frames of a CSI camera, scaled by the board's own hardware, stamped with the seconds since it opened.

    `csi://0?width=1280&height=720&fps=30` chooses a size if the configuration does not; `csi://test` is GStreamer's
    test picture and needs no camera.

    Raises:
        SourceError: the address is malformed, GStreamer or the camera is missing, or the camera stops.
    """

    live = True
    pause_s = 0.0
    decoder = ""

    def __init__(self, uri: str, wanted: CameraFormat) -> None:
        parts = urlsplit(uri)
        self._sensor = parts.netloc + parts.path
        if not re.fullmatch(r"\d{1,2}|test", self._sensor):
            raise SourceError(f"{uri}: write csi:// and the number of the camera, for example csi://0")
        self.name = uri.partition("?")[0]
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if not all(key in ("width", "height", "fps") and re.fullmatch(r"\d{1,5}", query[key]) for key in query):
            raise SourceError(f"{uri}: only width=, height= and fps= with integers are allowed after the question mark")
        self._width = wanted.width or int(query.get("width", WIDTH))
        self._height = wanted.height or int(query.get("height", HEIGHT))
        self._fps = wanted.fps or float(query.get("fps", FPS))

    def frames(self) -> Iterator[Frame]:
        began = time.monotonic()
        try:
            element = "videotestsrc" if self._sensor == "test" else _element()
            origin = source(element, self._sensor, self._width, self._height, self._fps)
            running = Pipeline(f"{origin} ! videoconvert ! video/x-raw,format=BGR ! {APPSINK} max-buffers=1 drop=true")
        except GStreamerError as error:
            raise SourceError(f"cannot open {self.name}: {error}") from error
        index, last = 0, 0.0
        try:
            running.play()
            heard = time.monotonic()
            while True:
                sample = running.pull(POLL_S)
                if sample is None:
                    self._expect_well(running, index, time.monotonic() - heard, ADVICE[element])
                    continue
                heard = time.monotonic()
                last = since(began, last)
                yield Frame(sample.image, index, last, self.name)
                index += 1
        except GStreamerError as error:
            raise SourceError(f"{self.name} stopped after {index} frames: {error}; check its cable") from error
        finally:
            running.close()

    def _expect_well(self, running: Pipeline, index: int, silent: float, advice: str) -> None:
        if running.has_ended():
            raise SourceError(f"{self.name} ended after {index} frames; check its cable")
        if silent > (SILENCE_S if index else FIRST_S):
            raise SourceError(f"{self.name} has delivered no picture for {silent:.0f} s; {advice}")


def _element() -> str:
    gstreamer.module()
    for name in ("nvarguscamerasrc", "libcamerasrc"):
        if gstreamer.has_element(name):
            return name
    raise GStreamerError(MISSING)


def source(element: str, sensor: str, width: int, height: int, fps: float) -> str:
    """The start of a GStreamer pipeline: a sensor's pictures in main memory at the requested size.

    Raises:
        GStreamerError: the camera's number is too high.
    """
    rate = f"{round(fps * 1000)}/1000"
    size = f"width={width},height={height}"
    if element == "videotestsrc":
        return f"videotestsrc is-live=true ! video/x-raw,format=BGRx,{size},framerate={rate}"
    if element == "nvarguscamerasrc":
        # the driver chooses the sensor's mode and delivers NV12 in NVMM; nvvidconv scales and converts it
        return (
            f"nvarguscamerasrc sensor-id={int(sensor)} ! video/x-raw(memory:NVMM),format=NV12,framerate={rate} "
            f"! nvvidconv ! video/x-raw,format=BGRx,{size}"
        )
    # libcamerasrc uses the first camera unless it gets a name; the image signal processor scales
    # (raspberrypi.com/documentation/computers/camera_software.html, "Using GStreamer")
    element = "libcamerasrc"
    if int(sensor):
        cameras = gstreamer.devices("libcameraprovider")
        if int(sensor) >= len(cameras):
            raise GStreamerError(
                f"libcamera finds {len(cameras)} cameras, counted from 0; see: rpicam-hello --list-cameras"
            )
        element += f' camera-name="{cameras[int(sensor)]}"'
    return f"{element} ! video/x-raw,format=NV12,{size},framerate={rate}"
