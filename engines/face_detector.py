"""Detect faces in one picture with BlazeFace. Called by `edgeemo.stages.detect`, the trainer and the export step.

MediaPipe's two face detection models run either in MediaPipe or, with the same results, as ONNX files on the runtimes
of `engines.backends`. `edgeemo.stages.detect` chooses between the models and tracks faces from frame to frame.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from engines import mediapipe_detector
from engines.backends.face_network import FaceModel, FaceNetwork, open_network
from engines.blazeface import FULL_RANGE, SHORT_RANGE, Anchors, centres, decode, letterbox, suppress
from engines.errors import BackendUnavailable
from engines.preprocess import F32, U8

log = logging.getLogger(__name__)

Range = Literal["short_range", "full_range"]
Runtime = Literal["auto", "mediapipe", "onnx"]
Found = tuple[F32, F32, F32]  # boxes (N, 4), keypoints (N, 6, 2), scores (N,)

FOLDER = Path(__file__).parent / "face_models"
NAMES: dict[Range, str] = {
    "short_range": "face_detection_short_range",
    "full_range": "face_detection_full_range_sparse",
}
ANCHORS: dict[Range, Anchors] = {"short_range": SHORT_RANGE, "full_range": FULL_RANGE}


def model_path(model: Range, runtime: str) -> Path:
    """The model file for a runtime."""
    return FOLDER / f"{NAMES[model]}{'.tflite' if runtime == 'mediapipe' else '.onnx'}"


def face_model(model: Range) -> FaceModel:
    """The ONNX file with its shapes."""
    side = ANCHORS[model].input_px
    return FaceModel(model_path(model, "onnx"), side, len(centres(ANCHORS[model], side, side)))


def resolve_runtime(wanted: Runtime = "auto") -> tuple[Literal["mediapipe", "onnx"], str]:
    """The runtime that "auto" selects on this machine, and the reason; other values are returned unchanged.

    Raises:
        BackendUnavailable: MediaPipe was requested and is not installed.
    """
    if wanted == "onnx":
        return "onnx", "asked for"
    if wanted == "mediapipe":
        if reason := mediapipe_detector.missing():
            raise BackendUnavailable("mediapipe", hint=reason)
        return "mediapipe", mediapipe_detector.not_silent() or "asked for"
    reason = mediapipe_detector.not_silent()
    return ("onnx", reason) if reason else ("mediapipe", "installed, and tested to send nothing")


class _Model(Protocol):
    description: str

    def detect(self, image: U8) -> Found: ...
    def close(self) -> None: ...


class FaceDetector:
    """One of the two face detectors: "short_range" (to about 2 m) or "full_range".

    Call `close()`: MediaPipe logs errors if it is closed by the interpreter's exit.

    Args:
        backend: runtime of the ONNX file: onnx, onnx-cuda, openvino or tensorrt.

    Attributes:
        runtime: "mediapipe" or "onnx".
        description: for example "MediaPipe 1.2.2".

    Raises:
        EngineError: the runtime is not installed, or a model file is missing or damaged.
    """

    def __init__(
        self,
        model: Range = "short_range",
        *,
        min_score: float = 0.5,
        runtime: Runtime = "auto",
        backend: str = "onnx",
        threads: int = 1,
    ) -> None:
        self.runtime, reason = resolve_runtime(runtime)
        self._open = partial(_open_onnx, model, min_score=min_score, backend=backend, threads=threads)
        self._onnx: BlazeFace | None = None
        if self.runtime == "mediapipe":
            if mediapipe_detector.not_silent():
                log.warning("%s", reason)
            self._model: _Model = mediapipe_detector.MediaPipeModel(model_path(model, "mediapipe"), min_score=min_score)
        else:
            self._model = self._onnx = self._open()
        self.description = self._model.description

    def detect(self, image: U8) -> Found:
        """Find the faces of one picture.

        Args:
            image: (H, W, 3) BGR.

        Returns:
            Boxes (N, 4) x1, y1, x2, y2 and keypoints (N, 6, 2) in pixels, scores (N,); float32. MediaPipe's boxes are
            whole pixels.
        """
        return self._model.detect(image)

    def search(self, image: U8, min_score: float) -> Found:
        """Find the small faces of a large picture, which the network gets at full size instead of downscaled.

        The short-range network finds nearly all faces of 28 to 128 pixels, and 93 % of those of 24 pixels. It runs as
        ONNX with either runtime, because MediaPipe does not support other input sizes.

        Args, returns: as `detect`; `min_score` replaces that of the constructor.
        """
        if self._onnx is None:
            self._onnx = self._open()
        return self._onnx.search(image, min_score)

    def detect_in_crop(self, image: U8, *, enlarge: float = 1.0) -> Found:
        """Find faces in a picture that is little more than a face, such as FER2013's 48x48 pixels.

        The detector misplaces eyes if a face fills the whole input. On FER+, a grey border of a quarter of the side
        reduces the median error of the head's roll from 2.8 to 1.8 degrees (250 pictures rotated by 12 degrees). It
        reduces the number of missed faces to a tenth.

        Args:
            image: (H, W, 3) BGR or (H, W) grey.
            enlarge: factor of enlargement for the detector.

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
        self._model.close()
        if self._onnx is not None and self._onnx is not self._model:
            self._onnx.close()


def _open_onnx(model: Range, *, min_score: float, backend: str, threads: int) -> BlazeFace:
    network = open_network(backend, face_model(model), threads=threads)
    return BlazeFace(network, ANCHORS[model], min_score=min_score)


class BlazeFace:
    """A network with MediaPipe's steps before and after it."""

    def __init__(self, network: FaceNetwork, anchors: Anchors, *, min_score: float) -> None:
        self._network = network
        self._anchors = anchors
        self._min_score = min_score
        self.description = network.description

    def detect(self, image: U8) -> Found:
        box = letterbox(*image.shape[:2], self._anchors.input_px)
        points, scores = self._run(box.apply(image), self._min_score)
        return _found(box.restore(points), scores)

    def search(self, image: U8, min_score: float) -> Found:
        height, width = image.shape[:2]
        step = self._anchors.stride
        padded = cv2.copyMakeBorder(image, 0, -height % step, 0, -width % step, cv2.BORDER_CONSTANT)
        return _found(*self._run(np.asarray(padded, np.uint8), min_score))

    def _run(self, picture: U8, min_score: float) -> tuple[F32, F32]:
        """Points (N, 8, 2) in pixels of an input of any size, and scores (N,)."""
        regressors, logits = self._network.run(np.ascontiguousarray(picture[None, ..., ::-1]))
        anchors = centres(self._anchors, *picture.shape[:2])
        return suppress(*decode(regressors[0], logits[0], anchors, min_score))

    def close(self) -> None:
        self._network.close()


def _found(points: F32, scores: F32) -> Found:
    return points[:, :2].reshape(-1, 4), points[:, 2:], scores


def largest(boxes: F32) -> int:
    """Row of the box (N, 4) with the largest area, N >= 1."""
    return int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
