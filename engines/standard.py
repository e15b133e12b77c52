"""Robust standard output and standard error, which may be full, closed or a pipe without a reader.

Called by the three commands.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from engines.errors import PathError
from engines.files import user_path
from engines.terminal import one_line, printable

MISTAKE = 2  # exit code: a mistake of the user, reported in one line
NOT_DELIVERED = 4  # exit code: done, but an output did not receive everything
_OUTPUT_FAULTS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)
_PATH_FAULTS = (
    errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENOSPC,
    errno.EDQUOT,
)  # fmt: skip
OUT_OF_MEMORY = "not enough memory"
MORE_MEMORY = "close other programs, raise the limit of this process (ulimit -v, container) or use smaller pictures"
# how NumPy, OpenCV, ONNX Runtime, PyTorch, C++, the loader of libraries and Python's threads report a lack of memory
_NO_MEMORY = re.compile(
    r"insufficient memory|failed to allocate|unable to allocate|(can't|cannot) allocate memory|bad[_ ]alloc(ation)?\b"
    r"|not enough memory|out of memory|failed to map segment|can't start new thread",
    re.IGNORECASE,
)
_silenced: set[int] = set()


class Parser(argparse.ArgumentParser):
    """A parser that reports errors while writing help, which argparse ignores, and checks every argument of type Path.

    Sub-parsers are of the same class.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.register("type", Path, _path)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but an argument that a command does not know is an error of that command."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            given = sys.argv[1:] if args is None else list(args)
            commands = {
                name: parser
                for action in self._actions
                if isinstance(action, argparse._SubParsersAction)
                for name, parser in action.choices.items()
            }
            chosen = next((commands[word] for word in given if word in commands), self)
            chosen.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(MISTAKE, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is not None and file is sys.stdout:
            file.write(message)
            return
        super()._print_message(message, file)


def _path(text: str) -> Path:
    try:
        return user_path(text)
    except PathError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def perform(name: str, command: Callable[[], int]) -> int:
    """Run a command, and check that its output was written.

    Args:
        name: of the program, for messages.
        command: returns its exit code.

    Returns:
        Its exit code, or `NOT_DELIVERED`.
    """
    try:
        code = command()
    except SystemExit as end:
        raise SystemExit(finish(end.code if isinstance(end.code, int) else 2, name)) from None
    except BrokenPipeError:
        # the reader closed the pipe
        _silence(sys.stdout, 1, lost=False)
        return finish(0, name)
    except OSError as error:
        if not is_output_fault(error):
            raise
        tell(f"{name}: output is incomplete: {error.strerror}")
        return finish(NOT_DELIVERED, name)
    return finish(code, name)


def tell(text: str) -> None:
    """Print a line on standard error; `finish` reports a failure."""
    try:
        print(text, file=sys.stderr)
    except (OSError, ValueError):
        _silence(sys.stderr, 2)


def finish(code: int, name: str = "edgeemo") -> int:
    """Flush both streams at the end of a command.

    Returns:
        `code`, or `NOT_DELIVERED` instead of 0 if a stream could not be written. The stream is then redirected to
        null, because the interpreter would fail when it flushes it.
    """
    why = _fault(sys.stdout)
    if why:
        _silence(sys.stdout, 1)
        tell(f"{name}: standard output cannot be written: {why}; output is incomplete")
    if _fault(sys.stderr):
        _silence(sys.stderr, 2)
    lost = bool(_silenced)
    _silenced.clear()
    return NOT_DELIVERED if code == 0 and lost else code


def is_output_fault(error: BaseException) -> bool:
    """Whether the error is a failed write: a full disk, a broken stream."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT_FAULTS


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or a library in its own words, could not get memory or a thread."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def told(error: Exception, *kinds: type[Exception]) -> str:
    """The line to print for an error that is not a bug; "" if the error may be a bug.

    Args:
        kinds: exceptions whose message is meant for the user. Refused paths and a lack of memory are never bugs.
    """
    if isinstance(error, kinds):
        return one_line(error)
    if isinstance(error, OSError) and error.filename is not None and error.errno in _PATH_FAULTS:
        name = printable(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename))
        return f"cannot use {name}: {error.strerror}; check the path and its permissions"
    if is_out_of_memory(error):
        return f"{OUT_OF_MEMORY} ({one_line(error) or 'an allocation failed'}); {MORE_MEMORY}"
    return ""


def _fault(stream: TextIO | None) -> str:
    if stream is None:
        return ""
    try:
        stream.flush()
    except BrokenPipeError:
        # the reader closed the pipe
        _silence(stream, 1, lost=False)
        return ""
    except OSError as error:
        return error.strerror or str(error)
    except ValueError:  # closed
        return ""
    return ""


def _silence(stream: TextIO | None, descriptor: int, *, lost: bool = True) -> None:
    if lost:
        _silenced.add(descriptor)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno() if stream is not None else descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
        if stream is not None:
            stream.flush()
