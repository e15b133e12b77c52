"""Postpone imports that a package needs only for unused parts. Called by `engines.mediapipe_detector`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Within the block, `import NAME` returns a placeholder that imports the module on first use.

    Modules that are already imported are not affected. After the block, an import returns the real module; modules that
    imported a placeholder keep it.

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
        if name.startswith("__"):  # requested by the import system
            raise AttributeError(name)
        _remove_placeholders()
        return getattr(importlib.import_module(self.__name__), name)


def _remove_placeholders() -> None:
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Placeholder):
            del sys.modules[name]
