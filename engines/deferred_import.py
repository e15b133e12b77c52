"""Postpone what a package imports for parts of it that are not used here. Called by `engines.mediapipe_detector`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Within the block, `import NAME` gives a placeholder that imports the module when it is first used.

    Modules that are imported already stay as they are. After the block an import gives the real module again, and
    whoever got a placeholder keeps it.

    Args:
        names: modules, packages before their submodules: "matplotlib", "matplotlib.pyplot".
    """
    placed = {name: _Placeholder(name) for name in names if name not in sys.modules}
    for name, placeholder in placed.items():
        package, _, module = name.rpartition(".")
        if package in placed:
            setattr(placed[package], module, placeholder)
    sys.modules.update(placed)
    try:
        yield
    finally:
        _remove_placeholders()


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by the import system
            raise AttributeError(name)
        _remove_placeholders()
        return getattr(importlib.import_module(self.__name__), name)


def _remove_placeholders() -> None:
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Placeholder):
            del sys.modules[name]
