"""The command `edgeemo`: parse the command line, run the command, turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from edgeemo.arguments import parser
from edgeemo.commands import DONE, FAULT, INTERRUPTED
from edgeemo.errors import EdgeemoError
from engines.standard import MISTAKE, NOT_DELIVERED, finish, is_output_fault, tell, told
from engines.terminal import one_line, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 2 the user's mistake (one line on standard error), 3 some inputs failed, 4 an output did
        not receive everything, 130 interrupted, 1 a bug in edgeemo.
    """
    _occupy_standard_descriptors()
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:
        raise SystemExit(finish(end.code if isinstance(end.code, int) else MISTAKE)) from None
    except BrokenPipeError:
        return finish(DONE)
    except OSError as error:  # when printing --help or --version
        if not is_output_fault(error):
            raise
        return finish(_not_written(error))
    return finish(_perform(arguments))


def _perform(arguments: argparse.Namespace) -> int:
    """Run the chosen command and return its exit code."""
    verbose: int = arguments.verbose
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="edgeemo: %(message)s",
        handlers=[_StandardError()],
    )
    command: Callable[[argparse.Namespace], int] = arguments.command
    with contextlib.suppress(OSError, ValueError):  # no descriptor is left
        if not faulthandler.is_enabled():
            # not descriptor 2, which is captured while libraries start
            faulthandler.enable(os.dup(2))
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of standard output has closed it; the interpreter's flush would print an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if is_output_fault(error):
            return _not_written(error)
        said = told(error, EdgeemoError)
        if said:
            if verbose > 1:
                traceback.print_exc()
            tell(f"edgeemo: {said}")
            return MISTAKE
        traceback.print_exc()
        tell("edgeemo: this is a bug in edgeemo, please report it with the lines above")
        return FAULT


def _not_written(error: Exception) -> int:
    tell(f"edgeemo: the output is not complete: {one_line(error)}")
    return NOT_DELIVERED


def _occupy_standard_descriptors() -> None:
    """Open standard descriptors that are closed (`>&-`).

    Otherwise the next file that is opened gets such a number, and output goes into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        # print(file=None) would write to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _StandardError(logging.Handler):
    """Writes to the current `sys.stderr`, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).split("\n")
        tell("\n".join(map(printable, lines)))
