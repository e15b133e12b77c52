"""How the C library hands out memory to a training on the CPU."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of the last step's activations instead of giving it back to the system.

    By default each large block is mapped again: the kernel zeroes it page by page, a third of a step of the networks
    of 128 px. The process then holds its peak until it ends. Elsewhere than on glibc nothing is changed.

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
