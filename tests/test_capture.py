from __future__ import annotations

import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import MakeClip

from edgeemo.capture import CameraInfo, list_cameras, open_source
from edgeemo.capture.camera import CameraSource
from edgeemo.capture.decoder import bgr
from edgeemo.capture.ffmpeg import Timeline
from edgeemo.capture.file import Pace
from edgeemo.capture.stream import Stream, without_secrets
from edgeemo.errors import SourceError
from edgeemo.types import Frame, Source


def read(source: Source) -> tuple[list[Frame], str]:
    """All frames, and the error that ended them."""
    frames: list[Frame] = []
    stream = source.frames()
    while True:
        try:
            frames.append(next(stream))
        except StopIteration:
            return frames, ""
        except SourceError as error:
            return frames, one_line(error)


def count(source: Source) -> tuple[int, float, str]:
    """As `read`, but only how many frames there are, and the time of the last: large ones fill the memory."""
    number, last = 0, 0.0
    stream = source.frames()
    while True:
        try:
            last = next(stream).time
            number += 1
        except StopIteration:
            return number, last, ""
        except SourceError as error:
            return number, last, one_line(error)


def one_line(error: SourceError) -> str:
    text = str(error)
    if "\n" in text:
        pytest.fail(f"more than one line: {text}")
    return text


def levels(frames: list[Frame]) -> list[int]:
    return [round(float(frame.image.mean())) for frame in frames]


# the grammar


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "the source is empty"),
        ("nowhere.mp4", "there is no file or folder 'nowhere.mp4'"),
        ("-1", "there is no file or folder '-1'"),
        ("99", "there is no camera 99: /dev/video99 does not exist"),
        ("/dev/video99", "there is no /dev/video99"),
        ("csi://x", "write csi:// and the number of the camera"),
        ("ftp://host/clip.mp4", "ftp:// is not a kind of source"),
        ("rtsp://", "names no host"),
        ("rtsp://host:port/", "is not a valid address"),
    ],
)
def test_a_source_that_cannot_be_is_told_in_one_line_before_anything_opens(uri: str, says: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("uri", "live"), [("demo", False), ("rtsp://cam/1", True), ("http://cam/mjpeg", True)])
def test_streams_are_live_and_files_are_not(uri: str, live: bool) -> None:
    assert open_source(uri).live is live


def test_a_device_that_is_no_camera_is_an_error() -> None:
    frames, error = read(open_source("/dev/null"))
    assert not frames
    assert "/dev/null is not a camera" in error


def test_a_file_url_is_a_file(make_clip: MakeClip) -> None:
    clip = make_clip("with space.mp4", frames=3)
    frames, error = read(open_source(f"file://{str(clip).replace(' ', '%20')}"))
    assert (len(frames), error) == (3, "")


# video files


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_every_frame_of_a_file_comes_in_order_in_media_time(make_clip: MakeClip, name: str) -> None:
    frames, error = read(open_source(str(make_clip(name, frames=30, fps=25))))
    assert error == ""
    assert [frame.index for frame in frames] == list(range(30))
    assert levels(frames) == pytest.approx([20 + 4 * n for n in range(30)], abs=6)
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(30)], abs=2e-3)
    assert {frame.origin for frame in frames} == {name}
    assert not any(frame.still for frame in frames)


def test_a_files_name_may_look_like_a_protocol_or_a_pattern(make_clip: MakeClip, tmp_path: Path) -> None:
    for name in ("10:30.mp4", "100%d.mp4", "-i.mp4", "päuse.mp4"):
        make_clip("a.mp4", frames=2).rename(tmp_path / name)
        frames, error = read(open_source(str(tmp_path / name)))
        assert (len(frames), error) == (2, ""), name


