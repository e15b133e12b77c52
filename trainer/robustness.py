"""Measure the accuracy drop under each condition, through the whole path: detector, keypoints, crop and network.

`edgeemo-train robustness` calls it. No torch, unless a checkpoint is measured.
"""

from __future__ import annotations

import contextlib
import csv
import math
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.export.compare import paired_drop
from engines.face_detector import FaceDetector
from engines.metrics import calibration_error, over_expressions, wilson
from engines.preprocess import F32, U8, crop, roll
from engines.spec import LABELS, ModelSpec
from trainer.conditions import Changed, Condition, change, generator, leaning
from trainer.data import open_data
from trainer.data.dataset import Dataset
from trainer.data.faces import expect_pictures, find_face
from trainer.errors import DataError, PictureError
from trainer.evaluate import Model

CHUNK = 16  # pictures that a process changes at once: with 30 conditions 72 MB of colour faces of 224 px
LEANS = math.radians(8)  # a head with more roll is detected again upright, as in the detect stage
MAX_DROP = 5.0  # target, in points: a condition that is common with webcams should not lower accuracy by more
UNCHANGED = "unchanged"
COLUMNS = (
    *("condition", "kind", "level", "how", "webcam", "faces", "missed", "accuracy", "low", "high"),
    *("loss_points", "loss_low", "loss_high", "calibration_error", "over_5_points"),
)


@dataclass(frozen=True)
class Row:
    """Accuracy of a model under one condition.

    Attributes:
        condition: the condition; None for the unchanged pictures.
        faces: scored pictures; missed: those whose face is not detected.
        accuracy: over all of them, with its 95 % interval: low, high.
        loss: accuracy drop in percentage points, with the 95 % interval of the paired difference.
        calibration_error: over the faces with a prediction.
    """

    condition: Condition | None
    faces: int
    missed: int
    accuracy: float
    low: float
    high: float
    loss: float
    loss_low: float
    loss_high: float
    calibration_error: float

    @property
    def name(self) -> str:
        return self.condition.name if self.condition is not None else UNCHANGED

    @property
    def webcam(self) -> bool:
        return self.condition is not None and self.condition.webcam

    @property
    def over_limit(self) -> bool:
        return self.loss > MAX_DROP


def measure(
    model: Model,
    data: str,
    split: str,
    conditions: Sequence[Condition],
    *,
    limit: int | None = None,
    seed: int = 0,
    num_workers: int = 1,
) -> list[Row]:
    """Score a model on the unchanged pictures (first row) and under each condition.

    A missed face is cropped at the data set's default box if it has one (FER+ pictures are little more than a face),
    else it counts as wrong.

    Args:
        limit: number of scored pictures to use, evenly spread.
        num_workers: processes that change and crop pictures; more than 1 starts new interpreters.

    Raises:
        DataError: the data is missing or has only crops, or its protocol scores no picture.
    """
    opened = open_data(data, split)
    expect_pictures(opened)
    rows = np.flatnonzero(opened.scored)
    if limit is not None and limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]
    if not len(rows):
        raise DataError(f"the protocol of {opened.name} scores no picture of {split}")
    right: list[npt.NDArray[np.bool_]] = []
    found: list[npt.NDArray[np.bool_]] = []
    confidence: list[F32] = []
    columns = [LABELS.index(name) for name in opened.classes]
    with tqdm(desc=f"{opened.name} {split}", total=len(rows), unit="picture", disable=None) as bar:
        for part in _parts(opened, rows, model.spec, tuple(conditions), seed, num_workers):
            truth = opened.targets[part.rows][:, columns].argmax(axis=1)
            predictions = np.zeros((*part.cropped.shape, len(columns)), np.float32)
            predictions[part.cropped] = over_expressions(
                model.infer(list(part.faces)), model.spec.labels, opened.classes
            )
            right.append(part.cropped & (predictions.argmax(axis=2) == truth))
            found.append(part.found)
            confidence.append(np.where(part.cropped, predictions.max(axis=2), np.nan).astype(np.float32))
            bar.update(part.read)
    return _rows(conditions, np.hstack(right), np.hstack(found), np.hstack(confidence))


