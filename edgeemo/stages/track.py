"""Match faces from frame to frame and low-pass filter their boxes. Called by `edgeemo.stages.pipeline`.

No library fits: `trackers` depends on SciPy, matplotlib, PyAV and a second OpenCV wheel that overwrites MediaPipe's;
`norfair` and `motpy` depend on SciPy and on filterpy (last released in 2018). The detector already follows the few
faces, so a page of NumPy is enough.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeemo.config import TrackConfig
from edgeemo.types import U8, Faces, Frame

NDF = npt.NDArray[np.float64]

GATE_DISTANCE = 0.6  # maximum distance of a face from its predicted position, in sides of its box
GATE_GROWTH_PER_S = 4.0  # growth of this distance per second since the face was seen
MAX_GATE_DISTANCE = 1.5  # limit of its growth: a face farther away may be another person
MAX_LOG_SCALE = math.log(2.0)  # maximum change of a face's size, as a logarithm
MAX_COAST_S = 0.15  # how long an undetected face is still reported at its predicted position
COAST_DECAY_S = 0.3  # time constant with which the predicted speed of an undetected face decays
MIN_CUTOFF_HZ = 1.5  # cut-off of the low-pass filter for a face at rest; lower is steadier
BETA = 8.0  # Hz added to the cut-off for a speed of one face size per second; higher means less lag
PAST_FRAMES = 3000  # frames of a file whose tracks are stored, for seeking back
MIN_STEP_S = 1e-3  # assumed interval of two frames with the same time


class FaceTracker:
    """The track stage: matches faces to tracks by position and size, with the least total cost.

    Ids count up from 1 and are not used again until `reset()`. After seeking back in a file (the time is earlier, but
    the index is not) to a frame that was processed before, the faces get the ids that they had then.
    """

    def __init__(self, config: TrackConfig | None = None) -> None:
        self._config = config or TrackConfig()
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._shape: tuple[int, ...] = ()
        self._cut = CutDetector()
        self._time = 0.0
        self._index = 0
        self._past = _Past()

    def update(self, faces: Faces, frame: Frame) -> Faces:
        """Give each face its id; filter its box and keypoints.

        Returns:
            The faces in their order, then the undetected faces that are still reported; the scores of the latter fall
            to 0 over `MAX_COAST_S`.
        """
        if frame.still:
            self.reset()
            return replace(faces, ids=np.arange(1, len(faces) + 1, dtype=np.int64))
        cut = self._cut.seen(frame.image)
        if frame.time < self._time and frame.index > self._index:
            self._tracks = self._past.back_to(frame.time, self._config.max_age_s)
        elif frame.image.shape != self._shape or frame.time < self._time or cut:
            # after a change of picture size, a restart of the clip or a film cut, old positions are meaningless
            self._tracks = []
        self._shape, self._time, self._index = frame.image.shape, frame.time, frame.index

        self._tracks = [track for track in self._tracks if frame.time - track.seen <= self._config.max_age_s]
        points = _points(faces)
        of_face: list[_Track | None] = [None] * len(faces)
        for row, column in assign(self._costs(points, frame.time)):
            of_face[row] = self._tracks[column]
        rows: list[_Track] = []
        for row, track in enumerate(of_face):
            if track is None:
                track = _Track(self._next_id, points[row], float(faces.scores[row]), frame.time)
                self._next_id += 1
                self._tracks.append(track)
            else:
                track.update(points[row], float(faces.scores[row]), frame.time)
            rows.append(track)
        if frame.captured is None:  # live sources cannot seek
            self._past.note(frame.time, rows)
        carried = [track for track in self._tracks if self._carries(track, rows, frame)]
        return _faces(
            [(track.id, track.points, track.score) for track in rows]
            + [
                (track.id, track.expected(frame.time), track.score * (1 - (frame.time - track.seen) / MAX_COAST_S))
                for track in carried
            ]
        )

    def reset(self) -> None:
        """Forget every face; the next id is 1."""
        self._tracks = []
        self._next_id = 1
        self._past = _Past()

    def _costs(self, points: NDF, now: float) -> NDF:
        """(faces, tracks): distance from the predicted position in box sides, plus change of size; infinite beyond the
        gate.
        """
        costs = np.full((len(points), len(self._tracks)), np.inf)
        sides = points[:, 1].max(axis=1)
        for column, track in enumerate(self._tracks):
            expected = track.expected(now)
            side = max(expected[1])
            distance = np.hypot(*(points[:, 0] - expected[0]).T) / np.minimum(side, sides)
            growth = np.abs(np.log(sides / side))
            gate = min(GATE_DISTANCE + GATE_GROWTH_PER_S * (now - track.seen), MAX_GATE_DISTANCE)
            costs[:, column] = np.where((distance <= gate) & (growth <= MAX_LOG_SCALE), distance + growth / 2, np.inf)
        return costs

    def _carries(self, track: _Track, present: list[_Track], frame: Frame) -> bool:
        """Whether an undetected face is still reported: not if it left the picture or another face covers it."""
        missed = frame.time - track.seen
        if not 0 < missed < MAX_COAST_S:
            return False
        centre, size = track.expected(frame.time)[:2]
        height, width = frame.image.shape[:2]
        if not (0 <= centre[0] < width and 0 <= centre[1] < height):
            return False
        return all(np.hypot(*(other.points[0] - centre)) > size.max() / 2 for other in present)


class _Past:
    """Tracks in the latest frames of a file, for seeking back."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, list[tuple[int, NDF, float]]]] = deque(maxlen=PAST_FRAMES)

    def note(self, time: float, present: list[_Track]) -> None:
        # no copies, because tracks never write into their arrays
        self._frames.append((time, [(track.id, track.points, track.score) for track in present]))

    def back_to(self, time: float, max_age_s: float) -> list[_Track]:
        """The tracks at a media time whose frame is about to be processed again; later entries are deleted."""
        while self._frames and self._frames[-1][0] > time + MIN_STEP_S / 2:
            self._frames.pop()
        if not self._frames or time - self._frames[-1][0] > max_age_s:
            return []
        seen, present = self._frames[-1]
        if seen > time - MIN_STEP_S / 2:
            self._frames.pop()
        return [_Track(number, points, score, seen) for number, points, score in present]


