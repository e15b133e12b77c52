from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from edgeemo.capture import csi, gstreamer, open_source
from edgeemo.capture.camera import CameraFormat
from edgeemo.capture.csi import CsiCamera, source
from edgeemo.capture.gstreamer import GStreamerError, Pipeline, Sample
from edgeemo.errors import SourceError


def test_the_test_picture_comes_through_gstreamer_in_the_size_asked_for() -> None:
    # 322 pixels of three bytes: GStreamer pads its rows
    source = open_source("csi://test?width=322&height=240&fps=30")
    assert source.live
    got = []
    with closing(source.frames()) as frames:  # type: ignore[arg-type]
        try:
            for frame in frames:
                got.append(frame)
                if len(got) == 5:
                    break
        except SourceError as error:
            if "PyGObject" in str(error):
                pytest.skip(str(error))
            raise
    assert [frame.index for frame in got] == list(range(5))
    assert [frame.time for frame in got] == sorted({frame.time for frame in got})
    image = got[0].image
    assert image.shape == (240, 322, 3)
    # SMPTE bars: white, yellow, cyan, green, magenta, red, blue; a swap of channels would exchange the last two
    bars = [image[60, round((bar + 0.5) * 322 / 7)].tolist() for bar in range(7)]
    assert np.allclose(bars[5], [0, 0, 255], atol=30), bars
    assert np.allclose(bars[6], [255, 0, 0], atol=30), bars


def test_exceptions_of_cpp_libraries_still_work_after_gstreamer_is_loaded() -> None:
    """Runs in a separate process, which would be aborted without `_keep_unwinder`."""
    code = (
        "from edgeemo.capture import gstreamer\n"
        "try:\n    gstreamer.module()\n"
        "except gstreamer.GStreamerError:\n    raise SystemExit(5)\n"
        "import matplotlib.ft2font, cv2, numpy\n"
        "try:\n    cv2.resize(numpy.zeros((0, 0, 3), numpy.uint8), (0, 0))\n"
        "except cv2.error:\n    pass\n"
        "try:\n    matplotlib.ft2font.nonsense\n"
        "except AttributeError:\n    print('caught')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 5:
        pytest.skip("no GStreamer")
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr[-2000:]


def test_a_camera_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(SourceError) as caught, closing(open_source("csi://0").frames()) as frames:  # type: ignore[arg-type]
        next(frames)
    assert "csi://0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_that_gstreamer_cannot_pass_on_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unmappable(Pipeline):
        def __init__(self, description: str) -> None:
            pass

        def play(self) -> None:
            pass

        def pull(self, wait_s: float) -> Sample | None:
            raise GStreamerError("cannot map the memory of a picture")

        def close(self) -> None:
            pass

    monkeypatch.setattr(csi, "Pipeline", Unmappable)
    with pytest.raises(SourceError, match="csi://test stopped after 0 frames: cannot map the memory"):
        next(open_source("csi://test").frames())


@pytest.mark.parametrize(
    "uri", ["csi://", "csi://abc", "csi://0;rm", "csi://0?width=a", "csi://0?sensor=1", "csi://0/1"]
)
def test_what_is_no_camera_is_a_mistake_before_anything_opens(uri: str) -> None:
    with pytest.raises(SourceError):
        open_source(uri)


def test_a_sensor_is_scaled_by_the_jetsons_hardware() -> None:
    text = source("nvarguscamerasrc", "1", 1280, 720, 29.97)
    assert "nvarguscamerasrc sensor-id=1" in text
    assert "video/x-raw(memory:NVMM),format=NV12,framerate=29970/1000" in text
    assert text.endswith("nvvidconv ! video/x-raw,format=BGRx,width=1280,height=720")


def test_a_raspberry_pis_sensor_is_scaled_by_its_image_signal_processor() -> None:
    text = source("libcamerasrc", "0", 1280, 720, 30)
    assert text == "libcamerasrc ! video/x-raw,format=NV12,width=1280,height=720,framerate=30000/1000"
    if not gstreamer.has_element("libcamerasrc"):
        pytest.skip("no libcamerasrc (apt install gstreamer1.0-libcamera)")
    # the real element accepts the description, and fails when it starts without a camera
    Pipeline(f"{text} ! videoconvert ! video/x-raw,format=BGR ! {gstreamer.APPSINK}").close()
    with pytest.raises(GStreamerError, match="libcamera finds 0 cameras, counted from 0"):
        source("libcamerasrc", "1", 1280, 720, 30)


def test_the_configuration_goes_before_the_address() -> None:
    assert CsiCamera("csi://0?width=640", CameraFormat(width=320, height=180)).name == "csi://0"
