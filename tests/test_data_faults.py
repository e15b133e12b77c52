"""Faulty pictures, boxes and paths are reported and not used for training."""

import cv2
import numpy as np
import pytest
from datasets import AFFECTNET_HEADER, affectnet_row, face_landmarks, make_affectnet

from trainer.cli import main
from trainer.data import open_data
from trainer.data.faces import BOX_OUTSIDE, load_faces
from trainer.data.pictures import OUTSIDE_ROOT, FolderPictures, decode
from trainer.errors import PictureError
from trainer.models import ARCHITECTURES

SPEC = ARCHITECTURES["baseline64"].spec


def picture(seed=0, side=120):
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


def jpeg(image, *settings):
    return cv2.imencode(".jpg", image, list(settings))[1].tobytes()


WHOLE = {
    "plain": jpeg(picture()),
    "progressive": jpeg(picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": jpeg(picture(), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "optimised tables": jpeg(picture(), cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "one colour": jpeg(np.full((224, 224, 3), 128, np.uint8), cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "grey": jpeg(picture()[:, :, 0]),
    "a preview behind it": jpeg(picture()) + jpeg(picture(1)),
    "something behind its end": jpeg(picture()) + b"\0" * 500 + b"more",
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_intact_jpeg_is_read(name):
    assert decode(WHOLE[name], name).ndim == 3


def overwritten(content, middle):
    at = len(content) * 2 // 3
    return content[:at] + middle + content[at + len(middle) :]


@pytest.mark.parametrize("kind", ["plain", "progressive", "restart markers"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-2],
        lambda content: overwritten(content, bytes(300)),
        lambda content: overwritten(content, b"\xff\xd9"),
        lambda content: overwritten(content, b"\xff\x01"),
        lambda content: overwritten(content, b"\xff\xd8\xff\xe0"),
    ],
    ids=["half of it", "no end", "a block of zeros", "an early end", "an impossible marker", "another picture"],
)
def test_a_damaged_jpeg_is_refused_instead_of_filled_with_grey(kind, damage):
    with pytest.raises(PictureError, match="damaged JPEG"):
        decode(damage(jpeg(picture(side=240), *SETTINGS[kind])), "broken.jpg")


def test_a_picture_that_claims_to_be_huge_is_refused():
    picture = cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    claimed = picture[:18] + (60_000).to_bytes(4, "little") * 2 + picture[26:]
    with pytest.raises(PictureError, match="not a picture, or damaged"):
        decode(claimed, "huge.bmp")


SETTINGS = {
    "plain": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
}


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "/secret.png"])
def test_a_name_never_leads_out_of_the_data_sets_folder(name, tmp_path):
    inside = tmp_path / "set"
    inside.mkdir()
    cv2.imwrite(str(tmp_path / "secret.png"), picture())
    pictures = FolderPictures(inside)
    name = str(tmp_path / "secret.png") if name.startswith("/") else name
    with pytest.raises(PictureError, match=OUTSIDE_ROOT):
        pictures(name)
    assert pictures.identity(name) == "missing"


def test_an_affectnet_row_that_leaves_the_folder_is_listed(tmp_path):
    make_affectnet(tmp_path, 24)
    cv2.imwrite(str(tmp_path / "secret.jpg"), picture())
    with (tmp_path / "training.csv").open("a") as file:
        file.write(affectnet_row("../secret.jpg", 1, face_landmarks(60, 60, 55), (20, 15, 80, 80)) + "\n")
    data = open_data(f"affectnet:{tmp_path}", "train")
    assert not any("secret" in image for image in data.images)
    assert [item.reason for item in data.skipped] == [OUTSIDE_ROOT]
    assert AFFECTNET_HEADER.startswith("subDirectory")


def labelled(folder, boxes, side=120):
    """Pictures without a face, and labels.csv with boxes or without (None)."""
    folder.mkdir()
    lines = ["image,emotion,x,y,w,h"]
    for number, box in enumerate(boxes):
        slope = np.linspace(20 + 10 * number, 220, side).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), np.tile(slope, (side, 1)))
        lines.append(f"{number}.png,happy,{','.join(map(str, box)) if box else ',,,'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return open_data(f"folder:{folder}", "all")


@pytest.mark.parametrize("cached", [True, False])
def test_a_box_outside_the_picture_is_refused_and_listed(tmp_path, cached):
    boxes = [(10, 10, 90, 90), (500, 10, 90, 90), (-200, -200, 90, 90), (80, 60, 90, 90), (-4e5, -4e5, 8e5, 8e5)]
    data = labelled(tmp_path / "set", boxes)
    faces = load_faces(data, SPEC, tmp_path / "cache" if cached else None)
    assert faces.rows.tolist() == [0]
    if cached:
        (listed,) = (tmp_path / "cache").glob("*/skipped.csv")
        assert listed.read_text().count(BOX_OUTSIDE) == 4


@pytest.mark.parametrize("cached", [True, False])
def test_a_tight_crop_without_a_found_face_is_used_whole_and_counted(tmp_path, cached, capsys):
    data = labelled(tmp_path / "set", [None, None, (10, 10, 90, 90)], side=96)
    cache = tmp_path / "cache" if cached else None
    faces = load_faces(data, SPEC, cache)
    assert faces.rows.tolist() == [0, 1, 2]
    assert faces.whole_pictures == 2
    small = cv2.resize(data.read(0), (64, 64), interpolation=cv2.INTER_AREA)[:, :, ::-1].astype(int)
    assert np.abs(faces.faces[0].astype(int) - small).mean() < 6  # nearly all of the picture
    if cached:
        assert load_faces(data, SPEC, cache).whole_pictures == 2
        assert main(["data", "prepare", f"folder:{tmp_path / 'set'}", "--split", "all", "--cache", str(cache)]) == 0
        assert "2 of them are whole pictures" in capsys.readouterr().out


def test_a_large_picture_without_a_found_face_stays_out(tmp_path):
    data = labelled(tmp_path / "set", [None, (10, 10, 90, 90)], side=640)
    faces = load_faces(data, SPEC, None)
    assert (faces.rows.tolist(), faces.whole_pictures) == ([1], 0)
