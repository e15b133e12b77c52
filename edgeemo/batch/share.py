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
        size: bytes of all files.
        ended_files: paths of complete files.
    """

    def __init__(self, files: Sequence[Input]) -> None:
        self.todo = {each.file: each.size for each in files}
        self.size = sum(self.todo.values())
        self.ended_files: set[str] = set()
        self._ended_bytes = 0
        self._running: dict[Task, float] = {}
        self._parts: dict[str, float] = defaultdict(float)  # path -> share that its completed parts have reported

    @property
    def done(self) -> float:
        """Completed bytes. Visits only the files in progress, because a batch can have very many."""
        shares: dict[str, float] = dict(self._parts)
        for task, share in list(self._running.items()):
            shares[task.file.file] = shares.get(task.file.file, 0.0) + share
        return self._ended_bytes + sum(
            self.todo.get(file, 0) * min(share, 1.0) for file, share in shares.items() if file not in self.ended_files
        )

    def running(self, task: Task, share: float) -> None:
        """Take the share of its file, 0..1, that a task has read."""
        self._running[task] = share

    def ended(self, task: Task, *, whole: bool) -> None:
        """Take the end of a task; `whole` if its file is now complete."""
        file = task.file.file
        self._parts[file] += self._running.pop(task, 0.0)
        if whole and file not in self.ended_files:
            self.ended_files.add(file)
            self._ended_bytes += self.todo.get(file, 0)
            self._parts.pop(file)
