"""Measure a face's quality (size, sharpness, head pose, light) and decide when its expression is "unsure", and why.

Called by `edgeemo.stages.pipeline`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeemo.config import QualityConfig
from edgeemo.types import F32, U8, Doubt, Faces, Frame, Judged, Quality

PATCH = 48  # pixels; faces are resampled to this size, so that sharpness does not depend on distance
# offset of the nose from the middle between the ears at a yaw of 90 degrees, in distances between the ears; beyond it
# the position of the hidden ear is unreliable
EAR_LINE_END = 0.75
MAX_YAW_DEG = 45.0  # estimated from nose and ears, accurate to about ten degrees
MAX_ROLL_DEG = 60.0  # crops are rotated upright, so only a face on its side is a problem
MIN_SHARPNESS = 0.12  # standard deviation of the Laplacian of the face at `PATCH` pixels, divided by its contrast
MIN_LIGHT, MAX_LIGHT = 35.0, 235.0  # mean grey level of the face, 0 to 255
MIN_CONTRAST = 5.0  # standard deviation of the grey levels


def assess(image: U8, box: F32, keypoints: F32) -> Quality:
    """Measure one face.

    Args:
        image: (H, W, 3) BGR.
        box: (4,) x1, y1, x2, y2 in pixels; may reach outside the image.
        keypoints: (6, 2) pixels in the order of `edgeemo.types.KEYPOINTS`.
    """
    patch = _patch(image, box)
    if patch is None:
        sharpness = light = contrast = 0.0
    else:
        grey = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
        light, contrast = _mean_and_deviation(grey)
        _, edges = _mean_and_deviation(cv2.Laplacian(grey, cv2.CV_16S))
        sharpness = edges / max(contrast, 1.0)
    return Quality(float(box[2] - box[0]), yaw_deg(keypoints), roll_deg(keypoints), sharpness, light, contrast)


def _mean_and_deviation(values: NDArray[Any]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])


def yaw_deg(keypoints: F32) -> float:
    """Yaw of the head from the position of the nose between the ears; 0 if it cannot be computed."""
    points: list[list[float]] = keypoints.tolist()
    (nose_x, nose_y), (right_x, right_y), (left_x, left_y) = points[2], points[4], points[5]
    across, down = left_x - right_x, left_y - right_y
    length = across * across + down * down
    if not all(math.isfinite(value) for point in points for value in point) or length < 1e-6:
        return 0.0
    place = ((nose_x - right_x) * across + (nose_y - right_y) * down) / length
    # seen from above, the nose moves on a circle: its offset between the ears is the sine of the angle
    return math.degrees(math.asin(min(max((place - 0.5) / EAR_LINE_END, -1.0), 1.0)))


def roll_deg(keypoints: F32) -> float:
    """Angle of the line between the eyes; 0 if both have the same position."""
    across, down = (keypoints[1] - keypoints[0]).tolist()
    return math.degrees(math.atan2(down, across)) if (across, down) != (0.0, 0.0) else 0.0


def doubts(quality: Quality, confidence: float, config: QualityConfig) -> tuple[Doubt, ...]:
    """The reasons why a face's expression is unsure, problems of the picture first; empty if there are none."""
    found: list[Doubt] = []
    if quality.face_px < config.min_face_px:
        found.append(Doubt(f"face {quality.face_px:.0f} px", "small_face", quality.face_px))
    if abs(quality.yaw_deg) > MAX_YAW_DEG:
        found.append(Doubt(f"turned {abs(quality.yaw_deg):.0f} degrees", "turned_head", quality.yaw_deg))
    if abs(quality.roll_deg) > MAX_ROLL_DEG:
        found.append(Doubt(f"leaning {abs(quality.roll_deg):.0f} degrees", "leaning_head", quality.roll_deg))
    if quality.light < MIN_LIGHT:
        found.append(Doubt("too dark", "too_dark", quality.light))
    elif quality.light > MAX_LIGHT:
        found.append(Doubt("too bright", "too_bright", quality.light))
    elif quality.contrast < MIN_CONTRAST:
        found.append(Doubt("hardly any contrast", "low_contrast", quality.contrast))
    elif quality.sharpness < MIN_SHARPNESS:
        found.append(Doubt("blurred", "blurred", quality.sharpness))
    if confidence < config.min_confidence:
        found.append(Doubt(f"{confidence * 100:.0f} % sure", "low_confidence", confidence))
    return tuple(found)


class QualityJudge:
    """The quality stage of a pipeline: measures each face and lists why its expression is unsure."""

    def __init__(self, config: QualityConfig | None = None) -> None:
        self.config = config or QualityConfig()

    def judge(self, frame: Frame, faces: Faces, confidences: list[float]) -> Judged:
        """N tuples of doubts, empty for faces without doubts, and N measurements.

        Args:
            confidences: N probabilities of the leading class.
        """
        faulty = (Doubt("damaged picture", "damaged_picture", frame.damage),) if frame.damage else ()
        quality = tuple(
            assess(frame.image, box, points) for box, points in zip(faces.boxes, faces.keypoints, strict=True)
        )
        reasons = tuple(
            faulty + doubts(_upright(each, turned), confidence, self.config)
            for each, turned, confidence in zip(quality, faces.turned.tolist(), confidences, strict=True)
        )
        return Judged(reasons, quality)


def _upright(quality: Quality, turned: int) -> Quality:
    """Subtract the quarter turn that a still picture's crop is rotated by; only the remaining roll counts."""
    return replace(quality, roll_deg=(quality.roll_deg - turned + 180) % 360 - 180) if turned else quality


def _patch(image: U8, box: F32) -> U8 | None:
    """The middle of the face at `PATCH` pixels, without hair and background; None if it is outside the picture."""
    x1, y1, x2, y2 = edges = box.tolist()
    if not all(map(math.isfinite, edges)):
        return None
    inset_x, inset_y = 0.12 * (x2 - x1), 0.12 * (y2 - y1)
    height, width = image.shape[:2]
    left, right = max(int(x1 + inset_x), 0), min(math.ceil(x2 - inset_x), width)
    top, bottom = max(int(y1 + inset_y), 0), min(math.ceil(y2 - inset_y), height)
    if right - left < 1 or bottom - top < 1:
        return None
    # subsample a large face first: averaging all of its pixels would cost more than the engine
    step = max(1, (right - left) // (4 * PATCH))
    window = image[top:bottom:step, left:right:step]
    return np.asarray(cv2.resize(window, (PATCH, PATCH), interpolation=cv2.INTER_AREA), np.uint8)
