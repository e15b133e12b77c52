"""What can go wrong with an engine.

EngineError                 the user can mend it: one line, exit code 2
├── BundleNotFound          no such name in the zoo, no such folder
├── SpecError               spec.json is missing, malformed or does not fit its graph
├── ModelError              the model file cannot be loaded
└── BackendUnavailable      the runtime that was asked for is not here
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors of this package; the message says what to do next."""


class BundleNotFound(EngineError):
    pass


class SpecError(EngineError):
    pass


class ModelError(EngineError):
    pass


class BackendUnavailable(EngineError):
    def __init__(self, name: str, *, hint: str) -> None:
        super().__init__(f"backend {name!r} is not available: {hint}")
