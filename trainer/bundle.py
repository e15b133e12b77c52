"""A checkpoint becomes a bundle: calibrated, exported to ONNX, checked against torch on real faces, described."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

from engines.backends import open_backend
from engines.backends.onnxruntime import OrtMaps
from engines.bundle import load_bundle
from engines.engine import Engine
from engines.layout import FILES, SALIENCY
from engines.manifest import write_manifest
from engines.metrics import Scores, fit_temperature, over_expressions, score
from engines.model_file import sha256_of
from engines.parity import ParityRecord
from engines.preprocess import F32, batch
from engines.spec import EXPRESSIONS, LABELS, ModelSpec
from trainer.analysis import risk_at, risk_coverage
from trainer.augment import PRESETS
from trainer.data import Dataset, open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.ensemble import Ensemble, load_together
from trainer.errors import DataError, RunError
from trainer.evaluate import COVERAGES, infer
from trainer.models import Classifier
from trainer.runs import about_checkpoint, read_metrics
from trainer.train import predict

LARGEST_DIFFERENCE = 1e-4
LARGEST_MAP_DIFFERENCE = 1e-2  # of the largest value: weights rounded to float16


def make_bundle(
    checkpoints: Path | Sequence[Path],
    data: str,
    output: Path,
    *,
    name: str | None = None,
    cache: Path,
    also: Sequence[str] = (),
    rare: float = 0.0,
    mirror: bool = False,
    trust_detector: float = 0.0,
) -> Scores:
    """Write spec.json, model.onnx and CARD.md into a folder, and saliency.onnx where the network has a pooling head.

    Args:
        checkpoints: one, or several whose mean answer becomes one engine, see `Ensemble`.
        also: what else it was trained on, for the card.
        rare: how much rare classes are favoured, see `favour_rare`.
        mirror: answer with the mean over the face and its mirror image, at twice the cost.
        trust_detector: how much less readily no_face is answered, see `doubt_no_face`.

    The temperature is fitted on the validation split of `data`, on the faces that its protocol counts.

    Returns:
        The exported model's scores on that split.

    Raises:
        RunError: a checkpoint cannot be read, several take different faces, or the exported graph answers differently
            from torch.
        DataError: the data is not there.
    """
    checkpoints = [checkpoints] if isinstance(checkpoints, Path) else list(checkpoints)
    arch, made_for, model = load_together(checkpoints, mirror=mirror)
    trained_on = [open_data(source, "train") for source in (data, *also)]
    if rare:
        favour_rare(model, np.concatenate([source.targets for source in trained_on]), rare)
    if trust_detector:
        doubt_no_face(model, trust_detector)
    opened = open_data(data, "valid")
    faces = load_faces(opened, made_for, cache)
    if not faces.counted.any():
        raise DataError(f"no picture of {opened.name} valid counts by its protocol: the temperature cannot be fitted")
    model.temperature = temperature(model, faces)
    spec = dataclasses.replace(made_for, name=name or made_for.name, temperature=round(model.temperature, 4))
    model.temperature = spec.temperature
    try:
        output.mkdir(parents=True, exist_ok=True)
        export_onnx(model, spec, output / "model.onnx")
        (output / "spec.json").write_text(spec.to_json(), encoding="utf-8")
        add_saliency(model, spec, output, faces)
        write_manifest(output)
    except OSError as error:
        raise RunError(f"cannot write the bundle {output}: {error.strerror}") from error
    bundle = load_bundle(output)
    with Engine(spec, open_backend("onnx", bundle)) as engine:
        difference = largest_difference(model, engine, faces)
        if difference > LARGEST_DIFFERENCE:
            raise RunError(
                f"{output / 'model.onnx'} differs from the checkpoint by up to {difference:.2e} in a probability "
                f"(allowed: {LARGEST_DIFFERENCE:.0e}); do not use it, export with another torch or onnx version"
            )
        probabilities = over_expressions(infer(engine, faces), spec.labels, faces.classes)
    scores = score(probabilities[faces.counted], faces.targets[faces.counted], faces.classes)
    answers, truth = probabilities[faces.counted], over_expressions(faces.targets[faces.counted], classes=faces.classes)
    right = answers.argmax(axis=1) == truth.argmax(axis=1)
    coverage, risk = risk_coverage(answers.max(axis=1), right)
    text = card(
        spec,
        arch,
        data.partition(":")[0],
        trained_on,
        how_trained(checkpoints[0]) if len(checkpoints) == 1 else how_each(checkpoints, "The mean answer of:"),
        rare,
        trust_detector,
        faces.classes,
        model,
        scores,
        {share: 1 - risk_at(coverage, risk, share) for share in COVERAGES},
        difference,
    )
    (output / "CARD.md").write_text(text, encoding="utf-8")
    measured = {
        "data": opened.name,
        "split": "valid",
        "faces": scores.count,
        "classes": list(faces.classes),
        "accuracy": round(scores.accuracy, 5),
        "interval_95": [round(value, 5) for value in scores.interval],
        "calibration_error": round(scores.calibration_error, 5),
    }
    (output / "scores.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return scores


def how_trained(checkpoint: Path) -> str:
    """A few lines for the card: what the checkpoint says itself, else what its run folder says, else none."""
    about = about_checkpoint(checkpoint)
    if about:
        return about
    try:
        config, result = (
            json.loads((checkpoint.parent / name).read_text(encoding="utf-8"))
            for name in ("config.json", "result.json")
        )
        last = checkpoint.name == "last.pt"
        epoch = read_metrics(checkpoint.parent)[-1]["epoch"] if last else result["epoch"]
        augment = next(
            (name for name, preset in PRESETS.items() if dataclasses.asdict(preset) == config["augment"]), "of its own"
        )
        parts = [
            f"Epoch {epoch:.0f} of {config['epochs']}, batches of {config['batch']}, {config['optimiser']} with "
            f"a learning rate of up to {config['learning_rate']:g}, augmentation {augment}, mixup {config['mixup']:g}"
        ]
        if config["scrambled"]:
            parts.append(f"{config['scrambled']:.0%} of the faces scrambled into no_face")
        if config["start_from"]:
            parts.append("first weights from an earlier run of this trainer")
        if config["teachers"]:
            drawn = ", one a step and often mirrored" if config.get("teacher_draw") else ""
            parts.append(f"{config['teacher_weight']:.0%} of the loss from {len(config['teachers'])} teacher(s){drawn}")
        if not last:
            parts.append("the best epoch on the validation split")
    except (OSError, ValueError, KeyError, TypeError):  # no run folder, or one of an older trainer
        return ""
    return "; ".join(parts) + ".\n"


def how_each(checkpoints: Sequence[Path], title: str, labels: Sequence[str] | None = None) -> str:
    """The same of several: a title and a Markdown list with an empty line behind it."""
    lines = [(how_trained(path) or path.name).strip() for path in checkpoints]
    if labels is not None:
        lines = [f"{label}: {line}" for label, line in zip(labels, lines, strict=True)]
    return "".join([f"{title}\n\n", *(f"- {line}\n" for line in lines), "\n"])


def favour_rare(model: Classifier, targets: F32, amount: float) -> None:
    """Take `amount` times the logarithm of each expression's share of the training data from its logit.

    0 keeps the network as it was trained; 1 answers as if all expressions were equally frequent (Menon et al., 2021).

    Args:
        targets: (N, 11) of the training data.
    """
    columns = [LABELS.index(name) for name in EXPRESSIONS]
    share = targets.mean(axis=0)[columns]
    # what never occurred is left alone, and the mean logit stays what it was for the classes beside the expressions
    logs = np.where(share > 0, np.log(np.maximum(share, 1e-12)), 0.0)
    _take_from_logits(model, columns, amount * (logs - (logs * share).sum() / share.sum()))


def doubt_no_face(model: Classifier, amount: float) -> None:
    """Take `amount` from the logit of `no_face`: it must be e^amount times as likely as in training to be answered.

    What a detector has passed is a face far more often than what `fit --scrambled` shows, and a face that is told to
    be none is worse than a shape that is told to be unsure.
    """
    _take_from_logits(model, [LABELS.index("no_face")], np.array([amount]))


def _take_from_logits(model: Classifier, columns: Sequence[int], amounts: npt.NDArray[np.floating]) -> None:
    members = model.network.members if isinstance(model.network, Ensemble) else [model.network]
    for member in members:
        last = [layer for layer in member.modules() if isinstance(layer, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.bias[list(columns)] -= torch.from_numpy(amounts).to(last.bias.dtype)


def temperature(model: Classifier, faces: FaceSet) -> float:
    """Fitted to the majority's class, over the classes that the data tells apart: what confidence is later read as."""
    counted = faces.counted
    columns = [LABELS.index(name) for name in faces.classes]
    truth = np.eye(len(columns), dtype=np.float32)[faces.targets[counted][:, columns].argmax(axis=1)]
    return fit_temperature(predict(model, faces)[counted][:, columns], truth)


