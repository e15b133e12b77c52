"""A msgspec struct as a JSON file of its own: how manifest.json, parity.json and the manifest of a plan are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from engines.errors import ModelError
from engines.files import atomic_write, read_file

Record = TypeVar("Record", bound=msgspec.Struct)


def load_record(path: Path, kind: type[Record], *, name: str, remedy: str = "") -> Record:
    """Read one.

    Args:
        name: what it is, for the message.
        remedy: what to do about one that cannot be used.

    Raises:
        ModelError: it is missing, cannot be read or is malformed.
    """
    try:
        return msgspec.json.decode(read_file(path), type=kind)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no {name} ({error}){f'; {remedy}' if remedy else ''}") from error


def save_record(path: Path, record: msgspec.Struct, *, durable: bool = True) -> None:
    """Write one, atomically and indented.

    Args:
        durable: as `atomic_write`; for what cannot be made again.

    Raises:
        ModelError: the folder cannot be written to.
    """
    content = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    try:
        atomic_write(path, content, durable=durable)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
