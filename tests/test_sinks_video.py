from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import frame, result

from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.video import fitted, rate_of
from edgeemo.types import U8, Faces, Result
from engines import LABELS


def with_a_bar(result: Result) -> U8:
    picture = result.frame.image.copy()
    picture[: picture.shape[0] // 4] = (0, 0, 255)
    return picture


CONTEXT = SinkContext(LABELS, draw=with_a_bar)


def read(path: Path) -> tuple[list[U8], float]:
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    pictures = []
    while True:
        more, picture = capture.read()
        if not more:
            capture.release()
            return pictures, rate
        pictures.append(np.asarray(picture, np.uint8))


def empty(index: int, time: float, *, height: int = 64, width: int = 128) -> Result:
    whole = frame(index, time=time)
    image = np.full((height, width, 3), 40 + index * 5, np.uint8)
    none = np.zeros((0, len(LABELS)), np.float32)
    return Result(type(whole)(image, index, time, "clip.mp4"), Faces.none(), none, none, LABELS, ())


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi", "OUT.MP4"])
@pytest.mark.parametrize("rate", [10, 25, 30])
def test_the_overlay_is_burnt_in_at_the_rate_of_the_source(tmp_path: Path, name: str, rate: int) -> None:
    path = tmp_path / name
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(20):
        sink.write(result(1, index=index, time=index / rate))
    sink.close()
    pictures, got = read(path)
    assert len(pictures) == 20
    assert got == pytest.approx(rate, abs=0.01)
    assert pictures[3].shape == (64, 128, 3)
    assert pictures[3][4:12, :, 2].mean() > 200
    assert pictures[3][40:, :, 2].mean() < 80


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_video_shorter_than_the_look_ahead_is_written_too(tmp_path: Path, count: int) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(count):
        sink.write(empty(index, index / 30))
    sink.close()
    sink.close()
    assert len(read(path)[0]) == count


def test_dropped_frames_are_filled_so_that_the_video_is_as_long_as_its_source(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in (0, 1, 2, 3, 4, 5, 9, 10):
        sink.write(empty(index, index / 25))
    sink.close()
    pictures, _ = read(path)
    assert len(pictures) == 11
    assert abs(float(pictures[7][40:].mean()) - (40 + 5 * 5)) < 4
    assert abs(float(pictures[9][40:].mean()) - (40 + 9 * 5)) < 4


PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from fakes import result
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink

sink = open_sink("video:" + sys.argv[2], SinkContext((), draw=lambda result: result.frame.image))
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    for index in range(300):
        sink.write(result(0, index=index, time=index / 25))
    sink.close()
except SinkError as error:
    print(error)
"""


def test_a_video_whose_end_found_no_room_is_an_error_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "out.mp4")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "could not be finished" in done.stdout
    assert done.stdout.count("\n") == 1


def test_pictures_of_other_and_odd_sizes_fit_into_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index, (height, width) in enumerate([(65, 127), (65, 127), (1, 1), (300, 20), (10, 900), (65, 127)]):
        sink.write(empty(index, float(index), height=height, width=width))
    sink.close()
    pictures, _ = read(path)
    assert [picture.shape for picture in pictures] == [(64, 126, 3)] * 6


def test_a_name_that_is_no_video_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"must end in \.mp4"):
        open_sink(f"video:{tmp_path}/out.txt", CONTEXT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([0.0], 25.0),
        ([0.0, 0.0], 25.0),
        ([0.0, 0.04, 0.08, 0.12], 25.0),
        ([0.0, 0.033, 0.067, 0.1, 0.133], 30.0),
        ([0.0, 1.0, 2.0], 1.0),
        ([0.0, 100.0, 200.0], 1.0),
        ([0.0, 1 / 30, 2 / 30, 5 / 30], 30.0),
        ([0.0, 0.08, 0.16], 12.5),
    ],
)
def test_the_rate_comes_from_the_times(times: list[float], rate: float) -> None:
    assert rate_of(times) == pytest.approx(rate)


@pytest.mark.parametrize("rate", [1 / 0.015, 1 / 0.014, 1 / 0.0108, 92.593, 239.99, 7.123, 1.0, 1000.0])
def test_every_rate_of_a_source_can_be_encoded(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "out.mkv"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(10):
        sink.write(empty(index, index / rate))
    sink.close()
    assert len(read(path)[0]) > 2


def test_a_fitted_picture_is_whole_and_centred() -> None:
    canvas = fitted(np.full((50, 100, 3), 200, np.uint8), (100, 100))
    assert canvas.shape == (100, 100, 3)
    assert canvas[25:75].min() == 200
    assert canvas[:25].max() == canvas[75:].max() == 0
