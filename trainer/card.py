"""CARD.md of a bundle: what it was trained on and how, what it reaches, and its limits. `trainer.export` calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.spec import LABELS, ModelSpec
from trainer.analysis import risk_at, risk_coverage
from trainer.config import FitConfig, augmentation_name, config_from_json
from trainer.data import Dataset
from trainer.evaluate import COVERAGES, Evaluation
from trainer.models import Classifier
from trainer.models.cost import count_parameters, multiply_adds
from trainer.runs import CONFIG, LAST, about_checkpoint, read_metrics, read_result


@dataclass(frozen=True, eq=False)
class CardFacts:
    """What a card is written from.

    Attributes:
        spec: of the bundle.
        title: what the model is made of, in words.
        data: kind of the data set that it is validated on.
        trained_on: training splits.
        training: how it was trained, see `training_summary`.
        logit_adjustment, no_face_margin: see `trainer.calibrate`.
        model: what was exported.
        evaluation: of the exported model, on the validation split.
        difference: largest difference of a probability from torch.
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


def card(facts: CardFacts) -> str:
    """The whole card, Markdown."""
    spec = facts.spec
    parameters = count_parameters(facts.model)
    sources = "\n".join(f"- {len(source):,} pictures: {source.about}" for source in facts.trained_on)
    return f"""# {spec.name}

Names the expression of one face: {len(spec.labels)} classes, {spec.size}x{spec.size} {spec.colour}, architecture
`{facts.title}`, {parameters:,} parameters, {multiply_adds(facts.model, spec) / 1e6:,.1f} M multiply-adds per face.
It sees an expression, not a feeling.

## Data
Trained on the training split of
{sources}

{facts.training}No weights came from elsewhere.

## Accuracy
{_accuracy(facts.evaluation)}

## Calibration
{_calibration(facts)}

## Limits
{_limits(facts.evaluation.classes)}

## Files
`model.onnx`: input `{spec.input}` float32 (N, {spec.channels}, {spec.size}, {spec.size}) in 0..255, output
`{spec.output}` (N, {len(spec.labels)}); normalisation, temperature and softmax are inside. Largest difference of a
probability from the checkpoint, on real faces: {facts.difference:.1e}. About {parameters * 4 / 1e6:.1f} MB, as FP16
{parameters * 2 / 1e6:.1f} MB (`edgeemo-export`).

Reproduce: `edgeemo-train evaluate --engine {spec.name} --data {facts.data}:PATH --split valid`.
"""


def _accuracy(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    low, high = scores.interval
    recalls = "\n".join(
        f"| {name} | {_percent(scores.recall[row])} | {scores.confusion[row].sum()} |"
        for row, name in enumerate(evaluation.classes)
    )
    return f"""The validation split, {scores.count:,} faces that the data set's protocol scores, \
{len(evaluation.classes)} classes:
**{scores.accuracy:.2%}** (95 % interval {low:.2%} to {high:.2%}). Mean recall {scores.mean_recall:.2%}.
Choices were made on this split, so a fresh set will score a little lower.

| class | recall | faces |
|---|---|---|
{recalls}"""


def _calibration(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    coverage, risk = risk_coverage(evaluation.answers.max(axis=1), evaluation.right)
    rows = "\n".join(f"| {share:.0%} | {1 - risk_at(coverage, risk, share):.1%} |" for share in COVERAGES)
    adjusted = ""
    if facts.logit_adjustment:
        adjusted += (
            f"Logit adjustment: {facts.logit_adjustment:g} times the logarithm of each expression's share of the "
            "training data is subtracted from its logit, which favours rare expressions.\n"
        )
    if facts.no_face_margin:
        adjusted += (
            f"{facts.no_face_margin:g} is subtracted from the no_face logit: `no_face` must be "
            f"{np.exp(facts.no_face_margin):.1f} times as likely as in training to be predicted.\n"
        )
    return f"""Expected calibration error {evaluation.scores.calibration_error:.4f} (15 bins) with temperature \
{facts.spec.temperature}, which was
fitted on the same split.
{adjusted}
| coverage, most confident first | accuracy |
|---|---|
{rows}"""


def _limits(classes: tuple[str, ...]) -> str:
    missing = ", ".join(f"`{name}`" for name in LABELS if name not in classes)
    lines = [
        "Trained on pictures from the web. Strong yaw, darkness and covered faces make it worse.",
        "Classes with few faces above are learned and measured badly: see their recall.",
    ]
    if missing:
        lines.append(f"{missing}: not scored by this protocol, and rare or absent in the data; do not rely on them.")
    lines.append("Age, sex and skin tone are not labelled in the data: nothing is known of differences between groups.")
    return "\n".join(f"- {line}" for line in lines)


def training_summary(checkpoint: Path) -> str:
    """A few lines: what the checkpoint says itself, else what its run folder says, else none."""
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
    if not last:
        parts.append("the best epoch on the validation split")
    return "; ".join(parts) + ".\n"


def _settings(config: FitConfig, epoch: int) -> list[str]:
    parts = [
        f"Epoch {epoch} of {config.epochs}, batches of {config.batch}, {config.optimiser} with a learning rate of up "
        f"to {config.learning_rate:g}, augmentation {augmentation_name(config.augment) or 'custom'}, "
        f"mixup {config.mixup:g}"
    ]
    if config.non_faces:
        parts.append(f"{config.non_faces:.0%} of the faces turned into non-faces with the label no_face")
    if config.start_from:
        parts.append("first weights from an earlier run of this trainer")
    if config.teachers:
        drawn = ", one a step and often mirrored" if config.teacher_draw else ""
        parts.append(f"{config.teacher_weight:.0%} of the loss from {len(config.teachers)} teacher(s){drawn}")
    return parts


def list_summaries(checkpoints: Sequence[Path], title: str, labels: Sequence[str] | None = None) -> str:
    """Summaries of several checkpoints: a title and a Markdown list, followed by an empty line."""
    lines = [(training_summary(path) or path.name).strip() for path in checkpoints]
    if labels is not None:
        lines = [f"{label}: {line}" for label, line in zip(labels, lines, strict=True)]
    return "".join([f"{title}\n\n", *(f"- {line}\n" for line in lines), "\n"])


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.1%}"
