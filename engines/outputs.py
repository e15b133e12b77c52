"""The rules for every file that a command writes; commands check them before they open a file.

- An input of the same command is never overwritten.
- An existing file is replaced or appended to only if it is empty, was written by this kind of output, or if the user
  gives --overwrite.
- Symbolic links are followed. Only regular files are replaced by renaming; only text streams may go to pipes and
  devices.

`edgeemo.system.outputs` and `trainer.outputs` have the kinds of output.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import OutputError, PathError
from engines.files import user_path

HEAD = TAIL = 1 << 18  # bytes that are read to find out what a file is


@dataclass(frozen=True)
class OutputKind:
    """What one kind of output writes.

    Attributes:
        name: for messages.
        is_ours: (first bytes, last bytes) of an existing file -> whether this kind of output wrote it.
        streams: may be written to a pipe or a device.
    """

    name: str
    is_ours: Callable[[bytes, bytes], bool]
    streams: bool = False


def check_output(
    target: str | os.PathLike[str],
    kind: OutputKind,
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    known: Iterable[OutputKind] = (),
    overwrite: bool = False,
    otherwise: str = "or give --overwrite",
) -> Path:
    """The path to write, with symbolic links resolved. The file itself is not changed.

    Args:
        target: as the user named it; ~ is expanded.
        kind: what is written.
        inputs: files, and folders with files, that the same command reads; other names are ignored.
        known: kinds whose files do not count as inputs if they are in a folder that is one.
        overwrite: replace an existing file, unless it is an input.
        otherwise: what else the user can do about an existing file.

    Raises:
        OutputError: the path may not be written; the message is one line.
    """
    shown = os.fspath(target)
    try:
        path = Path(os.path.realpath(user_path(shown)))
        found = path.stat()
    except FileNotFoundError:
        _expect_folder(path, shown)
        return path
    except PathError as error:
        raise OutputError(f"cannot write: {error}") from error
    except OSError as error:
        raise refusal(Path(shown), error) from error
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"cannot write {shown}: it is a folder; give the name of a file")
    for source in inputs:
        if _is_part_of(path, found, source, known):
            raise OutputError(f"{shown} is read by the same command and would be destroyed; choose another path")
    if not stat.S_ISREG(found.st_mode):
        if kind.streams and not stat.S_ISBLK(found.st_mode):
            return path
        raise OutputError(f"cannot write {shown}: it is not a regular file; choose another path")
    if found.st_size and not overwrite and not _is_ours(path, kind):
        raise OutputError(f"{shown} exists and is not {kind.name}; choose another path, {otherwise}")
    return path


def refusal(path: Path, error: OSError) -> OutputError:
    """The error for a target that cannot be opened, in one line."""
    if isinstance(error, FileNotFoundError) and not os.path.isdir(path.parent):
        return OutputError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    return OutputError(f"cannot write {path}: {error.strerror or error}; choose another path")


def _expect_folder(path: Path, shown: str) -> None:
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise OutputError(f"cannot write {shown}: {path.parent} is not a folder; choose another path")
    except OSError as error:
        raise refusal(path, error) from error


def _is_part_of(path: Path, found: os.stat_result, source: str | os.PathLike[str], known: Iterable[OutputKind]) -> bool:
    """Whether a file is an input, or is in an input folder and does not look like an output."""
    try:
        other = os.stat(user_path(source))
    except (OSError, PathError):  # a camera number or an address
        return False
    if os.path.samestat(found, other):
        return True
    if not stat.S_ISDIR(other.st_mode):
        return False
    try:
        inside = os.path.samestat(os.stat(path.parent), other)
    except OSError:
        return False
    return inside and not any(_is_ours(path, row) for row in known)


def _is_ours(path: Path, row: OutputKind) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            return row.is_ours(head, file.read(TAIL))
    except OSError as error:
        raise refusal(path, error) from error
