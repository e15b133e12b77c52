"""The training loop: one run folder, resumable at any moment with the same result, on one process or several."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from engines.metrics import Scores, over_expressions, score
from engines.preprocess import F32, U8
from engines.spec import ModelSpec
from trainer.augment import AugmentConfig, augment, mix, scramble
from trainer.data import Dataset, open_data
from trainer.data.duplicates import also_in, picture_digests
from trainer.data.faces import FaceSet, load_faces
from trainer.data.loader import Loader
from trainer.distill import Teachers, believe_no_face
from trainer.errors import DataError, RunError
from trainer.losses import LossConfig, Objective, soft_target_loss
from trainer.memory import keep_freed_memory
from trainer.models import Classifier, architecture, build
from trainer.models.hybrid_lite import HybridLite, grow
from trainer.parallel import Processes, distributed, joined, shared_norms
from trainer.plots import draw_curves
from trainer.runs import (
    Board,
    claim,
    find_checkpoint,
    load_checkpoint,
    load_state,
    log,
    read_metrics,
    reason,
    replace_text,
    save,
)

# reading the loss waits for the device, so it is looked at, and the run saved, only once in so many batches
LOOK_EVERY = 10
DRAW_EVERY = 10  # epochs


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides a run's result; stored in its folder as config.json.

    Attributes:
        data: KIND:PATH, see `trainer.data.open_data`; its validation split chooses the best epoch.
        also: further data sets, whose training splits are trained on too.
        start_from: a run or checkpoint of the same architecture whose weights are the first ones, or "". A hybrid_wide
            also begins from a hybrid_lite, see `trainer.models.hybrid_lite.grow`.
        batch: faces a step, over all processes.
        warmup: share of the run in which the learning rate rises.
        sizes: input sizes and their epochs, one after the other under the one learning-rate schedule; empty: the
            network's own. The finished network takes the last one.
        valid_precision: of the forward pass over the validation faces.
        clip_norm: largest norm of the gradient, 0 for no limit.
        average_decay: of the exponential moving average of the weights, which is what is scored and kept.
        mixup, cutmix: see `trainer.augment.mix`.
        scrambled: the share of faces that is made unrecognisable and labelled no_face, see `trainer.augment.scramble`.
        precision: of the forward pass; weights and their updates are always float32.
        patience: stop when so many epochs brought no better accuracy; 0: never.
        dropout: replaces the network's own; None keeps it.
        teachers: runs, checkpoints or engines to learn from beside the labels, see `trainer.distill`.
        teacher_weight: the teachers' share of the loss.
        teacher_draw: a step asks one teacher, drawn by chance, about the faces or their mirror images.
        recipe: the row of the poster's table that this run is meant to be, or "".
    """

    arch: str = "hybrid_lite"
    data: str = ""
    also: tuple[str, ...] = ()
    start_from: str = ""
    epochs: int = 60
    batch: int = 128
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    momentum: float = 0.9  # of SGD
    weight_decay: float = 0.05
    warmup: float = 0.05
    sizes: tuple[tuple[int, int], ...] = ()
    average_decay: float = 0.998
    mixup: float = 0.2
    cutmix: float = 0.0
    scrambled: float = 0.0
    clip_norm: float = 2.0
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    valid_precision: Literal["bf16", "fp32"] = "fp32"
    patience: int = 0
    dropout: float | None = None
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    teachers: tuple[str, ...] = ()
    teacher_weight: float = 0.7
    teacher_temperature: float = 2.0
    teacher_draw: bool = False
    recipe: str = ""

    def __post_init__(self) -> None:
        if self.sizes and self.epochs != sum(epochs for _, epochs in self.sizes):
            raise ValueError(f"{self.epochs} epochs, but the stages {self.sizes} have another sum")

    @property
    def spec(self) -> ModelSpec:
        """What the finished network takes: the architecture's faces, at the last stage's size."""
        spec = architecture(self.arch).spec
        return replace(spec, size=self.sizes[-1][0]) if self.sizes else spec

    def size_at(self, epoch: int) -> int:
        """Pixels across of the network's input in an epoch, counted from 0."""
        for size, epochs in self.sizes:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.spec.size


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: whole epochs done.
        step: batches done of the next one.
        loss: sum of their losses, mean over the processes.
        seconds: what they took.
        best: highest accuracy on the validation split so far, -1 before the first.
        best_epoch: its epoch, counted from 1.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0


