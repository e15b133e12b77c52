"""Estimate time, memory and disk of a training from a few steps; `edgeemo-train fit --dry-run` calls `estimate`."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engines.spec import ModelSpec
from trainer.config import FitConfig
from trainer.data import Dataset, open_data
from trainer.data.faces import FaceSet, is_cached, load_faces
from trainer.errors import DataError, RunError
from trainer.models import input_spec
from trainer.models.cost import count_parameters
from trainer.parallel import joined
from trainer.predict import predict_logits
from trainer.runs import LAST, check_run_dir, checkpoint_bytes
from trainer.train import Trainer, prepare_process
from trainer.training_data import TrainingData, crop_spec, load_training_data

STEPS = 20
WARM_UP = 3  # the first steps also fill caches and choose kernels
SAMPLE = 256  # pictures of a split that are cropped to estimate the rest
VALIDATED = 512  # faces with which the validation is timed


@dataclass(frozen=True)
class Stage:
    """Epochs of one input size.

    Attributes:
        step_s: seconds of a step, mean of `STEPS`.
        valid_s: seconds of a validation.
    """

    size: int
    epochs: int
    step_s: float
    valid_s: float


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a training.

    Attributes:
        train, valid: faces; `sampled`: estimated from a sample, because not all are cropped yet.
        precision, device: of the forward pass.
        done: epochs that the run folder already has.
        crop_s: seconds of cropping the faces that are not in the cache.
        save_s: seconds of writing last.pt once.
        memory: peak bytes, of the GPU if one is used, else of the process; 0: unknown.
        cache, checkpoints: bytes on disk that will be added.
        free: free bytes on the disk of the run folder.
    """

    config: FitConfig
    train: int
    valid: int
    sampled: bool
    precision: str
    device: str
    done: int
    stages: tuple[Stage, ...]
    crop_s: float
    save_s: float
    memory: int
    cache: int
    checkpoints: int
    free: int

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.train // self.config.batch

    @property
    def seconds(self) -> float:
        """Seconds of the remaining run."""
        epochs = (stage.epochs * (self.steps * stage.step_s + stage.valid_s + self.save_s) for stage in self.stages)
        return self.crop_s + sum(epochs)


def estimate(config: FitConfig, run: Path, *, cache: Path, device: str, num_workers: int) -> Estimate:
    """Open everything that `fit` opens, take 20 steps at each input size, and write no run folder.

    Faces that are not in the cache are estimated from a cropped sample of each split.

    Raises:
        TrainerError: as `fit` would.
    """
    with joined(device) as dist:
        if dist.world > 1:
            raise RunError("--dry-run measures one process: start it without torchrun")
        check_run_dir(run, config)
        prepare_process(config, dist)
        spec = crop_spec(config, input_spec(config))
        streamed = config.data.startswith("wds:")
        missing = [] if streamed else [data for data in _splits(config) if not is_cached(data, spec, cache)]
        started = time.perf_counter()
        if missing:
            data, train, valid = _sampled(config, spec, cache)
            crop_s = (time.perf_counter() - started) * sum(map(len, missing)) / _sample_count(missing)
        else:
            data = load_training_data(config, input_spec(config), cache=cache, dist=dist, num_workers=num_workers)
            train, valid = data.count, 0 if data.valid is None else len(data.valid)
        if train < config.batch:
            raise DataError(
                f"{train} training faces do not fill one batch of {config.batch}: choose --batch {train} or less"
            )
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            if (run / LAST).is_file():
                shutil.copy(run / LAST, place)
            trainer = Trainer(config, place, data, dist, 3600.0, num_workers=num_workers)
            stages = _stages(trainer, valid)
            saved = time.perf_counter()
            trainer.save_last()
            save_s = time.perf_counter() - saved
        existing = next(folder for folder in (run, *run.absolute().parents) if folder.exists())
        return Estimate(
            config=config,
            train=train,
            valid=valid,
            sampled=bool(missing),
            precision=trainer.precision,
            device=str(dist.device),
            done=trainer.progress.epoch,
            stages=stages,
            crop_s=crop_s / num_workers if missing else 0.0,
            save_s=save_s,
            memory=_peak_memory(dist.device),
            cache=sum(map(len, missing)) * spec.size**2 * spec.channels,
            checkpoints=checkpoint_bytes(count_parameters(trainer.model)),
            free=shutil.disk_usage(existing).free,
        )


