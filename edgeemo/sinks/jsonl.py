"""JSON lines: one event a frame."""

from __future__ import annotations

from dataclasses import dataclass

from edgeemo.config import expect_range
from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import line
from edgeemo.sinks.output import TextOutput
from edgeemo.types import Result


@dataclass(frozen=True)
class JsonlConfig:
    """How files of JSON lines grow.

    Attributes:
        rotate_mb: a file that would become larger is renamed to NAME.1 and begun anew; 0: never.
        keep: so many of the renamed ones stay.
    """

    rotate_mb: float = 0.0
    keep: int = 5

    def __post_init__(self) -> None:
        expect_range("rotate_mb", self.rotate_mb, 0, 1e6)
        expect_range("keep", self.keep, 1, 1000)


class JsonlSink:
    """`jsonl:PATH`, or `jsonl:-` for standard output. A single run replaces what a file held, a service adds to it."""

    def __init__(self, target: str, context: SinkContext) -> None:
        config = context.options.get("jsonl") or JsonlConfig()
        self._output = TextOutput(
            target, lasting=context.lasting, rotate_bytes=int(config.rotate_mb * 1e6), keep=config.keep
        )

    def write(self, result: Result) -> None:
        self._output.write(line(result) + "\n")

    def close(self) -> None:
        self._output.close()
