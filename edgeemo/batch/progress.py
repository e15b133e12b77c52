"""Show the progress of a batch as a bar on a terminal, else as lines. Called by `command`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm

from edgeemo.batch.inputs import Input
from edgeemo.batch.share import Share
from edgeemo.batch.work import Task
from engines.terminal import printable

LINE_S = 30.0  # interval of progress lines if the output is not a terminal


class Watcher(Protocol):
    """Receives the progress of a batch, in the thread that runs it."""

    def running(self, task: Task, frames: int, seconds: float, share: float) -> None:
        """Report frames, seconds of media time, and the share of its file (0..1) that a task has read so far."""
        ...

    def ended(self, task: Task, frames: int, *, whole: bool) -> None:
        """Report that a task is done; `whole` if its file is now complete."""
        ...

    def summary(self) -> str:
        """The result in one line."""
        ...


class Progress:
    """Prints the progress of a batch and the remaining time.

    Args:
        files: files to process.
        quiet: print nothing.
        clock: returns seconds.
    """

    def __init__(
        self, files: Sequence[Input], *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = len(files)
        self._share = Share(files)
        self._quiet = quiet
        self._clock = clock
        self._began = self._said = clock()
        self._running: dict[Task, tuple[int, float]] = {}  # frames and seconds of media time so far
        self._frames = 0
        self._on_terminal = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        if self._on_terminal:
            words = f"0 of {len(files)} files"
            self._bar = tqdm(total=self._share.size, unit="B", unit_scale=True, smoothing=0.05, desc=words)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def running(self, task: Task, frames: int, seconds: float, share: float) -> None:
        self._running[task] = (frames, seconds)
        self._share.running(task, share)
        self._show()

    def ended(self, task: Task, frames: int, *, whole: bool) -> None:
        self._running.pop(task, None)
        self._frames += frames
        self._share.ended(task, whole=whole)
        if whole and self._bar is not None:
            self._bar.set_description(self._counted(), refresh=False)
        self._show()

    def summary(self) -> str:
        passed = self._clock() - self._began
        frames = self._frames + sum(each for each, _ in self._running.values())
        rate = f", {frames / passed:.0f} frames per second" if passed > 0 and frames else ""
        return f"{self._counted()}, {frames} frames in {passed:.0f} s{rate}"

    def _show(self) -> None:
        now = self._clock()
        if self._bar is not None:
            self._bar.set_postfix_str(self._current(), refresh=False)
            self._bar.update(max(0.0, self._share.done - self._bar.n))  # a repeated file starts again
            return
        if self._quiet or now - self._said < LINE_S:
            return
        self._said = now
        left = ""
        if done := self._share.done:
            seconds = (self._share.size - done) * (now - self._began) / done
            left = f"; about {duration(seconds)} left"
        print(f"edgeemo: {self.summary()}{left}; {self._current()}", file=sys.stderr, flush=True)

    def _counted(self) -> str:
        return f"{len(self._share.ended_files)} of {self._files} files"

    def _current(self) -> str:
        shown = [
            f"{printable(task.file.file.rpartition('/')[2])} at {duration(seconds)}"
            for task, (_, seconds) in list(self._running.items())[:4]
        ]
        return ", ".join(shown)


def duration(seconds: float) -> str:
    """ "1 h 05 min", "5 min 03 s" or "12 s"."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def counted(parts: Mapping[str, int]) -> str:
    """Counts as text, for example "3 .txt, 1 .srt"."""
    return ", ".join(f"{count} {name}" for name, count in sorted(parts.items()))
