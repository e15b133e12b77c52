"""Make a bundle of a checkpoint: calibrate, export to ONNX, compare with torch on real faces, write the card.

`edgeemo-train bundle` calls `make_bundle`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx.utils
import torch

from engines.backends import open_backend
from engines.backends.onnxruntime import OrtMaps
from engines.bundle import load_bundle
from engines.engine import Engine
from engines.export.exporter import Exporter
from engines.export.face_data import FaceData
from engines.files import atomic_write, replace_file, scratch_folder
from engines.layout import CARD, FILES, PARITY, SALIENCY, SCORES, SPEC, UNTRAINED
from engines.manifest import Manifest, drop_fp32, write_manifest
from engines.model_file import sha256_of
from engines.parity import ParityRecord
from engines.preprocess import batch
from engines.spec import ModelSpec
from trainer.calibrate import adjust_logits, set_threshold, subtract_no_face_margin, temperature
from trainer.card import CardFacts, card, list_summaries, training_summary
from trainer.class_activation import Activation, activation_of, half_weights
from trainer.config import FitConfig
from trainer.data import Dataset, open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.ensemble import load_together
from trainer.errors import RunError
from trainer.evaluate import Evaluation, evaluate
from trainer.lineage import summary_overlaps
from trainer.models import Classifier, build
from trainer.out_of_fold import OutOfFold, predict_out_of_fold
from trainer.predict import predict
from trainer.runs import load_config, trains_on_all

log = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1e-4
CALIBRATION_FACES = 512
LARGEST_MAP_DIFFERENCE = 1e-2  # relative to the largest value; weights are rounded to float16


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
    without_fp32: bool = False,
    int8_only: bool = False,
    out_of_fold: Sequence[Path] = (),
) -> Evaluation:
    """Write spec.json, model.onnx, scores.json, CARD.md and, for networks with a pooling head, saliency.onnx.

    The folder is changed only after all checks have passed. The temperature is fitted on the validation split of
    `data`, on the faces that its protocol scores, or on the predictions of `out_of_fold`.

    Args:
        checkpoints: one, or several that become an ensemble, see `Ensemble`.
        extra_data: further data sets it was trained on, for the card.
        logit_adjustment, no_face_margin: see `trainer.calibrate`.
        mirror: predict the mean over the face and its mirror image, at twice the cost.
        without_fp32: export FP16 and INT8, compare both with FP32 on the validation split, and omit the FP32 model.
        int8_only: as `without_fp32`, and without the FP16 file.
        out_of_fold: the runs of `fit --folds`, for a network that was trained on all faces (`fit --all`).

    Returns:
        The evaluation of the exported FP32 model on that split, or of the predictions of `out_of_fold`.

    Raises:
        RunError: a checkpoint cannot be read, their inputs differ, the exported graph differs from torch, or a network
            that was trained on faces of the validation split comes without `out_of_fold`.
        DataError: the data is missing.
    """
    checkpoints = [checkpoints] if isinstance(checkpoints, Path) else list(checkpoints)
    title, made_for, model = load_together(checkpoints, mirror=mirror)
    warn_of_unnamed_data(checkpoints, (data, *extra_data))
    trained_on = [open_data(source, "train") for source in (data, *extra_data)]
    adjust = _adjustment(trained_on, logit_adjustment, no_face_margin)
    adjust(model)
    valid = open_data(data, "valid")
    faces = load_faces(valid, made_for, cache)
    folds = _out_of_fold(checkpoints, data, out_of_fold, cache, adjust, mirror=mirror)
    spec = _calibrated(model, dataclasses.replace(made_for, name=name or made_for.name), faces, folds)
    precisions = ("int8",) if int8_only else ("fp16", "int8") if without_fp32 else ()
    with _draft(output, keep_record=not precisions) as draft:
        difference = write_model(model, spec, draft, faces)
        evaluation = _evaluated(draft, data, cache) if folds is None else folds.evaluation(spec.temperature)
        record = replace_fp32(draft, valid, faces, data, cache, precisions) if precisions else None
        kind, training, adjustments = data.partition(":")[0], _training(checkpoints), (logit_adjustment, no_face_margin)
        facts = CardFacts(
            spec, title, kind, trained_on, training, *adjustments,
            model, evaluation, difference, record, folds=len(out_of_fold),
        )  # fmt: skip
        atomic_write(draft / CARD, card(facts))
        atomic_write(draft / SCORES, _scores_json(valid, "valid" if folds is None else "out of fold", evaluation))
        _move(draft, output)
    return evaluation


def warn_of_unnamed_data(checkpoints: Sequence[Path], named: Sequence[str]) -> None:
    """Log a warning about runs that were trained on another kind of data set than those `named` for the bundle."""
    kinds = {data.partition(":")[0] for data in named}
    for path in checkpoints:
        with contextlib.suppress(RunError):  # it is not in a run folder
            config = load_config(path.parent)
            trained_on = (data.partition(":")[0] for data in (config.data, *config.extra_data))
            if unnamed := [kind for kind in trained_on if kind not in kinds]:
                log.warning(
                    "%s was trained on %s: without --data or --extra-data for it, the card and --logit-adjustment are "
                    "about other data",
                    path,
                    ", ".join(unnamed),
                )


def _adjustment(
    trained_on: Sequence[Dataset], logit_adjustment: float, no_face_margin: float
) -> Callable[[Classifier], None]:
    """What changes the logits of a network, and in the same way those of the runs of `fit --folds`."""
    targets = np.concatenate([source.targets for source in trained_on])

    def adjust(model: Classifier) -> None:
        adjust_logits(model, targets, logit_adjustment)
        subtract_no_face_margin(model, no_face_margin)

    return adjust


def _calibrated(model: Classifier, spec: ModelSpec, faces: FaceSet, folds: OutOfFold | None) -> ModelSpec:
    """Fit temperature and threshold of the 95 % sets; the temperature is also set in the model."""
    logits, judged = (predict(model, faces), faces) if folds is None else (folds.logits, folds.faces)
    model.temperature = temperature(logits, judged)
    threshold = set_threshold(logits, judged, model.temperature)
    return dataclasses.replace(spec, temperature=model.temperature, plausible_from=threshold)


def write_untrained(name: str, folder: Path) -> None:
    """Write a bundle of a network with fixed random weights, for export and timing; the program refuses to run it.

    The last layer's bias makes every prediction the same class, so that a parity report is stable; speed does not
    depend on it.

    Raises:
        RunError: there is no such network, or the folder cannot be written to or holds a trained engine.
    """
    if (folder / SPEC).is_file() and not (folder / UNTRAINED).is_file():
        raise RunError(f"{folder} holds a trained engine; choose another --output")
    torch.manual_seed(0)
    model = build(name)
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.linspace(0, 3, last.out_features))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # written first, so that the model is never without this mark
        atomic_write(folder / UNTRAINED, f"{name} with random weights: for timing only. Nothing runs this bundle.\n")
        atomic_write(folder / SPEC, model.spec.to_json())
        atomic_write(folder / CARD, f"# {name}\n\nRandom weights, for timing only.\n")
        export_onnx(model, model.spec, folder / FILES["fp32"])
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}; choose another --output") from error
    write_manifest(folder)


@contextlib.contextmanager
def _draft(output: Path, *, keep_record: bool) -> Iterator[Path]:
    """A temporary folder beside `output`, with the parity record of earlier exports of the same model.

    Raises:
        RunError: a file cannot be written, here or in the block.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(output.parent, f".{output.name}.") as folder:
            if keep_record and (output / PARITY).is_file():
                shutil.copy(output / PARITY, folder)
            yield folder
    except OSError as error:
        raise RunError(f"cannot write the bundle {output}: {error.strerror or error}") from error


