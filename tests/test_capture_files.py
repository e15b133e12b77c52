"""Video files: every frame, damaged and truncated files, media time, loops and pace."""

from __future__ import annotations

import itertools
import struct
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import MakeClip
from sources import count, levels, read

from edgeemo.capture import open_source
from edgeemo.capture.ffmpeg import Timeline
from edgeemo.capture.file import Pace

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


# truncated videos


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
    if number == total:  # only the index at the end of the file is lost, which reading does not need
        assert share == 0.97
        assert error == ""
        return
    assert 0 < number < total
    assert f"cut_{name} is cut off after frame {number} of {total}" in error
    both = zip(open_source(str(broken)).frames(), open_source(str(whole)).frames(), strict=False)
    for frame, original in itertools.islice(both, number - 1):  # the lower part of the last frame may be missing
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
    caplog.clear()
    looped = open_source(str(tmp_path / "scratched.mp4"), loop=True).frames()
    list(itertools.islice(looped, 3 * number))
    assert caplog.text.count("is damaged") == 1


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
    """Play frames with these media times to a slow viewer; returns the indices of the frames that are shown.

    Args:
        busy: index of a frame -> seconds until the viewer takes the next frame; -1: after all other frames.
    """
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
