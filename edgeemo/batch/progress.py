"""Show the progress of a batch as a bar on a terminal, else as lines. Called by `command`.

Progress is measured in bytes, because the remaining files have not been opened.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm

from edgeemo.batch.work import Task
from engines.terminal import printable

LINE_S = 30.0  # interval of progress lines if the output is not a terminal


class Watcher(Protocol):
    """Receives the progress of a batch, in the thread that runs it."""

    def running(self, task: Task, frames: int, seconds: float) -> None:
        """Report frames and seconds of media time of a task so far."""
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
        files, size: number of files and bytes to process.
        quiet: print nothing.
        clock: returns seconds.
    """

    def __init__(
        self, files: int, size: int, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files, self._size = files, size
        self._quiet = quiet
        self._clock = clock
        self._began = self._said = clock()
        self._running: dict[Task, tuple[int, float]] = {}  # frames and seconds of media time so far
        self._done_files = self._done_bytes = self._frames = 0
        self._on_terminal = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        if self._on_terminal:
            self._bar = tqdm(total=size, unit="B", unit_scale=True, smoothing=0.05, desc=f"0 of {files} files")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def running(self, task: Task, frames: int, seconds: float) -> None:
        self._running[task] = (frames, seconds)
        self._show()

    def ended(self, task: Task, frames: int, *, whole: bool) -> None:
        self._running.pop(task, None)
        self._frames += frames
        if whole:
            self._done_files += 1
            self._done_bytes += task.file.size
            if self._bar is not None:
                self._bar.update(task.file.size)
                self._bar.set_description(f"{self._done_files} of {self._files} files")
        self._show()

    def summary(self) -> str:
        passed = self._clock() - self._began
        frames = self._frames + sum(each for each, _ in self._running.values())
        rate = f", {frames / passed:.0f} frames per second" if passed > 0 and frames else ""
        return f"{self._done_files} of {self._files} files, {frames} frames in {passed:.0f} s{rate}"

    def _show(self) -> None:
        now = self._clock()
        if self._bar is not None:
            self._bar.set_postfix_str(self._current(), refresh=False)
            return
        if self._quiet or now - self._said < LINE_S:
            return
        self._said = now
        left = ""
        if self._done_bytes:
            seconds = (self._size - self._done_bytes) * (now - self._began) / self._done_bytes
            left = f"; about {duration(seconds)} left"
        print(f"edgeemo: {self.summary()}{left}; {self._current()}", file=sys.stderr, flush=True)

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
