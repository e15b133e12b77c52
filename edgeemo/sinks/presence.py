"""Whether an output's name still leads to the file that was opened: others rename, delete and replace files."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import SinkError

log = logging.getLogger(__name__)

CHECK_S = 0.5  # between two looks


@contextlib.contextmanager
def begun_again(name: str) -> Iterator[None]:
    """Around opening an output again whose file has moved: one line in the log, or one error.

    Raises:
        SinkError: it cannot be opened.
    """
    try:
        yield
    except (SinkError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise SinkError(f"{name} was moved or deleted and cannot be begun again: {why}") from error
    log.warning("%s was renamed or deleted; it is begun again", name)


class Presence:
    """Watches an open file. Made right after it was opened.

    It holds a descriptor of its own that only names the file (O_PATH): closing an ordinary one would release SQLite's
    locks on it. Where the system has none, a file that is not under its name any more counts as deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._checked = time.monotonic()
        self._descriptor: int | None = None
        if hasattr(os, "O_PATH"):
            self._descriptor = os.open(path, os.O_PATH)
            self._file = os.fstat(self._descriptor)
        else:
            self._file = os.stat(path)

    def has_moved(self, *, now: bool = False) -> bool:
        """Whether the name leads nowhere, or to another file.

        Args:
            now: look in any case; without, False where the last look was less than `CHECK_S` ago.
        """
        if not now and time.monotonic() - self._checked < CHECK_S:
            return False
        self._checked = time.monotonic()
        try:
            return not os.path.samestat(self._file, os.stat(self._path))
        except OSError:
            return True

    def is_deleted(self) -> bool:
        """Whether a file that has moved can no longer be reached under any name."""
        return self._descriptor is None or not os.fstat(self._descriptor).st_nlink

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
