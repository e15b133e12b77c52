"""Write a bundle's CARD.md: data, training, accuracy, calibration and limits. `trainer.export` calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.conformal import in_set
from engines.layout import FILES
from engines.metrics import over_expressions, wilson
from engines.parity import ParityRecord, summary
from engines.spec import EXPRESSIONS, LABELS, ModelSpec
from trainer.analysis import risk_at, risk_coverage
from trainer.config import TRAINED_ON_ALL, FitConfig, augmentation_name, config_from_json, poster_accuracy
from trainer.data import Dataset
from trainer.evaluate import COVERAGES, Evaluation
from trainer.models import ARCHITECTURES, Classifier
from trainer.models.cost import count_parameters, multiply_adds
from trainer.runs import CONFIG, LAST, about_checkpoint, read_metrics, read_result


@dataclass(frozen=True, eq=False)
class CardFacts:
    """The facts that a card states.

    Attributes:
        spec: of the bundle.
        title: the model's architectures.
        data: kind of the data set that validates it.
        trained_on: training splits.
        training: how it was trained, see `training_summary`.
        logit_adjustment, no_face_margin: see `trainer.calibrate`.
        model: what was exported.
        evaluation: of the exported model, on the validation split.
        difference: largest difference of a probability from torch.
        without_fp32: the export report if the bundle ships without its FP32 model; else None.
        folds: number of runs whose out-of-fold predictions were evaluated; 0: the exported model was evaluated.
    """

    spec: ModelSpec
    title: str
    data: str
    trained_on: Sequence[Dataset]
    training: str
    logit_adjustment: float
    no_face_margin: float
    model: Classifier
    evaluation: Evaluation
    difference: float
    without_fp32: ParityRecord | None = None
    folds: int = 0


def card(facts: CardFacts) -> str:
    """The whole card, Markdown."""
    spec = facts.spec
    parameters = count_parameters(facts.model)
    sources = "\n".join(f"- {len(source):,} pictures: {source.about}" for source in facts.trained_on)
    return f"""# {spec.name}

This network classifies the expression of one face ({spec.size}x{spec.size} pixels, {spec.colour}) into \
{len(spec.labels)} classes. It does not recognise feelings.
Architecture: `{facts.title}`, {parameters:,} parameters, {multiply_adds(facts.model, spec) / 1e6:,.1f} M \
multiply-adds per face.
{_posters_network(facts)}
## Data
The network was trained on the training split of
{sources}

## Training
{facts.training or "How it was trained is not recorded."}

## Accuracy
{_accuracy(facts)}

## Calibration
{_calibration(facts)}

{_sets(facts)}## Limits
{_limits(facts.evaluation.classes)}

## Files
The input `{spec.input}` is float32 (N, {spec.channels}, {spec.size}, {spec.size}) in 0..255; the output \
`{spec.output}` is (N, {len(spec.labels)}).
Normalisation, temperature and softmax are part of the file.
{_files(facts, parameters)}

