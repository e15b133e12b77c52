"""Folders of pictures, single pictures, and frames of other decoders."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from sources import read

from edgeemo.capture import open_source
from edgeemo.capture.decoder import bgr
from edgeemo.errors import SourceError

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
