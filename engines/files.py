"""The one atomic write of all three packages: a reader sees the old file or the new one, never a part of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BLOCK = 1 << 20
RETRIES = 7  # 10 ms doubling: 1.3 s in all


@contextlib.contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A draft beside `path` for a writer that wants a path; moved over it at the end, removed after an error.

    The draft keeps the suffix, because some writers choose their format by it. A symbolic link stays one: what it
    points to is replaced.

    Args:
        durable: force file and folder to the disk, so that a power cut loses neither the old nor the new content.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(os.path.realpath(path))
    # not the path's own name, which may be as long as names can be
    draft = path.with_name(f".{secrets.token_hex(8)}{path.suffix[:16]}")
    # not mkstemp: the file shall get the permissions that the umask allows, as any other file
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield draft
        if durable:
            _sync(draft)
        replace_file(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if durable and sys.platform != "win32":  # a folder cannot be opened there
        _sync(path.parent)


def atomic_write(path: Path, content: bytes | str, *, durable: bool = False) -> None:
    """Write a whole file at once; text as UTF-8.

    Args:
        durable: as `atomic_path`; for what cannot be made again.

    Raises:
        OSError: as `atomic_path`.
    """
    with atomic_path(path, durable=durable) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def replace_file(source: Path, target: Path, *, retries: int = RETRIES if sys.platform == "win32" else 0) -> None:
    """`os.replace` that waits where another program has the target open.

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


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder: tried, because `os.access` knows no access control lists."""
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
