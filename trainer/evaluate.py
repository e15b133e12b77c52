"""Score an engine or a checkpoint on a data set, through the runtime's path: detector, crop, network.

`edgeemo-train evaluate` and `trainer.export` call it. Engines need no torch.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.engine import Engine
from engines.metrics import Scores, over_expressions, score, wilson
from engines.preprocess import F32, U8
from engines.spec import LABELS, ModelSpec
from trainer.analysis import (
    Calibration,
    PairedTest,
    area_under_risk,
    calibration,
    f1,
    mcnemar,
    reliability,
    risk_at,
    risk_coverage,
)
from trainer.config import is_checkpoint
from trainer.data import Dataset, open_data
from trainer.data.duplicates import also_in, picture_digests
from trainer.data.faces import FaceSet, load_faces
from trainer.data.pictures import MISSING_FILE
from trainer.errors import DataError, NoSplit

log = logging.getLogger(__name__)

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)


class Model(Protocol):
    """Interface of a model that can be scored: `engines.engine.Engine` and `trainer.runs.Checkpoint` satisfy it."""

    spec: ModelSpec

    def infer(self, faces: list[U8]) -> F32:
        """(S, S, C) crops -> (N, K) probabilities in the order of `spec.labels`."""
        ...


@contextlib.contextmanager
def open_model(name: str, *, backend: str = "onnx", device: str = "cpu") -> Iterator[Model]:
    """Open an engine by name or folder, or a run folder or .pt file (which needs torch).

    Raises:
        EngineError, RunError: there is none, or it is damaged.
    """
    path = Path(name)
    if is_checkpoint(path):
        from trainer.runs import Checkpoint, find_checkpoint

        yield Checkpoint(find_checkpoint(path), device)
        return
    with Engine.open(name, backend=backend, threads=os.cpu_count() or 1, exact=True) as engine:
        yield engine


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's predictions for each face of a split, and its scores.

    Attributes:
        images: N picture names.
        probabilities: (N, K) in the order of `labels`.
        skipped: pictures that are missing, unreadable or show no face; excluded from all figures.
        whole_pictures: pictures without a detection, scored as a whole.
        classes: the C classes that the data set's protocol distinguishes.
        scored: (N,) which faces the protocol scores: M of them.
        predictions: (M, C) probabilities over `classes` of the scored faces; `truth`: (M,) their class.
        scores, calibration: over the scored faces.
        unseen: (M,) which of them are of pictures outside the training split; all True if that is unknown.
    """

    images: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: F32
    skipped: int
    classes: tuple[str, ...]
    scored: npt.NDArray[np.bool_]
    predictions: F32
    truth: npt.NDArray[np.int64]
    scores: Scores
    calibration: Calibration
    unseen: npt.NDArray[np.bool_]
    whole_pictures: int = 0

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """(M,) which of the scored faces were classified correctly."""
        return np.asarray(self.predictions.argmax(axis=1) == self.truth)

    @property
    def unseen_hits(self) -> tuple[int, int]:
        """Correct predictions and faces, without pictures that are also in the training split."""
        return int(self.right[self.unseen].sum()), int(self.unseen.sum())

    @property
    def scored_images(self) -> list[str]:
        return [image for image, counts in zip(self.images, self.scored, strict=True) if counts]


def evaluate(model: Model, data: str, split: str, *, cache: Path | None = None, num_workers: int = 1) -> Evaluation:
    """Score a model.

    Raises:
        DataError: the data is missing, or its protocol scores no face.
    """
    opened = open_data(data, split)
    faces = load_faces(opened, model.spec, cache, num_workers=num_workers)
    if not faces.scored.any():
        raise DataError(f"the protocol of {opened.name} scores no picture of {split}")
    probabilities = infer(model, faces)
    predictions = over_expressions(probabilities, model.spec.labels, faces.classes)[faces.scored]
    targets = faces.targets[faces.scored]
    truth = targets[:, [LABELS.index(name) for name in faces.classes]].argmax(axis=1)
    # the reader also lists files that are no pictures, and rows of other splits
    missing = sum(item.reason.startswith(MISSING_FILE) for item in opened.skipped)
    return Evaluation(
        images=tuple(opened.images[row] for row in faces.rows),
        labels=model.spec.labels,
        probabilities=probabilities,
        skipped=len(opened) - len(faces) + missing,
        classes=faces.classes,
        scored=faces.scored,
        predictions=predictions,
        truth=truth,
        scores=score(predictions, targets, faces.classes),
        calibration=calibration(predictions, truth, model.spec.temperature),
        whole_pictures=faces.whole_pictures,
        unseen=~_also_trained_on(data, opened, cache)[faces.rows][faces.scored],
    )


