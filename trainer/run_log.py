"""Progress output of a training: a bar on a terminal, else a line per minute; lines also go to log.txt.

`trainer.train` calls it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

LOG = "log.txt"
LINE_EVERY_S = 60.0


class RunLog:
    """Progress of a run; speed and expected end are computed from the steps of this process.

    Args:
        path: log.txt, or None to write nothing (other ranks).
        step_costs: relative cost of a step in each epoch (pixels of the input), for the expected end.
        steps: per epoch.
        batch: faces per step.
        clock: returns seconds.
    """

    def __init__(
        self,
        path: Path | None,
        step_costs: Sequence[float],
        steps: int,
        batch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._costs, self._steps, self._batch = step_costs, steps, batch
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._started = self._said = clock()
        self._done = 0.0  # cost of the steps of this process
        self._last: tuple[int, int] | None = None
        self._since = (clock(), 0)  # when and at which step this process began the current epoch

    def say(self, text: str) -> None:
        """Print a line and append it to log.txt."""
        if self._path is None:
            return
        tqdm.write(text)
        sys.stdout.flush()
        self._write(text)

    def epoch(self, first_step: int) -> None:
        """Begin an epoch, or continue it at a step."""
        self._since = (self._clock(), first_step)
        self._last = None

    def bar(self, batches: Iterable[Any], epoch: int, first_step: int) -> tqdm[Any]:
        return tqdm(
            batches,
            desc=f"epoch {epoch + 1}/{len(self._costs)}",
            initial=first_step,
            total=self._steps,
            unit="batch",
            disable=None if self._path is not None else True,
        )

    def step(self, epoch: int, step: int, loss: float) -> str:
        """Record that `step` steps of the epoch are done, and print a line once a minute.

        Returns:
            Faces per second and the expected end, as text.
        """
        before = self._last[1] if self._last is not None else self._since[1]
        self._done += (step - before) * self._costs[epoch]
        self._last = (epoch, step)
        now = self._clock()
        faces = (step - self._since[1]) * self._batch / max(now - self._since[0], 1e-6)
        told = f"{faces:,.0f} faces/s, run ends {self._end(epoch, step, now)}"
        if self._path is not None and now - self._said >= LINE_EVERY_S:
            self._said = now
            line = f"epoch {epoch + 1}/{len(self._costs)}, step {step}/{self._steps}: loss {loss:.3f}, {told}"
            self._write(line)
            if not self._terminal:
                print(line, flush=True)
        return told

    def _seconds_left(self, epoch: int, step: int, now: float) -> float:
        left = (self._steps - step) * self._costs[epoch] + self._steps * sum(self._costs[epoch + 1 :])
        return left * (now - self._started) / max(self._done, 1e-9)

    def _end(self, epoch: int, step: int, now: float) -> str:
        seconds = self._seconds_left(epoch, step, now)
        end = datetime.now() + timedelta(seconds=min(seconds, 1e8))
        return end.strftime("%H:%M" if seconds < 20 * 3600 else "%Y-%m-%d %H:%M")

    def _write(self, text: str) -> None:
        if self._path is None:
            return
        # a full disk is ignored here, because writing the checkpoint reports it
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")