class CutDetector:
    """Detects film cuts: between two frames both the colour histogram and the pixels change.

    Switching the light on or off counts as a cut; a cut between two similar pictures is missed.
    """

    SAMPLES = 32  # sampled pixels per row and column
    MIN_HISTOGRAM = 0.5  # total variation distance of the colour histograms, 0..1
    MIN_PIXELS = 30.0  # mean absolute difference of grey levels

    def __init__(self) -> None:
        self._pixels: npt.NDArray[np.int16] | None = None
        self._histogram: NDF = np.zeros(0)

    def seen(self, image: U8) -> bool:
        """Whether there is a cut between the previous image and this one (H, W, 3); False for the first image."""
        height, width = image.shape[:2]
        step_y, step_x = max(1, height // self.SAMPLES), max(1, width // self.SAMPLES)
        pixels = image[step_y // 2 :: step_y, step_x // 2 :: step_x].astype(np.int16)
        bins = (pixels >> 6) @ np.array([16, 4, 1], np.int16)
        histogram = np.bincount(bins.ravel(), minlength=64) / bins.size
        before, self._pixels = self._pixels, pixels
        former, self._histogram = self._histogram, histogram
        if before is None or before.shape != pixels.shape:
            return False
        moved = float(np.abs(histogram - former).sum()) / 2
        return moved > self.MIN_HISTOGRAM and float(np.abs(pixels - before).mean()) > self.MIN_PIXELS


class _Track:
    """One face in time.

    `points` (8, 2): centre of the box, its width and height, six keypoints; low-passed by a One Euro filter (Casiez,
    Roussel and Vogel, 2012): the faster a point moves, the higher the cut-off.
    """

    SPEED_HZ = 2.0  # cut-off for the speed estimates

    def __init__(self, number: int, points: NDF, score: float, time: float) -> None:
        self.id = number
        self.points = points
        self.score = score
        self.seen = time
        self._raw = points
        self._speeds: NDF = np.zeros_like(points)

    def update(self, points: NDF, score: float, time: float) -> None:
        """Add the points detected at `time`."""
        passed = max(time - self.seen, MIN_STEP_S)
        self._speeds = self._speeds + _share(self.SPEED_HZ, passed) * ((points - self._raw) / passed - self._speeds)
        pace = np.sqrt((self._speeds**2).sum(axis=1, keepdims=True)) / max(points[1])
        cutoff = MIN_CUTOFF_HZ + BETA * pace
        self.points = self.points + _share(cutoff, passed) * (points - self.points)
        self._raw, self.score, self.seen = points, score, time

    def expected(self, time: float) -> NDF:
        """Predicted points at `time`; the box keeps its size."""
        coast = COAST_DECAY_S * (1 - math.exp(-max(time - self.seen, 0.0) / COAST_DECAY_S))
        moved: NDF = self.points + self._speeds[0] * coast
        moved[1] = self.points[1]
        return moved


def assign(costs: NDF) -> list[tuple[int, int]]:
    """As many pairs (row, column) as possible at the least total cost; infinite costs are never paired.

    Args:
        costs: (R, C), not negative.
    """
    rows, columns = costs.shape
    if not rows or not columns:
        return []
    best = [(min(row), row.index(min(row))) for row in costs.tolist()]
    if all(cost < math.inf for cost, _ in best) and len({column for _, column in best}) == rows:
        # every row gets its cheapest column: this is optimal
        return list(enumerate(column for _, column in best))
    if not np.isfinite(costs).any():
        return []
    never = 2 * float(costs[np.isfinite(costs)].max(initial=0.0)) * min(rows, columns) + 1
    size = max(rows, columns)
    square = np.full((size, size), never)
    square[:rows, :columns] = np.where(np.isfinite(costs), costs, never)
    return [
        (row, column)
        for column, row in enumerate(_least_cost(square))
        if row < rows and column < columns and np.isfinite(costs[row, column])
    ]


def _least_cost(square: NDF) -> list[int]:
    """The row of each column in the perfect matching of least cost: shortest augmenting paths (Kuhn, Munkres)."""
    size = len(square)
    row_price, column_price = np.zeros(size), np.zeros(size)
    row_of = np.full(size, -1)
    for start in range(size):
        slack = np.full(size, np.inf)
        came_from = np.full(size, -1)
        reached = np.zeros(size, bool)
        row, column = start, -1
        while True:
            reduced = square[row] - row_price[row] - column_price
            better = ~reached & (reduced < slack)
            slack[better], came_from[better] = reduced[better], column
            nearest = int(np.where(reached, np.inf, slack).argmin())
            step = slack[nearest]
            row_price[start] += step
            row_price[row_of[reached]] += step
            column_price[reached] -= step
            slack[~reached] -= step
            reached[nearest] = True
            column = nearest
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        while column >= 0:
            before = int(came_from[column])
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    return [int(row) for row in row_of]


def _share(cutoff: NDF | float, passed: float) -> NDF | float:
    """The weight of a new value in a low-pass filter after `passed` seconds."""
    return 1 - np.exp(-2 * np.pi * cutoff * passed)


def _points(faces: Faces) -> NDF:
    """(N, 8, 2): centre, size and keypoints of each face."""
    boxes = faces.boxes.astype(np.float64).reshape(-1, 2, 2)
    low, high = boxes[:, :1], boxes[:, 1:]
    return np.concatenate([(low + high) / 2, np.maximum(high - low, 1.0), faces.keypoints], axis=1)


def _faces(rows: list[tuple[int, NDF, float]]) -> Faces:
    if not rows:
        return Faces.none()
    points = np.array([each for _, each, _ in rows])
    half = points[:, 1] / 2
    return Faces(
        np.concatenate([points[:, 0] - half, points[:, 0] + half], axis=1).astype(np.float32),
        points[:, 2:].astype(np.float32),
        np.array([score for *_, score in rows], np.float32),
        np.array([number for number, *_ in rows], np.int64),
    )