def _also_trained_on(data: str, opened: Dataset, cache: Path | None) -> npt.NDArray[np.bool_]:
    """(N,) whether a picture's pixels occur in the training split of the same data set."""
    if opened.split in ("valid", "test"):
        try:
            train = open_data(data, "train")
            return also_in(picture_digests(opened, cache), picture_digests(train, cache))
        except NoSplit:
            pass
        except DataError as error:
            log.warning("pictures that are also in the training split are not left out: %s", error)
    return np.zeros(len(opened), bool)


def infer(model: Model, faces: FaceSet, batch: int = 64) -> F32:
    """(N, K) probabilities of all faces."""
    starts = tqdm(range(0, len(faces), batch), desc=f"{model.spec.name}", unit="batch", disable=None)
    parts = [model.infer(list(faces.faces[start : start + batch])) for start in starts]
    return np.concatenate(parts) if parts else model.infer([])


def compare(first: Evaluation, second: Evaluation) -> PairedTest:
    """Paired test over the faces that both models have predictions for.

    Raises:
        DataError: they have no face in common.
    """
    seconds = dict(zip(second.scored_images, second.right, strict=True))
    shared = [
        (one, seconds[image]) for image, one in zip(first.scored_images, first.right, strict=True) if image in seconds
    ]
    if not shared:
        raise DataError("the two models have no scored picture in common, so they cannot be compared")
    pairs = np.array(shared, bool)
    return mcnemar(pairs[:, 0], pairs[:, 1])


