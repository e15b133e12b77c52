"""The trainer's error tree.

TrainerError                base; the user can fix it: one line, exit code 2
├── DataError               a data set is missing, empty or in an unknown layout
│   ├── NoSplit             the data set is there, but not this split of it
│   └── PictureError        one picture cannot be read; it is counted and skipped
└── RunError                a run folder or checkpoint does not fit, or training failed
"""

from __future__ import annotations


class TrainerError(Exception):
    """Base of all errors of this package; the message says what to do next."""


class DataError(TrainerError):
    pass


class NoSplit(DataError):
    pass


class PictureError(DataError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot decode {name}: {reason}")
        self.reason = reason


class RunError(TrainerError):
    pass
