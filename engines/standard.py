"""Standard output and standard error, which may be full, closed, or a pipe that nobody reads; of all three commands."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

NOT_DELIVERED = 4  # exit code: done, but an output did not receive everything
_OUTPUT_FAULTS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)
_silenced: set[int] = set()


class Parser(argparse.ArgumentParser):
    """A parser whose help is written, or fails: argparse's own passes over errors."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is not None and file is sys.stdout:
            file.write(message)
            return
        super()._print_message(message, file)


def perform(name: str, command: Callable[[], int]) -> int:
    """Run a command, and see that what it says arrives.

    Args:
        name: of the program, for messages.
        command: returns the exit code.

    Returns:
        Its exit code, or `NOT_DELIVERED`.
    """
    try:
        code = command()
    except SystemExit as end:
        raise SystemExit(finish(end.code if isinstance(end.code, int) else 2, name)) from None
    except BrokenPipeError:
        # its reader has what it wanted
        _silence(sys.stdout, 1, lost=False)
        return finish(0, name)
    except OSError as error:
        if not is_output_fault(error):
            raise
        tell(f"{name}: not everything could be written: {error.strerror}")
        return finish(NOT_DELIVERED, name)
    return finish(code, name)


def tell(text: str) -> None:
    """Print a line on standard error; where that fails `finish` knows."""
    try:
        print(text, file=sys.stderr)
    except (OSError, ValueError):
        _silence(sys.stderr, 2)


def finish(code: int, name: str = "edgeemo") -> int:
    """Write what is buffered, at the end of a command.

    Returns:
        `code`, or `NOT_DELIVERED` in place of 0 where a stream could not be written. Then it leads nowhere: the
        interpreter would complain when it flushes.
    """
    why = _fault(sys.stdout)
    if why:
        _silence(sys.stdout, 1)
        tell(f"{name}: standard output cannot be written: {why}; not everything arrived there")
    if _fault(sys.stderr):
        _silence(sys.stderr, 2)
    lost = bool(_silenced)
    _silenced.clear()
    return NOT_DELIVERED if code == 0 and lost else code


def is_output_fault(error: BaseException) -> bool:
    """Whether the system could not write to what is open: a full disk, a stream that fails."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT_FAULTS


def _fault(stream: TextIO | None) -> str:
    if stream is None:
        return ""
    try:
        stream.flush()
    except BrokenPipeError:
        # its reader has what it wanted
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
