"""Lines of text into a file or to standard output: what the sinks of text share."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from edgeemo.errors import SinkError
from edgeemo.sinks import STANDARD_OUTPUT, ReaderGone


def writable(target: str) -> Path:
    """The path of a sink's target, checked for writing; what it holds is left alone.

    Raises:
        SinkError: it cannot be written to.
    """
    path = Path(target).expanduser()
    try:
        with path.open("ab"):
            return path
    except OSError as error:
        raise refusal(path, error) from error


def refusal(path: Path, error: OSError) -> SinkError:
    """The one line about a target that cannot be opened."""
    if not path.parent.is_dir():
        return SinkError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    return SinkError(f"cannot write {path}: {error.strerror or error}; choose another path")


class TextOutput:
    """Whole lines, each handed to the operating system at once: a pipe's reader sees it, a crash loses none.

    Raises:
        SinkError: the target cannot be opened or written to.
        ReaderGone: the other end of the pipe was closed.
    """

    def __init__(self, target: str) -> None:
        self._name = "standard output" if target == STANDARD_OUTPUT else target
        self._fresh = True
        try:
            if target == STANDARD_OUTPUT:
                if sys.stdout is None:
                    raise SinkError("standard output is closed; give the sink a path")
                # a duplicate: closing it must not close the process's own
                self._descriptor = os.dup(1)
            else:
                path = writable(target)
                self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise SinkError(f"cannot write to {self._name}: {error.strerror or error}") from error
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._replaces = regular and target != STANDARD_OUTPUT
        self._open = True

    def write(self, text: str) -> None:
        """Write one or more whole lines."""
        data = memoryview(text.encode("utf-8", errors="replace"))
        try:
            if self._fresh and self._replaces:
                os.ftruncate(self._descriptor, 0)
            self._fresh = False
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError as error:
            raise ReaderGone(f"the reader of {self._name} has gone") from error
        except OSError as error:
            raise SinkError(
                f"cannot go on writing {self._name}: {error.strerror or error}; what came before is kept"
            ) from error

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)
