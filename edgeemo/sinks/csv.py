"""The sink `csv`."""

from __future__ import annotations

import csv
import io
from typing import Any

from edgeemo.columns import BOX, cell, column_names
from edgeemo.errors import SinkError
from edgeemo.sinks import STANDARD_OUTPUT, SinkContext
from edgeemo.sinks.event import codes, event
from edgeemo.sinks.output import TextOutput, TextSink
from edgeemo.types import Result
from engines.files import user_path

BYTE_ORDER_MARK = "\ufeff"


class CsvSink(TextSink):
    """`csv:PATH`: a header, then one row per face with the columns of `edgeemo.columns`. A frame without faces has no
    row. A file that is appended to keeps its columns.
    """

    def __init__(self, target: str, context: SinkContext) -> None:
        super().__init__(TextOutput(target, "csv", context))
        self._labels = context.labels
        self._mark = BYTE_ORDER_MARK if context.config.csv.bom else ""
        try:
            self._columns = _header(target) if context.lasting and target != STANDARD_OUTPUT else ()
        except (OSError, csv.Error) as error:
            self.close()  # also releases the lock
            raise SinkError(f"cannot continue {target}: its first line cannot be read ({error})") from error
        if self._columns:
            self._output.header = self._first_line()

    def write(self, result: Result) -> None:
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        if not self._columns:
            self._columns = column_names(self._labels, wall=result.frame.wall is not None)
            text.write(self._first_line())
        whole = event(result)
        for face in whole["faces"]:
            values = _values(whole, face)
            rows.writerow([values.get(name, "") for name in self._columns])
        if text.getvalue():
            self._output.write(text.getvalue())
            self._output.header = self._first_line()

    def _first_line(self) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(self._columns)
        return self._mark + text.getvalue()


def _values(whole: dict[str, Any], face: dict[str, Any]) -> dict[str, Any]:
    return {
        "turned": 0,
        **face,
        **face["probabilities"],
        **face.get("quality", {}),
        **dict(zip(BOX, face["box"], strict=True)),
        **{name: whole.get(name, "") for name in ("frame", "time", "wall")},
        "origin": cell(whole["origin"]),
        "doubts": codes(face),
    }


def _header(target: str) -> tuple[str, ...]:
    """The columns of an existing file; () for an empty file, a pipe or a device."""
    path = user_path(target)
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return tuple(next(csv.reader(file), ()))