def _out_of_fold(
    checkpoints: Sequence[Path],
    data: str,
    runs: Sequence[Path],
    cache: Path,
    adjust: Callable[[Classifier], None],
    *,
    mirror: bool,
) -> OutOfFold | None:
    if runs:
        return predict_out_of_fold(runs, cache, adjust, mirror=mirror)
    for path in checkpoints:
        if trains_on_all(path.parent) or summary_overlaps(training_summary(path), FitConfig(data=data)):
            raise RunError(
                f"{path} was also trained on the validation split, so no face is left for calibration and scoring: "
                "name the runs of fit --folds with --out-of-fold RUN..."
            )
    return None


def _training(checkpoints: Sequence[Path]) -> str:
    if len(checkpoints) == 1:
        return training_summary(checkpoints[0])
    return list_summaries(checkpoints, "The mean prediction of:")


def write_model(model: Classifier, spec: ModelSpec, folder: Path, faces: FaceSet) -> float:
    """Write spec.json, model.onnx and saliency.onnx; returns the largest difference of a probability from torch.

    Raises:
        RunError: a file differs from torch by more than `LARGEST_DIFFERENCE`.
    """
    activation = activation_of(model, spec)
    if activation is None:
        (graph,), maps = to_onnx(model, spec, spec.output), None
    else:
        graph, maps = to_onnx(activation.beside_probabilities(), spec, spec.output, "maps")
    path = folder / FILES["fp32"]
    atomic_write(path, graph.SerializeToString())
    atomic_write(folder / SPEC, spec.to_json())
    write_manifest(folder)
    with Engine(spec, open_backend("onnx", load_bundle(folder))) as engine:
        difference = largest_difference(model, engine, faces)
    if difference > LARGEST_DIFFERENCE:
        raise RunError(
            f"the exported model differs from the checkpoint by up to {difference:.2e} in a probability (allowed: "
            f"{LARGEST_DIFFERENCE:.0e}): no bundle was written; export with another torch or onnx version"
        )
    add_saliency(activation, maps, spec, folder, faces)
    write_manifest(folder)
    return difference


