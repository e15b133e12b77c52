"""BlazeFace without MediaPipe: NumPy versions of the steps that MediaPipe does before and after the network.

The steps and their options are those that MediaPipe publishes (Apache-2.0, its repository at version 0.10):

    letterbox       calculators/tensor/image_to_tensor_calculator.proto: keep_aspect_ratio, BORDER_ZERO, bilinear
    anchors         calculators/tflite/ssd_anchors_calculator.proto, with the options of
                    tasks/cc/vision/face_detector/face_detector_graph.cc (short range) and
                    modules/face_detection/face_detection_full_range.pbtxt (full range)
    decoding        calculators/tensor/tensors_to_detections_calculator.proto, from the same two files
    suppression     calculators/util/non_max_suppression_calculator.proto: WEIGHTED, INTERSECTION_OVER_UNION, and the
                    threshold of FaceDetectorOptions.min_suppression_threshold

Called by `engines.face_detector`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engines.preprocess import F32, U8

KEYPOINTS = 6  # right eye, left eye, nose tip, mouth, right ear, left ear
COORDINATES = 4 + 2 * KEYPOINTS  # columns of a regressor: centre, size, keypoints
MIN_OVERLAP = 0.3  # boxes with a larger intersection over union are the same face
SUBPIXELS = 32  # subpixel positions per pixel, as in the OpenCV 4 inside MediaPipe
LOGIT_LIMIT = 100.0  # logits are clipped to +-LOGIT_LIMIT before the sigmoid


@dataclass(frozen=True)
class Anchors:
    """A network's input size, and its grids of anchors: (stride in pixels, anchors per cell)."""

    input_px: int
    grids: tuple[tuple[int, int], ...]

    @property
    def stride(self) -> int:
        """The coarsest stride; sides of larger inputs are multiples of it."""
        return max(stride for stride, _ in self.grids)


