"""Standard output and standard error, which may be full, closed, or a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TextIO

NOT_DELIVERED = 4  # exit code: done, but an output did not receive everything
_OUTPUT_FAULTS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)
_silenced: set[int] = set()


def tell(text: str) -> None:
    """Print a line on standard error; where that fails `finish` knows."""
    try:
        print(text, file=sys.stderr)
    except (OSError, ValueError):
        _silence(sys.stderr, 2)


def finish(code: int) -> int:
    """Write what is buffered, at the end of a command.

    Returns:
        `code`, or `NOT_DELIVERED` in place of 0 where a stream could not be written. Then it leads nowhere: the
        interpreter would complain when it flushes.
    """
    why = _fault(sys.stdout)
    if why:
        _silence(sys.stdout, 1)
        tell(f"edgeemo: standard output cannot be written: {why}; not everything arrived there")
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
