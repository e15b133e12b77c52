"""Where results go: KIND:TARGET -> Sink.

One table of kinds. A new sink is a file in this folder, a configuration in `edgeemo.config` where it has options, and
a row here. `run` opens them; the recorder and the benchmark open single ones.
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
    """One row of the table.

    Attributes:
        module, cls: the class, imported on demand; it takes (target, context).
        target: the form of a target, for messages.
        section: its table in the configuration; empty: it has no options.
        extra: the extra of the distribution that brings its libraries.
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
    """Whoever read a sink's output has closed it (`| head -1`): a reason to stop, not a fault."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need besides its target.

    Attributes:
        labels: the engine's class names.
        draw: Result -> a new picture (H, W, 3) of its frame with the overlay.
        config: its options are in the section of its kind.
        sources: the names of several sources, each with results of its own; empty for a single one.
        status: how the run is doing; None where nothing runs (a recording).
        lasting: what a file holds is kept and added to.
        owner: the path of the configuration, which what is left with others belongs to; empty: none.
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

    What a path held before is replaced when the first result is written, not when the sink is opened.

    Raises:
        ConfigError: the description doesn't name a known kind and a target, or a library is missing.
        SinkError: the target cannot be written to.
    """
    kind, target = parse(text)
    row = SINKS[kind]
    try:
        opener = getattr(import_module(row.module), row.cls)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("edgeemo", "engines")):
            raise
        raise ConfigError(f"sink {text!r} needs {error.name}, which is missing: {pip_install(row.extra)}") from error
    sink: Sink = opener(target, context)
    return sink


def parse(text: str) -> tuple[str, str]:
    """Take a description apart: "jsonl:out.jsonl" -> ("jsonl", "out.jsonl").

    Raises:
        ConfigError: as `open_sink`.
    """
    kind, colon, target = text.partition(":")
    if kind not in SINKS:
        near = difflib.get_close_matches(kind, SINKS, n=1)
        hint = f"did you mean {near[0]}:{target or 'PATH'}? " if near else ""
        forms = ", ".join(f"{name}:{row.target}" for name, row in SINKS.items())
        raise ConfigError(f"unknown sink {text!r}: {hint}known are {forms}")
    if not colon or not target:
        raise ConfigError(f"sink {text!r} says not where to: write {kind}:{SINKS[kind].target}")
    if target == STANDARD_OUTPUT and not SINKS[kind].can_stream:
        streams = " and ".join(name for name, row in SINKS.items() if row.can_stream)
        raise ConfigError(f"sink {text!r}: only {streams} can go to standard output; give a path")
    return kind, target


def file_of(text: str) -> Path | None:
    """The file that a sink writes, if it writes one; neither standard output nor an address."""
    kind, target = parse(text)
    return None if target == STANDARD_OUTPUT or not SINKS[kind].is_file else user_path(target)


def options_of(text: str, config: Config) -> object:
    """The part of a configuration that a sink depends on; None where it has no options."""
    row = SINKS.get(text.partition(":")[0])
    return getattr(config, row.section) if row is not None and row.section else None
