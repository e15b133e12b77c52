"""Cameras on a Jetson's CSI connector, through GStreamer: pip's OpenCV has none, so PyGObject and an appsink."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from edgeemo.capture.camera import CameraFormat
from edgeemo.errors import SourceError
from edgeemo.types import U8, Frame

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
FIRST_S = 10.0  # the camera daemon takes seconds to start a sensor
SILENCE_S = 3.0
POLL_S = 0.25
SYSTEM = Path("/usr/lib/python3/dist-packages")  # where Debian and JetPack put PyGObject, out of a venv's sight
PACKAGES = "sudo apt install python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base"


class CsiCamera:
    """`csi://0`: frames of a CSI camera, scaled by the Jetson's own hardware, stamped with the seconds since it opened.

    `csi://0?width=1280&height=720&fps=30` chooses a size where the configuration does not; `csi://test` is GStreamer's
    test picture and needs no camera.

    Raises:
        SourceError: the address is malformed, GStreamer or the camera is missing, or the camera stops.
    """

    live = True
    pause_s = 0.0

    def __init__(self, uri: str, wanted: CameraFormat) -> None:
        parts = urlsplit(uri)
        sensor = parts.netloc + parts.path
        if not re.fullmatch(r"\d{1,2}|test", sensor):
            raise SourceError(f"{uri}: write csi:// and the number of the camera, for example csi://0")
        self.name = uri.partition("?")[0]
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if not all(key in ("width", "height", "fps") and re.fullmatch(r"\d{1,5}", query[key]) for key in query):
            raise SourceError(f"{uri}: after the question mark only width=, height= and fps= may stand, whole numbers")
        self._width = wanted.width or int(query.get("width", WIDTH))
        self._height = wanted.height or int(query.get("height", HEIGHT))
        self._fps = wanted.fps or float(query.get("fps", FPS))
        self._description = pipeline(sensor, self._width, self._height, self._fps)

    def frames(self) -> Iterator[Frame]:
        gst = _gstreamer(self.name)
        began = time.monotonic()
        try:
            running = gst.parse_launch(self._description)
        except Exception as error:  # GLib.Error: an element is missing
            raise SourceError(
                f"cannot open {self.name}: {_reason(error)}; is this a Jetson with its multimedia?"
            ) from error
        sink, bus = running.get_by_name("frames"), running.get_bus()
        index, last = 0, 0.0
        try:
            running.set_state(gst.State.PLAYING)
            heard = time.monotonic()
            while True:
                sample = sink.emit("try-pull-sample", int(POLL_S * gst.SECOND))
                if sample is None:
                    self._expect_well(gst, bus, index, time.monotonic() - heard)
                    continue
                heard = time.monotonic()
                last = max(heard - began, last + 1e-6)
                yield Frame(_image(gst, sample), index, last, self.name)
                index += 1
        finally:
            running.set_state(gst.State.NULL)

    def _expect_well(self, gst: Any, bus: Any, index: int, silent: float) -> None:
        message = bus.pop_filtered(gst.MessageType.ERROR | gst.MessageType.EOS)
        if message is not None and message.type == gst.MessageType.ERROR:
            error, _ = message.parse_error()
            raise SourceError(f"{self.name} stopped after {index} frames: {_reason(error)}; check its cable")
        if message is not None:
            raise SourceError(f"{self.name} ended after {index} frames; check its cable")
        if silent > (SILENCE_S if index else FIRST_S):
            raise SourceError(
                f"{self.name} gives no picture for {silent:.0f} s; try: sudo systemctl restart nvargus-daemon"
            )


def pipeline(sensor: str, width: int, height: int, fps: float) -> str:
    """GStreamer's description of the way from a sensor to BGR pictures; only the newest one waits."""
    rate = f"{round(fps * 1000)}/1000"
    if sensor == "test":
        origin = f"videotestsrc is-live=true ! video/x-raw,format=BGRx,width={width},height={height},framerate={rate}"
    else:
        # the sensor's own mode is left to the driver; NV12 in NVMM is what it gives, nvvidconv scales and converts it
        origin = (
            f"nvarguscamerasrc sensor-id={int(sensor)} ! video/x-raw(memory:NVMM),format=NV12,framerate={rate} "
            f"! nvvidconv ! video/x-raw,format=BGRx,width={width},height={height}"
        )
    return (
        f"{origin} ! videoconvert ! video/x-raw,format=BGR "
        "! appsink name=frames sync=false max-buffers=1 drop=true emit-signals=false"
    )


def _image(gst: Any, sample: Any) -> U8:
    """(H, W, 3) BGR, copied out of GStreamer's memory; its rows are padded to multiples of 4 bytes."""
    structure = sample.get_caps().get_structure(0)
    width, height = structure.get_value("width"), structure.get_value("height")
    buffer = sample.get_buffer()
    found, mapped = buffer.map(gst.MapFlags.READ)
    if not found:
        raise SourceError("a picture of the CSI camera cannot be read; start again")
    try:
        rows = np.frombuffer(mapped.data, np.uint8).reshape(height, -1)
        return np.array(rows[:, : width * 3]).reshape(height, width, 3)
    finally:
        buffer.unmap(mapped)


def _gstreamer(name: str) -> Any:
    try:
        gi = _gi()
        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp  # noqa: F401  GstApp gives the appsink its methods
    except (ImportError, ValueError) as error:
        raise SourceError(f"cannot open {name}: PyGObject with GStreamer is missing ({error}); {PACKAGES}") from error
    if not Gst.is_initialized():
        Gst.init(None)
    return Gst


def _gi() -> Any:
    try:
        import gi
    except ImportError:
        # a virtual environment does not see the system's packages; this one alone is taken from there
        spec = importlib.util.spec_from_file_location(
            "gi", SYSTEM / "gi" / "__init__.py", submodule_search_locations=[str(SYSTEM / "gi")]
        )
        if spec is None or spec.loader is None or not (SYSTEM / "gi").is_dir():
            raise
        gi = importlib.util.module_from_spec(spec)
        sys.modules["gi"] = gi
        try:
            spec.loader.exec_module(gi)
        except ImportError:
            del sys.modules["gi"]
            raise
    return gi


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "message", error)).split())