def read_groups(column: str) -> dict[str, str]:
    """`FILE.csv:COLUMN` -> group of each picture, by the file's column `image`.

    Raises:
        DataError: the file or the column is missing.
    """
    path, colon, name = column.rpartition(":")
    if not colon:
        raise DataError(f"--by must be FILE.csv:COLUMN, not {column!r}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"image", name} <= set(reader.fieldnames or ()):
                raise DataError(
                    f"{path} must have the columns image and {name}; it has {', '.join(reader.fieldnames or ())}"
                )
            return {row["image"]: row[name] for row in reader if row["image"] and row[name]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def by_group(evaluation: Evaluation, groups: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Group -> faces and hits. A picture is matched by name or file name; the others form the group "(unknown)"."""
    table: dict[str, tuple[int, int]] = {}
    for image, right in zip(evaluation.scored_images, evaluation.right, strict=True):
        group = groups.get(image, groups.get(image.rpartition("/")[2], "(unknown)"))
        faces, hits = table.get(group, (0, 0))
        table[group] = (faces + 1, hits + int(right))
    return dict(sorted(table.items()))


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """One row per picture: the column `image`, then one column per class.

    Raises:
        DataError: the file cannot be written.
    """
    rows = (
        [image, *(f"{value:.6f}" for value in row)]
        for image, row in zip(evaluation.images, evaluation.probabilities, strict=True)
    )
    _write_csv(path, ["image", *evaluation.labels], rows)


def write_report(folder: Path, evaluation: Evaluation) -> None:
    """confusion.csv and .png, reliability.png, risk_coverage.csv, predictions.csv and scores.json.

    Raises:
        DataError: the folder cannot be written.
    """
    from trainer.charts import draw_confusion, draw_reliability

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from error
    confusion = evaluation.scores.confusion
    names = evaluation.classes
    _write_csv(folder / "confusion.csv", ["true", *names], ([names[row], *confusion[row]] for row in range(len(names))))
    confidence = evaluation.predictions.max(axis=1)
    coverage, risk = risk_coverage(confidence, evaluation.right)
    curve = ([f"{one:.6f}", f"{two:.6f}"] for one, two in zip(coverage, risk, strict=True))
    _write_csv(folder / "risk_coverage.csv", ["coverage", "risk"], curve)
    write_predictions(folder / "predictions.csv", evaluation)
    draw_confusion(confusion, names, folder / "confusion.png")
    bins = reliability(confidence, evaluation.right)
    draw_reliability(bins, coverage, risk, folder / "reliability.png")
    (folder / "scores.json").write_text(as_json(evaluation) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: list[str], rows: Iterator[list[object]] | Iterator[list[str]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def as_text(evaluation: Evaluation) -> str:
    """The evaluation as text tables."""
    scores, honest = evaluation.scores, evaluation.calibration
    low, high = scores.interval
    harmonic = f1(scores.confusion)
    coverage, risk = risk_coverage(evaluation.predictions.max(axis=1), evaluation.right)
    silent = ", ".join(f"{1 - risk_at(coverage, risk, share):.1%} at {share:.0%} coverage" for share in COVERAGES[1:])
    fitted = "built in" if honest.built_in else "2-fold cross-validated on these faces"
    lines = [
        f"accuracy           {scores.accuracy:7.2%}   (95 % interval {low:.2%} to {high:.2%}, {scores.count} faces)",
        *_without_duplicates(evaluation),
        f"mean recall        {scores.mean_recall:7.2%}   mean F1 {np.nanmean(harmonic):.2%}",
        f"calibration error  {honest.before:7.4f}   without temperature; "
        f"{honest.after:.4f} with {honest.temperature:.2f} ({fitted})",
        f"right              {silent}; area under risk-coverage {area_under_risk(coverage, risk):.4f}",
        "",
        f"{'':12}{'recall':>8}{'F1':>8}   predicted as " + " ".join(f"{name[:6]:>6}" for name in evaluation.classes),
    ]
    for row, name in enumerate(evaluation.classes):
        counts = " ".join(f"{count:6d}" for count in scores.confusion[row])
        shares = "".join(
            f"{value:8.1%}" if np.isfinite(value) else f"{'-':>8}" for value in (scores.recall[row], harmonic[row])
        )
        lines.append(f"{name:12}{shares}   {'':12} {counts}")
    lines.append(f"\n{'':12}{'recall (95 %)':>26}{'precision (95 %)':>26}")
    hits, truly = scores.confusion.diagonal(), scores.confusion.sum(axis=1)
    for name, right, true, said in zip(evaluation.classes, hits, truly, scores.confusion.sum(axis=0), strict=True):
        lines.append(f"{name:12}{_with_interval(int(right), int(true)):>26}{_with_interval(int(right), int(said)):>26}")
    if evaluation.whole_pictures:
        lines.append(f"\n{evaluation.whole_pictures} pictures without a detected face are scored as a whole")
    if evaluation.skipped:
        lines.append(f"\n{evaluation.skipped} pictures without a readable face are excluded from all figures")
    return "\n".join(lines)


def _without_duplicates(evaluation: Evaluation) -> list[str]:
    hits, count = evaluation.unseen_hits
    if count == evaluation.scores.count or not count:
        return []
    low, high = wilson(hits, count)
    return [
        f"without duplicates {hits / count:7.2%}   (95 % interval {low:.2%} to {high:.2%}, {count} faces: "
        f"{evaluation.scores.count - count} pictures are also in the training split)"
    ]


def _with_interval(hits: int, count: int) -> str:
    if not count:
        return "-"
    low, high = wilson(hits, count)
    return f"{hits / count:.1%} ({low:.1%} to {high:.1%})"


def groups_as_text(table: dict[str, tuple[int, int]]) -> str:
    lines = [f"{'group':24}{'faces':>7}{'accuracy':>10}   95 % interval"]
    for group, (faces, hits) in table.items():
        low, high = wilson(hits, faces)
        lines.append(f"{group[:24]:24}{faces:7d}{hits / faces:10.2%}   {low:.2%} to {high:.2%}")
    return "\n".join(lines)


def paired_as_text(first: str, second: str, test: PairedTest) -> str:
    if test.p < 0.05:
        better = first if test.difference > 0 else second
        verdict = f"{better} is more accurate (p = {test.p:.2g}, McNemar's exact test)"
    else:
        verdict = f"no significant difference (p = {test.p:.2f}, McNemar's exact test)"
    return (
        f"{first} against {second} on {test.count} faces: {test.difference:+.2%} in accuracy; "
        f"only the first correct {test.only_first}, only the second {test.only_second}: {verdict}"
    )


def as_json(evaluation: Evaluation) -> str:
    scores, honest = evaluation.scores, evaluation.calibration
    coverage, risk = risk_coverage(evaluation.predictions.max(axis=1), evaluation.right)
    unseen_hits, unseen = evaluation.unseen_hits

    def by_class(values: npt.NDArray[np.float64]) -> dict[str, float]:
        return {
            name: round(float(value), 4)
            for name, value in zip(evaluation.classes, values, strict=True)
            if np.isfinite(value)
        }

    return json.dumps(
        {
            "faces": scores.count,
            "skipped": evaluation.skipped,
            "whole_pictures": evaluation.whole_pictures,
            "classes": list(evaluation.classes),
            "accuracy": round(scores.accuracy, 5),
            "interval_95": [round(value, 5) for value in scores.interval],
            "without_duplicates": {
                "faces": unseen,
                "accuracy": round(unseen_hits / unseen, 5) if unseen else None,
                "interval_95": [round(value, 5) for value in wilson(unseen_hits, unseen)] if unseen else None,
            },
            "mean_recall": round(scores.mean_recall, 5),
            "calibration_error": round(scores.calibration_error, 5),
            "calibration": {
                "before": round(honest.before, 5),
                "after": round(honest.after, 5),
                "temperature": round(honest.temperature, 4),
                "built_in": honest.built_in,
            },
            "risk_at_coverage": {f"{share:.0%}": round(risk_at(coverage, risk, share), 5) for share in COVERAGES},
            "area_under_risk_coverage": round(area_under_risk(coverage, risk), 5),
            "recall": by_class(scores.recall),
            "f1": by_class(f1(scores.confusion)),
            "confusion": scores.confusion.tolist(),
        },
        indent=2,
    )
