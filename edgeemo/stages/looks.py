"""Three ways to run MediaPipe's two face models: on a whole picture, on tiles, and on windows around single faces.

A "look" is one detection in such a window. Called by `edgeemo.stages.detect` and `edgeemo.stages.still`, which decide
when each is used and which scores suffice.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edgeemo.config import DetectConfig
from edgeemo.stages.face_window import WINDOW_SCALE, SeenFace, Window
from edgeemo.stages.tiles import Tile
from edgeemo.types import F32, U8, Frame
from engines.face_detector import FaceDetector, Found, Range

SCAN_PX = 512  # longer side to which a whole frame is reduced first; the models' inputs are 128 and 192
CANVAS_PX = 128  # the short-range model's input
MIRRORED_POINTS = [1, 0, 2, 3, 5, 4]  # order of keypoints after exchanging left and right
UPSCALE = 2  # MediaPipe gets the canvas at twice its size, because its boxes are integers
GREATEST_CHANGE = 2.0  # maximum ratio of a face's sizes in two consecutive looks
TOGETHER = 4  # faces per short-range call; nine in one picture are too small to be found
MIN_SCORE = 0.4  # minimum score in a whole frame or a window; callers apply higher thresholds
SEARCH_SCORE = 0.4  # minimum score in a tile; 99 % of faces of 40 px and more reach it
SMALL_SEARCH_SCORE, SMALL_PX = 0.2, 40  # minimum score of faces below 40 px; 99 % of those from 32 px reach it


class Looks:
    """The opened models and the searches that use them.

    Args:
        models: models to open; the short-range model is always opened.

    Attributes:
        description: the runtime of the models, for example "MediaPipe 1.2.2".

    Raises:
        EngineError: the runtime is not installed, or a model file is missing or damaged.
    """

    def __init__(self, config: DetectConfig, models: Sequence[Range]) -> None:
        lowest: dict[Range, float] = {"short_range": min(MIN_SCORE, config.confirm_score)}
        if "full_range" in models:
            lowest["full_range"] = MIN_SCORE
        self._models = {
            model: FaceDetector(model, min_score=score, runtime=config.runtime, backend=config.backend)
            for model, score in lowest.items()
        }
        self.description = self._models["short_range"].description
        self._canvas: U8 = np.zeros((CANVAS_PX, CANVAS_PX, 3), np.uint8)

    def whole(self, frame: Frame, models: Sequence[Range]) -> list[SeenFace]:
        """Faces that these models find in the whole frame: model by model, highest score first."""
        if not models:
            return []
        image, scale = shrunk(frame.image)
        found: list[SeenFace] = []
        for model in models:
            boxes, keypoints, scores = self._models[model].detect(image)
            found += [
                SeenFace.found(
                    (boxes[row].reshape(2, 2) * scale).ravel(), keypoints[row] * scale, float(scores[row]), frame.time
                )
                for row in np.argsort(-scores)
                if scores[row] >= MIN_SCORE
            ]
        return found

    def tiles(self, frame: Frame, tiles: Sequence[Tile]) -> list[SeenFace]:
        """Faces that the short-range model finds in these tiles, highest score first."""
        found: list[SeenFace] = []
        for tile in tiles:
            part = tile.textured(frame.image)
            if part is None:
                continue
            boxes, keypoints, scores = self._models["short_range"].search(part.cut(frame.image), SMALL_SEARCH_SCORE)
            sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
            enough = scores >= np.where(sides < SMALL_PX, SMALL_SEARCH_SCORE, SEARCH_SCORE)
            for box, points, score in zip(boxes[enough], keypoints[enough], scores[enough].tolist(), strict=True):
                corners = part.restore(box.reshape(2, 2)).ravel()
                found.append(SeenFace.found(corners, part.restore(points), score, frame.time))
        return sorted(found, key=lambda face: -face.score)

    def closer(
        self,
        frame: Frame,
        faces: Sequence[SeenFace],
        scale: float = WINDOW_SCALE,
        *,
        on_grid: bool = False,
        mirrored: bool = False,
    ) -> list[SeenFace | None]:
        """Search for one to four faces with one short-range call, each in the upright window around its search region.

        Args:
            scale, on_grid: see `Window.at`.
            mirrored: show the model the mirrored window; possible for one face only.

        Returns:
            One entry per given face: the face found in its window, or None.
        """
        across = 1 if len(faces) == 1 else 2
        size = CANVAS_PX // across
        self._canvas[:] = 0
        windows = []
        for cell, face in enumerate(faces):
            left, top = cell % across * size, cell // across * size
            window = Window.at(face.search_roi, size, scale, on_grid=on_grid)
            self._canvas[top : top + size, left : left + size] = window.cut(frame.image)
            windows.append((window, np.array([left, top], np.float32)))
        boxes, keypoints, scores = self._in_canvas(mirrored)
        cells = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / size)
        looks: list[SeenFace | None] = []
        for face, (window, corner) in zip(faces, windows, strict=True):
            inside = np.flatnonzero((cells == corner / size).all(axis=1))
            seen = [window.face(boxes[row], keypoints[row], float(scores[row]), corner, frame.time) for row in inside]
            fitting = [each for each in seen if 1 / GREATEST_CHANGE <= each.side / face.side <= GREATEST_CHANGE]
            looks.append(min(fitting, key=face.distance, default=None))
        return looks

    def _in_canvas(self, mirrored: bool) -> Found:
        if mirrored:
            boxes, keypoints, scores = self._in_picture(np.ascontiguousarray(self._canvas[:, ::-1]))
            boxes, keypoints = boxes.copy(), keypoints[:, MIRRORED_POINTS]
            boxes[:, [0, 2]] = CANVAS_PX - boxes[:, [2, 0]]
            keypoints[..., 0] = CANVAS_PX - keypoints[..., 0]
            return boxes, keypoints, scores
        return self._in_picture(self._canvas)

    def _in_picture(self, canvas: U8) -> Found:
        model = self._models["short_range"]
        if model.runtime != "mediapipe":
            return model.detect(canvas)
        enlarged = cv2.resize(canvas, None, fx=UPSCALE, fy=UPSCALE, interpolation=cv2.INTER_NEAREST)
        boxes, keypoints, scores = model.detect(np.asarray(enlarged, np.uint8))
        return boxes / np.float32(UPSCALE), keypoints / np.float32(UPSCALE), scores

    def close(self) -> None:
        for model in self._models.values():
            model.close()


def shrunk(image: U8) -> tuple[U8, F32]:
    """The picture reduced to at most SCAN_PX per side, and the factors (x, y) from its coordinates to the frame's.

    The models' inputs are far smaller; their own reduction of a large picture is slow and skips pixels.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= SCAN_PX:
        return image, np.ones(2, np.float32)
    size = max(1, round(width * SCAN_PX / longer)), max(1, round(height * SCAN_PX / longer))
    small = image
    if longer > 2 * SCAN_PX:
        # area averaging is slow unless the ratio is an integer: sample to twice the size, then average 2 x 2
        small = np.asarray(cv2.resize(small, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR), np.uint8)
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return small, np.array([width / size[0], height / size[1]], np.float32)
