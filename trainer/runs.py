"""A run as a folder: config.json, metrics.csv, result.json, curves.png, tensorboard/, last.pt and best.pt."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engines.preprocess import F32, U8, batch
from trainer.errors import RunError
from trainer.models import Classifier, build

if TYPE_CHECKING:
    from trainer.train import FitConfig


def claim(run: Path, config: FitConfig, defaults: FitConfig) -> None:
    """Make the folder this configuration's, or find that it is.

    Settings that an older trainer did not know yet are taken to have had their default.

    Raises:
        RunError: it belongs to another configuration, or cannot be written.
    """
    wanted = json.loads(json.dumps(asdict(config)))
    path = run / "config.json"
    try:
        run.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            there = _filled(json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(asdict(defaults))))
            changed = sorted(key for key in wanted if there.get(key) != wanted[key])
            if changed:
                raise RunError(
                    f"{run} holds a run with other settings ({', '.join(changed)}): "
                    "choose another --run, or repeat its settings to continue it"
                )
        else:
            replace_text(path, json.dumps(wanted, indent=2) + "\n")
    except OSError as error:
        raise RunError(f"cannot write the run folder {run}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): choose another --run") from error


def _filled(there: Any, defaults: Any) -> Any:
    if not isinstance(there, dict) or not isinstance(defaults, dict):
        return there
    return {key: _filled(there.get(key, value), value) for key, value in defaults.items()}


def load_state(run: Path) -> dict[str, Any] | None:
    """What last.pt holds, or None where a run has not begun.

    Raises:
        RunError: it is damaged.
    """
    path = run / "last.pt"
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # pickle and zip errors have no common base
        raise RunError(f"cannot continue from {path}: {reason(error)}") from error


def find_checkpoint(place: Path) -> Path:
    """A run folder's best.pt, or the file itself."""
    return place / "best.pt" if place.is_dir() else place


def load_checkpoint(path: Path) -> tuple[str, Classifier]:
    """Architecture name and network of a best.pt, or of a last.pt: there the averaged weights.

    Raises:
        RunError: the file is missing, damaged, or of another layout.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = build(state["arch"])
        model.spec = dataclasses.replace(model.spec, size=int(state.get("size", model.spec.size)))
        if "average" in state:
            # AveragedModel's own: a counter, and the weights of the module that it wraps
            weights = {name.removeprefix("module."): value for name, value in state["average"].items()}
            weights.pop("n_averaged")
            model.load_state_dict(weights)
        else:
            model.network.load_state_dict(state["network"])
    except FileNotFoundError as error:
        raise RunError(f"no checkpoint at {path}") from error
    except Exception as error:  # pickle, zip and state_dict errors have no common base
        raise RunError(f"{path} is no whole checkpoint of this trainer: {reason(error)}") from error
    return str(state["arch"]), model.eval()


def about_checkpoint(path: Path) -> str:
    """How a checkpoint that can be loaded was made, where it says so itself (see `trainer.average`); else ""."""
    # mapped: the weights are not read once more
    return str(torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("about", ""))


class Checkpoint:
    """A best.pt that answers like an engine: crops -> probabilities."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        _, self._model = load_checkpoint(path)
        self.spec = self._model.spec
        self._device = torch.device(device)
        self._model.to(self._device)

    @torch.no_grad()
    def infer(self, faces: list[U8]) -> F32:
        """(S, S, C) crops -> (N, K) probabilities in the order of `spec.labels`."""
        answers = self._model(torch.from_numpy(batch(faces, self.spec)).to(self._device))
        return np.asarray(answers.cpu().numpy(), np.float32)


def reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def save(state: Mapping[str, object], path: Path) -> None:
    """Written beside and moved over: a kill leaves the old file or the new one, never half a file.

    Raises:
        RunError: the disk is full or the folder is gone.
    """
    part = path.with_suffix(".part")
    try:
        torch.save(dict(state), part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise RunError(f"cannot write {path}: {reason(error)}; the last checkpoint is whole") from error


def replace_text(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv, one an epoch."""
    path = run / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def log(run: Path, row: dict[str, float]) -> None:
    """Append a row; rows of the same or later epochs, left by a kill before the checkpoint, are dropped."""
    path = run / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row), extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, row])
    os.replace(part, path)


class Board:
    """TensorBoard's event files, where tensorboardX is installed; metrics.csv has the same numbers."""

    def __init__(self, run: Path, first_epoch: int) -> None:
        self._writer: Any = None
        try:
            module = importlib.import_module("tensorboardX")
        except ModuleNotFoundError:
            return
        self._writer = module.SummaryWriter(str(run / "tensorboard"), purge_step=first_epoch + 1, flush_secs=30)

    def add(self, row: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(row["epoch"]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
