"""How far the keypoints of a detection are from those of a face. Called by `edgeemo.stages.still`.

The keypoints of real faces vary mainly along four principal components: yaw, pitch and two smaller ones. The keypoints
that the detector reports for a power socket or a smiley do not fit them, even if the score is that of a blurred face.
`scripts/fit-face-shape` fits the constants.
"""

from __future__ import annotations

import numpy as np

from edgeemo.types import F32
from engines.preprocess import roll

# (6, 2) mean keypoints, and (4, 12) principal components, in the units of `upright`
MEAN = np.array(
    [
        [-0.2142, -0.2361],
        [0.2142, -0.2361],
        [0.0, -0.0064],
        [0.0, 0.2102],
        [-0.4452, -0.1281],
        [0.4452, -0.1281],
    ],
    np.float32,
)
AXES = np.array(
    [
        [-0.3546, -0.0, -0.3546, -0.0, -0.6618, -0.0, -0.524, -0.0, 0.1335, -0.0135, 0.1335, 0.0135],
        [-0.075, -0.3503, 0.075, -0.3503, 0.0, -0.7072, 0.0, -0.402, -0.1542, 0.1304, 0.1542, 0.1304],
        [-0.3646, 0.0466, 0.3646, 0.0466, -0.0, 0.1678, 0.0, 0.1188, -0.5731, -0.1238, 0.5731, -0.1238],
        [-0.3161, 0.0, -0.3161, 0.0, -0.0062, -0.0, 0.1244, -0.0, -0.5898, 0.2109, -0.5898, -0.2109],
    ],
    np.float32,
)


def upright(box: F32, keypoints: F32) -> F32:
    """Keypoints (12,) relative to the centre of the box, in sides of the box, rotated until the eyes are level.

    Args:
        box, keypoints: (4,) and (6, 2) in pixels.
    """
    side = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0)
    angle = roll(keypoints)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.asarray((keypoints - (box[:2] + box[2:]) / 2) @ turn / side, np.float32).ravel()


def shape_error(box: F32, keypoints: F32) -> float:
    """Root mean square distance of the keypoints from the nearest shape that a face can have, in sides of the box.

    It is about 0.005 for faces and 0.01 to 0.1 for other things.

    Args:
        box, keypoints: (4,) and (6, 2) in pixels.
    """
    off = upright(box, keypoints) - MEAN.ravel()
    rest = off - AXES.T @ (AXES @ off)
    return float(np.sqrt((rest**2).sum() / len(MEAN)))
