"""Atomic writes for exports. Called by `export`, `markers` and `elan`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import RecordingError
from engines.files import atomic_path


@contextlib.contextmanager
def atomic_draft(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which is renamed to `path` at the end, or deleted after an error.

    If `path` is a symbolic link, its target is replaced.

    Raises:
        RecordingError: it cannot be written.
    """
    try:
        with atomic_path(path) as draft:
            yield draft
    except OSError as error:
        # pyarrow's errors have no strerror and several lines
        reason = error.strerror or str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path} ({reason}); choose another path") from error
