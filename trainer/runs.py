"""A run as a folder: config.json, metrics.csv, result.json, log.txt, curves.png, tensorboard/, last.pt and best.pt.

Reads and writes these files; called by `trainer.train`, which fills them, and by every command that opens a checkpoint.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.files import atomic_path, atomic_write, read_file
from engines.lock import hold_lock
from engines.preprocess import F32, U8, batch
from engines.terminal import first_line
from trainer.config import BEST, SAFETENSORS, FitConfig, changed_settings, config_from_json, config_to_json, is_longer
from trainer.errors import RunError
from trainer.models import Classifier, build
from trainer.parallel import find_device

CONFIG = "config.json"
METRICS = "metrics.csv"
RESULT = "result.json"
LAST = "last.pt"
LOCK = ".lock"


def check_run_dir(run: Path, config: FitConfig) -> None:
    """Check that a folder can hold the run: it is empty, or its run has the same settings or fewer epochs.

    Raises:
        RunError: it holds another run, or its config.json is damaged.
    """
    path = run / CONFIG
    if not path.is_file():
        return
    try:
        stored = config_from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); choose another --run") from error
    changed = changed_settings(stored, config)
    if changed and not is_longer(stored, config):
        raise RunError(
            f"{run} holds a run with other settings ({', '.join(changed)}): "
            "choose another --run, or use its settings to continue it"
        )


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes from training in the same folder; the lock ends with this process, however it ends.

    The folder is created, and removed again if no run was begun in it.

    Raises:
        RunError: another process trains in it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            run.mkdir(parents=True, exist_ok=True)
            free = stack.enter_context(hold_lock(run / LOCK, required=False))
        except OSError as error:
            raise RunError(f"cannot write the run folder {run}: {error.strerror}") from error
        if not free:
            raise RunError(f"another process trains in {run}: wait for its end, or choose another --run")
        try:
            yield
        finally:
            if not (run / CONFIG).is_file():
                with contextlib.suppress(OSError):
                    (run / LOCK).unlink()
                    run.rmdir()


def init_run_dir(run: Path, config: FitConfig) -> None:
    """Create a run's folder with its config.json, or check an existing one.

    Raises:
        RunError: it belongs to another configuration, or cannot be written.
    """
    check_run_dir(run, config)
    try:
        run.mkdir(parents=True, exist_ok=True)
        for draft in run.glob(".*.pt"):  # the rest of a write that was killed
            draft.unlink()
        text = config_to_json(config)
        if not (run / CONFIG).is_file() or config_from_json((run / CONFIG).read_text(encoding="utf-8")) != config:
            atomic_write(run / CONFIG, text, durable=True)
    except OSError as error:
        raise RunError(f"cannot write the run folder {run}: {error.strerror}") from error


def require_space(place: Path, needed: int, what: str) -> None:
    """Check the free disk space.

    Raises:
        RunError: the disk of `place` has fewer free bytes than `needed`.
    """
    existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RunError(f"{what} needs {needed / 1e9:.1f} GB in {place}, but {free / 1e9:.1f} GB are free")


def checkpoint_bytes(parameters: int) -> int:
    """Largest disk use of a run's checkpoints: last.pt (weights, average, two moments of the optimiser) and best.pt,
    each with the draft that replaces it.
    """
    return 2 * parameters * 4 * (4 + 1)


def load_state(run: Path) -> dict[str, Any] | None:
    """The content of last.pt, or None if the run has not started.

    Raises:
        RunError: it is damaged.
    """
    path = run / LAST
    if not path.is_file():
        return None
    try:
        _metric_rows(run)  # report damage now, not after an epoch of hours
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except RunError:
        raise
    except Exception as error:  # pickle and zip errors have no common base
        raise RunError(f"cannot continue from {path}: {reason(error)}") from error


def load_config(run: Path) -> FitConfig:
    """A run folder's settings.

    Raises:
        RunError: it is not a run folder.
    """
    try:
        return config_from_json(read_file(run / CONFIG).decode())
    except (OSError, ValueError) as error:
        raise RunError(f"{run} is not a run folder (it needs a readable config.json): {error}") from error


def trains_on_all(run: Path) -> bool:
    """Whether the run also trains on the validation split; False without a readable config.json."""
    try:
        return load_config(run).train_on_all
    except RunError:
        return False


def find_checkpoint(place: Path) -> Path:
    """The best.pt of a run folder, or `place` if it is a file."""
    return place / BEST if place.is_dir() else place


def load_checkpoint(path: Path) -> tuple[str, Classifier]:
    """Architecture name and network of a best.pt, or of a last.pt (its averaged weights).

    Raises:
        RunError: the file is missing, damaged or has another layout.
    """
    if path.exists() and not path.is_file():  # a pipe would wait for its writer
        raise RunError(f"{path} is not a regular file; give a run folder or a checkpoint")
    try:
        state = _read_weights(path) if path.suffix == SAFETENSORS else _read_state(path)
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
    except ModuleNotFoundError:  # safetensors: the command line says how to install it
        raise
    except Exception as error:  # pickle, zip and state_dict errors have no common base
        raise RunError(f"{path} is not a valid checkpoint of this trainer: {reason(error)}") from error
    return str(state["arch"]), model.eval()


def _read_state(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _read_weights(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        return {**metadata, "network": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118


def save_weights(model: Classifier, arch: str, about: str, path: Path) -> None:
    """Write a network's weights as safetensors; architecture, input size and `about` are its metadata.

    `load_checkpoint` reads it back.

    Raises:
        RunError: the file cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    metadata = {"arch": arch, "size": str(model.spec.size), "labels": ",".join(model.spec.labels), "about": about}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            save_file(tensors, draft, metadata)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def about_checkpoint(path: Path) -> str:
    """How a loadable checkpoint was made, if its metadata says so (see `trainer.average`); else ""."""
    if path.suffix == SAFETENSORS:
        return str(_read_weights(path).get("about", ""))
    # mapped, so that the weights are not read
    return str(torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("about", ""))


