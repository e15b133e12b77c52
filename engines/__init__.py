"""Engines: trained models as files, and how to run them. This package imports neither `edgeemo` nor `trainer`.

The names below are imported on first use, so that importing `engines.errors` loads no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engines import silence as _silence  # noqa: F401  (before any runtime is imported)

if TYPE_CHECKING:
    from engines.bundle import Bundle, bundle_names, find_bundle
    from engines.engine import Engine
    from engines.errors import EngineError
    from engines.spec import EXPRESSIONS, LABELS, CropGeometry, Emotion, ModelSpec

__all__ = [
    "EXPRESSIONS",
    "LABELS",
    "Bundle",
    "CropGeometry",
    "Emotion",
    "Engine",
    "EngineError",
    "ModelSpec",
    "bundle_names",
    "find_bundle",
]

_MODULES = {
    "bundle": ("Bundle", "bundle_names", "find_bundle"),
    "engine": ("Engine",),
    "errors": ("EngineError",),
    "spec": ("EXPRESSIONS", "LABELS", "CropGeometry", "Emotion", "ModelSpec"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a name that does not exist is an error to a type checker

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