def export_onnx(model: Classifier, spec: ModelSpec, path: Path) -> None:
    """One self-contained file with a batch of any size: float32 (N, C, S, S) in 0..255 -> probabilities (N, K)."""
    path.write_bytes(exported(model, spec, spec.output).SerializeToString())


def exported(model: torch.nn.Module, spec: ModelSpec, output: str) -> onnx.ModelProto:
    """A module that takes faces as the spec says, as an ONNX graph with a batch of any size."""
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
        # the exporter writes where each layer's source lies: this machine's folders are nobody's business
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(proto, full_check=True)
    return proto


class Activation(torch.nn.Module):
    """Class-activation maps of a classifier whose head pools globally: faces in 0..255 -> (N, K, h, w).

    A map's mean is the class's logit without its bias (Zhou et al., 2016).
    """

    def __init__(self, model: Classifier, head: torch.nn.Linear) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.of(self.model.network.features(self.model.normalise(faces)))

    def of(self, maps: torch.Tensor) -> torch.Tensor:
        """The same from the network's last maps."""
        return torch.nn.functional.conv2d(maps, self.head.weight[:, :, None, None])


def activation_of(model: Classifier, spec: ModelSpec) -> Activation | None:
    """The class-activation maps of a network; None where its head is more than a global mean and a linear layer."""
    layers = [layer for layer in model.network.modules() if isinstance(layer, torch.nn.Linear)]
    if len(layers) != 1:
        return None
    made = Activation(model, layers[0]).eval()
    random = np.random.default_rng(0).uniform(0, 255, (3, spec.channels, spec.size, spec.size))
    faces = torch.from_numpy(random.astype(np.float32))
    with torch.no_grad():
        maps = model.network.features(model.normalise(faces))
        if maps.shape[1] != layers[0].in_features:
            return None
        pooled = made.of(maps).mean(dim=(2, 3)) + (0 if layers[0].bias is None else layers[0].bias)
        logits = model.network.head(maps)
        alike = pooled.shape == logits.shape and torch.allclose(pooled, logits, rtol=1e-3, atol=1e-3)
    return made if alike else None