class Checkpoint:
    """A checkpoint with the interface of an engine: crops -> probabilities."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        _, self._model = load_checkpoint(path)
        self.spec = self._model.spec
        self._device = find_device(device)
        self._model.to(self._device)

    @torch.no_grad()
    def infer(self, faces: list[U8]) -> F32:
        """(S, S, C) crops -> (N, K) probabilities in the order of `spec.labels`."""
        probabilities = self._model(torch.from_numpy(batch(faces, self.spec)).to(self._device))
        return np.asarray(probabilities.cpu().numpy(), np.float32)


def reason(error: Exception) -> str:
    """Short reason why a file is unreadable; for a refused pickle, without torch's advice to load it unsafely."""
    if "weights_only" in str(error) or isinstance(error, pickle.UnpicklingError):
        return "it is damaged or holds objects other than tensors and numbers, which are never loaded"
    return first_line(error)


def save_checkpoint(state: Mapping[str, object], path: Path) -> None:
    """Write atomically and durably: a kill or a power cut leaves the old or the new file.

    Raises:
        RunError: the disk is full or the folder is gone.
    """
    try:
        with atomic_path(path, durable=True) as draft:
            torch.save(dict(state), draft)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise RunError(f"cannot write {path}: {reason(error)}; the previous checkpoint is intact") from error


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv, one per epoch.

    Raises:
        RunError: it is damaged.
    """
    return [{key: float(value) for key, value in row.items() if value} for row in _metric_rows(run)]


def _metric_rows(run: Path) -> list[dict[str, str]]:
    """The rows as text, each checked to hold numbers and an epoch."""
    path = run / METRICS
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if "epoch" not in (reader.fieldnames or ()):
            raise ValueError("its first line has no column epoch")
        for row in rows:
            int(row["epoch"])
            for value in row.values():
                float(value or 0)
    except (KeyError, TypeError, ValueError, csv.Error) as error:  # TypeError: more or fewer cells than columns
        raise RunError(
            f"{path} is damaged ({reason(error)}); restore it, or delete it to continue without "
            "the figures of the epochs so far"
        ) from error
    return rows


def append_metrics(run: Path, row: dict[str, float]) -> None:
    """Append a row to metrics.csv; rows of the same or later epochs (written before a kill) are dropped.

    Raises:
        RunError: the file cannot be written.
    """
    path = run / METRICS
    try:
        rows: list[dict[str, Any]] = []
        if path.is_file():
            rows = [old for old in _metric_rows(run) if int(old["epoch"]) < row["epoch"]]
        with atomic_path(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row), extrasaction="ignore")
            writer.writeheader()
            writer.writerows([*rows, row])
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def read_result(run: Path) -> dict[str, Any]:
    """result.json; empty before the first epoch is done.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    path = run / RESULT
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return result


def write_result(run: Path, result: Mapping[str, object]) -> None:
    """Write result.json, the best epoch so far, for `edgeemo-train table` and `models`.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        atomic_write(run / RESULT, json.dumps(result, indent=2) + "\n")
    except OSError as error:
        raise RunError(f"cannot write {run / RESULT}: {error.strerror}") from error
