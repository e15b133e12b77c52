"""MediaPipe's face detector on one picture: what the running program and the preparation of training data share.

Which of the two models runs when, and what happens from frame to frame, is `edgeemo.stages.detect`'s business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

from engines.preprocess import F32, U8

Range = Literal["near", "far"]
MODELS: dict[Range, Path] = {
    "near": Path(__file__).parent / "face_models" / "face_detection_short_range.tflite",
    "far": Path(__file__).parent / "face_models" / "face_detection_full_range_sparse.tflite",
}
KEYPOINTS = 6  # right eye, left eye, nose tip, mouth, right ear, left ear


class FaceDetector:
    """One of MediaPipe's two face detectors: "near" (short range, to about 2 m) or "far" (full range).

    Close it with `close()`; left to the interpreter's exit MediaPipe complains.
    """

    def __init__(self, model: Range = "near", *, min_score: float = 0.5) -> None:
        self._detector = vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(
                base_options=BaseOptions(model_asset_path=str(MODELS[model])), min_detection_confidence=min_score
            )
        )

    def detect(self, image: U8) -> tuple[F32, F32, F32]:
        """Find the faces of one picture.

        Args:
            image: (H, W, 3) BGR.

        Returns:
            Boxes (N, 4) x1, y1, x2, y2 and keypoints (N, 6, 2) in pixels, scores (N,); float32.
        """
        # cvtColor also makes a contiguous copy: MediaPipe silently misreads views
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        found = self._detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)).detections
        boxes = np.empty((len(found), 4), np.float32)
        keypoints = np.empty((len(found), KEYPOINTS, 2), np.float32)
        scores = np.empty(len(found), np.float32)
        size = (image.shape[1], image.shape[0])
        for row, face in enumerate(found):
            box = face.bounding_box
            boxes[row] = box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height
            keypoints[row] = [(point.x * size[0], point.y * size[1]) for point in face.keypoints]
            scores[row] = face.categories[0].score
        return boxes, keypoints, scores

    def detect_in_crop(self, image: U8, *, enlarge: float = 1.0) -> tuple[F32, F32, F32]:
        """Find faces in a picture that is little more than a face, such as FER2013's 48x48 pixels.

        The detector misplaces eyes where a face fills its whole input. On FER+ a grey border of a quarter of the
        side on each side halves the error of the head's roll (median over 250 pictures turned by 12 degrees: 1.8
        instead of 2.8 degrees) and the share of faces that are missed is a tenth.

        Args:
            image: (H, W, 3) BGR or (H, W) grey.
            enlarge: how many times it is made larger for the detector.

        Returns:
            As `detect`, in the pixels of `image`.
        """
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        if enlarge != 1:
            image = np.asarray(cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
        border = max(image.shape[:2]) // 4
        framed = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        boxes, keypoints, scores = self.detect(np.asarray(framed, np.uint8))
        return (boxes - border) / np.float32(enlarge), (keypoints - border) / np.float32(enlarge), scores

    def close(self) -> None:
        self._detector.close()


def largest(boxes: F32) -> int:
    """Row of the box (N, 4) with the largest area, N >= 1: whose picture it is where a picture is of one face."""
    return int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
