"""Open databases of results for reading. Called by `folder` and `read`."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

# SQLite quotes damaged names in its messages, which are then not UTF-8
DATABASE_FAULTS = (sqlite3.Error, UnicodeDecodeError)
LOG = "-wal"  # the rows of a recording that crashed, or still runs, that are not in the database yet


def read_database(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """The result of `read`, with the rows in the database's log.

    SQLite cannot open a log in a folder that it cannot write to; then a temporary copy is read.

    Raises:
        sqlite3.Error, UnicodeDecodeError: it is not a database, or `read` failed.
    """
    try:
        # writable, because SQLite repairs a database on opening after a crash
        return _read(path, "mode=rw", read)
    except DATABASE_FAULTS:
        pass
    journal = path.with_name(path.name + LOG)
    if journal.is_file() and journal.stat().st_size:
        try:
            with TemporaryDirectory(prefix="edgeemo-") as scratch:
                copy = Path(scratch, path.name)
                for each in (path, journal):
                    shutil.copyfile(each, copy.with_name(each.name))
                return _read(copy, "mode=rw", read)
        except (*DATABASE_FAULTS, OSError) as error:
            log.warning("%s: its newest rows, in %s, cannot be read: %s", path, journal.name, error)
    return _read(path, "mode=ro&immutable=1", read)


def _read(path: Path, mode: str, read: Callable[[sqlite3.Connection], T]) -> T:
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as database:
        return read(database)
