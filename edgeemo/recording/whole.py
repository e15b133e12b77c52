"""Files that appear when they are whole."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from edgeemo.errors import RecordingError


@contextlib.contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A draft beside the path, to be written; it is moved over the path at the end, or taken away after an error.

    A symbolic link stays one: what it points to is replaced.

    Raises:
        RecordingError: it cannot be written.
    """
    path = Path(os.path.realpath(path))
    # not the path's own name, which may be as long as names can be
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        # pyarrow's have no strerror, and further lines
        reason = error.strerror or str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path} ({reason}); choose another place") from error
