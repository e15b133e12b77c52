"""Files that appear when they are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import RecordingError
from engines.files import atomic_path


@contextlib.contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A draft beside the path, to be written; it is moved over the path at the end, or taken away after an error.

    A symbolic link stays one: what it points to is replaced.

    Raises:
        RecordingError: it cannot be written.
    """
    try:
        with atomic_path(path) as draft:
            yield draft
    except OSError as error:
        # pyarrow's have no strerror, and further lines
        reason = error.strerror or str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path} ({reason}); choose another place") from error
