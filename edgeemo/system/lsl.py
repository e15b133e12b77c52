"""Load the library of the Lab Streaming Layer. Called by `sinks.lsl`, `capture.lsl_markers` and `doctor`."""

from __future__ import annotations

from typing import Any

from edgeemo.errors import ConfigError
from engines.installation import pip_install

NO_LIBRARY = "liblsl, which pylsl brings for x86-64 only, is not installed; its project has packages (sccn/liblsl)"


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