def replace_fp32(
    folder: Path, valid: Dataset, faces: FaceSet, data: str, cache: Path, precisions: Sequence[str]
) -> ParityRecord:
    """Replace model.onnx by files of other precisions; a file that fails the comparison with it is omitted.

    INT8 is calibrated on training faces. A rejected file is reported on standard output and not kept.

    Raises:
        EngineError: none passed.
    """
    bundle = load_bundle(folder)
    train = open_data(data, "train")
    calibration = _face_data(train, load_faces(train, bundle.spec, cache)).spread(CALIBRATION_FACES)
    exporter = Exporter(bundle, folder, _face_data(valid, faces), calibration, threads=os.cpu_count() or 1)
    for precision in precisions:
        exporter.run(precision)
    drop_fp32(folder)
    record = ParityRecord.load(folder)
    assert record is not None
    return record


def _face_data(data: Dataset, faces: FaceSet) -> FaceData:
    return FaceData(f"{data.name} {data.split}", faces.faces, faces.truth, len(data))


def _evaluated(folder: Path, data: str, cache: Path) -> Evaluation:
    bundle = load_bundle(folder)
    with Engine(bundle.spec, open_backend("onnx", bundle)) as engine:
        return evaluate(engine, data, "valid", cache=cache)


def _scores_json(valid: Dataset, split: str, evaluation: Evaluation) -> str:
    scores = evaluation.scores
    hits, unseen = evaluation.unseen_hits
    measured = {
        "data": valid.name,
        "split": split,
        "faces": scores.count,
        "classes": list(evaluation.classes),
        "accuracy": round(scores.accuracy, 5),
        "interval_95": [round(value, 5) for value in scores.interval],
        "without_duplicates": {"faces": unseen, "accuracy": round(hits / unseen, 5) if unseen else None},
        "calibration_error": round(scores.calibration_error, 5),
    }
    return json.dumps(measured, indent=2) + "\n"


def _move(draft: Path, output: Path) -> None:
    """Move the finished files into place; remove mark, maps and the FP32 file of a former model."""
    output.mkdir(exist_ok=True)
    for name in (UNTRAINED, SALIENCY, FILES["fp32"]):
        if not (draft / name).is_file():
            (output / name).unlink(missing_ok=True)
    for path in sorted(item for item in draft.iterdir() if item.is_file()):
        replace_file(path, output / path.name)
    manifest = Manifest.load(output)
    assert manifest is not None
    write_manifest(output, source_sha256=manifest.source_sha256)  # also lists earlier exports


def export_onnx(model: Classifier, spec: ModelSpec, path: Path) -> None:
    """One self-contained file with a dynamic batch: float32 (N, C, S, S) in 0..255 -> probabilities (N, K)."""
    atomic_write(path, to_onnx(model, spec, spec.output)[0].SerializeToString())


def to_onnx(model: torch.nn.Module, spec: ModelSpec, *outputs: str) -> list[onnx.ModelProto]:
    """A module whose input is faces of the spec, as one ONNX graph per output, with a dynamic batch.

    Tracing takes most of the time, so a module with two outputs is exported in half the time of two modules.
    """
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
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("n")},),
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    proto = program.model_proto
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        # remove the source paths of layers that the exporter writes: folders of this machine are private
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graphs = [proto] if len(outputs) == 1 else [_part(proto, spec.input, output) for output in outputs]
    for graph in graphs:
        onnx.checker.check_model(graph, full_check=True)
    return graphs


def _part(proto: onnx.ModelProto, source: str, output: str) -> onnx.ModelProto:
    """The part of a graph that computes one of its outputs."""
    part = onnx.utils.Extractor(proto).extract_model([source], [output])
    part.producer_name, part.producer_version = proto.producer_name, proto.producer_version
    part.graph.name = proto.graph.name
    return part


def add_saliency(
    activation: Activation | None, graph: onnx.ModelProto | None, spec: ModelSpec, output: Path, faces: FaceSet
) -> None:
    """Write saliency.onnx beside model.onnx and its hash into parity.json; remove one of another model.

    Args:
        activation, graph: the maps as a module and as its export; None for a network that has no such maps.

    Raises:
        RunError: the file differs from torch.
    """
    path = output / SALIENCY
    path.unlink(missing_ok=True)
    record = ParityRecord.about(output, sha256_of(output / FILES["fp32"]))
    if activation is None or graph is None:
        if record.saliency:
            record.with_saliency("").save(output)
        return
    atomic_write(path, half_weights(graph).SerializeToString())
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
    """Largest difference of a probability between torch and the engine, on real faces in batches of 1 to 64."""
    largest, start, size = 0.0, 0, 1
    while start < min(count, len(faces)):
        crops = list(faces.faces[start : start + size])
        with torch.no_grad():
            expected = model(torch.from_numpy(batch(crops, engine.spec))).numpy()
        largest = max(largest, float(np.abs(engine.infer(crops) - expected).max()))
        start, size = start + size, min(size * 2, 64)
    return largest
