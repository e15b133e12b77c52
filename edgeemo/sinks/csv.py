"""A table: one row a face."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from edgeemo.sinks import STANDARD_OUTPUT, SinkContext
from edgeemo.sinks.event import event
from edgeemo.sinks.output import TextOutput
from edgeemo.types import Result, Sink

COLUMNS = ("frame", "time", "origin", "id", "x1", "y1", "x2", "y2", "score", "emotion", "confidence")


class CsvSink(Sink):
    """`csv:PATH`: a header, then one row a face, the engine's classes as the last columns. A frame without faces
    adds no row.
    """

    def __init__(self, target: str, context: SinkContext) -> None:
        self._output = TextOutput(target, "csv", context)
        self._labels = context.labels
        self._begun = context.lasting and target != STANDARD_OUTPUT and Path(target).expanduser().stat().st_size > 0

    def write(self, result: Result) -> None:
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        if not self._begun:
            rows.writerow([*COLUMNS, *self._labels])
            self._begun = True
        whole = event(result)
        for face in whole["faces"]:
            rows.writerow(
                [
                    whole["frame"],
                    whole["time"],
                    whole["origin"],
                    face["id"],
                    *face["box"],
                    face["score"],
                    face["emotion"],
                    face["confidence"],
                    *(face["probabilities"][label] for label in self._labels),
                ]
            )
        if text.getvalue():
            self._output.write(text.getvalue())

    def close(self) -> None:
        self._output.close()
