"""Videos as people have them: shape, time, streams, damage."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sources import TWELFTHS, encode, read

import edgeemo
from edgeemo.capture import open_source
from edgeemo.capture.display import opaque, turned
from edgeemo.capture.ffmpeg import open_video
from edgeemo.cli import main
from edgeemo.errors import SourceError


def recognised(path: Path, folder: Path) -> list[list[dict[str, Any]]]:
    """The faces of each frame in the output of the command."""
    output = folder / f"{path.name}.jsonl"
    assert main(["run", "--source", str(path), "--sink", f"jsonl:{output}", "--quiet"]) == 0
    return [json.loads(line)["faces"] for line in output.read_text().splitlines()]


# shape


@pytest.mark.parametrize("name", ["mos_sar43.mp4", "mos_sar2.mp4"])
def test_a_video_with_oblong_pixels_is_seen_in_the_shape_in_which_it_is_shown(cases: Path, name: str) -> None:
    pairs = zip(*(open_source(str(cases / each)).frames() for each in ("square.mp4", name)), strict=True)
    for square, shown in pairs:
        assert shown.image.shape == (720, 960, 3)
        assert np.abs(shown.image.astype(int) - square.image).mean() < 4


def test_the_same_faces_are_found_whatever_shape_the_pixels_have(cases: Path, tmp_path: Path) -> None:
    square, oblong = (recognised(cases / each, tmp_path) for each in ("square.mp4", "mos_sar43.mp4"))
    for faces, others in zip(square, oblong, strict=True):
        assert len(faces) == len(others) >= 8
        for face in faces:
            # the box of a tracked face moves even in a still picture: by 6 px in the median, 51 px at most
            same = max(others, key=lambda other: overlap(face["box"], other["box"]))
            assert overlap(face["box"], same["box"]) > 0.55
            assert face["emotion"] == same["emotion"]


@pytest.mark.parametrize(
    ("aspect", "stored"), [("4/3", None), ("2/1", None), ("16/11", "660:720"), ("3/2", "640:720"), ("1/2", "960:360")]
)
def test_a_face_of_a_frame_has_the_same_box_whatever_shape_the_pixels_have(
    ffmpeg: str, cases: Path, tmp_path: Path, recogniser: edgeemo.Recogniser, aspect: str, stored: str | None
) -> None:
    made = {"4/3": cases / "mos_sar43.mp4", "2/1": cases / "mos_sar2.mp4"}
    if stored:
        shape = ["-vf", f"scale={stored},setsar={aspect}", "-frames:v", "1", "-c:v", "libx264", "-crf", "16"]
        made[aspect] = encode(ffmpeg, tmp_path, "-i", str(cases / "square.mp4"), *shape, "oblong.mp4")
    square, oblong = (
        recogniser.recognise(next(open_source(str(path)).frames()).image)
        for path in (cases / "square.mp4", made[aspect])
    )
    assert len(square) == 12
    assert len(oblong) in (12, 13)  # for 2/1 the search in small tiles finds one face more
    pairs = [(face, max(oblong, key=lambda other: overlap(face.box, other.box))) for face in square]
    assert all(face.emotion == other.emotion for face, other in pairs)
    away = [max(abs(a - b) for a, b in zip(face.box, other.box, strict=True)) for face, other in pairs]
    # 500 px around a face are scaled to the network's 128, of which MediaPipe rounds boxes to halves: steps of 2 px
    assert np.median(away) <= 3
    assert max(away) <= 12


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared)


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        ("4/3", (96, 171)),
        ("16/11", (96, 186)),
        ("3/2", (96, 192)),
        ("2/1", (96, 256)),
        ("1/2", (192, 128)),
        ("1", (96, 128)),
    ],
)
def test_pixels_become_square(ffmpeg: str, tmp_path: Path, aspect: str, shape: tuple[int, int]) -> None:
    path = encode(
        ffmpeg, tmp_path, "-f", "lavfi", "-i", "testsrc=s=128x96:d=0.2:r=10", "-vf", f"setsar={aspect}", "a.mp4"
    )
    frames, error = read(open_source(str(path)))
    assert error == ""
    assert {frame.image.shape[:2] for frame in frames} == {shape}


@pytest.mark.parametrize(
    ("matrix", "right"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
    ],
)
def test_a_display_matrix_turns_and_mirrors(
    demo_clip: Path, tmp_path: Path, matrix: tuple[int, ...], right: Any
) -> None:
    data = bytearray(demo_clip.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "placed.mp4").write_bytes(data)
    plain = next(iter(open_source(str(demo_clip)).frames())).image
    placed = next(iter(open_source(str(tmp_path / "placed.mp4")).frames())).image
    assert np.array_equal(placed, right(plain))
    assert np.array_equal(turned(plain, (a, b, c, d)), placed)


def test_a_mirrored_video_gives_mirrored_boxes(cases: Path, tmp_path: Path) -> None:
    upright, mirrored = (recognised(cases / name, tmp_path) for name in ("upright.mp4", "mirror_matrix.mp4"))
    assert [len(faces) for faces in mirrored] == [2] * 8 == [len(faces) for faces in upright]
    for faces, others in zip(mirrored, upright, strict=True):
        boxes = sorted(face["box"] for face in faces)
        wanted = sorted([480 - x2, y1, 480 - x1, y2] for x1, y1, x2, y2 in (face["box"] for face in others))
        assert np.allclose(boxes, wanted, atol=6)


def test_each_frame_of_a_joined_stream_has_its_own_size_and_time(cases: Path, tmp_path: Path) -> None:
    frames, error = read(open_source(str(cases / "resturn.ts")))
    assert error == ""
    assert [frame.image.shape[:2] for frame in frames] == [(540, 960)] * 8 + [(960, 540)] * 8
    assert [frame.time for frame in frames] == pytest.approx(TWELFTHS[:16])
    assert [len(faces) for faces in recognised(cases / "resturn.ts", tmp_path)] == [2] * 16


def test_large_pictures_are_decoded_two_at_a_time_to_the_same_frames(ffmpeg: str, tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=2048x1152:d=0.5:r=12", "-c:v", "libx264", "-preset", "ultrafast"]
    path = encode(ffmpeg, tmp_path, *source, "-bf", "2", "-g", "4", "a.mp4")
    large = open_video(str(path))
    assert large is not None
    assert large.codec_context.thread_count == 2
    alone = open_video(str(path))
    assert alone is not None
    alone.codec_context.thread_count = 1
    for _ in range(6):
        seen, right = large.read(), alone.read()
        assert seen is not None
        assert right is not None
        assert large.time == alone.time
        assert (seen == right).all()
    assert large.read() is None
    large.close()
    alone.close()
    small = open_video(str(encode(ffmpeg, tmp_path, "-i", "a.mp4", "-vf", "scale=1920:1080", "b.mp4")))
    assert small is not None
    assert small.codec_context.thread_count == 1
    small.close()


def test_what_is_transparent_is_background() -> None:
    picture = np.full((2, 3, 4), 100, np.uint8)
    picture[0, :, 3], picture[1, :, 3] = 0, 255
    assert opaque(picture)[:, :, 0].tolist() == [[255] * 3, [100] * 3]


# time


def test_a_raw_stream_has_the_rate_that_it_states(cases: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames, error = read(open_source(str(cases / "raw12fps.h264")))
    assert (error, caplog.text) == ("", "")
    assert [frame.time for frame in frames] == pytest.approx(TWELFTHS)


def test_a_raw_stream_that_states_no_rate_has_25_frames_per_second_and_a_note(
    ffmpeg: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = encode(ffmpeg, tmp_path, "-f", "lavfi", "-i", "testsrc=s=64x48:d=1:r=10", "-c:v", "mjpeg", "a.mjpeg")
    frames, error = read(open_source(str(path)))
    assert error == ""
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(10)])
    assert "has no timestamps and no frame rate; assuming 25 frames per second" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c:v", "libx264", "-bf", "3", "frames.avi"],
        ["-c:v", "mpeg4", "-bf", "2", "frames4.avi"],
        ["-c:v", "libx264", "-bf", "2", "-output_ts_offset", "-1", "-avoid_negative_ts", "disabled", "negative.mkv"],
        ["-c:v", "libx264", "-bf", "2", "-output_ts_offset", "500", "late.mp4"],
        ["-c:v", "mpeg2video", "-bf", "2", "a.mpg"],
    ],
    ids=lambda arguments: str(arguments[-1]),
)
def test_the_last_frame_has_its_presentation_time(ffmpeg: str, tmp_path: Path, arguments: list[str]) -> None:
    if arguments[-1] == "a.mpg":
        arguments = ["-r", "25", *arguments]
    path = encode(ffmpeg, tmp_path, "-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=25", *arguments)
    frames, error = read(open_source(str(path)))
    assert error == ""
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(50)], abs=1.1e-3)
    assert not any(frame.damage for frame in frames)


def test_a_variable_frame_rate_keeps_every_time(cases: Path) -> None:
    frames, _ = read(open_source(str(cases / "slowstart.mp4")))
    assert [frame.time for frame in frames[:6]] == [0, 1, 2, 3, 4, 5]
    assert len(frames) == 80
    assert np.diff([frame.time for frame in frames[5:]]) == pytest.approx(1 / 30, abs=1e-3)


def test_seeking_goes_to_the_key_frame_before(demo_clip: Path) -> None:
    video = open_video(str(demo_clip))
    assert video is not None
    with contextlib.closing(video):
        images = {}
        while video.grab():
            images[round(video.time, 3)] = video.image()
        for wanted in (8.0, 0.0, 12.2, 3.96):
            video.seek(wanted)
            assert video.grab()
            assert video.time <= wanted + 1e-6
            while video.time < wanted - 0.02:
                assert video.grab()
            assert np.array_equal(video.image(), images[round(video.time, 3)])


# streams in a file


def test_the_default_stream_is_played_and_another_one_can_be_chosen(cases: Path, tmp_path: Path) -> None:
    path = cases / "two_streams.mkv"
    assert [len(faces) for faces in recognised(path, tmp_path)] == [2] * 8
    default, first, second = (
        next(iter(open_source(uri).frames())).image.shape for uri in (str(path), f"{path}#stream=0", f"{path}#stream=1")
    )
    assert default == second
    assert first != second
    _, error = read(open_source(f"{path}#stream=2"))
    assert "has no video stream 2; it has #stream=0, #stream=1" in error


def test_a_name_may_end_like_a_choice_of_stream(demo_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4#stream=7"
    shutil.copy(demo_clip, path)
    assert next(iter(open_source(str(path)).frames())).image.shape == (360, 640, 3)


@pytest.mark.parametrize("name", ["song.m4a", "song.mp3"])
def test_a_cover_picture_is_no_video(ffmpeg: str, tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "cover.jpg"), np.full((64, 64, 3), 90, np.uint8))
    cover = ["-f", "lavfi", "-i", "sine=d=1", "-i", "cover.jpg", "-map", "0", "-map", "1", "-c:v", "copy"]
    path = encode(ffmpeg, tmp_path, *cover, "-disposition:v", "attached_pic", name)
    frames, error = read(open_source(str(path)))
    assert not frames
    assert "is not a video" in error


# damage


def cut(path: Path, share: float) -> Path:
    shorter = path.with_name(f"cut_{path.name}")
    shorter.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return shorter


def decodable(ffmpeg: str, path: Path) -> int:
    """Number of frames that the program ffmpeg reads."""
    done = subprocess.run(
        [ffmpeg, "-nostdin", "-i", str(path), "-fps_mode", "passthrough", "-f", "null", "-"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return int(re.findall(r"frame=\s*(\d+)", done.stderr)[-1])


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_all_that_can_be_read_of_a_truncated_mp4_is_read(ffmpeg: str, tmp_path: Path, flags: str, share: float) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=320x240:d=2:r=12", "-c:v", "libx264", "-g", "6", "-bf", "2"]
    broken = cut(encode(ffmpeg, tmp_path, *source, "-movflags", flags, "a.mp4"), share)
    frames, error = read(open_source(str(broken)))
    assert 0 < len(frames) == decodable(ffmpeg, broken) < 24
    assert f"is cut off after frame {len(frames)}" in error


def test_lost_and_faulty_pictures_are_counted(
    demo_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(demo_clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20000] = np.random.default_rng(0).bytes(20000)
    (tmp_path / "scratched.mp4").write_bytes(data)
    damage = [frame.damage for frame in open_source(str(tmp_path / "scratched.mp4")).frames()]
    assert sum(damage) >= 310 - len(damage) > 0
    assert f"; {sum(damage)} pictures were lost or decoded with errors" in caplog.text


# names


def test_names_that_are_not_utf_8_work(demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/f\xff")
    os.mkdir(folder)
    path = f"{folder}/{os.fsdecode(bytes([0x63, 0xE9]))}.mp4"
    shutil.copy(demo_clip, path)
    assert len(list(itertools.islice(open_source(path).frames(), 3))) == 3
    monkeypatch.chdir(folder)
    assert len(list(itertools.islice(open_source(os.path.basename(path)).frames(), 3))) == 3
    cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tofile(os.fsencode(folder) + b"/p\xff.png")
    assert len(list(open_source(folder).frames())) == 1


@pytest.mark.parametrize("uri", ["x" * 300 + ".mp4", "/" + "y" * 5000, "nul\0.mp4"])
def test_names_that_no_file_can_have_are_refused_in_one_line(uri: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert "\n" not in str(error.value)


WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from edgeemo.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [["--source", "demo"], ["--source", "http://127.0.0.1:1/a.mp4"], ["--source", "PICTURE", "--sink", "video:OUT"]],
)
def test_where_pyav_has_no_wheel_videos_name_the_package_and_pictures_work(
    cases: Path, tmp_path: Path, arguments: list[str]
) -> None:
    places = {"PICTURE": str(cases / "hidden_face.png"), "video:OUT": f"video:{tmp_path}/out.mp4"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_PYAV, "run", "--quiet", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run(*(places.get(word, word) for word in arguments))
    assert done.returncode == 2
    assert re.fullmatch(r"edgeemo: videos need the package av \(PyAV\), .*: pip install av\n", done.stderr)
    assert run("--source", places["PICTURE"]).returncode == 0


def test_frames_of_more_pixels_than_are_read_are_refused(ffmpeg: str, tmp_path: Path) -> None:
    large = ["-f", "lavfi", "-i", "color=s=11000x10000:d=0.04:r=25", "-c:v", "mjpeg"]
    frames, error = read(open_source(str(encode(ffmpeg, tmp_path, *large, "a.avi"))))
    assert frames == []
    assert "has frames of 11000 x 10000 pixels; the limit is 100 million" in error


def test_frames_that_grow_beyond_what_is_read_are_damage(
    ffmpeg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"small.jpg": "64x48", "large.jpg": "640x480"}
    for name, size in sizes.items():
        encode(ffmpeg, tmp_path, "-f", "lavfi", "-i", f"testsrc=s={size}:d=1", "-frames:v", "1", name)
    (tmp_path / "grows.mjpeg").write_bytes(b"".join((tmp_path / name).read_bytes() for name in sizes))
    monkeypatch.setattr("edgeemo.capture.ffmpeg.MAX_PIXELS", 100 * 100)
    frames, _ = read(open_source(str(tmp_path / "grows.mjpeg")))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)]


def test_a_picture_without_data_does_not_end_a_video(ffmpeg: str, tmp_path: Path) -> None:
    """Recorders store the pictures that they left out like this."""
    path = encode(ffmpeg, tmp_path, "-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=12", "-c:v", "mjpeg", "a.mp4")
    data = bytearray(path.read_bytes())
    sizes = data.index(b"stsz") + 16
    assert struct.unpack_from(">I", data, sizes - 4) == (24,)
    # the size of one picture is added to the previous one
    before, size = struct.unpack_from(">II", data, sizes + 4 * 9)
    struct.pack_into(">II", data, sizes + 4 * 9, before + size, 0)
    path.write_bytes(data)
    frames, error = read(open_source(str(path)))
    assert error == ""
    assert [frame.time for frame in frames] == pytest.approx([each for n, each in enumerate(TWELFTHS) if n != 10])