To repeat the evaluation: `edgeemo-train evaluate --engine {spec.name} --data {facts.data}:PATH --split valid`.
"""


def _posters_network(facts: CardFacts) -> str:
    """One line that compares a network of the poster and its input size with the poster; "" for other networks."""
    if poster_accuracy(facts.title) is None:
        return ""
    full, size = ARCHITECTURES[facts.title].spec, facts.spec.size
    if size == full.size:
        return f"Its layers, parameters and input size ({size} px) are those of the poster (docs/networks.md).\n"
    share = multiply_adds(facts.model, facts.spec) / multiply_adds(facts.model, full)
    return (
        "Its layers and parameters are those of the poster (docs/networks.md), but it was trained and runs at "
        f"{size} px instead of {full.size}, with {share:.0%} of the multiply-adds.\n"
    )


def _files(facts: CardFacts, parameters: int) -> str:
    compared = f"On real faces, its probabilities differ from the checkpoint's by at most {facts.difference:.1e}."
    record = facts.without_fp32
    if record is None:
        return (
            f"`{FILES['fp32']}` has about {parameters * 4 / 1e6:.1f} MB, as FP16 {parameters * 2 / 1e6:.1f} MB "
            f"(`edgeemo-export`). {compared}"
        )
    lines = [
        f"The FP32 model (about {parameters * 4 / 1e6:.1f} MB, SHA-256 `{record.source_sha256}`) is not part of this "
        f"bundle. {compared} The figures above are those of the FP32 model; the files here were compared with it:",
        "",
    ]
    for export in record.exports:
        lines.append(f"- `{export.file}`, {export.bytes / 1e6:.1f} MB")
        lines += [f"  - {line}" for line in summary(export)]
    return "\n".join(lines)


def _accuracy(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    scores = evaluation.scores
    about, faces = "", "faces of the validation split"
    if facts.folds:
        about = (
            "This network was also trained on the validation split. Therefore the figures are those "
            f"of {facts.folds} networks trained\nwith the same settings, each tested on the fold that it was not "
            "trained on.\n"
        )
        faces = "faces"
    low, high = scores.interval
    recalls = "\n".join(
        f"| {name} | {_percent(scores.recall[row])} | {scores.confusion[row].sum()} |"
        for row, name in enumerate(evaluation.classes)
    )
    return f"""{about}Accuracy is **{scores.accuracy:.2%}** (95 % interval {low:.2%} to {high:.2%}) on the \
{scores.count:,} {faces} that the data set's protocol scores
({len(evaluation.classes)} classes). Mean recall is {scores.mean_recall:.2%}.
{_without_duplicates(evaluation)}Settings were chosen on this split, so accuracy on new data will be a little lower.

| class | recall | faces |
|---|---|---|
{recalls}"""


def _without_duplicates(evaluation: Evaluation) -> str:
    """The accuracy without pictures that are also in the training split; "" if there are none."""
    hits, count = evaluation.unseen_hits
    if count == evaluation.scores.count or not count:
        return ""
    low, high = wilson(hits, count)
    return (
        f"Without the {evaluation.scores.count - count:,} pictures that are also in the training split it is "
        f"**{hits / count:.2%}** (95 % interval {low:.2%} to {high:.2%}, {count:,} faces).\n"
    )


def _calibration(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    coverage, risk = risk_coverage(evaluation.predictions.max(axis=1), evaluation.right)
    rows = "\n".join(f"| {share:.0%} | {1 - risk_at(coverage, risk, share):.1%} |" for share in COVERAGES)
    adjusted = ""
    if facts.logit_adjustment:
        adjusted += (
            f"Logit adjustment: {facts.logit_adjustment:g} times the logarithm of each expression's share of the "
            "training data is subtracted from its logit, which favours rare expressions.\n"
        )
    if facts.no_face_margin:
        adjusted += (
            f"{facts.no_face_margin:g} is subtracted from the no_face logit, because most detections are faces; this "
            f"divides the odds of `no_face` by {np.exp(facts.no_face_margin):.1f}.\n"
        )
    return f"""The expected calibration error is {evaluation.scores.calibration_error:.4f} (15 bins). The temperature, \
{facts.spec.temperature}, was fitted on the same faces.
{adjusted}
| share of faces, most confident first | accuracy |
|---|---|
{rows}"""


def _sets(facts: CardFacts) -> str:
    """The section on 95 % sets; "" if they are not calibrated."""
    evaluation, threshold = facts.evaluation, facts.spec.plausible_from
    rows = np.array([name in EXPRESSIONS for name in evaluation.classes])[evaluation.truth]
    if not threshold or not rows.any():
        return ""
    # all eight expressions, as at run time, also where the data set distinguishes fewer
    shown = over_expressions(evaluation.probabilities[evaluation.scored][rows], evaluation.labels)
    truth = np.array([EXPRESSIONS.index(evaluation.classes[each]) for each in evaluation.truth[rows]])
    inside = in_set(shown, EXPRESSIONS, threshold)
    right = inside[np.arange(len(truth)), truth]
    by_class = ", ".join(
        f"{name} {right[truth == row].mean():.0%}" for row, name in enumerate(EXPRESSIONS) if (truth == row).any()
    )
    return f"""## 95 % sets
