from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.preprocess import batch, crop, roll
from engines.spec import CropGeometry, ModelSpec

GOLDEN = Path(__file__).parent / "golden"
SPEC = ModelSpec("test", size=48)


def painted(height=360, width=640):
    """A picture without repeated patterns."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack(
        [
            128 + 100 * np.sin(columns / 17),
            128 + 100 * np.cos(rows / 13),
            128 + 60 * np.sin((rows + columns) / 29),
        ],
        axis=2,
    ).astype(np.uint8)


def keypoints(box, angle=0.0):
    """Six keypoints of a face, rotated about the middle of its box."""
    x1, y1, x2, y2 = box
    offsets = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0.05], [0, 0.25], [-0.45, -0.05], [0.45, -0.05]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    return (middle + offsets @ turn * (x2 - x1)).astype(np.float32)


def box(x1=200.0, y1=100.0, side=90.0):
    return np.array([x1, y1, x1 + side, y1 + side], np.float32)


@pytest.mark.parametrize("name", ["upright", "turned", "border", "large", "rgb"])
def test_a_crop_is_what_it_was_when_the_networks_were_trained(name):
    spec = ModelSpec("test", size=48, colour="rgb") if name == "rgb" else SPEC
    place = {"border": box(-30, -40), "large": box(100, 20, 320)}.get(name, box())
    face = crop(painted(), place, keypoints(place, 0.4 if name == "turned" else 0.0), spec)
    golden = cv2.imread(str(GOLDEN / f"crop_{name}.png"), cv2.IMREAD_UNCHANGED).reshape(face.shape)
    assert np.abs(face.astype(int) - golden.astype(int)).max() <= 1


def test_scale_and_rise_say_which_part_is_seen():
    image = np.zeros((400, 400), np.uint8)
    image[100:200, 150:250] = 255
    spec = ModelSpec("test", size=50, crop=CropGeometry(scale=2.0, rise=0.25, align=False))
    face = crop(image, np.array([150, 100, 250, 200], np.float32), None, spec)[:, :, 0]
    rows, columns = np.nonzero(face > 127)
    # the crop spans 200 px, so each of its pixels covers 4 px; its centre lies 25 px above the box's
    assert (columns.min() + columns.max()) / 2 == 24.5
    assert columns.max() - columns.min() + 1 in (25, 26)
    assert abs((rows.min() + rows.max()) / 2 - (24.5 + 25 / 4)) <= 1


def test_a_turned_head_gives_the_crop_of_the_upright_one():
    image = cv2.GaussianBlur(painted(), (0, 0), 2)
    place = box(270, 130, 100)
    upright = crop(image, place, keypoints(place), SPEC)
    middle = (320.0, 180.0)
    for degrees in (-30, 17, 40):
        matrix = cv2.getRotationMatrix2D(middle, -degrees, 1)
        turned_image = cv2.warpAffine(image, matrix, (640, 360), borderMode=cv2.BORDER_REPLICATE)
        turned = crop(turned_image, place, keypoints(place, np.radians(degrees)), SPEC)
        assert np.abs(turned.astype(int) - upright.astype(int)).mean() < 3


def test_a_grey_picture_gives_the_crop_of_its_bgr_copy():
    grey = painted()[:, :, 0].copy()
    copied = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    assert np.abs(crop(grey, box(), None, SPEC).astype(int) - crop(copied, box(), None, SPEC)).max() <= 1


def test_colours_come_out_as_the_spec_says():
    red = np.zeros((100, 100, 3), np.uint8)
    red[:, :, 2] = 200
    rgb = crop(red, box(20, 20, 50), None, ModelSpec("test", size=16, colour="rgb"))
    assert rgb.shape == (16, 16, 3)
    assert (rgb == [200, 0, 0]).all()


def test_a_large_face_is_averaged_not_sampled():
    checks = np.indices((800, 800)).sum(axis=0) % 2 * 255
    face = crop(checks.astype(np.uint8), box(100, 100, 480), None, SPEC)
    assert abs(face.mean() - 127.5) < 3
    assert face.std() < 10


@pytest.mark.parametrize("place", [(-500, -500, -400, -400), (5000, 0, 5100, 90), (10, 10, 10, 10), (-9, -9, 900, 900)])
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 641, 3), (360, 640, 3)])
def test_a_face_anywhere_gives_a_crop(place, shape):
    image = np.full(shape, 77, np.uint8)
    face = crop(image, np.array(place, np.float32), None, SPEC)
    assert face.shape == (48, 48, 1)
    assert (face == 77).all()


def test_a_view_is_cropped_like_its_copy():
    view = painted()[::-1, ::2]
    assert (crop(view, box(100), None, SPEC) == crop(np.ascontiguousarray(view), box(100), None, SPEC)).all()


def test_shapes_that_are_no_picture_are_refused():
    with pytest.raises(ValueError, match="image must be"):
        crop(np.zeros((4, 4, 4), np.uint8), box(), None, SPEC)
    with pytest.raises(ValueError, match="image must be"):
        crop(np.zeros((0, 4, 3), np.uint8), box(), None, SPEC)
    with pytest.raises(ValueError, match="box must be"):
        crop(painted(), np.zeros(5, np.float32), None, SPEC)


def test_roll_is_the_angle_of_the_line_between_the_eyes():
    assert roll(keypoints(box())) == pytest.approx(0)
    assert roll(keypoints(box(), 0.5)) == pytest.approx(0.5, abs=1e-5)
    assert roll(np.zeros((6, 2), np.float32)) == 0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_has_a_row_a_face(count):
    faces = [np.full((48, 48, 1), value, np.uint8) for value in range(count)]
    stacked = batch(faces, SPEC)
    assert stacked.shape == (count, 1, 48, 48)
    assert stacked.dtype == np.float32
    assert [float(row.mean()) for row in stacked] == list(range(count))