def add_saliency(model: Classifier, spec: ModelSpec, output: Path, faces: FaceSet) -> None:
    """Write saliency.onnx beside model.onnx and its hash into parity.json; remove what is there of another model.

    Raises:
        RunError: the file answers differently from torch.
    """
    path = output / SALIENCY
    path.unlink(missing_ok=True)
    manifest = ParityRecord.about(output, sha256_of(output / FILES["fp32"]))
    activation = activation_of(model, spec)
    if activation is None:
        if manifest.saliency:
            manifest.with_saliency("").save(output)
        return
    path.write_bytes(half_weights(exported(activation, spec, "maps")).SerializeToString())
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
    manifest.with_saliency(sha256_of(path)).save(output)


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its weights stored as float16 and cast when it is loaded: it still computes in float32."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, casts = made.graph, []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 64 or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    known = [info for info in graph.value_info if info.name not in {cast.output[0] for cast in casts}]
    del graph.value_info[:]
    graph.value_info.extend(known)
    onnx.checker.check_model(made, full_check=True)
    return made


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
    spec: ModelSpec,
    arch: str,
    kind: str,
    trained_on: Sequence[Dataset],
    how: str,
    rare: float,
    trust_detector: float,
    classes: tuple[str, ...],
    model: Classifier,
    scores: Scores,
    right_at: Mapping[float, float],
    difference: float,
) -> str:
    low, high = scores.interval
    parameters = sum(value.numel() for value in model.parameters())
    recalls = "\n".join(
        f"| {name} | {_percent(scores.recall[row])} | {scores.confusion[row].sum()} |"
        for row, name in enumerate(classes)
    )
    answered = "\n".join(f"| {share:.0%} | {right:.1%} |" for share, right in right_at.items())
    missing = [f"`{name}`" for name in LABELS if name not in classes]
    unseen = (
        f"- {', '.join(missing)}: not scored by this protocol, and rare or absent in the data; do not rely on these "
        "answers.\n"
        if missing
        else ""
    )
    sources = "\n".join(f"- {len(source):,} pictures: {source.about}" for source in trained_on)
    favoured = (
        f"Rare expressions are favoured: {rare:g} times the logarithm of each expression's share of the training data "
        "is taken from its logit.\n"
        if rare
        else ""
    )
    if trust_detector:
        favoured += f"`no_face` must be {np.exp(trust_detector):.1f} times as likely as in training to be answered.\n"
    return f"""# {spec.name}

Names the expression of one face: {len(spec.labels)} classes, {spec.size}x{spec.size} {spec.colour}, architecture
`{arch}`, {parameters:,} parameters, {multiply_adds(model, spec) / 1e6:,.1f} M multiply-adds a face.
It sees an expression, not a feeling.

## Data
Trained on the training split of
{sources}

{how}No weights came from elsewhere.

## Accuracy
The validation split, {scores.count:,} faces that the data set's protocol counts, {len(classes)} classes:
**{scores.accuracy:.2%}** (95 % interval {low:.2%} to {high:.2%}). Mean recall {scores.mean_recall:.2%}.
Choices were made on this split, so a fresh set will score a little lower.

| class | recall | faces |
|---|---|---|
{recalls}

## Calibration
Expected calibration error {scores.calibration_error:.4f} (15 bins) with temperature {spec.temperature}, which was
fitted on the same split.
{favoured}
| answered, the surest first | right |
|---|---|
{answered}

## Limits
- Trained on pictures from the web. Strong yaw, darkness and covered faces make it worse.
- Classes with few faces above are learned and measured badly: see their recall.
{unseen}- Age, sex and skin tone are not labelled in the data: nothing is known of differences between groups.

## Files
`model.onnx`: input `{spec.input}` float32 (N, {spec.channels}, {spec.size}, {spec.size}) in 0..255, output
`{spec.output}` (N, {len(spec.labels)}); normalisation, temperature and softmax are inside. Largest difference of a
probability from the checkpoint, on real faces: {difference:.1e}. About {parameters * 4 / 1e6:.1f} MB, as FP16
{parameters * 2 / 1e6:.1f} MB (`edgeemo-export`).

Reproduce: `edgeemo-train evaluate --engine {spec.name} --data {kind}:PATH --split valid`.
"""


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.1%}"
