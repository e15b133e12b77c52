"""The exceptions of edgeemo.

EdgeemoError                the user can correct it: one line, exit code 2
├── PathError               a path that no operating system accepts (`engines.errors`)
├── EngineError             a model or backend is missing or incompatible (`engines.errors`)
├── ConfigError             an unknown key, a value out of range, a malformed file
├── SourceError             a source cannot be opened, or failed later
│   └── PartlyReadError     some pictures of a folder could not be read: exit code 3
├── SinkError               a sink cannot be opened or written to
├── ServiceError            the service cannot be installed, removed or queried
└── RecordingError          a session cannot be recorded, read, renamed or deleted
"""

from __future__ import annotations

from engines.errors import EdgeemoError, EngineError, OutputError, PathError

__all__ = [
    "ConfigError",
    "EdgeemoError",
    "EngineError",
    "OutputError",
    "PartlyReadError",
    "PathError",
    "RecordingError",
    "ServiceError",
    "SinkError",
    "SourceError",
]


class ConfigError(EdgeemoError, ValueError):
    pass


class SourceError(EdgeemoError):
    pass


class PartlyReadError(SourceError):
    pass


class SinkError(EdgeemoError):
    pass


class ServiceError(EdgeemoError):
    pass


class RecordingError(EdgeemoError):
    pass
