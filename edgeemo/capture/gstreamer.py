"""GStreamer through PyGObject, because pip's OpenCV is built without it. Called by `csi` and `hardware_video`."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgeemo.types import U8

SYSTEM = Path("/usr/lib/python3/dist-packages")  # PyGObject of Debian and JetPack, which a venv does not see
PACKAGES = "sudo apt install python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base"
APPSINK = "appsink name=frames sync=false emit-signals=false"
NS = 1_000_000_000


class GStreamerError(Exception):
    """Why GStreamer cannot be used or a pipeline failed, in one clause."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture of a pipeline.

    Attributes:
        image: (H, W, 3) BGR.
        time_us: presentation time of its buffer in microseconds; None if it has none.
    """

    image: U8
    time_us: int | None


class Pipeline:
    """A pipeline whose last element is an `APPSINK` that gets BGR; an appsrc called `packets` may feed it.

    Raises:
        GStreamerError: PyGObject, GStreamer or an element is missing.
    """

    def __init__(self, description: str) -> None:
        self._gst = module()
        try:
            self._pipeline = self._gst.parse_launch(description)
        except Exception as error:  # GLib.Error: an element is missing, or elements are incompatible
            raise GStreamerError(_reason(error)) from error
        self._sink = self._pipeline.get_by_name("frames")
        self._packets = self._pipeline.get_by_name("packets")
        self._bus = self._pipeline.get_bus()
        self._ended = False

    def play(self) -> None:
        self._pipeline.set_state(self._gst.State.PLAYING)

    def pull(self, wait_s: float) -> Sample | None:
        """The next picture; None after the time-out or the end of the stream."""
        sample = self._sink.try_pull_sample(int(wait_s * NS))
        return None if sample is None else self._convert(sample)

    def push(self, packet: bytes, time_us: int | None) -> None:
        buffer = self._gst.Buffer.new_wrapped(packet)
        if time_us is not None:
            buffer.pts = time_us * 1000
        self._packets.push_buffer(buffer)

    def end(self) -> None:
        """End the input, which flushes the decoder."""
        self._packets.end_of_stream()

    def has_ended(self) -> bool:
        """Whether the end of the stream has reached the last element.

        Raises:
            GStreamerError: an element has failed.
        """
        kinds = self._gst.MessageType
        message = self._bus.pop_filtered(kinds.ERROR | kinds.EOS)
        if message is not None and message.type == kinds.ERROR:
            raise GStreamerError(_reason(message.parse_error()[0]))
        self._ended |= message is not None
        return self._ended

    def close(self) -> None:
        self._pipeline.set_state(self._gst.State.NULL)

    def _convert(self, sample: Any) -> Sample:
        structure = sample.get_caps().get_structure(0)
        width, height = structure.get_value("width"), structure.get_value("height")
        buffer = sample.get_buffer()
        found, mapped = buffer.map(self._gst.MapFlags.READ)
        if not found:
            raise GStreamerError("cannot map the memory of a picture")
        try:
            # rows are padded to multiples of 4 bytes; copied, because GStreamer owns the memory
            rows = np.frombuffer(mapped.data, np.uint8).reshape(height, -1)
            image = np.array(rows[:, : width * 3]).reshape(height, width, 3)
        finally:
            buffer.unmap(mapped)
        known = buffer.pts != self._gst.CLOCK_TIME_NONE
        return Sample(image, round(buffer.pts / 1000) if known else None)


@cache
def module() -> Any:
    """The namespace Gst, initialised.

    Raises:
        GStreamerError: it is not installed; the message names the packages.
    """
    try:
        _keep_unwinder()
        gi = _gi()
        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp  # noqa: F401  GstApp gives appsink and appsrc their methods
    except (ImportError, ValueError) as error:
        raise GStreamerError(f"PyGObject with GStreamer is missing ({error}); {PACKAGES}") from error
    if not Gst.is_initialized():
        Gst.init(None)
    return Gst


def has_element(name: str, takes: str = "") -> bool:
    """Whether an element is installed; False if GStreamer is not.

    Args:
        takes: a media type that it must accept, for example "video/x-h264".
    """
    try:
        gst = module()
    except GStreamerError:
        return False
    if not name.isascii():  # no element has such a name, and GLib accepts only UTF-8
        return False
    factory = gst.ElementFactory.find(name)
    return factory is not None and (not takes or factory.can_sink_any_caps(gst.Caps.from_string(takes)))


def devices(provider: str) -> list[str]:
    """Names of the devices that a device provider finds, in its order; empty if there is no such provider."""
    gst = module()
    found = gst.DeviceProviderFactory.get_by_name(provider)
    return [device.get_display_name() for device in found.get_devices()] if found is not None else []


def _keep_unwinder() -> None:
    """Let C++ exceptions work after GStreamer is loaded.

    GObject introspection loads libgstreamer, and the libunwind that it needs, with global symbols. From then on, other
    libraries get libunwind's _Unwind_Resume instead of libgcc's, and the next C++ exception in OpenCV, ONNX Runtime or
    matplotlib would end the process. The first library loaded with global symbols wins, so libgcc is loaded before.
    """
    with contextlib.suppress(OSError):  # a system without libgcc_s has no such conflict
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)


def _gi() -> Any:
    try:
        import gi
    except ImportError:
        # import only this package from the system's packages, which a virtual environment does not see
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
