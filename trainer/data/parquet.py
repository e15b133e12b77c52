"""Data sets in Parquet files, as model hubs publish them: one column of encoded pictures, one of labels.

Called by the readers of AffectNet and of folders. pyarrow is imported only if there is a Parquet file.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.installation import pip_install
from engines.preprocess import U8
from engines.terminal import first_line
from trainer.data.pictures import decode, file_identity
from trainer.errors import DataError, PictureError

LABEL_COLUMNS = ("label", "labels", "emotion", "expression")
# row groups that stay decoded; few are enough, because pictures are mostly read in the order of the file
GROUPS_KEPT = 2
# pyarrow deadlocks if several threads read one ParquetFile
_reading = threading.Lock()


@dataclass(frozen=True)
class ParquetRow:
    """A picture's name (`FILE.parquet/ROW`), its label as text, and the file that holds it."""

    image: str
    label: str
    file: str


@dataclass(frozen=True)
class ParquetPictures:
    """Pictures in the Parquet files below `root`, named `FILE.parquet/ROW`."""

    root: Path

    def __call__(self, name: str) -> U8:
        file, _, row = name.rpartition("/")
        path = self.root / file
        if not path.is_file():
            raise PictureError(name, "missing file")
        try:
            encoded = _encoded(path, int(row))
        except (OSError, ValueError, IndexError) as error:  # pyarrow's errors are OSError or ValueError
            raise PictureError(name, f"unreadable file ({str(error)[:80]})") from error
        if not isinstance(encoded, bytes):
            raise PictureError(name, "this row has no picture")
        return decode(encoded, name)

    def identity(self, name: str) -> str:
        return file_identity(self.root / name.rpartition("/")[0])


def find_parquet(root: Path) -> list[str]:
    """Sorted paths of the Parquet files in a folder and its subfolders, relative to the folder."""
    found = [*root.glob("*.parquet"), *root.glob("*/*.parquet")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def parquet_rows(root: Path, files: list[str]) -> Iterator[ParquetRow]:
    """Labels of all rows. A numeric label becomes the name that the file's metadata gives it, if any.

    Raises:
        DataError: pyarrow is not installed, or a file has other columns or is damaged.
    """
    for file in files:
        path = root / file
        opened = _open(path, file_identity(path))
        _image_column(path, opened)
        column = next((name for name in LABEL_COLUMNS if name in opened.schema_arrow.names), None)
        if column is None:
            columns = ", ".join(opened.schema_arrow.names)[:120]
            raise DataError(f"{path} must have a column of labels ({' or '.join(LABEL_COLUMNS)}); it has {columns}")
        names = _label_names(opened.schema_arrow.metadata or {}, column)
        for row, value in enumerate(opened.read(columns=[column])[column].to_pylist()):
            label = names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)
            yield ParquetRow(f"{file}/{row}", label, file)


def split_of_file(file: str) -> str:
    """Name of the split: "train" for `data/train-00000-of-00003.parquet` and `train/0.parquet`; "" if the path has
    none."""
    stem = re.split(r"[-_.]?\d|\.", file.rpartition("/")[2])[0]
    return stem or file.rpartition("/")[0].rpartition("/")[2]


def _encoded(path: Path, row: int) -> object:
    opened = _open(path, file_identity(path))
    first = 0
    for group in range(opened.num_row_groups):
        count = opened.metadata.row_group(group).num_rows
        if row < first + count:
            with _reading:
                cell = _group(path, file_identity(path), group)[row - first].as_py()
            return cell.get("bytes") if isinstance(cell, dict) else cell
        first += count
    raise IndexError(f"{path.name} has {first} rows")


def _image_column(path: Path, opened: Any) -> str:
    """The column of pictures: bytes, or a record that holds bytes."""
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(field.name == "bytes" for field in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    found = [field.name for field in opened.schema_arrow if holds_bytes(field.type)]
    if not found:
        columns = ", ".join(opened.schema_arrow.names)[:120]
        raise DataError(f"{path} has no column with the bytes of pictures; it has {columns}")
    return "image" if "image" in found else str(found[0])


def _label_names(metadata: dict[bytes, bytes], column: str) -> list[str]:
    """Class names that the `datasets` library stores in a file's metadata; empty if there are none."""
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        return [str(name) for name in feature["names"]]
    except (KeyError, ValueError, TypeError):
        return []


@lru_cache(maxsize=4)
def _open(path: Path, identity: str) -> Any:
    """`identity` is part of the cache key, so that a replaced file is opened again."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise DataError(f"{path} is a Parquet file, and pyarrow is not installed: {pip_install('parquet')}") from error
    try:
        return parquet.ParquetFile(path)
    except ArrowException as error:
        raise DataError(f"{path} is not a complete Parquet file: {first_line(error)}") from error


@lru_cache(maxsize=GROUPS_KEPT)
def _group(path: Path, identity: str, group: int) -> Any:
    opened = _open(path, identity)
    return opened.read_row_group(group, columns=[_image_column(path, opened)]).column(0)