def test_relative_paths_and_the_home_folder_are_found(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip("a.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in ("a.mp4", "./a.mp4", "~/a.mp4"):
        assert len(read(open_source(uri))[0]) == 2


def test_a_rotated_video_comes_upright(demo_clip: Path, tmp_path: Path) -> None:
    data = bytearray(demo_clip.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    quarter = (0, 1 << 16, 0, -(1 << 16), 0, 0, 360 << 16, 0, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", *quarter)
    (tmp_path / "turned.mp4").write_bytes(data)
    upright = next(iter(open_source(str(demo_clip)).frames())).image
    turned = next(iter(open_source(str(tmp_path / "turned.mp4")).frames())).image
    assert turned.shape == (640, 360, 3)
    assert np.array_equal(turned, cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))


def test_a_tiny_video_is_read(make_clip: MakeClip) -> None:
    frames, error = read(open_source(str(make_clip("a.avi", frames=3, width=2, height=2))))
    assert error == ""
    assert [frame.image.shape for frame in frames] == [(2, 2, 3)] * 3


@pytest.mark.parametrize("content", [b"", b"words\n" * 500, bytes(range(256)) * 300, b"\x00" * 5000])
@pytest.mark.parametrize("name", ["no.mp4", "no.txt", "no"])
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    frames, error = read(open_source(str(tmp_path / name)))
    assert not frames
    assert ("is not a video" in error) or ("is empty" in error)


def test_a_source_can_be_read_again_from_its_beginning(make_clip: MakeClip) -> None:
    source = open_source(str(make_clip("a.mp4", frames=5)))
    assert levels(read(source)[0]) == levels(read(source)[0])


def test_frames_stay_as_they_were_when_later_ones_are_read(make_clip: MakeClip) -> None:
    frames = open_source(str(make_clip("a.mp4", frames=5))).frames()
    first = next(frames)
    before = first.image.copy()
    list(frames)
    assert np.array_equal(first.image, before)


# videos that break off


def cut(path: Path, share: float, name: str = "") -> Path:
    data = path.read_bytes()
    shorter = path.with_name(name or f"cut_{path.name}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", ["demo.mp4", "a.avi", "a.mkv"])
def test_a_truncated_video_gives_its_frames_and_then_says_where_it_breaks_off(
    make_clip: MakeClip, demo_clip: Path, tmp_path: Path, name: str, share: float
) -> None:
    if name == "demo.mp4":
        whole = tmp_path / name
        whole.write_bytes(demo_clip.read_bytes())
        total = 310
    else:
        total = 50
        whole = make_clip(name, frames=total, width=160, height=120)
    broken = cut(whole, share)
    number, _, error = count(open_source(str(broken)))
    if number == total:  # only the index at the file's end is lost, which nobody needs to read it
        assert share == 0.97
        assert error == ""
        return
    assert 0 < number < total
    assert f"cut_{name} is cut off after frame {number} of {total}" in error
    both = zip(open_source(str(broken)).frames(), open_source(str(whole)).frames(), strict=False)
    for frame, original in itertools.islice(both, number - 1):  # the last one may lack its lower part
        assert frame.time == original.time
        assert np.array_equal(frame.image, original.image)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.97])
def test_a_video_whose_index_is_missing_says_so(make_clip: MakeClip, share: float) -> None:
    frames, error = read(open_source(str(cut(make_clip("a.mp4", frames=50), share))))
    assert not frames
    assert "is not a video" in error if share == 0.001 else "ends before its first frame can be read" in error


def test_a_download_that_stopped_with_zeros_at_its_end_is_told(demo_clip: Path, tmp_path: Path) -> None:
    data = bytearray(demo_clip.read_bytes())
    data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
    (tmp_path / "half.mp4").write_bytes(data)
    number, _, error = count(open_source(str(tmp_path / "half.mp4")))
    assert 0 < number < 310
    assert f"is cut off after frame {number} of 310" in error


def test_a_damaged_place_is_passed_over_with_a_warning(
    demo_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(demo_clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20000] = np.random.default_rng(0).bytes(20000)
    (tmp_path / "scratched.mp4").write_bytes(data)
    number, last, error = count(open_source(str(tmp_path / "scratched.mp4")))
    assert error == ""
    assert 200 < number < 310
    assert last == pytest.approx(12.36, abs=0.01)
    assert "scratched.mp4 is damaged after frame" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["-ss", "1.3", "-i", "CLIP", "-c", "copy", "-t", "1", "hidden.mp4"],  # an edit list hides frames that count
        ["-i", "CLIP", "-c", "copy", "-movflags", "+frag_keyframe+empty_moov", "fragments.mp4"],
        ["-i", "CLIP", "-f", "lavfi", "-i", "sine=d=30", "-c:v", "copy", "-c:a", "libvorbis", "sound.mkv"],
        ["-i", "CLIP", "-vf", "select=lt(n\\,20)+not(mod(n\\,7))", "-vsync", "vfr", "-c:v", "mpeg4", "uneven.mkv"],
        ["-i", "CLIP", "-c", "copy", "packets.ts"],
        ["-i", "CLIP", "-c", "copy", "-f", "h264", "raw.h264"],
        ["-i", "CLIP", "-c", "copy", "-live", "1", "open_ended.mkv"],
    ],
    ids=lambda arguments: str(arguments[-1]),
)
def test_a_whole_video_with_an_odd_frame_count_is_no_false_alarm(
    ffmpeg: str, demo_clip: Path, tmp_path: Path, arguments: list[str]
) -> None:
    command = [str(demo_clip) if part == "CLIP" else part for part in arguments]
    subprocess.run([ffmpeg, "-v", "error", "-nostdin", *command], cwd=tmp_path, check=True)
    times = [frame.time for frame in open_source(str(tmp_path / command[-1])).frames()]
    assert len(times) > 20
    assert times[0] == 0
    assert all(before < after for before, after in itertools.pairwise(times))


