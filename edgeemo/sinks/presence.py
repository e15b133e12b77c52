"""Detect that an open output file was renamed, deleted or replaced. Called by `output`, `sqlite` and `video`."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import SinkError

log = logging.getLogger(__name__)

CHECK_S = 0.5  # interval of the checks


@contextlib.contextmanager
def reopening(name: str) -> Iterator[None]:
    """Wraps reopening an output whose file was moved: logs one line, or raises one error.

    Raises:
        SinkError: it cannot be opened.
    """
    try:
        yield
    except (SinkError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise SinkError(f"{name} was moved or deleted and cannot be created again: {why}") from error
    log.warning("%s was renamed or deleted; created it again", name)


class Presence:
    """Watches an open file; construct it right after opening.

    It has its own descriptor with O_PATH, because closing an ordinary one would release SQLite's locks. On systems
    without O_PATH, a file that is no longer under its name counts as deleted.
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
        """Whether the name does not exist or names another file.

        Args:
            now: always check; otherwise False is returned if the last check was less than `CHECK_S` ago.
        """
        if not now and time.monotonic() - self._checked < CHECK_S:
            return False
        self._checked = time.monotonic()
        try:
            return not os.path.samestat(self._file, os.stat(self._path))
        except OSError:
            return True

    def is_deleted(self) -> bool:
        """Whether the file has no name left; True without O_PATH. Call it after `has_moved`."""
        return self._descriptor is None or not os.fstat(self._descriptor).st_nlink

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
