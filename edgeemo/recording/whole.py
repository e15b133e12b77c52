"""Files that appear when they are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import RecordingError


@contextlib.contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A draft beside the path, to be written; it is moved over the path at the end, or taken away after an error.

    Raises:
        RecordingError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        # pyarrow's have no strerror, and further lines
        reason = error.strerror or str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path} ({reason}); choose another place") from error
