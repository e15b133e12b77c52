"""A checkpoint becomes a bundle: calibrated, exported to ONNX, checked against torch on real faces, described.

`edgeemo-train bundle` calls `make_bundle`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch

from engines.backends import open_backend
from engines.backends.onnxruntime import OrtMaps
from engines.bundle import load_bundle
from engines.engine import Engine
from engines.files import atomic_write
from engines.layout import CARD, FILES, PARITY, SALIENCY, SCORES, SPEC
from engines.manifest import write_manifest
from engines.model_file import sha256_of
from engines.parity import ParityRecord
from engines.preprocess import batch
from engines.spec import ModelSpec
from trainer.calibrate import adjust_logits, subtract_no_face_margin, temperature
from trainer.card import CardFacts, card, list_summaries, training_summary
from trainer.class_activation import activation_of, half_weights
from trainer.data import Dataset, open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.ensemble import load_together
from trainer.errors import DataError, RunError
from trainer.evaluate import Evaluation, evaluate
from trainer.models import Classifier

LARGEST_DIFFERENCE = 1e-4
LARGEST_MAP_DIFFERENCE = 1e-2  # of the largest value: weights rounded to float16


def make_bundle(
    checkpoints: Path | Sequence[Path],
    data: str,
    output: Path,
    *,
    name: str | None = None,
    cache: Path,
    extra_data: Sequence[str] = (),
    logit_adjustment: float = 0.0,
    mirror: bool = False,
    no_face_margin: float = 0.0,
) -> Evaluation:
    """Write spec.json, model.onnx, scores.json and CARD.md into a folder, and saliency.onnx where the network has a
    pooling head. The folder is changed only when everything has passed.

    The temperature is fitted on the validation split of `data`, on the faces that its protocol scores.

    Args:
        checkpoints: one, or several whose mean prediction becomes one engine, see `Ensemble`.
        extra_data: what else it was trained on, for the card.
        logit_adjustment: see `adjust_logits`.
        mirror: predict the mean over the face and its mirror image, at twice the cost.
        no_face_margin: see `subtract_no_face_margin`.

    Returns:
        The exported model on that split.

    Raises:
        RunError: a checkpoint cannot be read, several take different faces, or the exported graph differs from torch.
        DataError: the data is not there.
    """
    checkpoints = [checkpoints] if isinstance(checkpoints, Path) else list(checkpoints)
    title, made_for, model = load_together(checkpoints, mirror=mirror)
    trained_on = [open_data(source, "train") for source in (data, *extra_data)]
    if logit_adjustment:
        adjust_logits(model, np.concatenate([source.targets for source in trained_on]), logit_adjustment)
    if no_face_margin:
        subtract_no_face_margin(model, no_face_margin)
    valid = open_data(data, "valid")
    faces = load_faces(valid, made_for, cache)
    if not faces.scored.any():
        raise DataError(f"the protocol scores no picture of {valid.name} valid: the temperature cannot be fitted")
    spec = dataclasses.replace(made_for, name=name or made_for.name, temperature=round(temperature(model, faces), 4))
    model.temperature = spec.temperature
    training = (
        training_summary(checkpoints[0])
        if len(checkpoints) == 1
        else list_summaries(checkpoints, "The mean prediction of:")
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
            draft = Path(folder)
            if (output / PARITY).is_file():  # what was exported of the same model stays known
                shutil.copy(output / PARITY, draft)
            difference = write_model(model, spec, draft, faces)
            evaluation = _evaluated(draft, data, cache)
            facts = CardFacts(
                spec=spec,
                title=title,
                data=data.partition(":")[0],
                trained_on=trained_on,
                training=training,
                logit_adjustment=logit_adjustment,
                no_face_margin=no_face_margin,
                model=model,
                evaluation=evaluation,
                difference=difference,
            )
            (draft / CARD).write_text(card(facts), encoding="utf-8")
            (draft / SCORES).write_text(_scores_json(valid, evaluation), encoding="utf-8")
            _move(draft, output)
    except OSError as error:
        raise RunError(f"cannot write the bundle {output}: {error.strerror or error}") from error
    return evaluation


def write_model(model: Classifier, spec: ModelSpec, folder: Path, faces: FaceSet) -> float:
    """Write spec.json, model.onnx and saliency.onnx -> the largest difference of a probability from torch.

    Raises:
        RunError: a file differs from torch by more than `LARGEST_DIFFERENCE`.
    """
    path = folder / FILES["fp32"]
    export_onnx(model, spec, path)
    atomic_write(folder / SPEC, spec.to_json())
    write_manifest(folder)
    with Engine(spec, open_backend("onnx", load_bundle(folder))) as engine:
        difference = largest_difference(model, engine, faces)
    if difference > LARGEST_DIFFERENCE:
        raise RunError(
            f"the exported model differs from the checkpoint by up to {difference:.2e} in a probability (allowed: "
            f"{LARGEST_DIFFERENCE:.0e}): no bundle was written; export with another torch or onnx version"
        )
    add_saliency(model, spec, folder, faces)
    write_manifest(folder)
    return difference


def _evaluated(folder: Path, data: str, cache: Path) -> Evaluation:
    bundle = load_bundle(folder)
    with Engine(bundle.spec, open_backend("onnx", bundle)) as engine:
        return evaluate(engine, data, "valid", cache=cache)


def _scores_json(valid: Dataset, evaluation: Evaluation) -> str:
    scores = evaluation.scores
    hits, unseen = evaluation.unseen_hits
    measured = {
        "data": valid.name,
        "split": "valid",
        "faces": scores.count,
        "classes": list(evaluation.classes),
        "accuracy": round(scores.accuracy, 5),
        "interval_95": [round(value, 5) for value in scores.interval],
        "without_duplicates": {"faces": unseen, "accuracy": round(hits / unseen, 5) if unseen else None},
        "calibration_error": round(scores.calibration_error, 5),
    }
    return json.dumps(measured, indent=2) + "\n"


def _move(draft: Path, output: Path) -> None:
    """Every finished file into its place; maps of a former model are removed."""
    output.mkdir(exist_ok=True)
    if not (draft / SALIENCY).is_file():
        (output / SALIENCY).unlink(missing_ok=True)
    for path in sorted(draft.iterdir()):
        os.replace(path, output / path.name)
    write_manifest(output)  # also lists exports that were there


def export_onnx(model: Classifier, spec: ModelSpec, path: Path) -> None:
    """One self-contained file with a dynamic batch: float32 (N, C, S, S) in 0..255 -> probabilities (N, K)."""
    atomic_write(path, to_onnx(model, spec, spec.output).SerializeToString())


def to_onnx(model: torch.nn.Module, spec: ModelSpec, output: str) -> onnx.ModelProto:
    """A module that takes faces as the spec says, as an ONNX graph with a dynamic batch."""
    example = torch.zeros(2, spec.channels, spec.size, spec.size)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model.eval(),
                (example,),
                dynamo=True,
                input_names=[spec.input],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    proto = program.model_proto
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        # the exporter writes the path of each layer's source: this machine's folders are private
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(proto, full_check=True)
    return proto


def add_saliency(model: Classifier, spec: ModelSpec, output: Path, faces: FaceSet) -> None:
    """Write saliency.onnx beside model.onnx and its hash into parity.json; remove what is there of another model.

    Raises:
        RunError: the file differs from torch.
    """
    path = output / SALIENCY
    path.unlink(missing_ok=True)
    record = ParityRecord.about(output, sha256_of(output / FILES["fp32"]))
    activation = activation_of(model, spec)
    if activation is None:
        if record.saliency:
            record.with_saliency("").save(output)
        return
    atomic_write(path, half_weights(to_onnx(activation, spec, "maps")).SerializeToString())
    maps = OrtMaps(path, spec)
    try:
        images = batch(list(faces.faces[:16]), spec)
        with torch.no_grad():
            expected = activation(torch.from_numpy(images)).numpy()
        difference = float(np.abs(maps.infer(images) - expected).max() / np.abs(expected).max().clip(1e-6))
    finally:
        maps.close()
    if difference > LARGEST_MAP_DIFFERENCE:
        path.unlink()
        raise RunError(f"{path} differs from the checkpoint by {difference:.1%}: export with another torch or onnx")
    record.with_saliency(sha256_of(path)).save(output)


def largest_difference(model: Classifier, engine: Engine, faces: FaceSet, count: int = 512) -> float:
    """Largest difference of a probability between torch and the engine: real faces, in batches of 1 to 64."""
    largest, start, size = 0.0, 0, 1
    while start < min(count, len(faces)):
        crops = list(faces.faces[start : start + size])
        with torch.no_grad():
            expected = model(torch.from_numpy(batch(crops, engine.spec))).numpy()
        largest = max(largest, float(np.abs(engine.infer(crops) - expected).max()))
        start, size = start + size, min(size * 2, 64)
    return largest
