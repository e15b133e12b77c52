"""The configuration of a run: one frozen dataclass per stage and sink, one TOML file. Unknown keys are errors.

    source = "demo"
    engine = "hybrid_lite"
    backend = "onnx"
    sinks = ["jsonl:results.jsonl"]

    [detect]
    confirm_score = 0.7

Several sources at once:

    [[sources]]
    name = "door"
    uri = "rtsp://camera.local/stream"

This module imports no heavy library, so that the command line can check the configuration first.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeemo import toml
from edgeemo.errors import ConfigError
from edgeemo.values import expect_range, expect_text, shortened
from engines.files import STANDARD_INPUT, read_file, read_standard_input, user_path

log = logging.getLogger(__name__)

T = TypeVar("T")
Policy = Literal["auto", "short_range", "full_range", "small", "near", "far"]
POLICY_ALIASES: dict[str, Policy] = {"near": "short_range", "far": "full_range"}
DetectRuntime = Literal["auto", "mediapipe", "onnx"]
DetectBackend = Literal["onnx", "onnx-cuda", "openvino", "tensorrt"]

MAX_SOURCES = 64
MARKERS = re.compile(r"lsl:([^'\"\x00-\x1f]{1,128})")
# Keys of version 0.1. With a new name, the value is used under that name; without, the key is ignored for one version.
REMOVED: dict[str, dict[str, str]] = {
    "detect": dict.fromkeys(("min_score", "keep_score", "search_s", "patience_s"), ""),
    "track": {"patience_s": "max_age_s"}
    | dict.fromkeys(("carry_s", "reach", "reach_per_s", "steadiness_hz", "agility"), ""),
    "smooth": dict.fromkeys(("undecided_margin", "forget_s"), ""),
    "quality": dict.fromkeys(
        ("max_yaw_deg", "max_roll_deg", "min_sharpness", "min_light", "max_light", "min_contrast"), ""
    ),
}


@dataclass(frozen=True)
class CaptureConfig:
    """How a source is read.

    Attributes:
        loop: restart a file when it ends (the app's demo clip).
        paced: play a file in real time instead of as fast as possible.
    """

    loop: bool = False
    paced: bool = False


@dataclass(frozen=True)
class DetectConfig:
    """Face detection.

    Attributes:
        policy: MediaPipe's models for whole frames of a video: `short_range` (to about 2 m; alias `near`), `full_range`
            (alias `far`), `auto` (both, alternating) or `small` (both, and overlapping tiles, which find faces from 24
            px). Known faces are always followed by the short-range model. Still pictures are always searched in tiles.
        confirm_score: minimum score of a new face in its region of interest; a score up to 0.1 lower passes if its mean
            with the full-frame score reaches the threshold. In still pictures several crops of the region decide
            (`edgeemo.stages.still`). Higher: fewer false faces; lower: fewer missed faces.
        scan_s: seconds between two detections in the whole frame; 0: every frame, which costs more.
        skip_still: skip detection while nothing moves around the known faces (or in the whole picture without faces),
            at most until the next detection in the whole frame. Boxes then stay unchanged; expressions are still
            classified in every frame. No effect with the policy small.
        max_faces: in video only this many of the largest faces are kept; in still pictures all.
        runtime: runtime of the detection models: `mediapipe`, `onnx`, or `auto`, which uses MediaPipe if the installed
            version was tested to send no data, else onnx. Tiles always use the ONNX files.
        backend: for the runtime onnx: `onnx` (ONNX Runtime on the CPU), `onnx-cuda`, `openvino` or `tensorrt` (tiles
            then run in ONNX Runtime on the CPU).
    """

    policy: Policy = "auto"
    confirm_score: float = 0.7
    scan_s: float = 0.25
    skip_still: bool = False
    max_faces: int = 16
    runtime: DetectRuntime = "auto"
    backend: DetectBackend = "onnx"

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", POLICY_ALIASES.get(self.policy, self.policy))
        for name, known in (("runtime", DetectRuntime), ("backend", DetectBackend)):
            if getattr(self, name) not in get_args(known):
                raise ConfigError(f"{name} must be one of {', '.join(get_args(known))}, not {getattr(self, name)!r}")
        if self.policy not in get_args(Policy):
            raise ConfigError(f"policy must be one of {', '.join(get_args(Policy))}, not {self.policy!r}")
        expect_range("confirm_score", self.confirm_score, 0.05, 1)
        expect_range("scan_s", self.scan_s, 0, 60)
        expect_range("max_faces", self.max_faces, 1, 256)


@dataclass(frozen=True)
class TrackConfig:
    """Face tracking.

    Attributes:
        max_age_s: how long a face may be out of sight and still keep its id.
    """

    max_age_s: float = 1.0

    def __post_init__(self) -> None:
        expect_range("max_age_s", self.max_age_s, 0, 60)


@dataclass(frozen=True)
class SmoothConfig:
    """Temporal smoothing.

    Attributes:
        time_constant_s: time constant of the exponential average of a face's probabilities; 0: no average.
        margin: the label changes to an emotion whose averaged probability is higher by this for `hold_s` seconds.
        hold_s: see `margin`. If both are 0, the emotion with the highest averaged probability is shown.
    """

    time_constant_s: float = 0.1
    margin: float = 0.1
    hold_s: float = 0.0

    def __post_init__(self) -> None:
        expect_range("time_constant_s", self.time_constant_s, 0, 10)
        expect_range("margin", self.margin, 0, 1)
        expect_range("hold_s", self.hold_s, 0, 10)


@dataclass(frozen=True)
class QualityConfig:
    """When an expression is unsure; sharpness, light and pose have fixed limits (`stages.quality`).

    Attributes:
        min_confidence: minimum calibrated probability of the leading class.
        min_face_px: minimum width of the face in pixels of the frame.
    """

    min_confidence: float = 0.45
    min_face_px: float = 40.0

    def __post_init__(self) -> None:
        expect_range("min_confidence", self.min_confidence, 0, 1)
        expect_range("min_face_px", self.min_face_px, 0, 4096)


@dataclass(frozen=True)
class CsvConfig:
    """The sink `csv`.

    Attributes:
        bom: start with a byte order mark, from which spreadsheets recognise UTF-8.
    """

    bom: bool = False


@dataclass(frozen=True)
class JsonlConfig:
    """The sink `jsonl`.

    Attributes:
        rotate_mb: a file that would exceed this size is renamed to NAME.1 and a new one started; 0: never.
        keep: number of renamed files to keep.
    """

    rotate_mb: float = 0.0
    keep: int = 5

    def __post_init__(self) -> None:
        expect_range("rotate_mb", self.rotate_mb, 0, 1e6)
        expect_range("keep", self.keep, 1, 1000)


@dataclass(frozen=True)
class SqliteConfig:
    """The sink `sqlite`.

    Attributes:
        keep_days: older frames are deleted; 0: never.
    """

    keep_days: float = 0.0

    def __post_init__(self) -> None:
        expect_range("keep_days", self.keep_days, 0, 36500)


@dataclass(frozen=True)
class MqttConfig:
    """The sink `mqtt`.

    Attributes:
        user: user name; the password is in `password_file` or in the variable EDGEEMO_MQTT_PASSWORD.
        ca_file: certificate authority for checking the broker's certificate (mqtts); empty: those of the system.
        cert_file, key_file: client certificate.
        keepalive_s: MQTT keep-alive interval; a silent connection is taken for lost after about this time.
        interval_s: minimum interval between two results of one source; 0: send all.
        spool: file for messages while the broker is unreachable; empty: one in the state folder.
        spool_mb: maximum size of the spool; beyond it the oldest messages are dropped.
        discovery: topic prefix of Home Assistant's discovery; empty: no discovery.
    """

    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: int = 15
    interval_s: float = 0.0
    spool: str = ""
    spool_mb: float = 64.0
    discovery: str = "homeassistant"

    def __post_init__(self) -> None:
        expect_range("keepalive_s", self.keepalive_s, 2, 3600)
        expect_range("interval_s", self.interval_s, 0, 86400)
        expect_range("spool_mb", self.spool_mb, 0.001, 1e6)
        if self.key_file and not self.cert_file:
            raise ConfigError("key_file needs a cert_file")


@dataclass(frozen=True)
class MetricsConfig:
    """The sink `metrics`.

    Attributes:
        token_file: file with the token that requests must carry; required if it listens beyond this machine.
    """

    token_file: str = ""


@dataclass(frozen=True)
class WebConfig:
    """The sink `web`.

    Attributes:
        preview: show pictures of the sources; off by default, because they show people.
        token_file: file with the token that must be entered; required if it listens beyond this machine.
    """

    preview: bool = False
    token_file: str = ""


@dataclass(frozen=True)
class SourceConfig:
    """One of several sources.

    Attributes:
        name: its name in results, topics and metrics: letters, digits, - and _.
        uri: as on the command line. A camera's /dev/v4l/by-id/... path does not depend on the port.
        loop, paced: for files, as in `CaptureConfig`; a paced file is treated as live.
        width, height, fps, format: requested format of a camera; 0 or empty: its default. `format` is a V4L2 code such
            as YUYV or MJPG, which allows large pictures at full rate over USB 2.
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
    """Supervision of sources, and the queues of sinks.

    Attributes:
        stalled_s: a live source without a frame for this long counts as stalled.
        hang_s: a source without a frame for this long is abandoned and reopened; for the first frame of a file the time
            doubles with each attempt.
        backoff_s: pause before a lost source is reopened; doubled with each failure, up to `backoff_max_s`.
        backoff_max_s: maximum pause before a lost source is reopened.
        open_timeout_s, read_timeout_s: time-outs of a stream for opening and for the next frame.
        queue: length of a sink's queue; when it is full, the oldest result is dropped.
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
            raise ConfigError("hang_s must be longer than open_timeout_s and read_timeout_s")


@dataclass(frozen=True)
class Config:
    """The configuration of a run.

    Attributes:
        source: where frames come from; empty: not chosen (the app uses the first camera, or the demo clip without one).
        engine: name or path of a bundle.
        backend: its runtime.
        threads: threads for the engine.
        allow_modified: accept an engine whose files differ from its manifest.
        sinks: where results go, each KIND:TARGET.
        markers: markers of another program, lsl:NAME, which are added to the results. Empty: none.
        frames: stop after this many frames; 0: at the end of the source.
        overwrite: outputs may replace files that edgeemo did not write; never an input.
        capture, detect, track, smooth, quality: the configuration of a stage.
        sources: several sources instead of `source`; lost sources are then reopened.
        service: supervision of sources.
        csv, jsonl, sqlite, mqtt, metrics, web: the configuration of all sinks of that kind.
    """

    source: str = ""
    engine: str = "hybrid_lite"
    backend: str = "onnx"
    threads: int = 1
    allow_modified: bool = False
    sinks: tuple[str, ...] = ()
    markers: str = ""
    frames: int = 0
    overwrite: bool = False
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    smooth: SmoothConfig = field(default_factory=SmoothConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    sources: tuple[SourceConfig, ...] = ()
    service: ServiceConfig = field(default_factory=ServiceConfig)
    csv: CsvConfig = field(default_factory=CsvConfig)
    jsonl: JsonlConfig = field(default_factory=JsonlConfig)
    sqlite: SqliteConfig = field(default_factory=SqliteConfig)
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    web: WebConfig = field(default_factory=WebConfig)

    def __post_init__(self) -> None:
        for name in ("source", "engine", "backend", "markers"):
            expect_text(name, getattr(self, name))
        for text in self.sinks:
            expect_text("a sink", text)
        if self.markers and not MARKERS.fullmatch(self.markers):
            raise ConfigError(
                f"markers {shortened(self.markers)} must be lsl:NAME, the name of a stream of type Markers"
            )
        expect_range("threads", self.threads, 1, 64)
        expect_range("frames", self.frames, 0, 2**53)
        names = [each.name for each in self.sources]
        if len(names) > MAX_SOURCES:
            raise ConfigError(f"there are {len(names)} sources; the limit is {MAX_SOURCES}")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two sources have the name {twice}; give each source a different name")
        if self.source and self.sources:
            raise ConfigError("give either source or [[sources]], not both")


def load_config(path: Path) -> Config:
    """Read a TOML file; missing keys keep their defaults. Removed keys are ignored with one warning.

    A path of "-" reads standard input.

    Raises:
        ConfigError: the file does not exist, is not a regular file, exceeds 64 KiB or is not TOML; or it has an unknown
            key (the message names the nearest known key) or a value of the wrong type or range.
    """
    try:
        limit = toml.LARGEST_FILE
        from_pipe = str(path) == STANDARD_INPUT
        content = read_standard_input(limit=limit) if from_pipe else read_file(user_path(path), limit=limit)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    try:
        data = toml.parse(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    notes = _drop_removed(data)
    if notes:
        log.warning("%s has keys of an earlier version: %s; remove them", path, ", ".join(notes))
    try:
        return from_mapping(Config, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_mapping(kind: type[T], data: Mapping[str, Any]) -> T:
    """Build a configuration dataclass from parsed TOML.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range.
    """
    # imported here: takes 36 ms, and `edgeemo --help` does not need it
    import msgspec

    _expect_known(kind, data, "")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_explanation(str(error), data)) from error


def _drop_removed(data: dict[str, Any]) -> list[str]:
    """Delete removed keys from the tables and return notes about them."""
    notes = []
    for section, keys in REMOVED.items():
        table = data.get(section)
        if not isinstance(table, dict):
            continue
        for key in [key for key in table if key in keys]:
            value, now = table.pop(key), keys[key]
            if now:
                table.setdefault(now, value)
            notes.append(f"{section}.{key} (now {section}.{now})" if now else f"{section}.{key} (no effect)")
    return notes


def _expect_known(kind: Any, data: Mapping[str, Any], prefix: str) -> None:
    """Refuse unknown keys, which msgspec ignores, and unknown choices, because msgspec does not list the known ones."""
    hints = get_type_hints(kind)
    for key, value in data.items():
        name = f"{prefix}{key}"
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.6)
            known = (
                f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(prefix + each for each in hints)}"
            )
            raise ConfigError(f"unknown key {shortened(name, quoted=False)}; {known}")
        hint = hints[key]
        arguments = get_args(hint)
        if get_origin(hint) is Literal and value not in arguments:
            near = difflib.get_close_matches(str(value), [str(choice) for choice in arguments], n=1)
            tail = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name} must be one of {', '.join(map(str, arguments))}, not {shortened(value)}{tail}")
        if is_dataclass(hint) and isinstance(value, dict):
            _expect_known(hint, value, f"{name}.")
        elif get_origin(hint) is tuple and is_dataclass(arguments[0]) and isinstance(value, list):
            for row, item in enumerate(value):
                if isinstance(item, dict):
                    _expect_known(arguments[0], item, f"{name}[{row}].")


_KINDS = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list"}


def _explanation(said: str, data: Mapping[str, Any]) -> str:
    """Rewrite msgspec's message in terms of TOML, with the value: "Expected `int`, got `str` - at `$.threads`"."""
    message, _, place = said.partition(" - at `$")
    name = place.rstrip("`").lstrip(".")
    expected = re.match(r"Expected `(\w+)`", message)
    if expected is None:
        # from a __post_init__
        return f"[{name}] {message}" if name else message
    value: Any = data
    for key, row in re.findall(r"(\w+)|\[(\d+)\]", name):
        value = value[int(row)] if row else value[key]
    return f"{name} must be {_KINDS.get(expected[1], f'a table ([{name}])')}, not {shortened(value)}"
