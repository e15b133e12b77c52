"""The only path from pixels to a network's input, for training, evaluation, export parity and the running program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from engines.spec import ModelSpec

U8: TypeAlias = npt.NDArray[np.uint8]
F32: TypeAlias = npt.NDArray[np.float32]


def decode(encoded: bytes) -> U8 | None:
    """Bytes of a picture file -> (H, W, 3) BGR; None if OpenCV cannot decode them (damaged, too large)."""
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def roll(keypoints: F32) -> float:
    """Angle in radians of the line from the right to the left eye (first two rows); 0 is level.

    A positive angle means clockwise on the screen. Eyes in the same place give 0.
    """
    across, down = (keypoints[1] - keypoints[0]).tolist()
    return float(np.arctan2(down, across)) if (across, down) != (0.0, 0.0) else 0.0


def square(box: F32, keypoints: F32 | None, spec: ModelSpec) -> tuple[float, float, float, float]:
    """The square that `crop` cuts out of the frame: centre x and y and side in pixels, and angle in radians."""
    x1, y1, x2, y2 = box.tolist()
    width, height = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    angle = roll(keypoints) if spec.crop.align and keypoints is not None else 0.0
    # the shift from the box's centre is rotated with the head
    centre_x = (x1 + x2) / 2 + float(np.sin(angle)) * spec.crop.rise * height
    centre_y = (y1 + y2) / 2 - float(np.cos(angle)) * spec.crop.rise * height
    return centre_x, centre_y, spec.crop.scale * max(width, height), angle


def crop(image: U8, box: F32, keypoints: F32 | None, spec: ModelSpec) -> U8:
    """Cut one face out of a frame, upright, with the geometry the model was trained on.

    Args:
        image: (H, W, 3) BGR or (H, W) grey.
        box: (4,) x1, y1, x2, y2 in pixels; may reach outside the image.
        keypoints: (6, 2) pixels, MediaPipe order: right eye, left eye, nose, mouth, right ear, left ear. None: no
            alignment.

    Returns:
        (S, S, C) uint8 in the spec's colour; pixels outside the image repeat the border.

    Raises:
        ValueError: image or box have another shape.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise ValueError(f"image must be (H, W, 3) or (H, W) and not empty, got {image.shape}")
    if box.shape != (4,):
        raise ValueError(f"box must be (4,), got {box.shape}")
    centre_x, centre_y, side, angle = square(box, keypoints, spec)
    sin, cos = np.sin(angle), np.cos(angle)

    # average a large face first: interpolation alone would alias when downscaling
    shrink = max(1, int(side // spec.size))
    if shrink > 1:
        image, left, top = _shrunk_window(image, centre_x, centre_y, side, shrink)
        centre_x, centre_y, side = (centre_x - left) / shrink, (centre_y - top) / shrink, side / shrink
    step = side / spec.size
    # pixel centres: output pixel i covers the input interval [i, i + 1] * step
    middle = (spec.size - 1) / 2
    matrix = np.array(
        [
            [cos * step, -sin * step, centre_x - 0.5 - middle * step * (cos - sin)],
            [sin * step, cos * step, centre_y - 0.5 - middle * step * (sin + cos)],
        ],
        dtype=np.float64,
    )
    face = cv2.warpAffine(
        image,
        matrix,
        (spec.size, spec.size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _in_colour(np.asarray(face, np.uint8), spec)


def batch(faces: Sequence[U8], spec: ModelSpec) -> F32:
    """Stack (S, S, C) crops into the network's input, float32 (N, C, S, S) in 0..255; N may be 0."""
    stacked = np.empty((len(faces), spec.channels, spec.size, spec.size), dtype=np.float32)
    for row, face in enumerate(faces):
        stacked[row] = face.transpose(2, 0, 1)
    return stacked


def _shrunk_window(image: U8, x: float, y: float, side: float, shrink: int) -> tuple[U8, float, float]:
    """The part of the image that a crop of any angle needs, border repeated, downscaled `shrink` times by averaging."""
    reach = side * 0.75 + shrink  # half a diagonal is 0.71 sides
    left, top = int(np.floor(x - reach)), int(np.floor(y - reach))
    cells = int(np.ceil(2 * reach / shrink))
    span = cells * shrink
    height, width = image.shape[:2]
    inside = image[max(top, 0) : max(top + span, 0), max(left, 0) : max(left + span, 0)]
    if inside.shape[0] != span or inside.shape[1] != span:
        columns = np.clip(np.arange(left, left + span), 0, width - 1)
        rows = np.clip(np.arange(top, top + span), 0, height - 1)
        inside = image[rows[:, None], columns[None, :]]
    small = cv2.resize(inside, (cells, cells), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), float(left), float(top)


def _in_colour(face: npt.NDArray[np.uint8], spec: ModelSpec) -> U8:
    if face.ndim == 2:
        grey = face[:, :, None]
        return grey if spec.colour == "grey" else np.repeat(grey, 3, axis=2)
    if spec.colour == "grey":
        return np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), dtype=np.uint8)[:, :, None]
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2RGB), dtype=np.uint8)