A 95 % set has every expression with a share of at least {threshold:g} of the eight expressions' total probability. It
contains the right expression for {right.mean():.1%} of these faces, on which the threshold was chosen; by class: \
{by_class}.
A set has {inside.sum(axis=1).mean():.2f} expressions on average; {(inside.sum(axis=1) == 1).mean():.0%} of the sets \
have one.

"""


def _limits(classes: tuple[str, ...]) -> str:
    missing = ", ".join(f"`{name}`" for name in LABELS if name not in classes)
    lines = [
        "Strong yaw, darkness and occlusion lower the accuracy.",
        "The network recognises classes with few faces poorly: see their recall above.",
    ]
    if missing:
        lines.append(
            f"{missing}: these classes are not scored here, and are rare or absent in the data; do not rely on them."
        )
    lines.append("Differences between groups (age, sex, skin tone) were not measured for this card.")
    return "\n".join(f"- {line}" for line in lines)


def training_summary(checkpoint: Path) -> str:
    """How a checkpoint was trained, from its own metadata or its run folder; "" if unknown."""
    about = about_checkpoint(checkpoint)
    if about:
        return about
    run = checkpoint.parent
    try:
        config = config_from_json((run / CONFIG).read_text(encoding="utf-8"))
        last = checkpoint.name == LAST
        epoch = int(read_metrics(run)[-1]["epoch"]) if last else int(read_result(run)["epoch"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):  # no run folder, or one of an older trainer
        return ""
    parts = _settings(config, epoch)
    if config.train_on_all:
        parts.append(f"{TRAINED_ON_ALL}, for a fixed number of epochs")
    elif config.folds:
        parts.append(f"the {'last' if last else 'best'} epoch on fold {config.fold} of {config.folds}")
    elif not last:
        parts.append("the best epoch on the validation split")
    return "; ".join(parts) + ".\n"


def _settings(config: FitConfig, epoch: int) -> list[str]:
    parts = [
        f"Epoch {epoch} of {config.epochs}, batches of {config.batch}, {config.optimiser} with a learning rate of up "
        f"to {config.learning_rate:g}, augmentation {augmentation_name(config.augment) or 'custom'}, "
        f"mixup {config.mixup:g}"
    ]
    if config.sizes:
        stages = ", ".join(f"{size} px for {epochs}" for size, epochs in config.sizes)
        parts.append(f"input sizes by epochs: {stages}")
    if config.non_faces:
        parts.append(f"{config.non_faces:.0%} of the faces turned into non-faces with the label no_face")
    if config.start_from:
        parts.append(f"initial weights from a run or engine of this trainer ({Path(config.start_from).name})")
    else:
        parts.append("random initial weights")
    if config.teachers:
        names = ", ".join(Path(name).name for name in config.teachers)
        drawn = ", one teacher per step, mirrored in half of them" if config.teacher_draw else ""
        parts.append(
            f"distilled: {config.teacher_weight:.0%} of the loss from {names} at temperature "
            f"{config.teacher_temperature:g}{drawn}"
        )
    else:
        parts.append("not distilled")
    return parts


def list_summaries(checkpoints: Sequence[Path], title: str, labels: Sequence[str] | None = None) -> str:
    """Summaries of several checkpoints: a title and a Markdown list, followed by an empty line."""
    lines = [(training_summary(path) or path.name).strip() for path in checkpoints]
    if labels is not None:
        lines = [f"{label}: {line}" for label, line in zip(labels, lines, strict=True)]
    return "".join([f"{title}\n\n", *(f"- {line}\n" for line in lines), "\n"])


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.1%}"
