"""Open data sets by name (`KIND:PATH`); one file per data set holds its reader and its label table.

Called by training, evaluation, robustness and `edgeemo-train data`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.files import user_path
from trainer.data.affectnet import open_affectnet
from trainer.data.dataset import Dataset, Skipped
from trainer.data.expw import open_expw
from trainer.data.fer2013 import open_fer2013
from trainer.data.ferplus import open_ferplus
from trainer.data.folders import open_folder
from trainer.data.rafdb import open_rafdb
from trainer.data.shards import open_shards
from trainer.errors import DataError


@dataclass(frozen=True)
class Reader:
    """How to open a data set, its options (name -> type), and the type of its path."""

    open: Callable[..., Dataset]
    options: Mapping[str, type] = field(default_factory=dict)
    place: Callable[[str], Any] = user_path


READERS = {
    "ferplus": Reader(open_ferplus),
    "affectnet": Reader(open_affectnet, {"classes": int, "protocol": str, "seed": int}),
    "fer2013": Reader(open_fer2013),
    "rafdb": Reader(open_rafdb),
    "expw": Reader(open_expw),
    "folder": Reader(open_folder, {"by": str}),
    "wds": Reader(open_shards, {"valid": str}, place=str),
}
SPLITS = ("train", "valid", "test", "all")


def parse_data(spec: str) -> tuple[str, str, dict[str, Any]]:
    """`KIND:PATH[,OPTION=VALUE]...` -> kind, path and options.

    Raises:
        DataError: kind or option is unknown.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in READERS:
        raise DataError(f"data must be KIND:PATH with KIND one of {', '.join(READERS)}, not {spec!r}")
    reader = READERS[kind]
    options: dict[str, Any] = {}
    while "," in rest and "=" in rest.rpartition(",")[2]:
        rest, _, option = rest.rpartition(",")
        name, _, value = option.partition("=")
        if name not in reader.options:
            known = ", ".join(reader.options) or "none"
            raise DataError(f"{kind} has no option {name!r}; it has: {known}")
        try:
            options[name] = reader.options[name](value)
        except ValueError as error:
            raise DataError(f"{kind}'s option {name} must be a number, not {value!r}") from error
    if not rest.strip():
        raise DataError(f"{spec!r} has no path: write {kind}:PATH ({kind}:. for this folder)")
    if any(value == "" for value in options.values()):
        raise DataError(f"{spec!r} has an option without a value; write OPTION=VALUE")
    return kind, rest, options


def open_data(spec: str, split: str) -> Dataset:
    """Open one split of `KIND:PATH[,OPTION=VALUE]...`, for example `ferplus:data/ferplus.zip` or
    `affectnet:/data/AffectNet,classes=8,protocol=official`.

    Raises:
        DataError: kind or option is unknown, or the path holds no such data set.
    """
    kind, place, options = parse_data(spec)
    reader = READERS[kind]
    try:
        return reader.open(reader.place(place), split, **options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or place}: {error.strerror or error}") from error
    except csv.Error as error:
        raise DataError(f"a table of {place} is damaged ({error}): look for an unclosed quotation mark") from error


__all__ = ["READERS", "SPLITS", "Dataset", "Skipped", "open_data", "parse_data"]
