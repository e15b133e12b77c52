"""The completed share of a batch in bytes, because the remaining files have not been opened. Used by `progress` and by
the window's queue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `work` imports pyarrow, which is optional
    from edgeemo.batch.inputs import Input
    from edgeemo.batch.work import Task


class Share:
    """Counts completed bytes; a file in progress counts by its frames. May be read in another thread.

    Args:
        files: files to process.

    Attributes:
        todo: path -> size in bytes.
        ended_files: paths of complete files.
    """

    def __init__(self, files: Sequence[Input]) -> None:
        self.todo = {each.file: each.size for each in files}
        self.ended_files: set[str] = set()
        self._running: dict[Task, float] = {}
        self._parts: dict[str, float] = defaultdict(float)  # path -> share that its completed parts have reported

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.todo.values())

    @property
    def done(self) -> float:
        """Completed bytes."""
        shares: dict[str, float] = dict(self._parts)
        for task, share in list(self._running.items()):
            shares[task.file.file] = shares.get(task.file.file, 0.0) + share
        return sum(
            size * (1.0 if file in self.ended_files else min(shares.get(file, 0.0), 1.0))
            for file, size in self.todo.items()
        )

    def running(self, task: Task, share: float) -> None:
        """Take the share of its file, 0..1, that a task has read."""
        self._running[task] = share

    def ended(self, task: Task, *, whole: bool) -> None:
        """Take the end of a task; `whole` if its file is now complete."""
        self._parts[task.file.file] += self._running.pop(task, 0.0)
        if whole:
            self.ended_files.add(task.file.file)
