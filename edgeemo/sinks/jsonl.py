"""The sink `jsonl`: one event per frame."""

from __future__ import annotations

from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import line
from edgeemo.sinks.output import TextOutput, TextSink
from edgeemo.types import Result


class JsonlSink(TextSink):
    """`jsonl:PATH`, or `jsonl:-` for standard output. A single run replaces a file, a service appends to it."""

    def __init__(self, target: str, context: SinkContext) -> None:
        config = context.config.jsonl
        rotate_bytes = int(config.rotate_mb * 1e6)
        super().__init__(TextOutput(target, "jsonl", context, rotate_bytes=rotate_bytes, keep=config.keep))

    def write(self, result: Result) -> None:
        self._output.write(line(result) + "\n")
