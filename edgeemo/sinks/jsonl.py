"""JSON lines: one event a frame."""

from __future__ import annotations

from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import line
from edgeemo.sinks.output import TextOutput
from edgeemo.types import Result


class JsonlSink:
    """`jsonl:PATH`, or `jsonl:-` for standard output."""

    def __init__(self, target: str, context: SinkContext) -> None:
        self._output = TextOutput(target)

    def write(self, result: Result) -> None:
        self._output.write(line(result) + "\n")

    def close(self) -> None:
        self._output.close()
