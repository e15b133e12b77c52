"""What a run is made of: one frozen dataclass a stage, one TOML file, unknown keys are errors.

    source = "demo"
    engine = "hybrid_lite"
    backend = "onnx"
    sinks = ["jsonl:results.jsonl"]

    [detect]
    min_score = 0.5

Light on purpose: the command line reads it before any heavy library is imported. The configuration of a stage lives
with its stage, and is imported only where a file has a section for it.
"""

from __future__ import annotations

import difflib
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
    from edgeemo.detect import DetectConfig
    from edgeemo.smooth import SmoothConfig
    from edgeemo.track import TrackConfig

T = TypeVar("T")

# section -> (module, class)
STAGES = {
    "detect": ("edgeemo.detect", "DetectConfig"),
    "track": ("edgeemo.track", "TrackConfig"),
    "smooth": ("edgeemo.smooth", "SmoothConfig"),
}


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
class Config:
    """A whole run.

    Attributes:
        source: where frames come from; empty: not chosen (the app takes the first camera, else the demo clip).
        engine: name of a bundle, or the path of one.
        backend: the runtime that executes it.
        threads: threads the engine may use.
        sinks: where results go, each KIND:TARGET.
        frames: stop after that many; 0: at the end of the source.
        detect, track, smooth: the configuration of a stage; None: its default.
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

    def __post_init__(self) -> None:
        expect_range("threads", self.threads, 1, 64)
        expect_range("frames", self.frames, 0, 2**53)


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
    return getattr(import_module(module), name)


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