def _rows(
    conditions: Sequence[Condition],
    right: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
    confidence: F32,
) -> list[Row]:
    """Rows of the table from arrays of (1 + conditions, pictures); the first line is the unchanged pictures."""
    count = right.shape[1]
    if not count:
        raise DataError("no picture could be read: check the path of the pictures")
    table = []
    for row, condition in enumerate((None, *conditions)):
        answered = np.isfinite(confidence[row])
        table.append(
            Row(
                condition,
                count,
                int((~found[row]).sum()),
                float(right[row].mean()),
                *wilson(int(right[row].sum()), count),
                *paired_drop(right[0], right[row]),
                calibration_error(confidence[row][answered], right[row][answered]) if answered.any() else math.nan,
            )
        )
    return table


@dataclass(frozen=True, eq=False)
class _Part:
    """Results of some pictures under all C conditions, the unchanged first.

    Attributes:
        read: number of pictures tried; rows: (P,) those that were readable.
        found: (C, P) the face was detected; cropped: (C, P) there is a crop.
        faces: the crops, condition by condition.
    """

    read: int
    rows: npt.NDArray[np.int64]
    found: npt.NDArray[np.bool_]
    cropped: npt.NDArray[np.bool_]
    faces: U8


def _parts(
    data: Dataset,
    rows: npt.NDArray[np.int64],
    spec: ModelSpec,
    conditions: tuple[Condition, ...],
    seed: int,
    num_workers: int,
) -> Iterator[_Part]:
    pieces = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    if num_workers <= 1 or len(pieces) < 4:
        with contextlib.closing(FaceDetector()) as detector:
            for piece in pieces:
                yield _under_all(data, piece, spec, conditions, seed, detector)
        return
    # new interpreters: a fork would copy locks that MediaPipe's threads hold
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
    waiting: deque[tuple[npt.NDArray[np.int64], Future[_Part]]] = deque()

    def oldest() -> _Part:
        piece, future = waiting.popleft()
        part = future.result()
        return _Part(part.read, piece[part.rows], part.found, part.cropped, part.faces)

    try:
        for piece in pieces:
            waiting.append(
                (piece, pool.submit(_under_all, data.only(piece), np.arange(len(piece)), spec, conditions, seed))
            )
            if len(waiting) >= 2 * num_workers:
                yield oldest()
        while waiting:
            yield oldest()
    except BrokenProcessPool as error:
        raise DataError("a worker that crops faces died (out of memory?); try --num-workers 1") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _under_all(
    data: Dataset,
    rows: npt.NDArray[np.int64],
    spec: ModelSpec,
    conditions: tuple[Condition, ...],
    seed: int,
    detector: FaceDetector | None = None,
) -> _Part:
    detector = detector or _detector()
    usable: list[int] = []
    found: list[list[bool]] = []
    faces: list[list[U8 | None]] = []
    for row in rows.tolist():
        try:
            image = data.read(row)
        except PictureError:
            continue
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        known = _known_box(data, row)
        plain = find_face(image, detector, data.enlarge, near=known)
        box, keypoints = plain if plain is not None else (_somewhere(data, known, image), None)
        seen, crops = [], []
        for condition in (None, *conditions):
            if condition is None:
                changed = Changed(image, np.eye(2, 3))
            else:
                random = generator(seed, data.images[row], condition)
                changed = change(image, box, keypoints, condition, random)
            look = _look(changed, detector, data.enlarge, None if known is None else changed.box(known))
            if look is not None:
                face: U8 | None = crop(changed.image, *look, spec)
            elif data.default_box is not None:
                face = crop(changed.image, changed.box(np.asarray(data.default_box, np.float32)), None, spec)
            else:
                face = None
            seen.append(look is not None)
            crops.append(face)
        usable.append(row)
        found.append(seen)
        faces.append(crops)
    size = (len(conditions) + 1, len(usable))
    there = [face for each in zip(*faces, strict=True) for face in each if face is not None]
    return _Part(
        len(rows),
        np.array(usable, np.int64),
        np.array(found, bool).reshape(size[::-1]).T,
        np.array([[face is not None for face in crops] for crops in faces], bool).reshape(size[::-1]).T,
        np.stack(there) if there else np.zeros((0, spec.size, spec.size, spec.channels), np.uint8),
    )


