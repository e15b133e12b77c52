"""Frame -> faces, with MediaPipe's two BlazeFace models. Called by `edgeemo.stages.pipeline`.

The full-range model finds nearly every face of a whole frame, but costs three times as much as the short-range model,
which misses faces below a fifth of the frame's height. Therefore the whole frame is searched only a few times per
second. In between, every known face is followed: a window around it, turned upright and enlarged, goes to the
short-range model, up to four faces side by side in one picture. For up to four faces this costs one short-range call
per frame, however far they are from the camera. The windows also give all boxes the same geometry: the face is
upright and fills two fifths of the window. On a whole frame the box sizes of the two models would differ by up to 20 %,
and boxes of tilted heads would be too small.

With the policy "small" a video is also searched in overlapping tiles, a few per frame. `edgeemo.stages.still` searches
still pictures, which have no previous or next frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeemo.config import DetectConfig, Policy
from edgeemo.stages.face_window import SeenFace
from edgeemo.stages.looks import TOGETHER, Looks
from edgeemo.stages.still import find_in_still
from edgeemo.stages.stillness import Stillness
from edgeemo.stages.tiles import VIDEO_SCALE, Tile, tiles_of
from edgeemo.types import UNTRACKED, Faces, Frame
from engines.face_detector import Range

KEEP_SCORE = 0.4  # minimum score to keep a known face
SEARCH_S = 0.1  # interval of full-range detections while a face is missing
# how long a missing face is searched for: around its last position in every frame, in the whole frame every SEARCH_S
MAX_SEARCH_S = 0.5
TILES_S = 0.4  # time in which the policy "small" searches all tiles of a video's frame once
MAX_REAPPEAR = 3.0  # distance, in sides of the smaller box, up to which a new face counts as the missing one
TICK_S = 1e-3  # tolerance, because frame times are rounded
SCANNERS: dict[Policy, tuple[Range, ...]] = {
    "auto": ("full_range", "short_range"),
    "short_range": ("short_range",),
    "full_range": ("full_range",),
    "small": ("full_range", "short_range"),
}
# a new face whose score in its window is up to this much below `confirm_score` is accepted if the mean of this score
# and the score of the first search reaches `confirm_score`
NEARLY = 0.1


class BlazeFaceDetector:
    """The detect stage. It follows faces until a still picture, another frame size or an earlier frame time comes.

    Attributes:
        description: the runtime of the models, for example "MediaPipe 1.2.2".

    Raises:
        EngineError: the runtime is not installed, or a model file is missing or damaged.
    """

    def __init__(self, config: DetectConfig | None = None) -> None:
        self._config = config or DetectConfig()
        self._scanners = SCANNERS[self._config.policy]
        # the short-range model follows faces under every policy
        self._looks = Looks(self._config, self._scanners)
        self.description = self._looks.description
        self._closed = False
        self._known: list[SeenFace] = []
        self._missing: list[SeenFace] = []
        self._shape: tuple[int, ...] = ()
        self._time = 0.0
        self._scanned: dict[Range, float] = {}
        self._tiles: list[Tile] = []  # not yet searched, in the policy "small"
        self._stillness = Stillness()
        self._owed = 0.0  # tiles due, with the fraction left over from earlier frames

    def detect(self, frame: Frame) -> Faces:
        """Find the faces of a frame; faces of the previous frame come first, in the same order.

        Raises:
            RuntimeError: the detector was closed.
        """
        if self._closed:
            raise RuntimeError("the face detector was closed")
        if frame.still:
            self._forget()
            return as_faces(find_in_still(self._looks, frame, self._scanners, self._config.confirm_score))
        if frame.image.shape != self._shape or frame.time < self._time:
            self._forget()
        if self._may_skip(frame):
            self._time = frame.time
            return as_faces(self._known)
        found, just_lost = self._follow(frame)
        passed = max(frame.time - self._time, 0.0)
        candidates = self._scan(frame, self._due(frame.time, just_lost))
        candidates += self._looks.tiles(frame, self._due_tiles(frame, passed))
        if candidates:
            newcomers = self._confirm(frame, candidates, found)
            for face in newcomers:
                self._no_longer_missing(face)
            found += newcomers
        if len(found) > self._config.max_faces:
            smallest_kept = sorted((face.side for face in found), reverse=True)[self._config.max_faces - 1]
            found = [face for face in found if face.side >= smallest_kept][: self._config.max_faces]
        self._known, self._shape, self._time = found, frame.image.shape, frame.time
        if self._config.skip_still:
            self._stillness.remember(frame, found)
        return as_faces(found)

    def close(self) -> None:
        """Release the models; may be called twice."""
        if not self._closed:
            self._closed = True
            self._looks.close()

    def _may_skip(self, frame: Frame) -> bool:
        """Whether detection can be skipped: nothing moved around the faces, none is missing, and no search is due."""
        tiles_are_due = self._config.policy == "small"
        if not self._config.skip_still or tiles_are_due or self._missing or not self._scanned:
            return False
        searched = max(self._scanned.values())
        return frame.time - searched + TICK_S < self._config.scan_s and self._stillness.holds(frame, self._known)

    def _forget(self) -> None:
        self._known, self._missing, self._scanned, self._tiles, self._owed = [], [], {}, [], 0.0

    def _follow(self, frame: Frame) -> tuple[list[SeenFace], bool]:
        """Search the places where faces were last seen. Returns the faces found, and whether one is newly missing."""
        expected = self._known + self._missing
        enough = [KEEP_SCORE] * len(self._known) + [self._config.confirm_score] * len(self._missing)
        looks: list[SeenFace | None] = []
        for start in range(0, len(expected), TOGETHER):
            looks += self._looks.closer(frame, expected[start : start + TOGETHER], on_grid=True)
        seen = {row: look for row, look in enumerate(looks) if look is not None and look.score >= enough[row]}
        kept: dict[int, SeenFace] = {}
        # if two windows show the same face, it belongs to the window whose centre is nearer
        for row in sorted(seen, key=lambda row: seen[row].distance(expected[row])):
            if not seen[row].is_one_of(kept.values()):
                kept[row] = seen[row]
        lost = [row for row in range(len(expected)) if row not in kept]
        self._missing = [expected[row] for row in lost if frame.time - expected[row].seen <= MAX_SEARCH_S + TICK_S]
        return [kept[row] for row in sorted(kept)], any(row < len(self._known) for row in lost)

    def _due(self, now: float, just_lost: bool) -> list[Range]:
        """The models that search the whole of this frame."""
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

    def _scan(self, frame: Frame, models: Sequence[Range]) -> list[SeenFace]:
        self._scanned |= dict.fromkeys(models, frame.time)
        return self._looks.whole(frame, models)

    def _due_tiles(self, frame: Frame, passed: float) -> list[Tile]:
        """The tiles to search in this frame; none unless the policy is "small"."""
        if self._config.policy != "small":
            return []
        height, width = frame.image.shape[:2]
        everything = tiles_of(height, width, VIDEO_SCALE)
        self._owed = min(self._owed + len(everything) * passed / TILES_S, len(everything))
        count = int(self._owed)
        self._owed -= count
        while len(self._tiles) < count:
            self._tiles += everything
        due, self._tiles = self._tiles[:count], self._tiles[count:]
        return due

    def _confirm(self, frame: Frame, candidates: Sequence[SeenFace], found: Sequence[SeenFace]) -> list[SeenFace]:
        """The candidates that a detection in their window confirms and that are not among `found`."""
        new: list[SeenFace] = []
        for candidate in candidates:
            if candidate.is_one_of((*found, *new)):
                continue
            (look,) = self._looks.closer(frame, [candidate])
            if look is None or not self._convinces(candidate.score, look.score):
                continue
            if not look.is_one_of((*found, *new)):
                new.append(look)
        return new

    def _convinces(self, first: float, closer: float) -> bool:
        """Whether the scores of the first search and of the window are enough for a new face.

        In 2,029 pictures of FER+ and facial_expressions the score of the window alone misses 72 faces. The mean of both
        scores finds 15 of these, but wrongly accepts 3 more of the 880 shapes of scripts/bench-nonfaces.
        """
        enough = self._config.confirm_score
        return closer >= enough or (closer >= enough - NEARLY and (first + closer) / 2 >= enough)

    def _no_longer_missing(self, face: SeenFace) -> None:
        """Stop searching for a missing face if a new one appears near it: it is most likely the same face."""
        distances = [missing.distance(face) for missing in self._missing]
        if distances and min(distances) <= MAX_REAPPEAR:
            del self._missing[int(np.argmin(distances))]


def as_faces(found: Sequence[SeenFace]) -> Faces:
    if not found:
        return Faces.none()
    return Faces(
        np.array([face.box for face in found], np.float32),
        np.array([face.keypoints for face in found], np.float32),
        np.array([face.score for face in found], np.float32),
        np.full(len(found), UNTRACKED, np.int64),
        np.array([face.turned for face in found], np.int64),
    )
