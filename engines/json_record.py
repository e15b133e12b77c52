"""Read and write a msgspec struct as a JSON file: manifest.json, parity.json and the manifests of plans.

Called by `engines.manifest`, `engines.parity` and `engines.backends.plans`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from engines.errors import ModelError
from engines.files import atomic_write, read_file

Record = TypeVar("Record", bound=msgspec.Struct)


def load_record(path: Path, kind: type[Record], *, name: str, remedy: str = "") -> Record:
    """Read a record.

    Args:
        name: the kind of record, for the message.
        remedy: what to do about an unusable record, for the message.

    Raises:
        ModelError: it is missing, unreadable or malformed.
    """
    try:
        return msgspec.json.decode(read_file(path), type=kind)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a valid {name} ({error}){f'; {remedy}' if remedy else ''}") from error


def save_record(path: Path, record: msgspec.Struct, *, durable: bool = True) -> None:
    """Write a record atomically, indented.

    Args:
        durable: as `atomic_write`; for data that cannot be recreated.

    Raises:
        ModelError: the folder cannot be written to.
    """
    content = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    try:
        atomic_write(path, content, durable=durable)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
