"""Convert results to a table of pandas, polars or pyarrow. Called by `Recogniser` and `Result`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgeemo.api.interop import as_fex, as_openface
from edgeemo.columns import BOX, INTEGERS, QUALITY, SECONDS, TEXTS, column_names, person_name
from edgeemo.errors import ConfigError
from edgeemo.types import Doubt, Result
from edgeemo.values import as_utf8

Library = Literal["pandas", "polars", "pyarrow"]
Columns = Literal["edgeemo", "fex", "openface"]
Column = npt.NDArray[Any]


def to_table(
    results: Iterable[Result],
    labels: tuple[str, ...],
    *,
    to: Library | None = None,
    columns: Columns = "edgeemo",
    origin: str = "origin",
) -> Any:
    """Make a table with one row per face and frame; a frame without faces has no row.

    Args:
        labels: the engine's classes.
        to: the library; None: the first of pandas, polars and pyarrow that is installed.
        columns: "edgeemo" (see `edgeemo.columns`), "fex" or "openface" (see `edgeemo.api.interop`).
        origin: name of the column `origin` in the scheme "edgeemo".

    Returns:
        A pandas.DataFrame, polars.DataFrame or pyarrow.Table. Numbers are int64 and float64.

    Raises:
        ConfigError: the library is not installed, or a name is unknown.
    """
    library = find_library(to)
    check_columns(columns)
    table = arrays(results, labels)
    if columns == "fex":
        return _as(library, as_fex(table, labels))
    if columns == "openface":
        return _as(library, as_openface(table, labels))
    return _as(library, {origin if name == "origin" else name: values for name, values in table.items()})


def check_columns(columns: str) -> None:
    """Check the name of a column scheme.

    Raises:
        ConfigError: there is no such scheme.
    """
    if columns not in get_args(Columns):
        raise ConfigError(f"columns must be one of {', '.join(get_args(Columns))}, not {columns!r}")


def find_library(to: str | None) -> Library:
    """The library to make tables with.

    Raises:
        ConfigError: it is unknown or not installed.
    """
    known: tuple[Library, ...] = get_args(Library)
    if to is not None and to not in known:
        raise ConfigError(f"to must be one of {', '.join(known)}, not {to!r}")
    for name in known:
        if to in (None, name) and find_spec(name) is not None:
            return name
    wanted = to or "pandas, polars or pyarrow"
    raise ConfigError(f"a table needs {wanted}, which is not installed: pip install {to or 'pandas'}")


def arrays(results: Iterable[Result], labels: tuple[str, ...]) -> dict[str, Column]:
    """The columns as arrays with N rows each, in the scheme of `edgeemo.columns`."""
    parts: dict[str, list[Any]] = {name: [] for name in column_names(labels, wall=True)}
    blocks: list[Column] = []
    walls = False
    for result in results:
        count = len(result.faces)
        frame, faces = result.frame, result.faces
        walls |= frame.wall is not None
        parts["origin"] += [as_utf8(frame.origin)] * count
        parts["frame"] += [frame.index] * count
        parts["time"] += [frame.time] * count
        parts["wall"] += [np.nan if frame.wall is None else frame.wall] * count
        parts["face_id"] += faces.ids.tolist()
        parts["person"] += map(person_name, faces.ids.tolist())
        parts["turned"] += faces.turned.tolist()
        parts["emotion"] += result.emotions
        parts["doubts"] += [";".join(map(_code, result.reasons(row))) for row in range(count)]
        confidence = np.array([result.confidence(row) for row in range(count)], np.float32)
        measured = np.array([astuple(each) for each in result.quality] or np.full((count, len(QUALITY)), np.nan))
        blocks.append(
            np.column_stack(
                [faces.boxes, faces.scores, confidence, result.probabilities, measured.reshape(count, len(QUALITY))]
            )
        )
    numbers = (*BOX, "score", "confidence", *labels, *QUALITY)
    block = np.concatenate([np.zeros((0, len(numbers))), *blocks])  # float64: float32 loses digits
    columns = dict(zip(numbers, block.T, strict=True))
    for names, dtype in ((INTEGERS, np.int64), (SECONDS, np.float64), (TEXTS, object)):
        columns |= {name: np.array(parts[name], dtype) for name in names}
    return {name: columns[name] for name in column_names(labels, wall=walls)}


def _code(reason: str) -> str:
    return (reason.code if isinstance(reason, Doubt) else "") or str(reason)


def _as(library: Library, columns: Mapping[str, Column]) -> Any:
    module = import_module(library)
    texts = {name for name, values in columns.items() if values.dtype == object}
    if library == "pandas":
        return module.DataFrame({name: np.ascontiguousarray(values) for name, values in columns.items()})
    if library == "polars":
        kinds = dict.fromkeys(texts, module.String)
        values = {
            name: values.tolist() if name in texts else np.ascontiguousarray(values) for name, values in columns.items()
        }
        return module.DataFrame(values, schema_overrides=kinds)
    return module.table(
        {name: module.array(values, module.string() if name in texts else None) for name, values in columns.items()}
    )
