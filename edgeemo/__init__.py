"""edgeemo: facial expression recognition in video, in real time, on the local machine.

    import edgeemo

    faces = edgeemo.recognise("photo.jpg")
    for result in edgeemo.watch("clip.mp4"): ...
    table = edgeemo.table("clip.mp4")

`edgeemo.api` documents these names. They are imported on first use, so importing the package loads no other library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeemo.api import Face, Recogniser, Result, recognise, table, watch
    from edgeemo.errors import ConfigError, EdgeemoError, EngineError, SinkError, SourceError

    __version__: str

__all__ = [
    "ConfigError",
    "EdgeemoError",
    "EngineError",
    "Face",
    "Recogniser",
    "Result",
    "SinkError",
    "SourceError",
    "__version__",
    "recognise",
    "table",
    "watch",
]


if not TYPE_CHECKING:  # a name that does not exist is an error to a type checker

    def __getattr__(name: str) -> Any:
        value: Any
        if name == "__version__":
            from importlib.metadata import version

            value = version("edgeemo")
        elif name in __all__:
            value = getattr(import_module("edgeemo.errors" if name.endswith("Error") else "edgeemo.api"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
