"""How good an engine is on a data set, through the runtime's own path: detector, crop, engine. Needs no torch."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engines.engine import Engine
from engines.metrics import Scores, over_expressions, score
from engines.preprocess import F32
from engines.spec import EXPRESSIONS
from trainer.data import open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.errors import DataError


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an engine said about each face of a split.

    Attributes:
        images: N picture names.
        probabilities: (N, K) in the order of `labels`.
        skipped: pictures in which no face was found; they are in no figure.
        scores: over the faces that the data set's protocol counts.
    """

    images: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: F32
    skipped: int
    scores: Scores


def evaluate(engine: Engine, data: str, split: str, *, cache: Path | None = None) -> Evaluation:
    """Score an engine.

    Raises:
        DataError: the data is not there, or no face of it counts.
    """
    opened = open_data(data, split)
    faces = load_faces(opened, engine.spec, cache)
    probabilities = infer(engine, faces)
    if not faces.counted.any():
        raise DataError(f"no picture of {opened.name} {split} counts by its protocol: there is nothing to score")
    over_eight = over_expressions(probabilities, engine.spec.labels)
    return Evaluation(
        images=tuple(opened.images[row] for row in faces.rows),
        labels=engine.spec.labels,
        probabilities=probabilities,
        skipped=len(opened) - len(faces),
        scores=score(over_eight[faces.counted], faces.targets[faces.counted]),
    )


def infer(engine: Engine, faces: FaceSet, batch: int = 64) -> F32:
    """(N, K) probabilities of all faces."""
    starts = tqdm(range(0, len(faces), batch), desc=f"{engine.spec.name}", unit="batch", disable=None)
    parts = [engine.infer(list(faces.faces[start : start + batch])) for start in starts]
    return np.concatenate(parts) if parts else engine.infer([])


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """One row a picture: the column `image`, then one column a class.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *evaluation.labels])
            for image, row in zip(evaluation.images, evaluation.probabilities, strict=True):
                writer.writerow([image, *(f"{value:.6f}" for value in row)])
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def as_text(evaluation: Evaluation) -> str:
    """A table for people."""
    scores = evaluation.scores
    low, high = scores.interval
    lines = [
        f"accuracy           {scores.accuracy:7.2%}   (95 % interval {low:.2%} to {high:.2%}, {scores.count} faces)",
        f"mean recall        {scores.mean_recall:7.2%}",
        f"calibration error  {scores.calibration_error:7.4f}",
        "",
        f"{'':12}{'recall':>8}   predicted as " + " ".join(f"{name[:6]:>6}" for name in EXPRESSIONS),
    ]
    for row, name in enumerate(EXPRESSIONS):
        counts = " ".join(f"{count:6d}" for count in scores.confusion[row])
        recall = f"{scores.recall[row]:8.1%}" if np.isfinite(scores.recall[row]) else f"{'-':>8}"
        lines.append(f"{name:12}{recall}   {'':12} {counts}")
    if evaluation.skipped:
        lines.append(f"\n{evaluation.skipped} pictures without a face found are in no figure")
    return "\n".join(lines)


def as_json(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    recall = {
        name: round(float(value), 4) for name, value in zip(EXPRESSIONS, scores.recall, strict=True) if value == value
    }
    return json.dumps(
        {
            "faces": scores.count,
            "skipped": evaluation.skipped,
            "accuracy": round(scores.accuracy, 5),
            "interval_95": [round(value, 5) for value in scores.interval],
            "mean_recall": round(scores.mean_recall, 5),
            "calibration_error": round(scores.calibration_error, 5),
            "recall": recall,
            "confusion": scores.confusion.tolist(),
        },
        indent=2,
    )
