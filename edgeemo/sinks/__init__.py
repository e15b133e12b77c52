"""Where results go: KIND:TARGET -> Sink. A table of names, each imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgeemo.errors import ConfigError
from edgeemo.types import U8, Result, Sink

# kind -> (module, class, target); the class takes (target, context)
KINDS = {
    "jsonl": ("edgeemo.sinks.jsonl", "JsonlSink", "PATH"),
    "csv": ("edgeemo.sinks.csv", "CsvSink", "PATH"),
    "sqlite": ("edgeemo.sinks.sqlite", "SqliteSink", "PATH"),
    "video": ("edgeemo.sinks.video", "VideoSink", "PATH"),
}
LATER = ("mqtt", "metrics", "web")
STANDARD_OUTPUT = "-"


class ReaderGone(Exception):
    """Whoever read a sink's output has closed it (`| head -1`): a reason to stop, not a fault."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need besides its target.

    Attributes:
        labels: the engine's class names.
        draw: Result -> a new picture (H, W, 3) of its frame with the overlay.
    """

    labels: tuple[str, ...]
    draw: Callable[[Result], U8]


def open_sink(text: str, context: SinkContext) -> Sink:
    """Open a sink from its description, for example "jsonl:results.jsonl" or "jsonl:-".

    What a path held before is replaced when the first result is written, not when the sink is opened.

    Raises:
        ConfigError: the description doesn't name a known kind and a target.
        SinkError: the target cannot be written to.
    """
    kind, target = parse(text)
    module, cls, _ = KINDS[kind]
    sink: Sink = getattr(import_module(module), cls)(target, context)
    return sink


def parse(text: str) -> tuple[str, str]:
    """Take a description apart: "jsonl:out.jsonl" -> ("jsonl", "out.jsonl").

    Raises:
        ConfigError: as `open_sink`.
    """
    kind, colon, target = text.partition(":")
    forms = ", ".join(f"{name}:{form}" for name, (_, _, form) in KINDS.items())
    if kind in LATER:
        raise ConfigError(f"sink {text!r}: {kind} comes with a later version; this one has {forms}")
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
    """The file that a sink writes, if it writes one."""
    _, target = parse(text)
    return None if target == STANDARD_OUTPUT else Path(target).expanduser()