def as_text(found: Estimate) -> str:
    """The estimate as a few lines of text."""
    config = found.config
    about = f", about (from {SAMPLE} pictures of each split: not all faces are cropped yet)" if found.sampled else ""
    lines = [
        f"{config.arch} on {config.data}: {found.train:,} faces for training, {found.valid:,} for validation{about}",
        f"{found.steps:,} steps of {config.batch} per epoch, {config.epochs} epochs, {found.done} done; "
        f"{found.precision} on {found.device}",
    ]
    for stage in found.stages:
        epoch_s = found.steps * stage.step_s + stage.valid_s + found.save_s
        lines.append(
            f"{stage.epochs} epochs at {stage.size} px: {stage.step_s * 1000:,.0f} ms per step "
            f"({config.batch / stage.step_s:,.0f} faces/s), {_duration(epoch_s)} per epoch with "
            f"{stage.valid_s:,.1f} s of validation"
        )
    if found.sampled:
        lines.append(f"cropping takes about {_duration(found.crop_s)}, once")
    lines += [
        f"the run takes about {_duration(found.seconds)} at the current load of this machine",
        f"memory {found.memory / 1e9:,.1f} GB; disk {found.cache / 1e9:,.2f} GB for faces and "
        f"{found.checkpoints / 1e9:,.2f} GB for checkpoints, of {found.free / 1e9:,.0f} GB free",
        "dry run: no run folder was written",
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} seconds"
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _splits(config: FitConfig) -> list[Dataset]:
    splits = [open_data(config.data, "train"), open_data(config.data, "valid")]
    return [*splits, *(open_data(data, "train") for data in config.extra_data)]


def _sample_count(missing: list[Dataset]) -> int:
    return max(1, sum(min(len(data), SAMPLE) for data in missing))


def _sampled(config: FitConfig, spec: ModelSpec, cache: Path) -> tuple[TrainingData, int, int]:
    """Faces of a sample of each split, and the estimated numbers of training and validation faces."""
    parts, counts = [], []
    for data in _splits(config):
        if is_cached(data, spec, cache):
            faces = load_faces(data, spec, cache)
            count = len(faces)
        else:
            rows = np.unique(np.linspace(0, len(data) - 1, min(SAMPLE, len(data))).round().astype(np.int64))
            faces = load_faces(data.only(rows), spec)
            count = round(len(data) * len(faces) / len(rows))
        parts.append(faces)
        counts.append(count)
    train, valid = sum(counts) - counts[1], counts[1]
    if config.train_on_all:
        train, valid = train + valid, 0
    elif config.folds:
        valid = round((counts[0] + counts[1]) / config.folds)
        train = sum(counts) - valid
    shown = (parts[0], *parts[2:])
    targets = np.concatenate([part.targets for part in shown])
    kept = np.resize(np.arange(len(targets)), max(len(targets), config.batch))
    return TrainingData(shown, targets, kept, 0, None if config.train_on_all else parts[1]), train, valid


def _stages(trainer: Trainer, valid: int) -> tuple[Stage, ...]:
    """Time each input size of the remaining epochs."""
    sizes = [trainer.size_at(epoch) for epoch in range(trainer.progress.epoch, trainer.config.epochs)]
    faces = trainer.data.valid
    return tuple(
        Stage(size, sizes.count(size), _step_s(trainer, size), _valid_s(trainer, faces, size, valid) if faces else 0.0)
        for size in dict.fromkeys(sizes)
    )


def _step_s(trainer: Trainer, size: int) -> float:
    """Seconds per step including loading, averaged after the warm-up."""
    trainer.training_mode()
    started = time.perf_counter()
    epochs = (trainer.source.batches(epoch, 0) for epoch in itertools.count())
    batches = itertools.islice(itertools.chain.from_iterable(epochs), WARM_UP + STEPS)
    for number, (faces, targets) in enumerate(batches):
        if number == WARM_UP:
            _finish(trainer)
            started = time.perf_counter()
        trainer.prepare_step(0, number, 1e-9)
        trainer.step(faces, targets, size)
    _finish(trainer)
    return (time.perf_counter() - started) / STEPS


def _valid_s(trainer: Trainer, faces: FaceSet, size: int, count: int) -> float:
    """Seconds of scoring `count` faces with both the averaged and the raw weights."""
    some = faces.faces[:VALIDATED]
    for timed in (some[:32], some):
        started = time.perf_counter()
        predict_logits(trainer.model, timed, trainer.dist.device, size, trainer.config.valid_precision)
    return 2 * (time.perf_counter() - started) * count / max(len(some), 1)


def _finish(trainer: Trainer) -> None:
    if trainer.dist.device.type == "cuda":
        torch.cuda.synchronize(trainer.dist.device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
