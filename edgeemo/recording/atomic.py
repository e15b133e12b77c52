"""Atomic, durable writes of a user's files. Called by `people`, `markers` and whatever exports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import RecordingError
from engines.files import atomic_path


@contextlib.contextmanager
def atomic_draft(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which is renamed to `path` at the end, or deleted after an error.

    If `path` is a symbolic link, its target is replaced. After a power cut the old or the new file is complete.

    Raises:
        RecordingError: it cannot be written.
    """
    try:
        with atomic_path(path, durable=True) as draft:
            yield draft
    except OSError as error:
        # pyarrow's errors have no strerror and several lines
        reason = error.strerror or str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path} ({reason}); choose another path") from error
