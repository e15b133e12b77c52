"""What can go wrong in the running program.

EdgeemoError                the user can mend it: one line, exit code 2
├── ConfigError             an unknown key, a value out of range, a malformed file
├── SourceError             a source that cannot be opened, or broke off
├── SinkError               a sink that cannot be opened or written to
├── ServiceError            a service that cannot be installed or asked
└── RecordingError          a session that cannot be recorded, read, renamed or deleted
"""

from __future__ import annotations


class EdgeemoError(Exception):
    """Base of all errors of this package; the message says what happened and what to do next, in one line."""


class ConfigError(EdgeemoError, ValueError):
    pass


class SourceError(EdgeemoError):
    pass


class SinkError(EdgeemoError):
    pass


class ServiceError(EdgeemoError):
    pass


class RecordingError(EdgeemoError):
    pass
