"""Load the library of the Lab Streaming Layer. Called by `sinks.lsl`, `capture.lsl_markers` and `doctor`."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from edgeemo.errors import ConfigError
from engines.installation import pip_install

NO_LIBRARY = "liblsl is not installed (pylsl has it for x86-64 only): install a package from github.com/sccn/liblsl"


def library_fault() -> str:
    """Why streams cannot be opened, in one clause; empty if they can."""
    try:
        import pylsl  # noqa: F401
    except ModuleNotFoundError:
        return f"pylsl is missing: {pip_install('lsl')}"
    except RuntimeError:
        return NO_LIBRARY
    return ""


def library(user: str) -> Any:
    """The module pylsl.

    Args:
        user: the part that needs it, for the message.

    Raises:
        ConfigError: it or liblsl is missing.
    """
    if fault := library_fault():
        raise ConfigError(f"{user}: {fault}")
    import pylsl

    return pylsl


def clock_offset(lsl: Any) -> float:
    """`time.perf_counter` minus the clock of the streams, in seconds.

    Args:
        lsl: the module pylsl.
    """
    readings = []
    for _ in range(3):  # the thread may be interrupted between two readings; use the quickest
        before, clock, after = perf_counter(), float(lsl.local_clock()), perf_counter()
        readings.append((after - before, (before + after) / 2 - clock))
    return min(readings)[1]
