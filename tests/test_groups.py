"""Groups by properties of the picture."""

import csv

import cv2
import numpy as np
import pytest

from trainer.cli import main
from trainer.picture_groups import COLUMNS, is_grey, tone, typology_angle

POINTS = np.array([[40, 40], [80, 40], [60, 60], [60, 80], [30, 45], [90, 45]], np.float32)


def skin(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((120, 120, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((246, 224, 208), "very light"),
        ((198, 150, 110), "intermediate"),
        ((180, 128, 92), "tan"),
        ((120, 80, 55), "brown"),
        ((60, 38, 28), "dark"),
    ],
)
def test_the_tone_of_even_skin_is_its_class(colour, name):
    angle = typology_angle(skin(*colour), POINTS)
    assert angle is not None
    assert tone(angle) == name


def test_lighter_skin_has_a_larger_angle_and_cheeks_outside_the_picture_have_none():
    light, dark = (typology_angle(skin(*colour), POINTS) for colour in ((240, 210, 190), (90, 60, 45)))
    assert light > dark
    assert typology_angle(skin(200, 150, 120), POINTS + 500) is None


def test_grey_pictures_are_told_from_coloured_ones():
    assert is_grey(skin(90, 92, 91))
    assert is_grey(np.zeros((4, 4), np.uint8))
    assert not is_grey(skin(200, 150, 120))


def test_a_picture_without_a_face_gets_a_row_without_a_tone(tmp_path, capsys):
    path = tmp_path / "set" / "valid" / "neutral" / "a_1.png"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), skin(200, 150, 120))
    out = tmp_path / "groups.csv"
    assert main(["data", "groups", f"folder:{tmp_path / 'set'}", "--output", str(out)]) == 0
    (row,) = csv.DictReader(out.open())
    assert tuple(row) == COLUMNS
    assert (row["colour"], row["tone"]) == ("colour", "(unknown)")
    assert "(unknown) 1" in capsys.readouterr().out
