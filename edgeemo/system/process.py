"""CPUs and memory of the machine and of this process, on each system. Called by bench.py, device_report.py and the
window.
"""

from __future__ import annotations

import ctypes
import os
import sys


def usable_cpus() -> int:
    """CPUs that this process may use; all CPUs on systems without affinity (macOS, Windows)."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory_mb() -> int:
    """Memory of the machine in MiB; 0 on Windows, which has no sysconf."""
    if sys.platform == "win32":
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MiB.

    Linux counts `ru_maxrss` in KiB, macOS in bytes (getrusage(2) of each). Windows calls it the peak working set
    (GetProcessMemoryInfo).
    """
    if sys.platform == "win32":
        return _peak_working_set() / (1 << 20)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def return_free_memory() -> None:
    """Return the free pages inside glibc's heaps to the system; does nothing with other allocators.

    glibc itself returns only the end of a heap, so heaps with objects of different lifetimes grow (fragmentation).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(ctypes.c_size_t(0))


if sys.platform == "win32":
    from ctypes import wintypes

    class _MemoryCounters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _peak_working_set() -> int:
        """Bytes."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        read = kernel.K32GetProcessMemoryInfo
        read.argtypes = (wintypes.HANDLE, ctypes.POINTER(_MemoryCounters), wintypes.DWORD)
        read.restype = wintypes.BOOL
        counters = _MemoryCounters()
        counters.cb = ctypes.sizeof(counters)
        if not read(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(counters.PeakWorkingSetSize)
