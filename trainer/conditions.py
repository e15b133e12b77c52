"""Conditions of a webcam applied to a picture: blur, darkness, compression, distance, tilt, occlusion, colour.

Each condition changes the picture, not the crop, so that it affects the face detector too. `trainer.robustness` calls
it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engines.preprocess import F32, U8, roll
from trainer.errors import DataError

F64 = npt.NDArray[np.float64]

READ_NOISE = 1.5  # standard deviation in grey levels of a small sensor's noise in any light
SHOT_NOISE = 0.125  # variance per grey level: 8 electrons per level, a small sensor at high gain
# vertical ranges of eyes and mouth in the detector's box (medians over FER2013Valid and facial_expressions, valid)
EYES, MOUTH = (0.10, 0.42), (0.58, 1.0)
BESIDE = 0.15  # a cover extends beyond the face's box by this fraction of its width or height
COVERS = {
    "left half": (-BESIDE, 0.5, -BESIDE, 1 + BESIDE),
    "right half": (0.5, 1 + BESIDE, -BESIDE, 1 + BESIDE),
    "eyes": (-BESIDE, 1 + BESIDE, *EYES),
    "mouth": (-BESIDE, 1 + BESIDE, *MOUTH),
}
# gains of blue, green and red: no colour, lamp, screen or sky, fluorescent tube
CASTS = {"grey": None, "warm": (0.55, 0.85, 1.1), "cold": (1.15, 0.95, 0.7), "green": (0.8, 1.1, 0.8)}


@dataclass(frozen=True)
class Condition:
    """One change of a picture at one strength.

    Attributes:
        kind: one of `KINDS`; level: strength in the kind's unit; how: a word instead of a level.
        webcam: common with a webcam in a room. `trainer.robustness` lists such conditions if accuracy drops too far.
    """

    kind: str
    level: float = 0.0
    how: str = ""
    webcam: bool = True

    @property
    def name(self) -> str:
        return f"{self.kind} {self.how or f'{self.level:g}'}"


KINDS = {
    "blur": "sigma of a Gaussian, % of the face's width",
    "dark": "gain, with sensor noise",
    "jpeg": "quality of the compression",
    "small": "side of the face, pixels",
    "roll": "tilt of the head in degrees, to either side",
    "cover": "part of the face that is covered",
    "colour": "colour cast",
}
CONDITIONS: tuple[Condition, ...] = (
    *(Condition("blur", level, webcam=level <= 2) for level in (1, 2, 4, 6)),
    *(Condition("dark", gain, webcam=gain >= 0.25) for gain in (0.5, 0.25, 0.12)),
    *(Condition("jpeg", quality, webcam=quality >= 30) for quality in (50, 30, 15)),
    *(Condition("small", side, webcam=side >= 24) for side in (32, 24, 16)),
    *(Condition("roll", angle) for angle in (10, 20, 30)),
    *(Condition("cover", how=part, webcam=False) for part in COVERS),
    *(Condition("colour", how=cast) for cast in CASTS),
)


def choose(kinds: str | None) -> tuple[Condition, ...]:
    """Conditions of the named kinds (`blur,dark,...`); None: all.

    Raises:
        DataError: there is no such kind.
    """
    if kinds is None:
        return CONDITIONS
    wanted = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    for kind in wanted:
        if kind not in KINDS:
            raise DataError(f"no condition named {kind!r}; choose from {', '.join(KINDS)}")
    return tuple(condition for condition in CONDITIONS if condition.kind in wanted)


@dataclass(frozen=True, eq=False)
class Changed:
    """A changed picture, (H, W, 3) BGR, and the (2, 3) affine map from the original's pixels to its own."""

    image: U8
    matrix: F64

    @property
    def scale(self) -> float:
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def box(self, box: F32) -> F32:
        """Map an upright box (4,) of the original; the result is upright too."""
        centre = self.matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + self.matrix[:, 2]
        half = (box[2:] - box[:2]) / 2 * self.scale
        return np.concatenate([centre - half, centre + half]).astype(np.float32)


def generator(seed: int, picture: str, condition: Condition) -> np.random.Generator:
    """A random generator seeded by these three, so that a result does not depend on which other conditions are run."""
    return np.random.default_rng([seed, zlib.crc32(picture.encode()), zlib.crc32(condition.name.encode())])


def change(image: U8, box: F32, keypoints: F32 | None, condition: Condition, random: np.random.Generator) -> Changed:
    """Apply a condition to a picture.

    Args:
        image: (H, W, 3) BGR.
        box: (4,) of the face, in pixels; blur and size are relative to its width.
        keypoints: (6, 2) pixels, used to tilt a cover with the face; None if unknown.
    """
    still = np.eye(2, 3)
    side = float(max(box[2] - box[0], box[3] - box[1], 1.0))
    if condition.kind == "blur":
        sigma = condition.level / 100 * float(max(box[2] - box[0], 1.0))
        return Changed(np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 1e-3)), np.uint8), still)
    if condition.kind == "dark":
        return Changed(_darkened(image, condition.level, random), still)
    if condition.kind == "jpeg":
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(condition.level)])
        return Changed(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), still)
    if condition.kind == "small":
        return _shrunk(image, min(1.0, condition.level / side))
    if condition.kind == "roll":
        angle = condition.level if random.random() < 0.5 else -condition.level
        return leaning(image, (box[:2] + box[2:]) / 2, math.radians(angle))
    if condition.kind == "cover":
        return Changed(_covered(image, box, keypoints, COVERS[condition.how], random), still)
    return Changed(_coloured(image, CASTS[condition.how]), still)


def _darkened(image: U8, gain: float, random: np.random.Generator) -> U8:
    light = image.astype(np.float32) * gain
    spread = np.sqrt(READ_NOISE**2 + SHOT_NOISE * light)
    noisy = light + spread * random.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _shrunk(image: U8, scale: float) -> Changed:
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Changed(small, np.array([[size[0] / width, 0, 0], [0, size[1] / height, 0]], np.float64))


def leaning(image: U8, centre: npt.NDArray[np.floating], angle: float) -> Changed:
    """Rotate about the face, clockwise on the screen; the picture grows, so that nothing is cut off."""
    height, width = image.shape[:2]
    sin, cos = math.sin(angle), math.cos(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    corners = (np.array([[0, 0], [width, 0], [0, height], [width, height]]) - centre) @ turn.T
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    matrix = np.column_stack([turn, -turn @ centre - low])
    # OpenCV's coordinates are those of pixel centres
    centred = matrix.copy()
    centred[:, 2] += turn @ np.full(2, 0.5) - 0.5
    size = int(high[0] - low[0]), int(high[1] - low[1])
    turned = cv2.warpAffine(image, centred, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return Changed(np.asarray(turned, np.uint8), matrix)


def _covered(image: U8, box: F32, keypoints: F32 | None, part: Sequence[float], random: np.random.Generator) -> U8:
    """Cover a part of the box with a uniform random grey, tilted with the head."""
    angle = 0.0 if keypoints is None else roll(keypoints)
    left, right, top, bottom = part
    size = box[2:] - box[:2]
    corners = (np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5) * size
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = corners @ turn.T + (box[:2] + box[2:]) / 2
    level = float(random.uniform(30, 220))
    covered = image.copy()
    cv2.fillConvexPoly(covered, np.rint(points * 16).astype(np.int32), (level, level, level), cv2.LINE_AA, 4)
    return covered


def _coloured(image: U8, gains: tuple[float, float, float] | None) -> U8:
    if gains is None:
        return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    return np.asarray(np.clip(np.rint(image * np.array(gains, np.float32)), 0, 255), np.uint8)
