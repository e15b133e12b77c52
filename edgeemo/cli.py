"""The command `edgeemo`: reads the command line, runs a command, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import faulthandler
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from edgeemo.arguments import parser
from edgeemo.commands import DONE, FAULT, INTERRUPTED, MISTAKE, one_line
from edgeemo.errors import EdgeemoError
from edgeemo.system.terminal import printable
from engines.standard import NOT_DELIVERED, finish, is_output_fault, tell

PATH_FAULTS = (
    errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENOSPC,
    errno.EDQUOT,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 2 the user's mistake (one line on standard error), 3 some inputs failed, 4 an output did
        not receive everything, 130 interrupted, 1 a fault of ours.
    """
    _occupy_standard_descriptors()
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:
        raise SystemExit(finish(end.code if isinstance(end.code, int) else MISTAKE)) from None
    except BrokenPipeError:
        return finish(DONE)
    except OSError as error:  # from --help and --version
        if not is_output_fault(error):
            raise
        return finish(_not_written(error))
    return finish(_perform(arguments))


def _perform(arguments: argparse.Namespace) -> int:
    """Run the command that was asked for; the exit code."""
    verbose: int = arguments.verbose
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="edgeemo: %(message)s",
        handlers=[_StandardError()],
    )
    command: Callable[[argparse.Namespace], int] = arguments.command
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error is no file of the system's
        faulthandler.enable()
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # standard output's reader has gone; the interpreter would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if is_output_fault(error):
            return _not_written(error)
        if isinstance(error, EdgeemoError) or _is_about_a_file(error):
            if verbose > 1:
                traceback.print_exc()
            tell(f"edgeemo: {one_line(error)}")
            return MISTAKE
        traceback.print_exc()
        tell("edgeemo: this is a fault of edgeemo's, please report it with the lines above")
        return FAULT


def _not_written(error: Exception) -> int:
    tell(f"edgeemo: not everything could be written: {one_line(error)}")
    return NOT_DELIVERED


def _is_about_a_file(error: Exception) -> bool:
    """Whether the system refuses a path that the user named: no permission, a name too long, a read-only disk."""
    return isinstance(error, OSError) and error.filename is not None and error.errno in PATH_FAULTS


def _occupy_standard_descriptors() -> None:
    """A standard descriptor that was closed (`>&-`) would be given to the next file, and results written into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        # print(file=None) would go to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _StandardError(logging.Handler):
    """Writes to what `sys.stderr` is at the time: a notebook and tests change it."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).split("\n")
        tell("\n".join(map(printable, lines)))
