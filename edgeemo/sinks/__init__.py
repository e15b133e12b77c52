"""Where results go: KIND:TARGET -> Sink. A table of names, each imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeemo.errors import ConfigError
from edgeemo.types import U8, Result, Sink, Status

# kind -> (module, class, target); the class takes (target, context)
KINDS = {
    "jsonl": ("edgeemo.sinks.jsonl", "JsonlSink", "PATH"),
    "csv": ("edgeemo.sinks.csv", "CsvSink", "PATH"),
    "sqlite": ("edgeemo.sinks.sqlite", "SqliteSink", "PATH"),
    "video": ("edgeemo.sinks.video", "VideoSink", "PATH"),
    "mqtt": ("edgeemo.sinks.mqtt", "MqttSink", "//HOST:PORT/TOPIC"),
    "mqtts": ("edgeemo.sinks.mqtt", "MqttTlsSink", "//HOST:PORT/TOPIC"),
    "metrics": ("edgeemo.sinks.metrics", "MetricsSink", "HOST:PORT"),
    "web": ("edgeemo.sinks.web", "WebSink", "HOST:PORT"),
}
FILES = ("jsonl", "csv", "sqlite", "video")
STANDARD_OUTPUT = "-"


class ReaderGone(Exception):
    """Whoever read a sink's output has closed it (`| head -1`): a reason to stop, not a fault."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need besides its target.

    Attributes:
        labels: the engine's class names.
        draw: Result -> a new picture (H, W, 3) of its frame with the overlay.
        options: the configuration of a kind of sink, by its name; a kind that is missing has its default.
        sources: the names of a service's sources; empty in a single run.
        status: how the service is doing; None in a single run.
        lasting: a service's: what a file holds is kept and added to.
    """

    labels: tuple[str, ...]
    draw: Callable[[Result], U8]
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    status: Callable[[], Status] | None = None
    lasting: bool = False


def open_sink(text: str, context: SinkContext) -> Sink:
    """Open a sink from its description, for example "jsonl:results.jsonl" or "jsonl:-".

    What a path held before is replaced when the first result is written, not when the sink is opened.

    Raises:
        ConfigError: the description doesn't name a known kind and a target.
        SinkError: the target cannot be written to.
    """
    kind, target = parse(text)
    module, cls, _ = KINDS[kind]
    try:
        opener = getattr(import_module(module), cls)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("edgeemo", "engines")):
            raise
        raise ConfigError(f"sink {text!r} needs {error.name}, which is missing: pip install 'edgeemo[edge]'") from error
    sink: Sink = opener(target, context)
    return sink


def parse(text: str) -> tuple[str, str]:
    """Take a description apart: "jsonl:out.jsonl" -> ("jsonl", "out.jsonl").

    Raises:
        ConfigError: as `open_sink`.
    """
    kind, colon, target = text.partition(":")
    forms = ", ".join(f"{name}:{form}" for name, (_, _, form) in KINDS.items())
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}:{target or 'PATH'}? " if near else ""
        raise ConfigError(f"unknown sink {text!r}: {hint}known are {forms}")
    if not colon or not target:
        raise ConfigError(f"sink {text!r} says not where to: write {kind}:{KINDS[kind][2]}")
    if target == STANDARD_OUTPUT and kind not in ("jsonl", "csv"):
        raise ConfigError(f"sink {text!r}: only jsonl and csv can go to standard output; give a path")
    return kind, target


def file_of(text: str) -> Path | None:
    """The file that a sink writes, if it writes one; neither standard output nor an address."""
    kind, target = parse(text)
    return None if target == STANDARD_OUTPUT or kind not in FILES else Path(target).expanduser()
