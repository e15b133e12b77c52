"""What can go wrong in the running program.

EdgeemoError                the user can fix it: one line, exit code 2
├── PathError               a path that no operating system takes (`engines.errors`)
├── EngineError             a model or backend that is missing or does not fit (`engines.errors`)
├── ConfigError             an unknown key, a value out of range, a malformed file
├── SourceError             a source that cannot be opened, or broke off
│   └── PartlyReadError     a folder was read to its end, but some of its pictures could not be: exit code 3
├── SinkError               a sink that cannot be opened or written to
├── ServiceError            a service that cannot be installed or asked
└── RecordingError          a session that cannot be recorded, read, renamed or deleted
"""

from __future__ import annotations

from engines.errors import EdgeemoError, EngineError, PathError

__all__ = [
    "ConfigError",
    "EdgeemoError",
    "EngineError",
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
