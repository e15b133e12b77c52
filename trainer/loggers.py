"""Send an epoch's figures to TensorBoard, MLflow or Weights & Biases. `trainer.train` calls it.

None of these libraries is needed for training.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from engines.terminal import first_line
from trainer.config import FitConfig
from trainer.errors import RunError

log = logging.getLogger(__name__)


class MetricsLogger(Protocol):
    """Receives the figures of each epoch."""

    def add(self, row: Mapping[str, float]) -> None:
        """Figures of one epoch; `row["epoch"]` counts from 1."""
        ...

    def close(self) -> None: ...


class TensorBoardLogger:
    """Event files in the run folder's `tensorboard/`."""

    def __init__(self, run: Path, config: FitConfig, first_epoch: int) -> None:
        module = _library("tensorboardX")
        self._writer = module.SummaryWriter(str(run / "tensorboard"), purge_step=first_epoch + 1, flush_secs=30)

    def add(self, row: Mapping[str, float]) -> None:
        for name, value in _figures(row).items():
            self._writer.add_scalar(name, value, int(row["epoch"]))

    def close(self) -> None:
        self._writer.close()


class MlflowLogger:
    """An MLflow run on the server of MLFLOW_TRACKING_URI; a resumed training resumes it."""

    def __init__(self, run: Path, config: FitConfig, first_epoch: int) -> None:
        self._mlflow = _library("mlflow")
        known = run / "mlflow.txt"
        earlier = known.read_text(encoding="utf-8").strip() if known.is_file() else None
        started = self._mlflow.start_run(run_id=earlier, run_name=None if earlier else run.name)
        known.write_text(started.info.run_id, encoding="utf-8")
        if earlier is None:
            self._mlflow.log_params({name: str(value)[:500] for name, value in asdict(config).items()})

    def add(self, row: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(_figures(row), step=int(row["epoch"]))

    def close(self) -> None:
        self._mlflow.end_run()


class WandbLogger:
    """A Weights & Biases run; WANDB_MODE=offline keeps it in the run folder. A resumed training resumes it."""

    def __init__(self, run: Path, config: FitConfig, first_epoch: int) -> None:
        wandb = _library("wandb")
        known = run / "wandb.txt"
        earlier = known.read_text(encoding="utf-8").strip() if known.is_file() else None
        self._run = wandb.init(
            project="edgeemo", name=run.name, dir=str(run), config=asdict(config), id=earlier, resume="allow"
        )
        known.write_text(self._run.id, encoding="utf-8")

    def add(self, row: Mapping[str, float]) -> None:
        self._run.log(_figures(row), step=int(row["epoch"]))

    def close(self) -> None:
        self._run.finish()


LOGGERS: dict[str, Callable[[Path, FitConfig, int], MetricsLogger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
    "wandb": WandbLogger,
}


class Loggers:
    """Several loggers as one. A logger that fails during training is reported once and dropped."""

    def __init__(self, loggers: Sequence[MetricsLogger]) -> None:
        self._loggers = list(loggers)

    def add(self, row: Mapping[str, float]) -> None:
        for logger in list(self._loggers):
            self._call(logger, lambda logger=logger: logger.add(row))  # type: ignore[misc]

    def close(self) -> None:
        for logger in list(self._loggers):
            self._call(logger, logger.close)

    def _call(self, logger: MetricsLogger, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # an error of a tracking library must not end days of training
            log.warning("%s failed and receives no further figures: %s", type(logger).__name__, error)
            self._loggers.remove(logger)


def check_loggers(names: Sequence[str]) -> None:
    """Check the names before training begins.

    Raises:
        RunError: there is no logger of that name, or its library is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise RunError(f"no logger named {name!r}; there are: {', '.join(LOGGERS)}")
        if name != "tensorboard":
            _library(name)


def open_loggers(names: Sequence[str], run: Path, config: FitConfig, first_epoch: int) -> Loggers:
    """The named loggers; TensorBoard is omitted if tensorboardX is not installed.

    Raises:
        RunError: a library is not installed, or its logger cannot be opened.
    """
    opened: list[MetricsLogger] = []
    for name in names:
        if name == "tensorboard" and importlib.util.find_spec("tensorboardX") is None:
            continue
        try:
            opened.append(LOGGERS[name](run, config, first_epoch))
        except RunError:
            raise
        except Exception as error:  # these libraries share no base
            raise RunError(f"cannot log to {name}: {first_line(error)}") from error
    return Loggers(opened)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RunError(f"{name} is not installed: pip install {name}, or leave it out of --log") from error


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch"}
