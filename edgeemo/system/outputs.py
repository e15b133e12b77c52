"""The rules for every file that edgeemo writes; sinks, reports and exports check them before they open a file.

- An input of the same command is never overwritten.
- An existing file is replaced or appended to only if it is empty, was written by this kind of output, or if the user
  gives --overwrite.
- Symbolic links are followed. Only regular files are replaced by renaming; only text streams may go to pipes and
  devices.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeemo.errors import PathError, SinkError
from engines.files import user_path

HEAD = TAIL = 1 << 18  # bytes that are read to find out what a file is
VIDEO_MARK = b"made by edgeemo"  # the comment in every video that edgeemo writes


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


def _is_jsonl(head: bytes, tail: bytes) -> bool:
    line = head.split(b"\n", 1)[0]
    if line.startswith(b'{"frame": '):  # also a line cut by a crash, or longer than the bytes read
        return True
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and "faces" in event


def _is_csv(head: bytes, tail: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").startswith(
        (b"frame,", b"origin,frame,", b"session,origin,frame,", b"file,frame,", b"file,", b"row,title,group,")
    )


OUTPUTS = {
    "jsonl": OutputKind("JSON lines of edgeemo", _is_jsonl, streams=True),
    "elan": OutputKind("annotations for ELAN", lambda head, tail: b"<ANNOTATION_DOCUMENT" in head),
    "csv": OutputKind("a table of edgeemo", _is_csv, streams=True),
    # the sink itself refuses databases of other programs
    "sqlite": OutputKind("a database of edgeemo", lambda head, tail: head.startswith(b"SQLite format 3\0")),
    "video": OutputKind(
        "a video that edgeemo has written", lambda head, tail: VIDEO_MARK in head or VIDEO_MARK in tail
    ),
    "report": OutputKind("a report of edgeemo", lambda head, tail: b"edgeemo report</title>" in head),
    "parquet": OutputKind("a table of edgeemo", lambda head, tail: head.startswith(b"PAR1") and b"edgeemo." in tail),
}


def check_output(
    target: str | os.PathLike[str], kind: str, *, inputs: Iterable[str | os.PathLike[str]] = (), overwrite: bool = False
) -> Path:
    """The path to write, with symbolic links resolved. The file itself is not changed.

    Args:
        target: as the user named it; ~ is expanded.
        kind: a key of `OUTPUTS`.
        inputs: files, and folders with files, that the same command reads; other names are ignored.
        overwrite: replace an existing file, unless it is an input.

    Raises:
        SinkError: the path may not be written; the message is one line.
    """
    row = OUTPUTS[kind]
    shown = os.fspath(target)
    try:
        path = Path(os.path.realpath(user_path(shown)))
        found = path.stat()
    except FileNotFoundError:
        _expect_folder(path, shown)
        return path
    except PathError as error:
        raise SinkError(f"cannot write: {error}") from error
    except OSError as error:
        raise refusal(Path(shown), error) from error
    if stat.S_ISDIR(found.st_mode):
        raise SinkError(f"cannot write {shown}: it is a folder; give the name of a file")
    for source in inputs:
        if _is_part_of(path, found, source):
            raise SinkError(f"{shown} is read by the same command and would be destroyed; choose another path")
    if not stat.S_ISREG(found.st_mode):
        if row.streams and not stat.S_ISBLK(found.st_mode):
            return path
        raise SinkError(f"cannot write {shown}: it is not a regular file; choose another path")
    if found.st_size and not overwrite and not _is_ours(path, row):
        raise SinkError(f"{shown} exists and is not {row.name}; choose another path, or give --overwrite")
    return path


def refusal(path: Path, error: OSError) -> SinkError:
    """The error for a target that cannot be opened, in one line."""
    if isinstance(error, FileNotFoundError) and not os.path.isdir(path.parent):
        return SinkError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    return SinkError(f"cannot write {path}: {error.strerror or error}; choose another path")


def _expect_folder(path: Path, shown: str) -> None:
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise SinkError(f"cannot write {shown}: {path.parent} is not a folder; choose another path")
    except OSError as error:
        raise refusal(path, error) from error


def _is_part_of(path: Path, found: os.stat_result, source: str | os.PathLike[str]) -> bool:
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
    return inside and not any(_is_ours(path, row) for row in OUTPUTS.values())


def _is_ours(path: Path, row: OutputKind) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            return row.is_ours(head, file.read(TAIL))
    except OSError as error:
        raise refusal(path, error) from error
