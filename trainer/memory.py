"""Tune glibc's memory allocation for training on the CPU. `trainer.train` calls it."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of the last step's activations instead of giving it back to the system.

    By default each large block is mapped afresh, and the kernel zeroes it page by page: a third of a step of the
    128 px networks. With this setting the process keeps its peak memory. Without glibc it does nothing.

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
