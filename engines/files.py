"""User paths, bounded reading and atomic writing, for all three packages.

Readers of an atomically written file see the old or the new content, never a part.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import platform
import re
import secrets
import select
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from engines.errors import PathError

STANDARD_INPUT = "-"
LARGEST_SMALL_FILE = 1 << 20  # limit for configuration, token, spec and manifest; typical ones have a thousandth of it
STANDARD_INPUT_S = 1.0  # time-out for the first part of standard input and between two parts
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, limits.h of Linux
BLOCK = 1 << 20
ABANDONED_S = 86400.0  # a scratch folder without a process id is not removed before this age
RETRIES = 7  # pauses from 10 ms, doubling: 1.3 s in total


def user_path(text: str | os.PathLike[str]) -> Path:
    """A path from the command line, a configuration or an environment variable; ~ is expanded.

    Raises:
        PathError: it is invalid: a zero byte, a name that is too long, or the home of an unknown user.
    """
    named = os.fspath(text)
    shown = named if len(named) <= 80 else f"{named[:60]}... ({len(named)} characters)"
    if "\0" in named:
        raise PathError(f"the path {shown!r} holds a zero byte; choose another path")
    expanded = os.path.expanduser(named)
    if named.startswith("~") and expanded == named:
        user = named.partition("/")[0]
        raise PathError(f"the path {shown!r} begins with the home of a user that does not exist; write ./{user}...")
    try:
        encoded = os.fsencode(expanded)
    except UnicodeEncodeError as error:
        raise PathError(f"the path {shown!r} holds characters that no file name can have") from error
    if len(encoded) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in encoded.split(os.fsencode(os.sep))):
        raise PathError(f"the path {shown!r} is too long; a name has at most {LONGEST_NAME} bytes")
    return Path(expanded)


def read_file(path: str | os.PathLike[str], *, limit: int = LARGEST_SMALL_FILE) -> bytes:
    """Read a whole regular file. Pipes and devices are refused, because they may never end.

    Raises:
        OSError: it cannot be read, is not a regular file or is larger than `limit` bytes; `strerror` says which.
    """
    # a pipe without a writer would block open()
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from error
    content: bytes | None = None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise OSError(errno.EINVAL, f"it is {what}", os.fspath(path))
        if found.st_size <= limit:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(found.st_size)
                # the file may grow, and files of /proc state size 0; reading all at once would reserve `limit` bytes
                while len(content) <= limit and (more := file.read(min(BLOCK, limit + 1 - len(content)))):
                    content += more
    finally:
        os.close(descriptor)
    if content is None or len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {_size(limit)}", os.fspath(path))
    return content


def read_standard_input(*, limit: int = LARGEST_SMALL_FILE, pause_s: float = STANDARD_INPUT_S) -> bytes:
    """All of standard input, for a path of "-".

    Raises:
        OSError: it is larger than `limit` bytes, or nothing arrives for `pause_s` seconds; `strerror` says which.
    """
    content = b""
    while len(content) <= limit:
        # Windows cannot wait for a pipe
        if sys.platform != "win32" and not select.select([0], [], [], pause_s)[0]:
            raise OSError(errno.ETIMEDOUT, f"nothing arrived for {pause_s:g} s", STANDARD_INPUT)
        block = os.read(0, BLOCK)
        if not block:
            return content
        content += block
    raise OSError(errno.EFBIG, f"it is larger than {_size(limit)}", STANDARD_INPUT)


@contextlib.contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A draft beside `path` for writers that need a path; it replaces `path` at the end and is removed after an error.

    The draft keeps the suffix, because some writers choose their format by it. The target of a symbolic link is
    replaced, not the link.

    Args:
        durable: force file and folder to the disk, so that a power cut loses neither the old nor the new content.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(os.path.realpath(path))
    # not an extension of the path's name, which may have the maximum length
    draft = path.with_name(f".{secrets.token_hex(8)}{path.suffix[:16]}")
    # not mkstemp, so that the file gets the permissions of the umask like any other file
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield draft
        if durable:
            _sync(draft, os.O_RDWR)  # Windows flushes only what is open for writing
        replace_file(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if durable and sys.platform != "win32":  # Windows cannot open a folder
        with contextlib.suppress(OSError):  # some network file systems refuse it; the file is complete
            _sync(path.parent, os.O_RDONLY)


def atomic_write(path: Path, content: bytes | str, *, durable: bool = False) -> None:
    """Write a whole file atomically; text as UTF-8.

    Args:
        durable: as `atomic_path`; for data that cannot be recreated.

    Raises:
        OSError: as `atomic_path`.
    """
    with atomic_path(path, durable=durable) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def replace_file(source: Path, target: Path, *, retries: int = RETRIES if sys.platform == "win32" else 0) -> None:
    """`os.replace` that retries while another program has the target open.

    POSIX replaces an open file. Windows refuses while a reader, a virus scanner or an indexer has it open, usually for
    less than a second.

    Raises:
        OSError: as `os.replace`, for a PermissionError after `retries` attempts with growing pauses.
    """
    for attempt in range(retries):
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(0.01 * 2**attempt)
        else:
            return
    os.replace(source, target)


@contextlib.contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder in `parent`, on the same disk as the results, so that publishing is a rename.

    Folders of killed processes of this machine are removed; the name contains machine and process.

    Args:
        prefix: of the name, for example ".export-".

    Raises:
        OSError: `parent` cannot be written to.
    """
    machine = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:32]
    for left in parent.glob(f"{glob.escape(prefix)}*"):
        if _is_left_behind(left, left.name.removeprefix(prefix), machine):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{prefix}{machine}-{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path, name: str, machine: str) -> bool:
    try:
        if folder.is_symlink() or not folder.is_dir():
            return False
        if not (known := re.fullmatch(r"([A-Za-z0-9]*)-(\d+)-\w{8}", name)) or sys.platform == "win32":
            # the name is of an older version; on Windows, os.kill(pid, 0) would end the process
            named = known is not None or re.fullmatch(r"\w{8}", name) is not None
            return named and time.time() - folder.stat().st_mtime > ABANDONED_S
        if known[1] != machine:
            return False
        os.kill(int(known[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it belongs to another user
        return False
    return False


def can_write(folder: Path) -> bool:
    """Whether files can be created in a folder; tried out, because `os.access` ignores access control lists."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _size(limit: int) -> str:
    return (
        f"{limit >> 30} GiB" if limit >= 1 << 30 else f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    )


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
