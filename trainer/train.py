"""The training loop, in one process or several; `edgeemo-train fit` calls `fit`.

A killed run resumes with the same result: the order of the faces is seeded by the epoch, augmentation and dropout by
the step.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from engines.metrics import Scores
from engines.preprocess import F32
from trainer.augment import augment, make_non_faces, mix
from trainer.charts import draw_curves
from trainer.config import BEST, FitConfig, Precision
from trainer.data.faces import FaceSet
from trainer.data.loader import Loader
from trainer.distill import Teachers, override_no_face
from trainer.errors import RunError
from trainer.initial import MEASURED_FACES, initial_model
from trainer.lineage import trained_on_validation
from trainer.loggers import Loggers, check_loggers, open_loggers
from trainer.losses import Objective, soft_target_loss
from trainer.memory import keep_freed_memory
from trainer.models import Classifier, build, input_spec
from trainer.models.cost import count_parameters
from trainer.optim import build_ema, build_optimiser, learning_rate
from trainer.parallel import DistContext, distributed, gradients_stay_local, joined, sync_batchnorm
from trainer.precision import fastest_precision
from trainer.predict import cross_entropy, predict_logits, resized, score_logits, to_input
from trainer.run_log import LOG, RunLog
from trainer.runs import (
    LAST,
    append_metrics,
    check_run_dir,
    checkpoint_bytes,
    init_run_dir,
    load_state,
    locked,
    read_metrics,
    reason,
    require_space,
    save_checkpoint,
    write_result,
)
from trainer.stream import MappedSource, ShardSource, Source
from trainer.training_data import TrainingData, crop_spec, load_training_data

# loss.item() synchronises with the device, so the loss is read, and the run saved, every LOG_EVERY batches
LOG_EVERY = 10
DRAW_EVERY = 10  # epochs


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        epoch: finished epochs.
        step: finished batches of the current epoch.
        loss: sum of their losses, averaged over the processes.
        seconds: time spent on them.
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
    num_workers: int = 1,
    save_minutes: float = 10.0,
    loggers: Sequence[str] = ("tensorboard",),
) -> Path:
    """Train a network; a run folder with a checkpoint is resumed.

    Under torchrun, all processes train one network. Everything is opened and checked before the run folder is
    written: config.json, metrics.csv (one row per epoch), curves.png, result.json, tensorboard/, last.pt
    and best.pt (highest accuracy on the validation split, of the averaged weights).

    Args:
        num_workers: processes that crop faces missing in the cache, see `load_faces`, or decode shards.
        save_minutes: last.pt is written after each epoch, and at this interval within an epoch.
        loggers: see `trainer.loggers`.

    Returns:
        The best checkpoint; without validation, that of the last epoch.

    Raises:
        TrainerError: the data is missing, the folder belongs to another configuration or another process trains in it,
            or the loss became NaN.
    """
    with joined(device) as dist, contextlib.ExitStack() as stack:
        prepare_process(config, dist)
        check_loggers(loggers)
        if dist.first:
            check_run_dir(run, config)
            stack.enter_context(locked(run))
        data = load_training_data(config, input_spec(config), cache=cache, dist=dist, num_workers=num_workers)
        trainer = Trainer(config, run, data, dist, save_minutes * 60, num_workers=num_workers)
        if dist.first:
            require_space(run, checkpoint_bytes(count_parameters(trainer.model)), "the run's checkpoints")
            init_run_dir(run, config)
        trainer.loop(loggers)
        dist.wait()
    return run / BEST


def prepare_process(config: FitConfig, dist: DistContext) -> None:
    """Set this process up for training.

    Raises:
        RunError: the batch cannot be divided among the processes.
    """
    if dist.device.type == "cpu":
        keep_freed_memory()
    if config.batch % (dist.world * config.accumulate):
        raise RunError(
            f"--batch {config.batch} cannot be divided among {dist.world} processes in {config.accumulate} equal "
            f"parts each: choose a multiple of {dist.world * config.accumulate}"
        )


class Trainer:
    """The state of one run: network, moving average, optimiser and progress.

    Raises:
        RunError: the initial weights, a teacher or the run's last.pt cannot be loaded, or a resumed run was begun with
            other data.
    """

    def __init__(
        self,
        config: FitConfig,
        run: Path,
        data: TrainingData,
        dist: DistContext,
        save_s: float,
        *,
        num_workers: int = 1,
    ) -> None:
        self.config, self.run, self.data, self.dist = config, run, data, dist
        self.save_s = save_s
        self.steps = data.count // config.batch
        spec = input_spec(config)
        state = dist.share(load_state(run) if dist.first else None)
        self.precision = self._precision(state)
        torch.manual_seed(config.seed)
        self.source = self._source(num_workers)
        # a resumed run has all weights in last.pt and does not need `start_from` again
        model = build(config.arch) if state else initial_model(config, lambda: self._first_faces(spec.size))
        model.spec = spec
        if config.batch == config.accumulate and any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules()):
            raise RunError(f"{config.arch} needs 2 faces or more at once: raise --batch or lower --accumulate")
        _set_dropout(model, config.dropout)
        self.frozen = model.network.feature_layers() if config.head_only else []
        for layer in self.frozen:
            layer.requires_grad_(False)
        self.model: Classifier = sync_batchnorm(model, dist).to(dist.device)  # type: ignore[assignment]
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = distributed(self.model, dist)
        self.optimiser = build_optimiser(self.model, config)
        self.ema = build_ema(self.model, config.ema_decay)
        self.scaler = torch.amp.GradScaler(dist.device.type, enabled=self.precision == "fp16")
        targets = data.targets if data.shards is not None else data.targets[data.kept]
        self.objective = Objective(config.loss, torch.from_numpy(targets).to(dist.device))
        self.teachers: Teachers | None = None
        if config.teachers:
            self.teachers = Teachers(config.teachers, spec, config.teacher_temperature, dist.device)
        self.generator = torch.Generator(dist.device)
        self.progress = Progress()
        if state is not None:
            self._resume(state)
        costs = [float(self.size_at(epoch) ** 2) for epoch in range(config.epochs)]
        self.log = RunLog(run / LOG if dist.first else None, costs, self.steps, config.batch)

    def _precision(self, state: Mapping[str, Any] | None) -> Precision:
        """The precision of the configuration, else of the run to be resumed, else the fastest one on rank 0's
        device.
        """
        if self.config.precision != "auto":
            return self.config.precision
        if isinstance(state, Mapping) and state.get("precision") in get_args(Precision):
            return state["precision"]  # type: ignore[no-any-return]
        return self.dist.share(fastest_precision(self.dist.device))

    def _source(self, num_workers: int) -> Source:
        config, data, dist = self.config, self.data, self.dist
        if data.shards is not None:
            crops = crop_spec(config, input_spec(config))
            return ShardSource(data.shards, config, crops, self.steps, dist, num_workers)
        loader = Loader([part.faces for part in data.train], data.targets, dist.device)
        return MappedSource(loader, data.kept, config, self.steps, dist)

    def _first_faces(self, size: int) -> Tensor:
        """(N, C, size, size) of the first epoch, in 0..255, on the CPU."""
        batches: list[Tensor] = []
        for faces, _ in self.source.batches(0, 0):
            batches.append(resized(to_input(faces), self.config.size_at(0) or size).cpu())
            if sum(map(len, batches)) >= MEASURED_FACES:
                break
        return torch.cat(batches)

    def loop(self, loggers: Sequence[str] = ()) -> None:
        """Train until all epochs are done, or accuracy has not improved for `patience` epochs."""
        config, progress = self.config, self.progress
        board = open_loggers(loggers, self.run, config, progress.epoch) if self.dist.first else None
        self._say_what()
        for epoch in range(progress.epoch, config.epochs):
            if config.patience and epoch - progress.best_epoch >= config.patience:
                self.log.say(f"accuracy has not improved for {config.patience} epochs: stopped early")
                break
            size = self.size_at(epoch)
            if epoch and size != self.size_at(epoch - 1) and not progress.step:
                progress.best, progress.best_epoch = -1.0, epoch  # accuracies at another size are not compared
            started = time.perf_counter() - progress.seconds
            loss, rate = self.train_epoch(epoch, size)
            row = {"epoch": epoch + 1, "learning_rate": round(rate, 7), "train_loss": round(loss, 5)}
            row |= self.validate(epoch, size)
            row |= {"size": size, "seconds": round(time.perf_counter() - started, 1)}
            self._record(row, board)
        if board is not None:
            board.close()
            self._draw()

    def _say_what(self) -> None:
        config, data = self.config, self.data
        faces = f"{data.count:,} faces" + (f", {len(data.valid):,} for validation" if data.valid is not None else "")
        self.log.say(
            f"{config.arch}: {faces}, {self.steps} steps of {config.batch} per epoch, {config.epochs} epochs "
            f"in {self.precision} on {self.dist.device}"
        )
        if data.leaked:
            self.log.say(f"left out {data.leaked} training pictures that are also in the validation or test split")
        known = (name for name in (config.start_from, *config.teachers) if name)
        if self.dist.first and (seen := [name for name in known if trained_on_validation(name, config)]):
            self.log.say(
                f"warning: {', '.join(seen)} was trained on faces of this run's validation: its accuracy is too high"
            )
        sets = data.train if data.valid is None else (*data.train, data.valid)
        whole = sum(part.whole_pictures for part in sets)
        if whole:
            self.log.say(f"{whole} tight crops without a detected face are used as a whole")

    def train_epoch(self, epoch: int, size: int) -> tuple[float, float]:
        """Run the remaining steps of an epoch; returns its mean loss and last learning rate."""
        progress, steps = self.progress, self.steps
        started = saved = time.perf_counter()
        started -= progress.seconds
        total = torch.full((), progress.loss, device=self.dist.device, dtype=torch.float64)
        self.training_mode()
        mean = rate = math.nan
        self.log.epoch(progress.step)
        with self.log.bar(self.source.batches(epoch, progress.step), epoch, progress.step) as bar:
            for step, (faces, targets) in enumerate(bar, progress.step):
                rate = learning_rate(self.config, epoch + step / steps)
                self.prepare_step(epoch, step, rate)
                total += self.step(faces, targets, size)
                if (step + 1) % LOG_EVERY and step + 1 < steps:
                    continue
                loss = float(self.dist.mean(total))
                mean = self._checked(loss / (step + 1), epoch, step)
                bar.set_postfix_str(f"loss {mean:.3f}, {self.log.step(epoch, step + 1, mean)}", refresh=False)
                now = time.perf_counter()
                if self.dist.first and step + 1 < steps and now - saved >= self.save_s:
                    progress.step, progress.loss, progress.seconds = step + 1, loss, now - started
                    self.save_last()
                    saved = now
        return mean, rate

    def training_mode(self) -> None:
        self.model.train()
        for layer in self.frozen:
            layer.eval()

    def step(self, faces: Tensor, targets: Tensor, size: int) -> Tensor:
        """Update the weights from (N, S, S, C) faces and (N, K) targets; returns the loss, on the device."""
        config, generator = self.config, self.generator
        images, targets = make_non_faces(resized(to_input(faces), size), targets, config.non_faces, generator)
        images = augment(images, config.augment, generator)
        images, targets = mix(images, targets, config.mixup, config.cutmix, generator)
        self.optimiser.zero_grad(set_to_none=True)
        # every part gets its share of the non-faces, which are the first images
        count = config.accumulate
        parts = [(images[first::count], targets[first::count]) for first in range(count)]
        total = torch.zeros((), device=images.device)
        for number, (some, wanted) in enumerate(parts, 1):
            with gradients_stay_local(self.network, number < len(parts)):
                loss = self._loss(some.contiguous(memory_format=torch.channels_last), wanted) / len(parts)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        if config.clip_norm:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.ema.update_parameters(self.model)
        return total

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        config = self.config
        with self._autocast():
            logits = self.network(images)
        loss = self.objective(logits, targets)
        if self.teachers is None:
            return loss
        with self._autocast():
            teacher_probs = self.teachers(images, self.generator if config.teacher_draw else None)
        if config.non_faces:
            teacher_probs = override_no_face(teacher_probs, targets)
        distilled = soft_target_loss(logits, teacher_probs, config.teacher_temperature)
        return (1 - config.teacher_weight) * loss + config.teacher_weight * distilled

    def validate(self, epoch: int, size: int) -> dict[str, float]:
        """Score averaged and raw weights, save the best averaged ones, and advance to the next epoch.

        Without validation, the last epoch is saved.
        """
        averaged, progress, valid = self.ema.module, self.progress, self.data.valid
        assert isinstance(averaged, Classifier)
        progress.epoch, progress.step, progress.loss, progress.seconds = epoch + 1, 0, 0.0, 0.0
        if valid is None:
            if progress.epoch == self.config.epochs:
                self._save_best(averaged, size, {"trained_on": "training and validation split"})
            return {}
        logits = self._predict_valid(averaged, valid, size)
        scores, raw = score_logits(logits, valid), score_logits(self._predict_valid(self.model, valid, size), valid)
        if scores.accuracy > progress.best:
            progress.best, progress.best_epoch = scores.accuracy, progress.epoch
            self._save_best(averaged, size, self._result(scores))
        recalls = zip(valid.classes, scores.recall, strict=True)
        return {
            "valid_loss": round(cross_entropy(logits, valid.targets), 5),
            "valid_accuracy": round(scores.accuracy, 5),
            "valid_recall": round(scores.mean_recall, 5),
            "valid_accuracy_raw": round(raw.accuracy, 5),
            **{f"recall_{name}": round(float(value), 5) for name, value in recalls if math.isfinite(value)},
        }

    def _save_best(self, averaged: Classifier, size: int, result: dict[str, object]) -> None:
        if self.dist.first:
            progress = self.progress
            best = {"arch": self.config.arch, "size": size, "epoch": progress.epoch, "accuracy": progress.best}
            save_checkpoint(best | {"network": averaged.network.state_dict()}, self.run / BEST)
            facts = {"parameters": count_parameters(self.model), "epoch": progress.epoch, "epochs": self.config.epochs}
            write_result(self.run, result | facts)

    def size_at(self, epoch: int) -> int:
        """Pixels across of the network's input in an epoch, counted from 0."""
        return self.config.size_at(epoch) or self.model.spec.size

    def prepare_step(self, epoch: int, step: int, rate: float) -> None:
        """Seed augmentation and dropout by the step, so that a run can be continued after any of them."""
        seed = ((self.config.seed * 100_003 + epoch) * 1_000_003 + step) * 10_007 + self.dist.rank
        self.generator.manual_seed(seed % 2**63)
        torch.manual_seed(seed % 2**63)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _autocast(self) -> torch.autocast:
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.dist.device.type, kind, enabled=self.precision != "fp32")

    def _predict_valid(self, model: Classifier, valid: FaceSet, size: int) -> F32:
        """Predict the validation faces, divided among the processes."""
        faces = valid.faces
        share = faces[self.dist.rank :: self.dist.world]
        part = predict_logits(model, share, self.dist.device, size, self.config.valid_precision)
        return self.dist.gather(part, len(faces))

    def _record(self, row: dict[str, float], board: Loggers | None) -> None:
        if board is None:
            return
        append_metrics(self.run, row)
        board.add(row)
        self.save_last()
        if self.progress.epoch % DRAW_EVERY == 0:
            self._draw()
        told = f"epoch {self.progress.epoch}: loss {row['train_loss']:.3f}"
        if "valid_accuracy" in row:
            told += f", accuracy {row['valid_accuracy']:.2%} on valid, best {self.progress.best:.2%}"
            recalls = [(name, value) for name, value in row.items() if name.startswith("recall_")]
            told += "; recall " + ", ".join(f"{name.removeprefix('recall_')} {value:.0%}" for name, value in recalls)
        self.log.say(told)

    def _draw(self) -> None:
        rows, path = read_metrics(self.run), self.run / "curves.png"
        try:
            if rows:
                draw_curves(rows, path)
        except OSError as error:  # a figure must not end days of training
            self.log.say(f"cannot write {path}: {error.strerror or error}")

    def save_last(self) -> None:
        progress = self.progress
        state = {
            "arch": self.config.arch,
            "size": self.size_at(max(progress.epoch - (progress.step == 0), 0)),
            **asdict(progress),
            "faces": self._counts(),
            "data": self.data.fingerprint,
            "precision": self.precision,
            "model": self.model.state_dict(),
            "average": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        save_checkpoint(state, self.run / LAST)

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Resume from last.pt."""
        try:
            self.model.load_state_dict(state["model"])
            self.ema.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.scaler.is_enabled() and state.get("scaler"):
                self.scaler.load_state_dict(state["scaler"])
            # an older trainer saved checkpoints only at the end of an epoch, and not always the number of the best one
            self.progress = Progress(
                epoch=int(state["epoch"]),
                step=int(state.get("step", 0)),
                loss=float(state.get("loss", 0.0)),
                seconds=float(state.get("seconds", 0.0)),
                best=float(state["best"]),
                best_epoch=int(state.get("best_epoch", state["epoch"])),
            )
        except Exception as error:  # a state of another layout raises whatever it meets first
            raise RunError(f"cannot continue from {self.run / LAST}: {reason(error)}") from error
        if self.data.fingerprint:  # not a sample of the data
            self._expect_same_data(state)

    def _expect_same_data(self, state: Mapping[str, Any]) -> None:
        """Check that a resumed run has the data that it was begun with; an older trainer did not store these facts.

        Raises:
            RunError: the number of faces, the pictures or the labels have changed.
        """
        now = self._counts()
        before = state.get("faces") or now
        if before != now or self.progress.step >= self.steps:
            changed = f"faces for training and validation: {before} before, {now} now"
        elif state.get("data") not in (None, "", self.data.fingerprint):
            changed = "pictures or labels differ, but not their number"
        else:
            return
        raise RunError(f"the data of the run have changed ({changed}): restore them, or choose another --run")

    def _counts(self) -> list[int]:
        """Numbers of faces for training and validation."""
        return [self.data.count, 0 if self.data.valid is None else len(self.data.valid)]

    def _result(self, scores: Scores) -> dict[str, object]:
        return {
            "arch": self.config.arch,
            "recipe": self.config.recipe,
            "data": self.config.data.partition(":")[0],
            "split": "valid",
            "accuracy": round(scores.accuracy, 5),
            "interval_95": [round(value, 5) for value in scores.interval],
            "mean_recall": round(scores.mean_recall, 5),
            "faces": scores.count,
            "classes": len(scores.recall),
        }

    def _checked(self, mean: float, epoch: int, step: int) -> float:
        if not math.isfinite(mean):
            raise RunError(
                f"the loss became {mean} in epoch {epoch + 1}, by batch {step + 1}: lower --learning-rate or train "
                "with --precision fp32; the last checkpoint is intact"
            )
        return mean


def _set_dropout(model: nn.Module, share: float | None) -> None:
    if share is not None:
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = share