def _look(changed: Changed, detector: FaceDetector, enlarge: float, near: F32 | None) -> tuple[F32, F32] | None:
    """Detect the face of a changed picture: box and keypoints.

    A tilted face is detected again in the picture rotated upright, as the detect stage does, because the detector
    returns smaller boxes for tilted heads.
    """
    # if the data set's pictures are enlarged for the detector, a downscaled one is enlarged more, to the same size
    enlarge = enlarge / changed.scale if enlarge != 1 else 1.0
    found = find_face(changed.image, detector, enlarge, near=near)
    if found is None or abs(roll(found[1])) < LEANS:
        return found
    angle = roll(found[1])
    centre = (found[0][:2] + found[0][2:]) / 2
    upright = leaning(changed.image, centre, -angle)
    again = find_face(upright.image, detector, enlarge, near=upright.box(found[0]))
    if again is None:
        return found
    back = np.asarray(cv2.invertAffineTransform(upright.matrix), np.float64)
    points = (back[:, :2] @ again[1].T).T + back[:, 2]
    return Changed(changed.image, back).box(again[0]), points.astype(np.float32)


def _known_box(data: Dataset, row: int) -> F32 | None:
    if data.boxes is None or not np.isfinite(data.boxes[row]).all():
        return None
    return np.asarray(data.boxes[row], np.float32)


def _somewhere(data: Dataset, known: F32 | None, image: U8) -> F32:
    """The likely face box of a picture without a detection; conditions are applied to this box."""
    if known is not None:
        return known
    if data.default_box is not None:
        return np.asarray(data.default_box, np.float32)
    return np.array([0, 0, image.shape[1], image.shape[0]], np.float32)


@lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    """The detector of a worker process, created once."""
    return FaceDetector()


def as_text(table: Sequence[Row]) -> str:
    """The rows as a text table."""
    lines = [
        f"{'':18}{'missed':>7}{'accuracy':>10}   {'95 % interval':18}{'accuracy drop, points (95 %)':30}"
        f"{'calibration':>11}  webcam"
    ]
    for row in table:
        lost = f"{row.loss:+6.2f} ({row.loss_low:+.2f} to {row.loss_high:+.2f})" if row.condition else ""
        marks = ("yes" if row.webcam else "harder") if row.condition else ""
        lines.append(
            f"{row.name:18}{row.missed:7d}{row.accuracy:10.2%}   {f'{row.low:.2%} to {row.high:.2%}':18}{lost:30}"
            f"{row.calibration_error:11.4f}  {marks}{'   over 5 points' if row.over_limit else ''}"
        )
    over_limit = [row.name for row in table if row.over_limit and row.webcam]
    lines.append(f"\n{table[0].faces} pictures; missed: the face is not detected")
    met = sum(row.webcam for row in table)
    lines.append(
        f"accuracy drops by over {MAX_DROP:g} points under {len(over_limit)} of {met} webcam conditions"
        + (f": {', '.join(over_limit)}" if over_limit else "")
    )
    return "\n".join(lines)


def write_report(folder: Path, table: Sequence[Row]) -> None:
    """robustness.csv and robustness.png.

    Raises:
        DataError: the folder cannot be written.
    """
    from trainer.charts import RobustnessCurve, draw_robustness

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "robustness.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in table:
                condition = row.condition or Condition(UNCHANGED, webcam=False)
                writer.writerow(
                    [row.name, condition.kind, f"{condition.level:g}", condition.how, int(row.webcam)]
                    + [row.faces, row.missed, *(f"{value:.5f}" for value in (row.accuracy, row.low, row.high))]
                    + [f"{value:.3f}" for value in (row.loss, row.loss_low, row.loss_high)]
                    + [f"{row.calibration_error:.4f}", int(row.over_limit)]
                )
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from error
    curves = []
    for kind in dict.fromkeys(row.condition.kind for row in table if row.condition is not None):
        rows = [row for row in table if row.condition is not None and row.condition.kind == kind]
        names = tuple(row.name.removeprefix(f"{kind} ") for row in rows)
        intervals = np.array([[row.low, row.accuracy, row.high] for row in rows])
        ordered = all(row.condition is not None and not row.condition.how for row in rows)
        curves.append(RobustnessCurve(kind, names, intervals, ordered))
    draw_robustness(curves, table[0].accuracy, folder / "robustness.png")