@lru_cache(maxsize=32)
def centres(anchors: Anchors, height: int, width: int) -> F32:
    """(A, 2) x, y in pixels of an input of this size. All anchors have the same size, so only their centres matter."""
    parts = []
    for stride, count in anchors.grids:
        across, down = (
            (np.arange(side // stride, dtype=np.float32) + np.float32(0.5)) * np.float32(stride)
            for side in (width, height)
        )
        parts.append(np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2).repeat(count, axis=0))
    return np.concatenate(parts).astype(np.float32)


# strides 8, 16, 16, 16 with two anchors each; equal strides share a grid
SHORT_RANGE = Anchors(128, ((8, 2), (16, 6)))
FULL_RANGE = Anchors(192, ((4, 1),))


@dataclass(frozen=True, eq=False)
class Letterbox:
    """Mapping of a picture into a network's square input: input = picture / scale + offset (pixel coordinates).

    As in MediaPipe, pixel i of the input is sampled at (i - offset) * scale of the picture, without a half-pixel shift
    and without averaging.

    Attributes:
        pixels: (2 S, 2 S) x and y of the four pixels around each sample; the quarters of the array are top left, top
            right, bottom left, bottom right.
        across, down: (S, S, 1) distance of a sample from the top left pixel, 0..1.
    """

    input_px: int
    scale: float
    offset: F32
    pixels: tuple[F32, F32]
    across: F32
    down: F32

    def apply(self, image: U8) -> U8:
        """(H, W, 3) -> (S, S, 3), bilinear, black borders."""
        size = self.input_px
        if image.shape[:2] == (size, size):
            return image
        quads = cv2.remap(image, *self.pixels, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        if not self.across.any() and not self.down.any():
            return np.ascontiguousarray(quads[:size, :size], np.uint8)
        above, below = quads[:size].astype(np.float32), quads[size:].astype(np.float32)
        top = above[:, :size] + (above[:, size:] - above[:, :size]) * self.across
        bottom = below[:, :size] + (below[:, size:] - below[:, :size]) * self.across
        # MediaPipe rounds halves up; OpenCV would round them to even, which moves scores by up to 0.03
        return (top + (bottom - top) * self.down + np.float32(0.5)).astype(np.uint8)

    def restore(self, points: F32) -> F32:
        """Points (..., 2) of the input, in its pixels -> pixels of the picture."""
        return np.asarray((points - self.offset) * np.float32(self.scale), np.float32)


@lru_cache(maxsize=64)
def letterbox(height: int, width: int, input_px: int) -> Letterbox:
    """The letterbox of pictures of one size."""
    scale = max(height, width) / input_px
    offset = (input_px - np.array([width, height]) / scale) / 2
    # use MediaPipe's matrices: their rounding errors decide between two neighbouring subpixels
    corners = np.array([[0, 1], [0, 0], [1, 0], [1, 1]], np.float32)
    low = np.array([width, height], np.float32) / 2 - np.float32(max(height, width) / 2)
    source = low + corners * np.float32(max(height, width))
    matrix = cv2.invert(cv2.getPerspectiveTransform(source, corners * np.float32(input_px)))[1]
    row, column = np.mgrid[:input_px, :input_px].astype(np.float64)
    x, y, w = (each[0] * column + (each[1] * row + each[2]) for each in matrix)
    exact = np.rint(np.stack([x, y]) * (SUBPIXELS / w)) / SUBPIXELS
    before = np.floor(exact)
    (left, top), (across, down) = before.astype(np.float32), (exact - before).astype(np.float32)[..., None]
    columns = np.block([[left, left + 1], [left, left + 1]])
    rows = np.block([[top, top], [top + 1, top + 1]])
    return Letterbox(input_px, scale, offset.astype(np.float32), (columns, rows), across, down)


def decode(regressors: F32, logits: F32, anchors: F32, min_score: float) -> tuple[F32, F32]:
    """A network's outputs for one picture -> the candidates above a score.

    Args:
        regressors: (A, 16) centre, size and keypoints, in input pixels relative to the anchor's centre.
        logits: (A,).
        anchors: (A, 2) from `centres`.

    Returns:
        Points (M, 8, 2): top left, bottom right, keypoints, in input pixels; scores (M,).
    """
    # compare logits with the threshold first, so that few sigmoids are computed
    limit = np.log(min_score / (1 - min_score)) if min_score < 1 else np.inf
    rows = np.flatnonzero(logits >= limit)
    clipped = np.clip(logits[rows], -LOGIT_LIMIT, LOGIT_LIMIT)
    scores = 1 / (1 + np.exp(-clipped))
    values = regressors[rows].reshape(-1, COORDINATES // 2, 2)
    origin = anchors[rows, None]
    centre, half = values[:, :1] + origin, values[:, 1:2] / 2
    return np.concatenate([centre - half, centre + half, values[:, 2:] + origin], axis=1), scores.astype(np.float32)


def suppress(points: F32, scores: F32) -> tuple[F32, F32]:
    """Weighted non-maximum suppression: each face is the mean of its candidates, weighted by their scores.

    Args:
        points: (M, 8, 2) and scores (M,), as `decode` returns them.

    Returns:
        Points (N, 8, 2) and scores (N,), best first; a face gets the score of its best candidate.
    """
    kept, best = [], []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        first = left[0]
        shared = overlap(points[left, :2].reshape(-1, 4), points[first, :2].reshape(4)) > MIN_OVERLAP
        shared[0] = True
        same = left[shared]
        weights = scores[same] / scores[same].sum()
        kept.append((points[same] * weights[:, None, None]).sum(axis=0))
        best.append(scores[first])
        left = left[~shared]
    if not kept:
        return np.zeros((0, 2 + KEYPOINTS, 2), np.float32), np.zeros(0, np.float32)
    return np.stack(kept).astype(np.float32), np.array(best, np.float32)


def overlap(boxes: F32, box: F32) -> F32:
    """Intersection over union of boxes (N, 4) with one box (4,)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)
