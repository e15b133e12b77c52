"""Frame -> faces, with MediaPipe's two BlazeFace models.

Looking at a whole frame with the full-range model each time finds nearly every face and costs three times the
short-range model, which in turn misses faces under a fifth of the frame's height. So the whole frame is looked at a few
times a second only, and in between every known face is followed: its surroundings, turned upright and enlarged, are
given to the short-range model, up to four faces side by side in one picture. That costs one short-range call per frame
whatever the faces' distance, and gives boxes of one geometry (upright, the face filling two fifths of the window),
where the two models on a whole frame differ by up to 20 % in size and shrink boxes of tilted heads.

A still picture is also searched in overlapping tiles, all at once (`edgeemo.stages.tiles`); with the policy "small" a
video is too, a few tiles per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgeemo.config import DetectConfig, Policy
from edgeemo.stages.tiles import Tile, tiles_of
from edgeemo.types import F32, U8, UNTRACKED, Faces, Frame
from engines.face_detector import FaceDetector, Range
from engines.preprocess import roll

SCAN_PX = 512  # longer side of a whole frame as the models get it; their inputs are 128 and 192
CANVAS_PX = 128  # the short-range model's input
UPSCALE = 2  # the canvas is repeated so many times: MediaPipe gives boxes in whole pixels, and this makes them smaller
ROI_SCALE = 2.5  # side of the window around a followed face, in sides of its box
SAME_OVERLAP = 0.4  # intersection over union from which two boxes are one face
SAME_CENTRE = 0.35  # distance of centres, in sides of the smaller box, up to which they are one face
GREATEST_CHANGE = 2.0  # a face does not grow or shrink more than this between two looks
AIM_SHARE = np.array([0.5, 0.5, 0.3, 0.5], np.float32)  # of the way from the last window to the face found in it
TOGETHER = 4  # faces that one short-range call can follow: with nine in a picture they are too small to be found
MIN_SCORE = 0.4  # of a whole frame's detection, to be looked at more closely
KEEP_SCORE = 0.4  # of a face that was there before, to stay
SEARCH_S = 0.1  # between two full-range detections while a face is missing
MAX_SEARCH_S = 0.5  # how long a missing face is searched for in that way, and where it was last seen
TILES_S = 0.4  # time in which the policy "small" goes through all tiles of a video's frame
TILE_BATCH = 16  # tiles in one call of the network
TILE_SCORE = 0.7  # of a face in a tile, to be looked at more closely: lower ones add false faces, hardly any real ones
MAX_REAPPEAR = 3.0  # distance, in face sides, up to which a new face is taken for one that went missing
TICK_S = 1e-3  # frame times are rounded
SCANNERS: dict[Policy, tuple[Range, ...]] = {
    "auto": ("full_range", "short_range"),
    "near": ("short_range",),
    "far": ("full_range",),
    "small": ("full_range", "short_range"),
}
NEARLY = 0.1  # what a closer look may lack, and the first look make up for


@dataclass(frozen=True, eq=False)
class _Face:
    """One face: box (4,) and keypoints (6, 2) in pixels of the frame.

    Attributes:
        seen: media time of the frame it was in.
        search_roi: (4,) where to look for it next: centre, side of the box, roll. Not simply the box just found: what
            is found depends a little on where one looks, and a window that jumps after each box makes the next box
            jump back.
    """

    box: F32
    keypoints: F32
    score: float
    seen: float
    search_roi: F32

    @classmethod
    def found(cls, box: F32, keypoints: F32, score: float, seen: float, aimed: F32 | None = None) -> _Face:
        x1, y1, x2, y2 = (float(value) for value in box)
        aim = np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, y2 - y1, 1.0), roll(keypoints)], np.float32)
        if aimed is not None:
            turn = (aim[3] - aimed[3] + np.pi) % (2 * np.pi) - np.pi
            aim = aimed + AIM_SHARE * np.array([*(aim - aimed)[:3], turn], np.float32)
        return cls(box, keypoints, score, seen, aim)

    @property
    def centre(self) -> F32:
        return (self.box[:2] + self.box[2:]) * np.float32(0.5)

    @property
    def side(self) -> float:
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1], 1.0))


class BlazeFaceDetector:
    """The detect stage: remembers the faces of the frame before, forgets them for a still or a frame of another size.

    Attributes:
        description: what runs the models, for example "MediaPipe 1.2.2".

    Raises:
        EngineError: the runtime is not installed, or a model file is missing or damaged.
    """

    def __init__(self, config: DetectConfig | None = None) -> None:
        self._config = config or DetectConfig()
        lowest = min(MIN_SCORE, self._config.confirm_score, KEEP_SCORE)
        # the short-range model follows faces under every policy
        self._models: dict[Range, FaceDetector] = {"short_range": self._open("short_range", lowest)}
        self._scanners = SCANNERS[self._config.policy]
        if "full_range" in self._scanners:
            self._models["full_range"] = self._open("full_range", MIN_SCORE)
        self.description = self._models["short_range"].description
        self._closed = False
        self._canvas: U8 = np.zeros((CANVAS_PX, CANVAS_PX, 3), np.uint8)
        self._known: list[_Face] = []
        self._missing: list[_Face] = []
        self._shape: tuple[int, ...] = ()
        self._time = 0.0
        self._scanned: dict[Range, float] = {}
        self._tiles: list[Tile] = []  # those still to be searched, in the policy "small"

    def detect(self, frame: Frame) -> Faces:
        """Find the faces of a frame; those that were in the frame before come first, in the same order.

        Raises:
            RuntimeError: the detector was closed.
        """
        if self._closed:
            raise RuntimeError("the face detector was closed")
        if frame.still or frame.image.shape != self._shape or frame.time < self._time:
            self._forget()
        found, just_lost = self._follow(frame)
        passed = max(frame.time - self._time, 0.0)
        candidates = self._scan(frame, self._due(frame.time, just_lost))
        candidates += self._scan_tiles(frame, self._due_tiles(frame, passed))
        if candidates:
            newcomers = self._confirm(frame, candidates, found)
            for face in newcomers:
                self._no_longer_missing(face)
            found += newcomers
        if len(found) > self._config.max_faces and not frame.still:
            smallest_kept = sorted((face.side for face in found), reverse=True)[self._config.max_faces - 1]
            found = [face for face in found if face.side >= smallest_kept][: self._config.max_faces]
        self._known, self._shape, self._time = found, frame.image.shape, frame.time
        if frame.still:
            self._forget()
        return _as_faces(found)

    def _open(self, model: Range, min_score: float) -> FaceDetector:
        return FaceDetector(model, min_score=min_score, runtime=self._config.runtime, backend=self._config.backend)

    def close(self) -> None:
        """Release the models; may be called twice."""
        if not self._closed:
            self._closed = True
            for model in self._models.values():
                model.close()

    def _forget(self) -> None:
        self._known, self._missing, self._scanned, self._tiles = [], [], {}, []

    def _follow(self, frame: Frame) -> tuple[list[_Face], bool]:
        """Look where faces were in the frame before, or before they went missing; True: one has just gone missing."""
        expected = self._known + self._missing
        enough = [KEEP_SCORE] * len(self._known) + [self._config.confirm_score] * len(self._missing)
        looks: list[_Face | None] = []
        for start in range(0, len(expected), TOGETHER):
            looks += self._detect_in_rois(frame, expected[start : start + TOGETHER])
        seen = {row: look for row, look in enumerate(looks) if look is not None and look.score >= enough[row]}
        kept: dict[int, _Face] = {}
        # where two windows show one face, it belongs to the one in whose middle it is
        for row in sorted(seen, key=lambda row: _distance(seen[row], expected[row])):
            if not any(_same(seen[row], other) for other in kept.values()):
                kept[row] = seen[row]
        lost = [row for row in range(len(expected)) if row not in kept]
        self._missing = [expected[row] for row in lost if frame.time - expected[row].seen <= MAX_SEARCH_S + TICK_S]
        return [kept[row] for row in sorted(kept)], any(row < len(self._known) for row in lost)

    def _due(self, now: float, just_lost: bool) -> list[Range]:
        """Which models look at the whole frame this time."""
        if just_lost or not self._scanned:
            return list(self._scanners)
        waited = {model: now - self._scanned[model] + TICK_S for model in self._scanners}
        if self._missing or not self._known:
            pause = SEARCH_S if self._missing else self._config.scan_s
            # the short-range model is cheap enough for every frame
            return [model for model in self._scanners if model == "short_range" or waited[model] >= pause]
        if min(waited.values()) < self._config.scan_s:
            return []
        return [max(self._scanners, key=lambda model: waited[model])]

    def _scan(self, frame: Frame, models: Sequence[Range]) -> list[_Face]:
        """What these models find in the whole frame, best first, one model after the other."""
        if not models:
            return []
        image, scale = _shrunk(frame.image)
        found: list[_Face] = []
        for model in models:
            self._scanned[model] = frame.time
            boxes, keypoints, scores = self._models[model].detect(image)
            found += [
                _Face.found(
                    (boxes[row].reshape(2, 2) * scale).ravel(), keypoints[row] * scale, float(scores[row]), frame.time
                )
                for row in np.argsort(-scores)
                if scores[row] >= MIN_SCORE
            ]
        return found

    def _due_tiles(self, frame: Frame, passed: float) -> list[Tile]:
        """All tiles of a still picture; of a video with the policy "small" the next few."""
        height, width = frame.image.shape[:2]
        if frame.still:
            return tiles_of(height, width)
        if self._config.policy != "small":
            return []
        everything = tiles_of(height, width)
        count = min(int(np.ceil(len(everything) * passed / TILES_S)) or 1, len(everything))
        while len(self._tiles) < count:
            self._tiles += everything
        due, self._tiles = self._tiles[:count], self._tiles[count:]
        return due

    def _scan_tiles(self, frame: Frame, tiles: Sequence[Tile]) -> list[_Face]:
        """What the short-range model finds in these tiles, best first."""
        found: list[_Face] = []
        for start in range(0, len(tiles), TILE_BATCH):
            batch = tiles[start : start + TILE_BATCH]
            looks = self._models["short_range"].detect_many([tile.cut(frame.image) for tile in batch])
            for tile, (boxes, keypoints, scores) in zip(batch, looks, strict=True):
                for row in np.flatnonzero(scores >= TILE_SCORE):
                    box = tile.restore(boxes[row].reshape(2, 2)).ravel()
                    found.append(_Face.found(box, tile.restore(keypoints[row]), float(scores[row]), frame.time))
        return sorted(found, key=lambda face: -face.score)

    def _confirm(self, frame: Frame, candidates: Sequence[_Face], found: Sequence[_Face]) -> list[_Face]:
        """The candidates that are faces on a closer look and not among those found already."""
        new: list[_Face] = []
        for candidate in candidates:
            if any(_same(candidate, other) for other in (*found, *new)):
                continue
            (look,) = self._detect_in_rois(frame, [candidate])
            if look is None or not self._convinces(candidate.score, look.score):
                continue
            if not any(_same(look, other) for other in (*found, *new)):
                new.append(look)
        return new

    def _convinces(self, first: float, closer: float) -> bool:
        """Whether two looks' scores make a new face.

        Of 72 faces of FER+ and facial_expressions that the closer look alone misses in 2,029 pictures the average finds
        15, and 3 more of the 880 shapes of scripts/bench-nonfaces.
        """
        enough = self._config.confirm_score
        return closer >= enough or (closer >= enough - NEARLY and (first + closer) / 2 >= enough)

    def _detect_in_rois(self, frame: Frame, faces: Sequence[_Face]) -> list[_Face | None]:
        """Look for each of one to four faces in the upright window around where it was, with one short-range call."""
        across = 1 if len(faces) == 1 else 2
        size = CANVAS_PX // across
        self._canvas[:] = 0
        windows = []
        for cell, face in enumerate(faces):
            left, top = cell % across * size, cell // across * size
            window = _Window.at(face.search_roi, size)
            self._canvas[top : top + size, left : left + size] = window.cut(frame.image)
            windows.append((window, np.array([left, top], np.float32)))
        enlarged = np.asarray(
            cv2.resize(self._canvas, None, fx=UPSCALE, fy=UPSCALE, interpolation=cv2.INTER_NEAREST), np.uint8
        )
        boxes, keypoints, scores = self._models["short_range"].detect(enlarged)
        boxes, keypoints = boxes / np.float32(UPSCALE), keypoints / np.float32(UPSCALE)
        cells = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / size)
        looks: list[_Face | None] = []
        for face, (window, corner) in zip(faces, windows, strict=True):
            inside = np.flatnonzero((cells == corner / size).all(axis=1))
            seen = [window.face(boxes[row], keypoints[row], float(scores[row]), corner, frame.time) for row in inside]
            fitting = [each for each in seen if 1 / GREATEST_CHANGE <= each.side / face.side <= GREATEST_CHANGE]
            looks.append(min(fitting, key=lambda each: _distance(each, face), default=None))
        return looks

    def _no_longer_missing(self, face: _Face) -> None:
        """A face that appears near a missing one is, in all likelihood, that one."""
        distances = [_distance(missing, face) for missing in self._missing]
        if distances and min(distances) <= MAX_REAPPEAR:
            del self._missing[int(np.argmin(distances))]


@dataclass(frozen=True, eq=False)
class _Window:
    """A square of the frame, turned with the head, and its picture of `size` pixels a side.

    `turn` (2, 2) and `centre` (2,) lead from a point of the picture to the frame: centre + turn @ (point - size / 2),
    with pixel i covering i to i + 1.
    """

    size: int
    turn: F32
    centre: F32
    search_roi: F32

    @classmethod
    def at(cls, search_roi: F32, size: int) -> _Window:
        """The window around a search region: centre, side, roll."""
        step = ROI_SCALE * search_roi[2] / size
        across, down = step * np.cos(search_roi[3]), step * np.sin(search_roi[3])
        return cls(size, np.array([[across, -down], [down, across]], np.float32), search_roi[:2], search_roi)

    def cut(self, image: U8) -> U8:
        matrix = np.empty((2, 3))
        matrix[:, :2] = self.turn
        # OpenCV's coordinates are those of pixel centres
        matrix[:, 2] = self.centre - 0.5 + self.turn @ np.full(2, (1 - self.size) / 2)
        picture = cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.asarray(picture, np.uint8)

    def face(self, box: F32, keypoints: F32, score: float, corner: F32, time: float) -> _Face:
        """What was found in the picture, which lies at `corner` of the canvas, as an upright box in the frame."""
        middle = corner + np.float32(self.size / 2)
        centre = self.centre + self.turn @ ((box[:2] + box[2:]) / 2 - middle)
        half = (box[2:] - box[:2]) / 2 * np.hypot(self.turn[0, 0], self.turn[1, 0])
        points = self.centre + (keypoints - middle) @ self.turn.T
        box = np.concatenate([centre - half, centre + half]).astype(np.float32)
        return _Face.found(box, points.astype(np.float32), score, time, self.search_roi)


def _shrunk(image: U8) -> tuple[U8, F32]:
    """A picture of at most SCAN_PX a side, and by what (x, y) its coordinates are multiplied to be the frame's.

    Both models take far less, and their own reduction of a large picture is costly and skips pixels.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= SCAN_PX:
        return image, np.ones(2, np.float32)
    size = max(1, round(width * SCAN_PX / longer)), max(1, round(height * SCAN_PX / longer))
    small = image
    if longer > 2 * SCAN_PX:
        # averaging is dear unless it is over whole pixels: sample to twice the size, then average two by two
        small = np.asarray(cv2.resize(small, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR), np.uint8)
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return small, np.array([width / size[0], height / size[1]], np.float32)


def _distance(face: _Face, other: _Face) -> float:
    """Between the centres of two boxes, in sides of the smaller one."""
    return float(np.hypot(*(face.centre - other.centre))) / min(face.side, other.side)


def _same(face: _Face, other: _Face) -> bool:
    if _distance(face, other) < SAME_CENTRE:
        return True
    low, high = np.maximum(face.box[:2], other.box[:2]), np.minimum(face.box[2:], other.box[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    total = sum(float(np.prod(each.box[2:] - each.box[:2])) for each in (face, other)) - common
    return common >= SAME_OVERLAP * total > 0


def _as_faces(found: Sequence[_Face]) -> Faces:
    if not found:
        return Faces.none()
    return Faces(
        np.stack([face.box for face in found]).astype(np.float32),
        np.stack([face.keypoints for face in found]).astype(np.float32),
        np.array([face.score for face in found], np.float32),
        np.full(len(found), UNTRACKED, np.int64),
    )
