"""Outputs. A text KIND:TARGET, for example "csv:results.csv", describes a sink.

A new sink is a file in this folder, a row in the table here, and a dataclass in `edgeemo.config` if it has options.
Called by `edgeemo.run`, the recorder and the benchmark.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from edgeemo.config import Config
from edgeemo.errors import ConfigError
from edgeemo.types import U8, Result, Sink, Status
from engines.files import user_path
from engines.installation import pip_install


@dataclass(frozen=True)
class SinkKind:
    """One row of the table of kinds.

    Attributes:
        module, cls: the class, imported on demand and called with (target, context).
        target: the syntax of a target, for messages.
        section: its table in the configuration; empty: no options.
        extra: the extra that installs its libraries.
        is_file: the target is a path.
        can_stream: the target may be "-", standard output.
    """

    module: str
    cls: str
    target: str
    section: str = ""
    extra: str = ""
    is_file: bool = False
    can_stream: bool = False


SINKS = {
    "jsonl": SinkKind("edgeemo.sinks.jsonl", "JsonlSink", "PATH", "jsonl", is_file=True, can_stream=True),
    "csv": SinkKind("edgeemo.sinks.csv", "CsvSink", "PATH", "csv", is_file=True, can_stream=True),
    "sqlite": SinkKind("edgeemo.sinks.sqlite", "SqliteSink", "PATH", "sqlite", is_file=True),
    "video": SinkKind("edgeemo.sinks.video", "VideoSink", "PATH", is_file=True),
    "mqtt": SinkKind("edgeemo.sinks.mqtt", "MqttSink", "//HOST:PORT/TOPIC", "mqtt", extra="edge"),
    "mqtts": SinkKind("edgeemo.sinks.mqtt", "MqttTlsSink", "//HOST:PORT/TOPIC", "mqtt", extra="edge"),
    "metrics": SinkKind("edgeemo.sinks.metrics", "MetricsSink", "HOST:PORT", "metrics", extra="edge"),
    "web": SinkKind("edgeemo.sinks.web", "WebSink", "HOST:PORT", "web", extra="edge"),
    "lsl": SinkKind("edgeemo.sinks.lsl", "LslSink", "NAME", extra="lsl"),
    "camera": SinkKind("edgeemo.sinks.camera", "CameraSink", "/dev/videoN", extra="camera"),
}
STANDARD_OUTPUT = "-"


class ReaderGone(Exception):
    """The reader of a sink's output closed it (`| head -1`): a reason to stop, not an error."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink needs besides its target.

    Attributes:
        labels: the engine's class names.
        draw: Result -> a copy (H, W, 3) of its frame with the overlay.
        config: the configuration; the section of the kind has the sink's options.
        sources: names of the sources, if there are several; empty for a single source.
        status: returns the run's status; None if the sink belongs to a recording.
        lasting: append to existing files instead of replacing them.
        owner: path of the configuration; the MQTT sink uses it to find topics that earlier runs retained. Empty: none.
    """

    labels: tuple[str, ...]
    draw: Callable[[Result], U8]
    config: Config = field(default_factory=Config)
    sources: tuple[str, ...] = ()
    status: Callable[[], Status] | None = None
    lasting: bool = False
    owner: str = ""


def open_sink(text: str, context: SinkContext) -> Sink:
    """Open a sink from its description, for example "jsonl:results.jsonl" or "jsonl:-".

    An existing file is replaced when the first result is written, not when the sink is opened.

    Raises:
        ConfigError: the description has no known kind or no target, or a library is missing.
        SinkError: the target cannot be written to.
    """
    kind, target = parse(text)
    row = SINKS[kind]
    try:
        opener = getattr(import_module(row.module), row.cls)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("edgeemo", "engines")):
            raise
        raise ConfigError(
            f"sink {text!r} needs {error.name}, which is not installed: {pip_install(row.extra)}"
        ) from error
    sink: Sink = opener(target, context)
    return sink


def parse(text: str) -> tuple[str, str]:
    """Parse a description: "jsonl:out.jsonl" -> ("jsonl", "out.jsonl").

    Raises:
        ConfigError: see `open_sink`.
    """
    kind, colon, target = text.partition(":")
    if kind not in SINKS:
        near = difflib.get_close_matches(kind, SINKS, n=1)
        hint = f"did you mean {near[0]}:{target or 'PATH'}? " if near else ""
        forms = ", ".join(f"{name}:{row.target}" for name, row in SINKS.items())
        raise ConfigError(f"unknown sink {text!r}: {hint}known sinks: {forms}")
    if not colon or not target:
        raise ConfigError(f"sink {text!r} has no target: write {kind}:{SINKS[kind].target}")
    if target == STANDARD_OUTPUT and not SINKS[kind].can_stream:
        streams = " and ".join(name for name, row in SINKS.items() if row.can_stream)
        raise ConfigError(f"sink {text!r}: only {streams} can write to standard output; give a path")
    return kind, target


def file_of(text: str) -> Path | None:
    """The file that a sink writes; None for standard output and addresses."""
    kind, target = parse(text)
    return None if target == STANDARD_OUTPUT or not SINKS[kind].is_file else user_path(target)


def options_of(text: str, config: Config) -> object:
    """The section of the configuration that a sink depends on; None if it has no options."""
    row = SINKS.get(text.partition(":")[0])
    return getattr(config, row.section) if row is not None and row.section else None
