"""What a run is made of: one frozen dataclass a stage, one TOML file, unknown keys are errors.

    source = "demo"
    engine = "hybrid_lite"
    backend = "onnx"
    sinks = ["jsonl:results.jsonl"]

    [detect]
    min_score = 0.5

A service has several sources instead of one:

    [[sources]]
    name = "door"
    uri = "rtsp://camera.local/stream"

Light on purpose: the command line reads it before any heavy library is imported. The configuration of a stage lives
with its stage, and is imported only where a file has a section for it.
"""

from __future__ import annotations

import difflib
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeemo.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from edgeemo.sinks.jsonl import JsonlConfig
    from edgeemo.sinks.metrics import MetricsConfig
    from edgeemo.sinks.mqtt import MqttConfig
    from edgeemo.sinks.sqlite import SqliteConfig
    from edgeemo.sinks.web import WebConfig
    from edgeemo.stages.detect import DetectConfig
    from edgeemo.stages.quality import QualityConfig
    from edgeemo.stages.smooth import SmoothConfig
    from edgeemo.stages.track import TrackConfig

T = TypeVar("T")

# section -> (module, class)
STAGES = {
    "detect": ("edgeemo.stages.detect", "DetectConfig"),
    "track": ("edgeemo.stages.track", "TrackConfig"),
    "smooth": ("edgeemo.stages.smooth", "SmoothConfig"),
    "quality": ("edgeemo.stages.quality", "QualityConfig"),
    "jsonl": ("edgeemo.sinks.jsonl", "JsonlConfig"),
    "sqlite": ("edgeemo.sinks.sqlite", "SqliteConfig"),
    "mqtt": ("edgeemo.sinks.mqtt", "MqttConfig"),
    "metrics": ("edgeemo.sinks.metrics", "MetricsConfig"),
    "web": ("edgeemo.sinks.web", "WebConfig"),
}
MOST_SOURCES = 64


def expect_range(name: str, value: float, low: float, high: float) -> None:
    """For the `__post_init__` of a stage's configuration.

    Raises:
        ConfigError: the value lies outside low..high, or is no number.
    """
    if not low <= value <= high:
        raise ConfigError(f"{name} must be between {low:g} and {high:g}, not {value:g}")


@dataclass(frozen=True)
class CaptureConfig:
    """How a source is read.

    Attributes:
        loop: begin a file again when it ends (the app's demo clip).
        paced: play a file at its own speed, as if it were live, instead of as fast as possible.
    """

    loop: bool = False
    paced: bool = False


@dataclass(frozen=True)
class SourceConfig:
    """One of several sources of a service.

    Attributes:
        name: letters, digits, - and _; what results, topics and metrics call it.
        uri: as on the command line. A camera's /dev/v4l/by-id/... stays the same when it is plugged in elsewhere.
        loop, paced: for files, as `CaptureConfig`; a paced one is treated as live.
        width, height, fps, format: what is asked of a camera; 0 or empty leaves its own. The format is a V4L2 code
            such as MJPG or YUYV: MJPG gives large pictures at full rate over USB 2.
    """

    name: str = ""
    uri: str = ""
    loop: bool = False
    paced: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0
    format: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ConfigError(f"name must be 1 to 64 letters, digits, - or _, not {self.name!r}")
        if not self.uri:
            raise ConfigError(f"source {self.name} has no uri; give a camera, an rtsp:// or http:// address or a file")
        expect_range("width", self.width, 0, 16384)
        expect_range("height", self.height, 0, 16384)
        expect_range("fps", self.fps, 0, 1000)
        if self.format and not re.fullmatch(r"[A-Z0-9]{4}", self.format):
            raise ConfigError(f"format must be four capital letters such as MJPG, not {self.format!r}")


@dataclass(frozen=True)
class ServiceConfig:
    """How a service treats its sources and sinks.

    Attributes:
        stalled_s: a live source without a frame for so long is called stalled.
        hang_s: one that still gives nothing is given up and opened anew.
        backoff_s: pause before a lost source is opened again; doubled with each failure ...
        backoff_max_s: ... up to this.
        open_timeout_s, read_timeout_s: how long a stream may take to begin, and to give the next frame.
        queue: results that wait for a slow sink before the oldest is dropped.
    """

    stalled_s: float = 2.0
    hang_s: float = 20.0
    backoff_s: float = 0.25
    backoff_max_s: float = 1.5
    open_timeout_s: float = 5.0
    read_timeout_s: float = 3.0
    queue: int = 512

    def __post_init__(self) -> None:
        expect_range("stalled_s", self.stalled_s, 0.1, 3600)
        expect_range("hang_s", self.hang_s, 1, 3600)
        expect_range("backoff_s", self.backoff_s, 0.01, 60)
        expect_range("backoff_max_s", self.backoff_max_s, self.backoff_s, 3600)
        expect_range("open_timeout_s", self.open_timeout_s, 0.1, 60)
        expect_range("read_timeout_s", self.read_timeout_s, 0.1, 60)
        expect_range("queue", self.queue, 8, 65536)
        if self.hang_s <= max(self.open_timeout_s, self.read_timeout_s):
            raise ConfigError("hang_s must be longer than open_timeout_s and read_timeout_s, which end by themselves")


