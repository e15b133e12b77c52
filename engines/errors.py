"""The error tree of engines, and the root of all errors.

EdgeemoError                base; the user can fix it: one line, exit code 2 (`edgeemo.errors` has the rest of the tree)
├── PathError               an invalid path
├── OutputError             a file that must not be written or replaced
└── EngineError
    ├── BundleNotFound          no such name in the zoo, no such folder
    ├── SpecError               spec.json is missing, malformed or does not fit its graph
    ├── ModelError              the model file cannot be loaded
    └── BackendUnavailable      the requested runtime is not available
"""

from __future__ import annotations


class EdgeemoError(Exception):
    """Base of all errors that a user can fix; the message says what happened and what to do next, in one line."""

    def __str__(self) -> str:
        # names from files may hold line breaks
        return " ".join(super().__str__().splitlines())


class PathError(EdgeemoError):
    pass


class OutputError(EdgeemoError):
    pass


class EngineError(EdgeemoError):
    """Base of all errors of this package."""


class BundleNotFound(EngineError):
    pass


class SpecError(EngineError):
    pass


class ModelError(EngineError):
    pass


class BackendUnavailable(EngineError):
    def __init__(self, name: str, *, hint: str) -> None:
        super().__init__(f"backend {name!r} is not available: {hint}")