def test_shared_media_are_whole(media: Path) -> None:
    for name, total in (("two_faces.mp4", 56), ("three_faces.mp4", 41)):
        assert count(open_source(str(media / name)))[::2] == (total, "")


# media time


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([5.0, 5.04, 5.08], [0.0, 0.04, 0.08]),
        ([-0.5, -0.46, -0.1], [0.0, 0.04, 0.4]),
        ([None, None, None], [0.0, 0.04, 0.08]),
        ([None, None, 3.0, 3.1], [0.0, 0.04, 0.08, 0.18]),
        ([0.0, 0.0, 0.1], [0.0, 0.04, 0.1]),
        ([0.0, float("nan"), 0.1], [0.0, 0.04, 0.1]),
        ([0.0, 20.0], [0.0, 20.0]),
        ([1.4, 1.44, 1.48, 1.4, 1.44], [0.0, 0.04, 0.08, 0.12, 0.16]),
    ],
)
def test_media_time_follows_presentation_times(stamps: list[float | None], times: list[float]) -> None:
    timeline = Timeline()
    assert [timeline.tick(stamp, 0.04) for stamp in stamps] == pytest.approx(times)


def test_a_joint_with_a_jump_forward_is_closed_in_a_transport_stream() -> None:
    timeline = Timeline(joins=True)
    assert [timeline.tick(stamp, 0.04) for stamp in (0.0, 8.0, 95000.0)] == pytest.approx([0.0, 8.0, 8.04])


# the demo clip, loops and pace


def test_the_demo_clip_is_small_and_whole(demo_clip: Path) -> None:
    assert demo_clip.stat().st_size < 1_000_000
    assert (demo_clip.parent / "ATTRIBUTION.md").is_file()
    source = open_source("demo")
    assert source.name == "demo"
    number, last, error = count(source)
    assert (number, error) == (310, "")
    assert 8 <= last <= 13
    frame = next(iter(source.frames()))
    assert (frame.image.shape, frame.origin) == ((360, 640, 3), "demo")


def test_a_loop_goes_on_for_ever_with_rising_time_and_index(make_clip: MakeClip) -> None:
    source = open_source(str(make_clip("a.mp4", frames=10)), loop=True)
    stream = source.frames()
    frames = list(itertools.islice(stream, 35))
    stream.close()
    assert [frame.index for frame in frames] == list(range(35))
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(35)], abs=2e-3)
    assert levels(frames)[10:20] == levels(frames)[:10]


def test_the_demo_clip_loops_when_asked_to_in_its_name() -> None:
    stream = open_source("demo?loop").frames()
    *_, last = (frame.index for frame in itertools.islice(stream, 312))
    stream.close()
    assert last == 311