@dataclass(frozen=True)
class Config:
    """A whole run.

    Attributes:
        source: where frames come from; empty: not chosen (the app takes the first camera, else the demo clip).
        engine: name of a bundle, or the path of one.
        backend: the runtime that executes it.
        threads: threads the engine may use.
        sinks: where results go, each KIND:TARGET.
        frames: stop after that many; 0: at the end of the source.
        detect, track, smooth, quality: the configuration of a stage; None: its default.
        sources: several sources at once, in place of `source`: then the run is a service.
        service: how it treats them.
        jsonl, sqlite, mqtt, metrics, web: the configuration of all sinks of that kind; None: its default.
    """

    source: str = ""
    engine: str = "hybrid_lite"
    backend: str = "onnx"
    threads: int = 1
    sinks: tuple[str, ...] = ()
    frames: int = 0
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    detect: DetectConfig | None = None
    track: TrackConfig | None = None
    smooth: SmoothConfig | None = None
    quality: QualityConfig | None = None
    sources: tuple[SourceConfig, ...] = ()
    service: ServiceConfig = field(default_factory=ServiceConfig)
    jsonl: JsonlConfig | None = None
    sqlite: SqliteConfig | None = None
    mqtt: MqttConfig | None = None
    metrics: MetricsConfig | None = None
    web: WebConfig | None = None

    def __post_init__(self) -> None:
        expect_range("threads", self.threads, 1, 64)
        expect_range("frames", self.frames, 0, 2**53)
        names = [each.name for each in self.sources]
        if len(names) > MOST_SOURCES:
            raise ConfigError(f"there are {len(names)} sources; {MOST_SOURCES} is the most")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two sources are called {twice}; give each a name of its own")
        if self.source and self.sources:
            raise ConfigError("give either source or [[sources]], not both")


def load_config(path: Path) -> Config:
    """Read a TOML file; what it doesn't say keeps its default.

    Raises:
        ConfigError: no such file, no TOML, an unknown key (the nearest known one is named), a wrong type or range.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from error
    try:
        return from_mapping(Config, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_mapping(kind: type[T], data: Mapping[str, Any], *, section: str = "") -> T:
    """Build a configuration dataclass from what TOML gave.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range.
    """
    prefix = f"{section}." if section else ""
    stages = {cls: stage_config(name) if name in data else object for name, (_, cls) in STAGES.items()}
    hints = get_type_hints(kind, localns=stages if kind is Config else None)
    known = {item.name: hints[item.name] for item in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise ConfigError(f"unknown key {prefix}{key}; {_suggestion(key, prefix, known)}")
        values[key] = _converted(f"{prefix}{key}", known[key], value)
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"[{section}] {error}" if section else str(error)) from error


def stage_config(section: str) -> Any:
    """The configuration class of a stage."""
    module, name = STAGES[section]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("edgeemo", "engines")):
            raise
        raise ConfigError(f"[{section}] needs {error.name}, which is missing: pip install 'edgeemo[edge]'") from error


def _suggestion(key: str, prefix: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return f"known: {', '.join(prefix + name for name in known)}"


def _converted(name: str, hint: Any, value: Any) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{name} must be a table ([{name}]), not {value!r}")
        return from_mapping(typing.cast("type[Any]", hint), value, section=name)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            near = difflib.get_close_matches(str(value), [str(choice) for choice in arguments], n=1)
            tail = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name} must be one of {', '.join(map(str, arguments))}, not {value!r}{tail}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{name} must be a list, not {value!r}")
        return tuple(_converted(f"{name}[{row}]", arguments[0], item) for row, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return _converted(name, next(choice for choice in arguments if choice is not type(None)), value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{name} must be {_KINDS.get(hint, hint.__name__)}, not {value!r}")
    return value


_KINDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
