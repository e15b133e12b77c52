"""File locks between processes; the operating system releases the lock of a process that dies.

Called by `edgeemo.sinks`, `edgeemo.batch.dataset`, `trainer.runs` and `trainer.data.faces`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.1


@contextmanager
def hold_lock(path: Path, *, wait: bool = False, required: bool = True) -> Iterator[bool]:
    """Lock a file for the duration of the block; yields False if another process holds the lock.

    A missing file is created; the file is not removed afterwards.

    Args:
        wait: until the other process releases the lock.
        required: False: yields True, without a lock, on file systems that have none (some network file systems).

    Raises:
        OSError: the file cannot be opened, or the file system does not support locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        try:
            while not (held := try_lock(descriptor)) and wait:
                time.sleep(POLL_S)
        except OSError:
            if required:
                raise
            held = True
        yield held
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False if another process holds the lock.

    Raises:
        OSError: the file system does not support locks.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
