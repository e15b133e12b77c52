from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from edgeemo.capture import open_source
from edgeemo.capture.camera import CameraFormat
from edgeemo.capture.csi import CsiCamera, pipeline
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


def test_a_camera_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(SourceError) as caught, closing(open_source("csi://0").frames()) as frames:  # type: ignore[arg-type]
        next(frames)
    assert "csi://0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["csi://", "csi://abc", "csi://0;rm", "csi://0?width=a", "csi://0?sensor=1", "csi://0/1"]
)
def test_what_is_no_camera_is_a_mistake_before_anything_opens(uri: str) -> None:
    with pytest.raises(SourceError):
        open_source(uri)


def test_a_sensor_is_scaled_by_the_jetsons_hardware_and_only_the_newest_picture_waits() -> None:
    text = pipeline("1", 1280, 720, 29.97)
    assert "nvarguscamerasrc sensor-id=1" in text
    assert "framerate=29970/1000" in text
    assert "nvvidconv ! video/x-raw,format=BGRx,width=1280,height=720" in text
    assert "max-buffers=1 drop=true" in text


def test_the_configuration_goes_before_the_address() -> None:
    assert CsiCamera("csi://0?width=640", CameraFormat(width=320, height=180)).name == "csi://0"