def fit(
    config: FitConfig,
    run: Path,
    *,
    cache: Path,
    device: str = "cpu",
    processes: int = 1,
    save_minutes: float = 10.0,
) -> Path:
    """Train a network; a run folder that has a checkpoint is continued.

    Started by torchrun, all its processes train the one network. Writes config.json, metrics.csv (one row an epoch),
    curves.png, result.json, tensorboard/, last.pt and best.pt (highest accuracy on the validation split, of the
    averaged weights).

    Args:
        processes: how many cut faces that are not yet in the cache, see `load_faces`.
        save_minutes: last.pt is written after each epoch, and within one when so many minutes have passed.

    Returns:
        The best checkpoint.

    Raises:
        TrainerError: the data is not there, the folder belongs to another configuration, or the loss became NaN.
    """
    with joined(device) as team:
        if team.device.type == "cpu":
            keep_freed_memory()
        return _fit(config, run, cache, team, processes, save_minutes * 60)


def _fit(config: FitConfig, run: Path, cache: Path, team: Processes, cutters: int, save_s: float) -> Path:
    if config.batch % team.world:
        raise RunError(f"--batch {config.batch} cannot be shared by {team.world} processes: choose a multiple of it")
    if team.first:
        claim(run, config, FitConfig())
    spec = config.spec
    # cut at the largest size of all stages, and made smaller from there
    cut = replace(spec, size=max([spec.size, *(size for size, _ in config.sizes)]))
    opened = [open_data(data, "train") for data in (config.data, *config.also)]
    train = [_faces(data, cut, cache=cache, team=team, cutters=cutters) for data in opened]
    valid = _faces(open_data(config.data, "valid"), cut, cache=cache, team=team, cutters=cutters)
    targets_train = np.concatenate([part.targets for part in train])
    kept = _not_held_out(config, opened, train, cache, team)
    steps = len(kept) // config.batch
    if not steps:
        raise DataError(f"{len(kept)} faces do not fill one batch of {config.batch}: lower --batch")
    if not valid.counted.any():
        raise DataError("no picture of the validation split counts by its protocol: there is nothing to choose by")

    torch.manual_seed(config.seed)
    model = _first_weights(config) if config.start_from else build(config.arch)
    model.spec = spec
    _set_dropout(model, config.dropout)
    model = shared_norms(model, team).to(team.device)  # type: ignore[assignment]
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = distributed(model, team)
    optimiser = _optimiser(model, config)
    average = AveragedModel(model, multi_avg_fn=_moving_average(config.average_decay), use_buffers=True)
    scaler = torch.amp.GradScaler(team.device.type, enabled=config.precision == "fp16")
    at = _resume(run, team, model, average, optimiser, scaler)

    def keep() -> None:
        state = {
            "arch": config.arch,
            "size": config.size_at(max(at.epoch - (at.step == 0), 0)),
            **asdict(at),
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": scaler.state_dict(),
        }
        save(state, run / "last.pt")

    loader = Loader([part.faces for part in train], targets_train, team.device)
    objective = Objective(config.loss, torch.from_numpy(targets_train[kept]).to(team.device))
    teachers = None
    if config.teachers:
        teachers = Teachers(config.teachers, spec, config.teacher_temperature, team.device)
    board = Board(run, at.epoch) if team.first else None

    for epoch in range(at.epoch, config.epochs):
        if config.patience and epoch - at.best_epoch >= config.patience:
            _say(team, f"no better accuracy in {config.patience} epochs: stopped early")
            break
        started = saved = time.perf_counter()
        started -= at.seconds
        order = kept[_epoch_order(config, epoch, len(kept), steps, team)[at.step :]]
        size = config.size_at(epoch)
        if epoch and size != config.size_at(epoch - 1) and not at.step:
            at.best, at.best_epoch = -1.0, epoch  # accuracies at another size are not compared
        generator = torch.Generator(team.device)
        model.train()
        total = torch.full((), at.loss, device=team.device, dtype=torch.float64)
        bar = tqdm(
            loader.batches(order),
            desc=f"epoch {epoch + 1}/{config.epochs}",
            initial=at.step,
            total=steps,
            unit="batch",
            disable=None if team.first else True,
        )
        for step, (faces, targets) in enumerate(bar, at.step):
            _seed_step(config, epoch, step, team, generator)
            rate = learning_rate(config, epoch + step / steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            images, targets = scramble(_resized(_to_input(faces), size), targets, config.scrambled, generator)
            images = augment(images, config.augment, generator)
            images, targets = mix(images, targets, config.mixup, config.cutmix, generator)
            images = images.contiguous(memory_format=torch.channels_last)
            with _precision(config, team.device):
                logits = network(images)
            loss = objective(logits, targets)
            if teachers is not None:
                with _precision(config, team.device):
                    answers = teachers(images, generator if config.teacher_draw else None)
                if config.scrambled:
                    answers = believe_no_face(answers, targets)
                taught = soft_target_loss(logits, answers, config.teacher_temperature)
                loss = (1 - config.teacher_weight) * loss + config.teacher_weight * taught
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if config.clip_norm:
                scaler.unscale_(optimiser)
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            scaler.step(optimiser)
            scaler.update()
            average.update_parameters(model)
            total += loss.detach()
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
                so_far = float(team.mean(total))
                mean = so_far / (step + 1)
                if not math.isfinite(mean):
                    raise RunError(
                        f"the loss became {mean} in epoch {epoch + 1}, by batch {step + 1}: "
                        "lower --learning-rate or train with --precision fp32; the last checkpoint is whole"
                    )
                bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
                now = time.perf_counter()
                if team.first and step + 1 < steps and now - saved >= save_s:
                    at.step, at.loss, at.seconds = step + 1, so_far, now - started
                    keep()
                    saved = now

        averaged = average.module
        assert isinstance(averaged, Classifier)
        logits_valid = _predict_together(averaged, valid, team, size, config.valid_precision)
        scores = _scores(logits_valid, valid)
        raw = _scores(_predict_together(model, valid, team, size, config.valid_precision), valid)
        at.epoch, at.step, at.loss, at.seconds = epoch + 1, 0, 0.0, 0.0
        improved = scores.accuracy > at.best
        if improved:
            at.best, at.best_epoch = scores.accuracy, at.epoch
        if team.first:
            if improved:
                best = {"arch": config.arch, "size": size, "epoch": at.epoch, "accuracy": at.best}
                save(best | {"network": averaged.network.state_dict()}, run / "best.pt")
                _write_result(run, config, model, scores, at.epoch)
            row = {
                "epoch": at.epoch,
                "learning_rate": round(rate, 7),
                "train_loss": round(mean, 5),
                "valid_loss": round(_cross_entropy(logits_valid, valid.targets), 5),
                "valid_accuracy": round(scores.accuracy, 5),
                "valid_recall": round(scores.mean_recall, 5),
                "valid_accuracy_raw": round(raw.accuracy, 5),
                "size": size,
                "seconds": round(time.perf_counter() - started, 1),
            }
            log(run, row)
            if board is not None:
                board.add(row)
            if at.epoch % DRAW_EVERY == 0:
                draw_curves(read_metrics(run), run / "curves.png")
            keep()
            tqdm.write(f"epoch {at.epoch}: accuracy {scores.accuracy:.2%} on valid, best {at.best:.2%}")
    if board is not None:
        board.close()
        if read_metrics(run):
            draw_curves(read_metrics(run), run / "curves.png")
    team.wait()
    return run / "best.pt"


def learning_rate(config: FitConfig, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to 1 % (Loshchilov and Hutter, 2017)."""
    warmup = config.warmup * config.epochs
    if epoch < warmup:
        return config.learning_rate * (epoch + 0.01) / warmup
    done = (epoch - warmup) / max(config.epochs - warmup, 1e-9)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def predict(model: Classifier, faces: FaceSet, device: str = "cpu") -> F32:
    """(N, K) logits for every face, in float32."""
    return _logits(model, faces.faces, torch.device(device), faces.faces.shape[1], "fp32")


@torch.no_grad()
def _logits(model: Classifier, faces: U8, device: torch.device, size: int, precision: str) -> F32:
    # 256 faces are 14 GB of activations in the DenseNet, and on a CPU no faster than 32
    batch = 256 if device.type == "cuda" else 32
    training = model.training
    model.eval()
    parts = []
    # one batch even without faces: it knows the number of columns
    for start in range(0, max(len(faces), 1), batch):
        images = _to_input(torch.from_numpy(np.array(faces[start : start + batch])).to(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            parts.append(model.logits(_resized(images, size)).float().cpu())
    model.train(training)
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def _predict_together(model: Classifier, faces: FaceSet, team: Processes, size: int, precision: str) -> F32:
    """Each process takes its share of the faces, so that every face is scored once."""
    part = _logits(model, faces.faces[team.rank :: team.world], team.device, size, precision)
    return team.gather(part, len(faces))


def _faces(data: Dataset, spec: ModelSpec, *, cache: Path, team: Processes, cutters: int) -> FaceSet:
    """One process of each machine cuts what is not in the cache yet; the others wait."""
    if team.local_rank == 0:
        load_faces(data, spec, cache, processes=cutters)
    team.wait()
    return load_faces(data, spec, cache)


def _not_held_out(
    config: FitConfig, opened: Sequence[Dataset], train: Sequence[FaceSet], cache: Path, team: Processes
) -> npt.NDArray[np.int64]:
    """Numbers of the training faces, over all data sets, whose pictures are not in the validation or test split too."""
    held_out = []
    for split in ("valid", "test"):
        with contextlib.suppress(DataError):
            held_out.append(_digests(open_data(config.data, split), cache, team))
    forbidden = np.concatenate(held_out)
    leaks = [
        also_in(_digests(data, cache, team)[part.rows], forbidden) for data, part in zip(opened, train, strict=True)
    ]
    leaked = np.concatenate(leaks)
    if leaked.any():
        _say(team, f"{leaked.sum()} training pictures also occur in the validation or test split: left out")
    return np.flatnonzero(~leaked)


def _digests(data: Dataset, cache: Path, team: Processes) -> npt.NDArray[np.uint64]:
    if team.local_rank == 0:
        picture_digests(data, cache)
    team.wait()
    return picture_digests(data, cache)


def _epoch_order(config: FitConfig, epoch: int, count: int, steps: int, team: Processes) -> np.ndarray:
    """(steps, faces of this process) row numbers, drawn by the epoch: a run continued after a kill has the same."""
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    order = torch.randperm(count, generator=generator).numpy()
    return order[: steps * config.batch].reshape(steps, config.batch)[:, team.rank :: team.world]


def _seed_step(config: FitConfig, epoch: int, step: int, team: Processes, generator: torch.Generator) -> None:
    """Augmentation and dropout are drawn by the step, so that a run may be continued after any of them."""
    seed = ((config.seed * 100_003 + epoch) * 1_000_003 + step) * 10_007 + team.rank
    generator.manual_seed(seed % 2**63)
    torch.manual_seed(seed % 2**63)


def _first_weights(config: FitConfig) -> Classifier:
    path = find_checkpoint(Path(config.start_from))
    arch, model = load_checkpoint(path)
    if arch == config.arch:
        return model
    larger = build(config.arch)
    if isinstance(model.network, HybridLite) and isinstance(larger.network, HybridLite):
        try:
            grow(model.network, larger.network)
        except ValueError as error:
            raise RunError(f"{path} is a {arch} and does not fit into a {config.arch}: {error}") from error
        return larger
    raise RunError(
        f"{path} is a {arch}, not a {config.arch}: --start-from needs the same architecture, "
        "or a hybrid_lite for a hybrid_wide"
    )


def _optimiser(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    decayed = [value for value in model.parameters() if value.ndim > 1]
    plain = [value for value in model.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _set_dropout(model: nn.Module, share: float | None) -> None:
    if share is not None:
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = share


def _precision(config: FitConfig, device: torch.device) -> torch.autocast:
    kind = torch.float16 if config.precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=config.precision != "fp32")


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """An exponential moving average that starts with a short memory: after n updates the decay is at most
    (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage with `num_updates`."""

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        updates = float(count)
        share = 1 - min(decay, (1 + updates) / (10 + updates))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), share)
            else:
                old.copy_(new)  # counters of batch norms

    return update


def _resized(images: Tensor, size: int) -> Tensor:
    """(N, C, S, S) -> (N, C, size, size), each pixel the mean of those that it covers."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="area")


def _to_input(faces: Tensor) -> Tensor:
    """(N, S, S, C) uint8 -> (N, C, S, S) float32 in 0..255."""
    return faces.permute(0, 3, 1, 2).float()


def _scores(logits: F32, faces: FaceSet) -> Scores:
    probabilities = over_expressions(_softmax(logits), classes=faces.classes)
    return score(probabilities[faces.counted], faces.targets[faces.counted], faces.classes)


def _softmax(logits: F32) -> F32:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def _cross_entropy(logits: F32, targets: F32) -> float:
    return float(-(targets * np.log(np.maximum(_softmax(logits), 1e-12))).sum(axis=1).mean())


def _write_result(run: Path, config: FitConfig, model: nn.Module, scores: Scores, epoch: int) -> None:
    """The best epoch so far: what `edgeemo-train table` and `models` read."""
    result = {
        "arch": config.arch,
        "recipe": config.recipe,
        "data": config.data.partition(":")[0],
        "split": "valid",
        "parameters": sum(value.numel() for value in model.parameters()),
        "accuracy": round(scores.accuracy, 5),
        "interval_95": [round(value, 5) for value in scores.interval],
        "mean_recall": round(scores.mean_recall, 5),
        "faces": scores.count,
        "classes": len(scores.recall),
        "epoch": epoch,
        "epochs": config.epochs,
    }
    replace_text(run / "result.json", json.dumps(result, indent=2) + "\n")


def _resume(
    run: Path,
    team: Processes,
    model: nn.Module,
    average: AveragedModel,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> Progress:
    """Where a checkpoint stood, which is loaded into the arguments."""
    state = team.share(load_state(run) if team.first else None)
    if state is None:
        return Progress()
    try:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        if scaler.is_enabled() and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        # a checkpoint of an older trainer stands at the end of an epoch and may not say which was the best
        return Progress(
            epoch=int(state["epoch"]),
            step=int(state.get("step", 0)),
            loss=float(state.get("loss", 0.0)),
            seconds=float(state.get("seconds", 0.0)),
            best=float(state["best"]),
            best_epoch=int(state.get("best_epoch", state["epoch"])),
        )
    except Exception as error:  # a state of another layout raises whatever it meets first
        raise RunError(f"cannot continue from {run / 'last.pt'}: {reason(error)}") from error


def _say(team: Processes, text: str) -> None:
    if team.first:
        tqdm.write(text)
