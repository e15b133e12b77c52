"""Group pictures by colour, skin tone, light and size, for `edgeemo-train evaluate --by`.

The tone is the individual typology angle, ITA = atan2(L* - 50, b*) in degrees, over the cheeks (Chardon, Cretois and
Hourseau, 1991), in the six classes of Del Bino and Bernerd (2013). In photographs of unknown light it is a proxy: a
dark room lowers the angle. Age, sex and origin are not labelled in these data and are not guessed. `edgeemo-train data
groups` calls it.
"""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from engines.face_detector import FaceDetector
from engines.preprocess import F32, U8
from trainer.data import open_data
from trainer.data.faces import expect_pictures, find_face
from trainer.errors import DataError, PictureError

COLUMNS = ("image", "colour", "tone", "ita", "light", "face_px")
# lower bounds in degrees
TONES = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -90.0),
)
GREY_SPREAD = 8.0  # mean difference of a picture's channels below which it is grey; JPEG adds up to 3 to grey ones
NO_TONE = "(unknown)"


def is_grey(image: U8) -> bool:
    """Whether (H, W, 3) BGR or (H, W) has practically no colour."""
    if image.ndim == 2:
        return True
    return float(np.ptp(image.astype(np.int16), axis=2).mean()) < GREY_SPREAD


def typology_angle(image: U8, keypoints: F32) -> float | None:
    """ITA in degrees of the cheeks, median of both; None if they are outside the picture.

    Args:
        image: (H, W, 3) BGR.
        keypoints: (6, 2) pixels: right eye, left eye, nose, mouth, right ear, left ear.
    """
    right, left, mouth = keypoints[0], keypoints[1], keypoints[3]
    apart = float(np.hypot(*(left - right)))
    radius = max(1, round(0.12 * apart))
    patches = []
    for eye in (right, left):
        # below the pupil, half-way down to the mouth
        x, y = eye + (mouth - (right + left) / 2) * 0.55
        column, row = round(float(x)), round(float(y))
        if radius <= row < image.shape[0] - radius and radius <= column < image.shape[1] - radius:
            patches.append(image[row - radius : row + radius + 1, column - radius : column + radius + 1].reshape(-1, 3))
    if not patches:
        return None
    pixels = np.concatenate(patches).astype(np.float32)[None] / 255
    lightness, _, yellow = np.median(cv2.cvtColor(pixels, cv2.COLOR_BGR2Lab)[0], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1e-3))))


def tone(angle: float) -> str:
    """The class of an ITA in degrees."""
    return next(name for name, low in TONES if angle > low or low == TONES[-1][1])


def write_groups(data: str, split: str, path: Path) -> dict[str, int]:
    """Write a row per picture, for `edgeemo-train evaluate --by PATH:COLUMN`; returns the count per tone.

    Raises:
        DataError: the data is missing or has only crops, or the file cannot be written.
    """
    opened = open_data(data, split)
    expect_pictures(opened)
    counts: dict[str, int] = {}
    try:
        with path.open("w", newline="", encoding="utf-8") as file, contextlib.closing(FaceDetector()) as detector:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in tqdm(range(len(opened)), desc=opened.name, unit="picture", disable=None):
                try:
                    image = opened.read(row)
                except PictureError:
                    continue
                near = None
                if opened.boxes is not None and np.isfinite(opened.boxes[row]).all():
                    near = np.asarray(opened.boxes[row], np.float32)
                face = find_face(image, detector, opened.enlarge, near=near)
                grey = is_grey(image)
                angle = None if grey or face is None else typology_angle(image, face[1])
                name = NO_TONE if angle is None else tone(angle)
                counts[name] = counts.get(name, 0) + 1
                shown = "" if angle is None else f"{angle:.1f}"
                colour = "grey" if grey else "colour"
                writer.writerow([opened.images[row], colour, name, shown, _light(image), _size(face, near)])
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return counts


def _light(image: U8) -> str:
    level = float(image.mean())
    return "dark" if level < 80 else "middle" if level < 140 else "bright"


def _size(face: tuple[F32, F32] | None, near: F32 | None) -> str:
    box = face[0] if face is not None else near
    if box is None:
        return NO_TONE
    side = float(box[2] - box[0])
    return "under 48" if side < 48 else "48 to 95" if side < 96 else "96 and more"
