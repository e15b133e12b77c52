"""A checkpoint becomes a bundle: calibrated, exported to ONNX, checked against torch on real faces, described."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

from engines.backends import open_backend
from engines.bundle import load_bundle
from engines.engine import Engine
from engines.metrics import Scores, fit_temperature, over_expressions, score
from engines.preprocess import batch
from engines.spec import EXPRESSIONS, ModelSpec
from trainer.data import open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.errors import RunError
from trainer.evaluate import infer
from trainer.models import Classifier, architecture
from trainer.train import load_checkpoint, predict

LARGEST_DIFFERENCE = 1e-4


def make_bundle(checkpoint: Path, data: str, output: Path, *, name: str | None = None, cache: Path) -> Scores:
    """Write spec.json, model.onnx and CARD.md into a folder.

    The temperature is fitted on the validation split of `data`, on the faces that its protocol counts.

    Returns:
        The exported model's scores on that split.

    Raises:
        RunError: the checkpoint cannot be read, or the exported graph answers differently from torch.
        DataError: the data is not there.
    """
    arch, model = load_checkpoint(checkpoint)
    faces = load_faces(open_data(data, "valid"), architecture(arch).spec, cache)
    model.temperature = temperature(model, faces)
    spec = dataclasses.replace(architecture(arch).spec, name=name or arch, temperature=round(model.temperature, 4))
    model.temperature = spec.temperature
    output.mkdir(parents=True, exist_ok=True)
    export_onnx(model, spec, output / "model.onnx")
    (output / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    bundle = load_bundle(output)
    with Engine(spec, open_backend("onnx", bundle)) as engine:
        difference = largest_difference(model, engine, faces)
        if difference > LARGEST_DIFFERENCE:
            raise RunError(
                f"{output / 'model.onnx'} differs from the checkpoint by up to {difference:.2e} in a probability "
                f"(allowed: {LARGEST_DIFFERENCE:.0e}); do not use it, export with another torch or onnx version"
            )
        probabilities = over_expressions(infer(engine, faces), spec.labels)
    scores = score(probabilities[faces.counted], faces.targets[faces.counted])
    parameters = sum(value.numel() for value in model.parameters())
    (output / "CARD.md").write_text(
        card(spec, arch, data.partition(":")[0], parameters, multiply_adds(model, spec), scores, difference),
        encoding="utf-8",
    )
    return scores


def temperature(model: Classifier, faces: FaceSet) -> float:
    """Fitted to the majority's class, over the eight expressions: what the confidence is later read as."""
    counted = faces.counted
    columns = len(EXPRESSIONS)
    truth = np.eye(columns, dtype=np.float32)[faces.targets[counted][:, :columns].argmax(axis=1)]
    return fit_temperature(predict(model, faces)[counted][:, :columns], truth)


def export_onnx(model: Classifier, spec: ModelSpec, path: Path) -> None:
    """One self-contained file with a batch of any size: float32 (N, C, S, S) in 0..255 -> probabilities (N, K)."""
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
                output_names=[spec.output],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    proto = program.model_proto
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())


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


def multiply_adds(model: Classifier, spec: ModelSpec) -> int:
    """Multiply-adds of the convolutions and linear layers for one face."""
    total = 0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output.numel() * weight[0].numel()

    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, spec.channels, spec.size, spec.size))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def card(
    spec: ModelSpec, arch: str, data: str, parameters: int, operations: int, scores: Scores, difference: float
) -> str:
    low, high = scores.interval
    recalls = "\n".join(
        f"| {name} | {scores.recall[row]:.1%} | {scores.confusion[row].sum()} |" for row, name in enumerate(EXPRESSIONS)
    )
    return f"""# {spec.name}

Names the expression of one face: {len(spec.labels)} classes, {spec.size}x{spec.size} {spec.colour}, architecture
`{arch}`, {parameters:,} parameters, {operations / 1e6:.1f} M multiply-adds a face.
It sees an expression, not a feeling.

## Data
Trained on FER+ (`{data}`, split train: 28,558 pictures of 48x48 grey pixels; the votes of ten annotators as target
distributions, single votes removed). Labels: microsoft/FERPlus, MIT. Pictures: FER2013 (ICML 2013 challenge), for
research. Nothing else was trained on, and no weights came from elsewhere.

## Accuracy
FER2013Valid, the "majority" protocol of the FER+ paper, {scores.count:,} faces: **{scores.accuracy:.2%}**
(95 % interval {low:.2%} to {high:.2%}). Mean recall {scores.mean_recall:.2%}. The checkpoint was chosen on this split,
so a fresh set will score a little lower.

| class | recall | faces |
|---|---|---|
{recalls}

## Calibration
Expected calibration error {scores.calibration_error:.4f} (15 bins) with temperature {spec.temperature}, which was
fitted on the same split.

## Limits
- Trained on web pictures that are grey, small and mostly frontal. Strong yaw, darkness and covered faces make it worse.
- Disgust, contempt and fear are rare in the data: see their recall.
- `none` never occurs in FER+, so this model never answers it. `uncertain` and `no_face` are rare too.
- Age, sex and skin tone are not labelled in FER+: nothing is known of differences between groups.

## Files
`model.onnx`: input `{spec.input}` float32 (N, {spec.channels}, {spec.size}, {spec.size}) in 0..255, output
`{spec.output}` (N, {len(spec.labels)}); normalisation, temperature and softmax are inside. Largest difference of a
probability from the checkpoint, on real faces: {difference:.1e}.

Reproduce: `edgeemo-train evaluate --engine {spec.name} --data ferplus:PATH --split valid`.
"""
