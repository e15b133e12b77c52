"""The training loop: one run folder, resumable at any moment with the same result."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from engines.metrics import over_expressions, score
from engines.preprocess import F32
from trainer.augment import AugmentConfig, augment
from trainer.data import open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.errors import RunError
from trainer.models import Classifier, architecture, build


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides a run's result; stored in its folder as config.json."""

    arch: str = "hybrid_lite"
    data: str = ""
    epochs: int = 60
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 2.0
    average_decay: float = 0.998
    mixup: float = 0.2
    clip_norm: float = 2.0
    bf16: bool = True
    seed: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)


def fit(config: FitConfig, run: Path, *, cache: Path, device: str = "cpu") -> Path:
    """Train a network; a run folder that has a checkpoint is continued.

    Writes config.json, metrics.csv (one row an epoch), last.pt and best.pt (highest accuracy on the validation split,
    of the averaged weights).

    Returns:
        The best checkpoint.

    Raises:
        TrainerError: the data is not there, the folder belongs to another configuration, or the loss became NaN.
    """
    run.mkdir(parents=True, exist_ok=True)
    _claim(run, config)
    spec = architecture(config.arch).spec
    train = load_faces(open_data(config.data, "train"), spec, cache)
    valid = load_faces(open_data(config.data, "valid"), spec, cache)
    faces = torch.from_numpy(np.array(train.faces)).to(device)
    targets = torch.from_numpy(train.targets).to(device)

    torch.manual_seed(config.seed)
    model = build(config.arch).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [value for value in model.parameters() if value.ndim > 1]
    plain = [value for value in model.parameters() if value.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    averaging = get_ema_multi_avg_fn(config.average_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=averaging, use_buffers=True)
    first, best = _resume(run, model, average, optimiser)

    steps = len(faces) // config.batch
    for epoch in range(first, config.epochs):
        started = time.perf_counter()
        # seeded by the epoch, so that a run continued after a kill repeats it to the letter
        torch.manual_seed(config.seed * 100_003 + epoch)
        generator = torch.Generator(device).manual_seed(config.seed * 100_003 + epoch)
        order = torch.randperm(len(faces), generator=generator, device=device)
        model.train()
        total = 0.0
        progress = tqdm(range(steps), desc=f"epoch {epoch + 1}/{config.epochs}", unit="batch", disable=None)
        for step in progress:
            rate = learning_rate(config, epoch + step / steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            rows = order[step * config.batch : (step + 1) * config.batch]
            loss = _loss(model, faces[rows], targets[rows], config, generator)
            if not math.isfinite(float(loss.detach())):
                raise RunError(
                    f"the loss became {float(loss.detach())} in epoch {epoch + 1}, batch {step + 1}: "
                    "lower --learning-rate or train with --no-bf16; the last checkpoint is whole"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            average.update_parameters(model)
            total += float(loss.detach())
            progress.set_postfix(loss=f"{total / (step + 1):.3f}", refresh=False)

        averaged = average.module
        assert isinstance(averaged, Classifier)
        logits = predict(averaged, valid, device)
        accuracy = _accuracy(logits, valid)
        improved = accuracy > best
        best = max(best, accuracy)
        state = {
            "arch": config.arch,
            "epoch": epoch + 1,
            "best": best,
            "accuracy": accuracy,
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        if improved:
            _save(
                {key: state[key] for key in ("arch", "epoch", "accuracy")} | {"network": averaged.network.state_dict()},
                run / "best.pt",
            )
        _log(
            run / "metrics.csv",
            {
                "epoch": epoch + 1,
                "learning_rate": round(rate, 7),
                "train_loss": round(total / steps, 5),
                "valid_loss": round(_cross_entropy(logits, valid.targets), 5),
                "valid_accuracy": round(accuracy, 5),
                "seconds": round(time.perf_counter() - started, 1),
            },
        )
        _save(state, run / "last.pt")
        tqdm.write(f"epoch {epoch + 1}: accuracy {accuracy:.2%} on valid, best {best:.2%}")
    return run / "best.pt"


def learning_rate(config: FitConfig, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to 1 % (Loshchilov and Hutter, 2017)."""
    if epoch < config.warmup_epochs:
        return config.learning_rate * (epoch + 0.01) / config.warmup_epochs
    done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@torch.no_grad()
def predict(model: Classifier, faces: FaceSet, device: str = "cpu", batch: int = 256) -> F32:
    """(N, K) logits for every face, in float32."""
    training = model.training
    model.eval()
    logits = [
        model.logits(_to_input(torch.from_numpy(np.array(faces.faces[start : start + batch])).to(device))).cpu()
        for start in range(0, len(faces), batch)
    ]
    model.train(training)
    return np.asarray(torch.cat(logits).numpy(), np.float32)


def load_checkpoint(path: Path) -> tuple[str, Classifier]:
    """Architecture name and network of a best.pt.

    Raises:
        RunError: the file is missing, damaged, or of another layout.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = build(state["arch"])
        model.network.load_state_dict(state["network"])
    except FileNotFoundError as error:
        raise RunError(f"no checkpoint at {path}") from error
    except Exception as error:  # pickle, zip and state_dict errors have no common base
        raise RunError(f"{path} is no whole checkpoint of this trainer: {_reason(error)}") from error
    return str(state["arch"]), model.eval()


def _loss(model: Classifier, faces: Tensor, targets: Tensor, config: FitConfig, generator: torch.Generator) -> Tensor:
    images = augment(_to_input(faces), config.augment, generator)
    if config.mixup > 0:
        # Beta(a, a) by two gamma draws; torch's own takes no generator, NumPy's does through a seed
        seed = int(torch.randint(2**31, (1,), generator=generator, device=faces.device))
        share = float(np.random.default_rng(seed).beta(config.mixup, config.mixup))
        other = torch.randperm(len(images), generator=generator, device=images.device)
        images = share * images + (1 - share) * images[other]
        targets = share * targets + (1 - share) * targets[other]
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=config.bf16):
        logits = model.logits(images)
    return functional.cross_entropy(logits.float(), targets)


def _to_input(faces: Tensor) -> Tensor:
    """(N, S, S, C) uint8 -> (N, C, S, S) float32 in 0..255."""
    return faces.permute(0, 3, 1, 2).float()


def _accuracy(logits: F32, faces: FaceSet) -> float:
    counted = faces.counted
    return score(over_expressions(_softmax(logits))[counted], faces.targets[counted]).accuracy


def _softmax(logits: F32) -> F32:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def _cross_entropy(logits: F32, targets: F32) -> float:
    return float(-(targets * np.log(np.maximum(_softmax(logits), 1e-12))).sum(axis=1).mean())


def _claim(run: Path, config: FitConfig) -> None:
    path = run / "config.json"
    wanted = json.loads(json.dumps(asdict(config)))
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(key for key in wanted if there.get(key) != wanted[key])
        if changed:
            raise RunError(
                f"{run} holds a run with other settings ({', '.join(changed)}): "
                "choose another --run, or repeat its settings to continue it"
            )
    path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def _resume(
    run: Path, model: torch.nn.Module, average: AveragedModel, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """Epochs done and best accuracy of a checkpoint, loaded into the arguments; 0 and -1 without one."""
    path = run / "last.pt"
    if not path.is_file():
        return 0, -1.0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["epoch"]), float(state["best"])
    except Exception as error:  # pickle and zip errors have no common base
        raise RunError(f"cannot continue from {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _save(state: dict[str, object], path: Path) -> None:
    """Written beside and moved over: a kill leaves the old file or the new one, never half a file."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def _log(path: Path, row: dict[str, float]) -> None:
    """Append a row; rows of the same or later epochs, left by a kill before the checkpoint, are dropped."""
    rows: list[dict[str, object]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        writer.writeheader()
        writer.writerows([*rows, row])
    os.replace(part, path)
