"""Data sets: a reader and its label table side by side, one file each."""

from __future__ import annotations

from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.data.ferplus import open_ferplus
from trainer.errors import DataError

READERS = {"ferplus": open_ferplus}


def open_data(spec: str, split: str) -> Dataset:
    """Open one split of `KIND:PATH`, for example `ferplus:data/ferplus.zip`.

    Raises:
        DataError: the kind is unknown, or the path does not hold such a data set.
    """
    kind, colon, path = spec.partition(":")
    if not colon or kind not in READERS:
        raise DataError(f"data must be KIND:PATH with KIND one of {', '.join(READERS)}, not {spec!r}")
    return READERS[kind](Path(path).expanduser(), split)


__all__ = ["READERS", "Dataset", "open_data"]
