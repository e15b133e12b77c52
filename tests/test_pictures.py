"""Properties of real pictures: formats of phones, animations, transparency, and excessive sizes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from sources import read

from edgeemo import recognise
from edgeemo.capture import open_source
from edgeemo.capture.picture_header import animation_of, picture_size
from edgeemo.capture.pictures import read_picture
from edgeemo.cli import main
from edgeemo.errors import PartlyReadError, SourceError


def faces(source: Path, folder: Path) -> list[int]:
    """Number of faces per frame in the output of the command."""
    output = folder / "faces.jsonl"
    assert main(["run", "--source", str(source), "--sink", f"jsonl:{output}", "--quiet"]) == 0
    return [len(json.loads(line)["faces"]) for line in output.read_text().splitlines()]


@pytest.mark.parametrize("inside", [False, True])
def test_heic_is_read_alone_and_in_a_folder(cases: Path, tmp_path: Path, inside: bool) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(cases / "photo.heic", tmp_path / "pictures" / "IMG_1.HEIC")
    assert faces(tmp_path / "pictures" if inside else tmp_path / "pictures" / "IMG_1.HEIC", tmp_path) == [2]


def test_heic_is_read_without_pillow_heif_too(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    image = read_picture(cases / "photo.heic")
    assert image is not None
    assert image.shape == (270, 480, 3)


def test_avif_in_a_folder_is_read(pictures: Path, ffmpeg: str) -> None:
    command = [ffmpeg, "-v", "error", "-i", str(pictures / "face2.png"), "-c:v", "libaom-av1", "-still-picture", "1"]
    subprocess.run([*command, str(pictures / "x.avif")], check=True)
    assert len(list(open_source(str(pictures)).frames())) == 4


def test_a_face_under_transparent_pixels_is_not_there(cases: Path, tmp_path: Path) -> None:
    assert faces(cases / "hidden_face.png", tmp_path) == [1]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".avif"])
def test_transparent_pixels_are_white(tmp_path: Path, suffix: str) -> None:
    picture = np.zeros((16, 24, 4), np.uint8)
    picture[:, 12:, 3] = 255
    if not cv2.imwrite(str(tmp_path / f"a{suffix}"), picture, [cv2.IMWRITE_WEBP_QUALITY, 101]):
        pytest.skip(f"OpenCV writes no {suffix}")
    image = read_picture(tmp_path / f"a{suffix}")
    assert image is not None
    assert image[:, :10].min() > 250
    assert image[:, 14:].max() < 5


@pytest.mark.parametrize("name", ["anim.gif", "anim.webp", "anim.png", "anim.apng"])
def test_an_animation_is_a_video(cases: Path, ffmpeg: str, tmp_path: Path, name: str) -> None:
    path = cases / name
    if not path.exists():
        path = tmp_path / name
        form = {"anim.webp": ["-c:v", "libwebp_anim", "-lossless", "1"]}.get(name, ["-f", "apng"])
        subprocess.run([ffmpeg, "-v", "error", "-i", str(cases / "anim.gif"), *form, str(path)], check=True)
    frames = list(open_source(str(path)).frames())
    assert len(frames) == 6
    assert not any(frame.still for frame in frames)
    assert [frame.time for frame in frames] == pytest.approx([0, 0.083, 0.167, 0.25, 0.333, 0.417], abs=0.01)
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(path, folder / name)
    inside = list(open_source(str(folder)).frames())
    assert [(frame.origin, frame.still) for frame in inside] == [(name, True)] * 6
    assert all(np.array_equal(frame.image, other.image) for frame, other in zip(frames, inside, strict=True))


def test_a_picture_that_does_not_move_is_no_animation(cases: Path, tmp_path: Path) -> None:
    for name in ("a.gif", "a.png", "a.webp"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
        assert animation_of((tmp_path / name).read_bytes()) == ""


def huge_png(path: Path, side: int) -> None:
    """A PNG with one bit per pixel."""
    row = b"\0" + bytes((side + 7) // 8)
    coder = zlib.compressobj(9)
    packed = b"".join(coder.compress(row) for _ in range(side)) + coder.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in chunks:
            file.write(struct.pack(">I", len(content)) + kind + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))


def test_a_huge_picture_is_refused_in_one_line_and_takes_no_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge_png(tmp_path / "bomb.png", 30_000)
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main(["run", "--source", str(tmp_path / "bomb.png")]) == 2
    said = capsys.readouterr().err
    assert "30000 x 30000 pixels" in said
    assert said.count("\n") == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_huge_jpeg_is_read_at_reduced_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cv2.imwrite(str(tmp_path / "large.jpg"), np.zeros((11_000, 10_000), np.uint8))
    image = read_picture(tmp_path / "large.jpg")
    assert image is not None
    assert image.shape == (5500, 5000, 3)
    assert "is read at 1/2 of its size" in caplog.text


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff"])
def test_the_size_is_known_before_decoding(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), np.full((37, 53, 3), 90, np.uint8))
    data = path.read_bytes()
    assert picture_size(data) == (53, 37)
    for end in range(0, min(len(data), 200)):
        picture_size(data[:end])  # an incomplete header must not raise an error


def test_a_folder_with_a_broken_picture_ends_with_3(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "broken.jpg").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("words")
    output = tmp_path / "out.jsonl"
    assert main(["run", "--source", str(pictures), "--sink", f"jsonl:{output}", "--quiet"]) == 3
    said = capsys.readouterr().err
    assert "1 of 4 pictures could not be read: broken.jpg" in said
    assert "1 file skipped: not a picture: notes.txt" in caplog.text
    assert len(output.read_text().splitlines()) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix's")
def test_pipes_devices_and_dangling_links_are_pictures_that_could_not_be_read(pictures: Path) -> None:
    os.mkfifo(pictures / "pipe.jpg")
    (pictures / "endless.png").symlink_to("/dev/zero")
    (pictures / "gone.png").symlink_to("nowhere")
    with pytest.raises(PartlyReadError, match=r"3 of 6 pictures could not be read: endless\.png, gone\.png, pipe\.jpg"):
        list(open_source(str(pictures)).frames())
    for name in ("pipe.jpg", "endless.png"):
        for opener in (open_source, recognise):
            with pytest.raises(SourceError, match="is not a regular file"):
                opener(str(pictures / name))


def test_a_single_broken_picture_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="not a readable picture"):
        list(open_source(str(tmp_path / "broken.jpg")).frames())


def test_an_animation_that_vanishes_before_it_is_read_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(b"RIFF\0\0\0\0WEBPVP8X" + bytes([10, 0, 0, 0, 0b10]) + bytes(9))
    source = open_source(str(path))
    path.unlink()
    assert read(source) == ([], f"cannot read {path}: No such file or directory")