def test_a_truncated_video_does_not_loop_over_its_break(demo_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(demo_clip.read_bytes()[:100_000])
    number, _, error = count(open_source(str(tmp_path / "cut.mp4"), loop=True))
    assert "is cut off" in error
    assert number < 310


def test_a_paced_file_takes_its_own_time_and_no_less(make_clip: MakeClip) -> None:
    source = open_source(str(make_clip("a.mp4", frames=8, fps=25)), paced=True)
    arrived = [(frame.time, time.monotonic()) for frame in source.frames()]
    assert len(arrived) > 1
    assert arrived[-1][1] - arrived[0][1] >= arrived[-1][0] - arrived[0][0] - 0.02


class FakeClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def play(times: list[float], busy: dict[int, float]) -> tuple[list[int], FakeClock]:
    """Which frames are shown to somebody who is busy for so long after some of them, or after all (-1)."""
    clock = FakeClock()
    pace = Pace(clock.now, clock.sleep)
    shown = []
    for index, at in enumerate(times):
        if pace.is_late(at):
            continue
        pace.wait(at)
        shown.append(index)
        clock.sleep(busy.get(index, busy.get(-1, 0.0)))
    return shown, clock


def test_a_paced_file_shows_every_frame_when_it_is_due() -> None:
    shown, clock = play([n / 25 for n in range(50)], {-1: 0.03})
    assert shown == list(range(50))
    assert clock.time == pytest.approx(100 + 49 / 25 + 0.03)


def test_whoever_is_too_slow_for_a_paced_file_misses_frames_but_keeps_its_time() -> None:
    shown, clock = play([n / 25 for n in range(50)], {-1: 0.1})
    assert 18 <= len(shown) <= 23
    assert clock.time == pytest.approx(102, abs=0.25)


def test_after_a_pause_a_paced_file_goes_on_where_it_was() -> None:
    shown, clock = play([n / 25 for n in range(50)], {10: 60.0})
    assert shown == list(range(50))
    assert clock.time == pytest.approx(100 + 60 + 49 / 25, abs=0.05)


def test_a_long_gap_in_a_paced_file_is_shortened() -> None:
    shown, clock = play([0, 30, 30.04], {})
    assert shown == [0, 1, 2]
    assert clock.time == pytest.approx(100.54)


# pictures


def test_pictures_come_in_natural_order_with_their_names(pictures: Path) -> None:
    source = open_source(str(pictures))
    frames, error = read(source)
    assert error == ""
    assert [frame.origin for frame in frames] == ["Face1.jpg", "face2.png", "face10.png"]
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert all(frame.still for frame in frames)
    assert (source.name, source.live) == ("pictures", False)


def test_only_a_paced_folder_of_pictures_lets_each_one_stay(pictures: Path) -> None:
    assert open_source(str(pictures), paced=True).pause_s == 1.5
    assert open_source(str(pictures)).pause_s == 0
    assert open_source(str(pictures / "face2.png"), paced=True).pause_s == 0


def test_a_single_picture_is_a_source(pictures: Path) -> None:
    frames, error = read(open_source(str(pictures / "face2.png")))
    assert ([frame.origin for frame in frames], error) == (["face2.png"], "")


@pytest.mark.parametrize(
    "picture",
    [
        np.full((5, 7), 200, np.uint8),
        np.full((5, 7), 200 * 257, np.uint16),
        np.full((5, 7, 3), 200 * 257, np.uint16),
        np.dstack([np.full((5, 7, 3), 200, np.uint8), np.full((5, 7), 255, np.uint8)]),
        np.full((1, 1, 3), 200, np.uint8),
        np.full((1, 1), 200, np.uint8),
    ],
    ids=["grey", "grey 16 bit", "16 bit", "alpha", "1x1", "1x1 grey"],
)
def test_any_picture_becomes_8_bit_bgr(tmp_path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (frame,) = open_source(str(tmp_path)).frames()
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (*picture.shape[:2], 3)
    assert frame.image.flags.c_contiguous
    assert np.all(frame.image == 200)


@pytest.mark.parametrize(
    "picture",
    [
        np.full((5, 7), 200, np.uint8),
        np.full((5, 7, 1), 200, np.uint8),
        np.full((5, 7, 4), 200, np.uint8),
        np.full((5, 7, 3), 200, np.uint8)[:, ::-1],
        np.full((5, 7), 200 * 257, np.uint16),
    ],
    ids=["grey", "one channel", "alpha", "flipped", "16 bit"],
)
def test_any_frame_of_a_decoder_becomes_8_bit_bgr(picture: np.ndarray) -> None:
    image = bgr(picture)
    assert image.shape == (5, 7, 3)
    assert image.flags.c_contiguous
    assert np.all(image == 200)


def test_a_picture_taken_with_a_turned_camera_comes_upright(tmp_path: Path) -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # turn a quarter clockwise
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + orientation + bytes(4)
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    (frame,) = open_source(str(tmp_path)).frames()
    assert frame.image.shape == (40, 20, 3)
    assert frame.image[:15].mean() > 240
    assert frame.image[25:].mean() < 15


def test_unreadable_pictures_are_left_out_counted_and_named(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = (pictures / "face2.png").read_bytes()
    (pictures / "a_empty.png").write_bytes(b"")
    (pictures / "b_cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "c_words.jpg").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("no picture, and not named like one")
    (pictures / "._face2.png").write_bytes(b"what some systems leave behind")
    (pictures / "folder.png").mkdir()
    frames, error = read(open_source(str(pictures)))
    assert error == "3 of 6 pictures could not be read: a_empty.png, b_cut.png, c_words.jpg"
    assert [frame.index for frame in frames] == [0, 1, 2]
    said = [record.getMessage() for record in caplog.records]
    assert [words.split("/")[-1].split()[0] for words in said[:-1]] == ["a_empty.png", "b_cut.png", "c_words.jpg"]
    assert said[-1] == "1 file skipped: not a picture: notes.txt"


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures in the folder"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "b.jpg"]])
def test_a_folder_without_a_readable_picture_is_an_error(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"no picture")
    frames, error = read(open_source(str(tmp_path)))
    assert not frames
    assert "can be read" in error or "is not a readable picture" in error


# cameras


def test_the_list_of_cameras_is_empty_without_devices(tmp_path: Path) -> None:
    assert list_cameras(tmp_path, tmp_path) == []


def test_a_video_device_that_is_no_camera_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    (tmp_path / "video1").symlink_to("/dev/null")
    (tmp_path / "video2").symlink_to(tmp_path / "gone")
    assert list_cameras(tmp_path, tmp_path) == []


def querycap(driver: str, bus: str, capabilities: int) -> bytes:
    """What the kernel answers: struct v4l2_capability."""
    return struct.pack("=16s32s32sIII3I", driver.encode(), b"card", bus.encode(), 0, 0x84000000, capabilities, 0, 0, 0)


def test_of_a_raspberry_pi_only_cameras_are_listed_and_its_csi_camera_by_the_address_that_works(
    tmp_path: Path,
) -> None:
    capture, both = 0x04200001, 0x04208000  # VIDEO_CAPTURE, VIDEO_M2M
    nodes = {
        "video0": querycap("unicam", "platform:fe801000.csi", capture),
        "video1": querycap("unicam", "platform:fe801000.csi", 0x04A00000),  # META_CAPTURE
        "video2": querycap("uvcvideo", "usb-0000:01:00.0-1.2", capture),
        "video10": querycap("bcm2835-codec", "platform:bcm2835-codec", both),
        "video14": querycap("bcm2835-isp", "platform:bcm2835-isp", capture),
        "video19": querycap("rpivid", "platform:rpivid", both),
        "video24": querycap("pispbe", "platform:1000880000.pisp_be", 0x04201000),
    }
    for name in nodes:
        (tmp_path / name).touch()
        (tmp_path / "names" / name).mkdir(parents=True)
        (tmp_path / "names" / name / "name").write_text(f"{name}'s name")
    cameras = list_cameras(tmp_path, tmp_path / "names", lambda device: nodes[device.name])
    assert cameras == [
        CameraInfo(str(tmp_path / "video2"), "video2's name", str(tmp_path / "video2")),
        CameraInfo("csi://0", "CSI camera 0", str(tmp_path / "video0")),
    ]


@pytest.mark.skipif(not list_cameras(), reason="no camera is connected")
def test_a_connected_camera_gives_frames() -> None:
    camera = list_cameras()[0]
    assert isinstance(camera, CameraInfo)
    stream = open_source(camera.uri).frames()
    frames = list(itertools.islice(stream, 3))
    stream.close()
    assert [frame.index for frame in frames] == [0, 1, 2]


def test_a_camera_that_gives_nothing_is_an_error(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"")
    frames, error = read(CameraSource(str(device), name="camera 0"))
    assert not frames
    assert "cannot open camera 0" in error


# streams


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("rtsp://user:secret@cam:8554/1", "rtsp://cam:8554/1"),
        ("rtsp://user:se@cret@cam/1", "rtsp://cam/1"),
        ("rtsp://user:se/cret@cam/1", "rtsp://cam/1"),
        ("rtsp://user:se?cret@cam/1", "rtsp://cam/1"),
        ("http://cam/mjpeg?token=secret#x", "http://cam/mjpeg"),
        ("http://cam/mjpeg?mail=a@secret", "http://cam/mjpeg"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
    ],
)
def test_passwords_in_addresses_are_never_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_host_that_refuses_is_told_without_the_password() -> None:
    frames, error = read(open_source("rtsp://user:secret@127.0.0.1:9/stream"))
    assert not frames
    assert "127.0.0.1:9 refuses the connection" in error
    assert "secret" not in error


def test_a_malformed_address_is_told_without_the_password() -> None:
    with pytest.raises(SourceError) as error:
        open_source("rtsp://user:sec/ret@cam/1")
    assert "sec" not in str(error.value)


@contextmanager
def camera_server(pictures: int, *, hangs: bool = False, size: int = 32) -> Iterator[str]:
    """A network camera that serves so many pictures as MJPEG at /mjpeg, and a page at /."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if not self.path.startswith("/mjpeg"):
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<p>a page</p>")
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(pictures):
                jpeg = cv2.imencode(".jpg", np.full((size, size, 3), 20 + 10 * number, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            if hangs:
                released.wait(20)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_address[1]}"
    finally:
        released.set()
        server.shutdown()
        thread.join(5)
        server.server_close()


def test_a_stream_gives_its_frames_and_an_error_when_it_breaks_off() -> None:
    with camera_server(12) as address:
        frames, error = read(open_source(f"{address}/mjpeg?token=secret"))
    assert len(frames) >= 10
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert levels(frames) == pytest.approx([20 + 10 * n for n in range(len(frames))], abs=3)
    assert all(before.time < after.time for before, after in itertools.pairwise(frames))
    assert f"ended after {len(frames)} frames: the server closed the connection" in error
    assert "secret" not in error + frames[0].origin


def test_a_stream_that_falls_silent_is_an_error() -> None:
    with camera_server(12, hangs=True) as address:
        frames, error = read(Stream(f"{address}/mjpeg", open_timeout=3, read_timeout=1))
    assert frames
    assert "no data for 1 s" in error


def test_a_run_that_waits_for_the_network_can_be_ended(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with camera_server(12, hangs=True) as address:
        command = [sys.executable, "-m", "edgeemo", "run", "--source", f"{address}/mjpeg", "--sink", f"jsonl:{output}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            deadline = time.monotonic() + 30
            while not (output.exists() and output.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            said = running.communicate(timeout=30)[1]
    # without the signal the silence would have ended it with 2
    assert running.returncode == 130, said


def test_an_address_that_gives_no_video_is_an_error() -> None:
    with camera_server(0) as address:
        frames, error = read(Stream(f"{address}/", open_timeout=3, read_timeout=1))
    assert not frames
    assert "answers, but not with a video" in error


# noise


def test_nothing_reaches_the_terminal_but_our_own_words(demo_clip: Path, tmp_path: Path) -> None:
    data = demo_clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "random.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "noise.mp4").write_bytes(data[:8000] + np.random.default_rng(0).bytes(100_000))
    folder = tmp_path / "pictures"
    folder.mkdir()
    png = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    (folder / "a.png").write_bytes(png[:3000])
    (folder / "b.png").write_bytes(png[:3000] + b"\xff" * 100 + png[3100:])
    (folder / "c.jpg").write_bytes(jpeg[:2000])
    (folder / "d.png").write_bytes(png)
    code = """
import logging, sys
logging.disable(logging.WARNING)
from edgeemo.capture import open_source
from edgeemo.errors import SourceError
for uri in sys.argv[1:]:
    try:
        print(sum(1 for _ in open_source(uri).frames()))
    except SourceError as error:
        print("SourceError")
"""
    names = ["cut.mp4", "random.mp4", "noise.mp4", "pictures"]
    uris = [*(str(tmp_path / name) for name in names), "rtsp://127.0.0.1:9/a", "/dev/video98", "/dev/null", "demo"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENCV")}
    done = subprocess.run(
        [sys.executable, "-c", code, *uris], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["SourceError"] * 7 + ["310"]
