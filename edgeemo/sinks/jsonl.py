"""JSON lines: one event per frame."""

from __future__ import annotations

from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import line
from edgeemo.sinks.output import TextOutput
from edgeemo.types import Result, Sink


class JsonlSink(Sink):
    """`jsonl:PATH`, or `jsonl:-` for standard output. A single run replaces what a file held, a service adds to it."""

    def __init__(self, target: str, context: SinkContext) -> None:
        config = context.config.jsonl
        self._output = TextOutput(target, "jsonl", context, rotate_bytes=int(config.rotate_mb * 1e6), keep=config.keep)

    def write(self, result: Result) -> None:
        self._output.write(line(result) + "\n")

    def tick(self) -> None:
        self._output.tick()

    def reopen(self) -> None:
        self._output.tick(now=True)

    @property
    def lost(self) -> int:
        return self._output.lost

    def close(self) -> None:
        self._output.close()
