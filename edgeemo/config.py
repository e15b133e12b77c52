"""What a run is made of: one frozen dataclass per stage and sink, one TOML file, unknown keys are errors.

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

The command line reads it before any heavy library is imported; everything above imports its configuration from here.
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
DetectBackend = Literal["onnx", "onnx-cuda", "openvino"]

MAX_SOURCES = 64
MARKERS = re.compile(r"lsl:([^'\"\x00-\x1f]{1,128})")
# Constants since version 0.1, accepted and ignored for one version; a new name: the value is taken under that name.
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
        loop: begin a file again when it ends (the app's demo clip).
        paced: play a file at its own speed, as if it were live, instead of as fast as possible.
    """

    loop: bool = False
    paced: bool = False


@dataclass(frozen=True)
class DetectConfig:
    """How faces are found.

    Attributes:
        policy: which of MediaPipe's models look at whole frames of a video: `short_range` (to about 2 m; also called
            `near`), `full_range` (`far`), `auto` both, alternating, `small` both and in between overlapping tiles,
            which find faces from 24 px. Known faces are followed by the short-range model in each case. Still pictures
            are always searched in tiles.
        confirm_score: minimum score of a new face in its region of interest; a score up to 0.1 lower passes if its
            mean with the full-frame score reaches the threshold. In a still picture several looks at the region
            decide (`edgeemo.stages.still`). Higher: fewer false faces; lower: fewer missed ones.
        scan_s: seconds between two detections on the whole frame; 0: every frame, which costs more.
        skip_still: leave a detection out while nothing moves around the known faces, or anywhere if there is none, at
            most until the next detection on the whole frame. Boxes then stay where they are; expressions are still
            read from every frame. Without effect under the policy small.
        max_faces: at most so many in video, the largest first; still pictures keep all.
        runtime: what runs the detection models: `mediapipe`, `onnx`, or `auto`: MediaPipe where it is installed in a
            version that was tested to send nothing, else onnx. Tiles are always searched by ONNX files.
        backend: with the runtime onnx, `onnx` (ONNX Runtime on the CPU), `onnx-cuda` or `openvino`.
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
    """How faces are told apart in time.

    Attributes:
        max_age_s: how long a face may be out of sight and keep its id when it comes back.
    """

    max_age_s: float = 1.0

    def __post_init__(self) -> None:
        expect_range("max_age_s", self.max_age_s, 0, 60)


@dataclass(frozen=True)
class SmoothConfig:
    """How calm the display is.

    Attributes:
        time_constant_s: of the exponential average over a face's probabilities; 0 shows them as they are.
        margin: by how much another emotion's averaged probability must exceed the shown one's ...
        hold_s: ... and for how long, before it is shown instead. Margin 0 and hold 0: always the most probable one.
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
    """When a face's expression is called unsure; sharpness, light and pose have fixed limits (`stages.quality`).

    Attributes:
        min_confidence: of the calibrated probability of the leading class.
        min_face_px: width of the face in pixels of the frame.
    """

    min_confidence: float = 0.45
    min_face_px: float = 40.0

    def __post_init__(self) -> None:
        expect_range("min_confidence", self.min_confidence, 0, 1)
        expect_range("min_face_px", self.min_face_px, 0, 4096)


@dataclass(frozen=True)
class CsvConfig:
    """How CSV files are written.

    Attributes:
        bom: begin with a byte order mark, by which spreadsheets know that the text is UTF-8.
    """

    bom: bool = False


@dataclass(frozen=True)
class JsonlConfig:
    """How files of JSON lines grow.

    Attributes:
        rotate_mb: a file that would become larger is renamed to NAME.1 and started again; 0: never.
        keep: so many of the renamed ones stay.
    """

    rotate_mb: float = 0.0
    keep: int = 5

    def __post_init__(self) -> None:
        expect_range("rotate_mb", self.rotate_mb, 0, 1e6)
        expect_range("keep", self.keep, 1, 1000)


@dataclass(frozen=True)
class SqliteConfig:
    """What a database keeps.

    Attributes:
        keep_days: frames captured longer ago are deleted; 0: never.
    """

    keep_days: float = 0.0

    def __post_init__(self) -> None:
        expect_range("keep_days", self.keep_days, 0, 36500)


@dataclass(frozen=True)
class MqttConfig:
    """How the broker is reached and what it gets.

    Attributes:
        user: its name; its password is in `password_file`, or in the variable EDGEEMO_MQTT_PASSWORD.
        ca_file: the certificate authority that the broker's certificate is checked against (mqtts); empty: the
            system's.
        cert_file, key_file: a certificate of our own.
        keepalive_s: after about so long a silent connection counts as lost.
        interval_s: between two results of one source; 0: all of them.
        spool: the file where messages wait while the broker is away; empty: one in the state folder.
        spool_mb: at most so much waits; then the oldest is dropped.
        discovery: the topic under which Home Assistant listens; empty: it is not told.
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
    """Who may read the metrics.

    Attributes:
        token_file: a file with the token that a request must carry; needed where it listens beyond this machine.
    """

    token_file: str = ""


@dataclass(frozen=True)
class WebConfig:
    """What the page shows, and to whom.

    Attributes:
        preview: show the pictures of the sources; off, because they show people.
        token_file: a file with the token that must be entered; needed where it listens beyond this machine.
    """

    preview: bool = False
    token_file: str = ""


@dataclass(frozen=True)
class SourceConfig:
    """One of several sources.

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
    """How sources are watched and how much a slow sink may delay.

    Attributes:
        stalled_s: a live source without a frame for so long is called stalled.
        hang_s: one that still gives nothing is given up and opened again.
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
        allow_modified: use an engine whose files differ from its manifest.
        sinks: where results go, each KIND:TARGET.
        markers: another program's markers, lsl:NAME; they are put among the results. Empty: none.
        frames: stop after that many; 0: at the end of the source.
        overwrite: outputs may replace files that edgeemo has not written; never an input.
        capture, detect, track, smooth, quality: the configuration of a stage.
        sources: several sources at once, in place of `source`: then a source that is lost is opened again.
        service: how they are watched.
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
            raise ConfigError(f"there are {len(names)} sources; {MAX_SOURCES} is the most")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two sources are called {twice}; give each a name of its own")
        if self.source and self.sources:
            raise ConfigError("give either source or [[sources]], not both")


def load_config(path: Path) -> Config:
    """Read a TOML file; what it doesn't say keeps its default. Removed keys are ignored with one warning.

    A path of "-" reads standard input.

    Raises:
        ConfigError: no such file, no regular one or more than 64 KiB, no TOML;
            an unknown key (the nearest known one is named), a wrong type or range.
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
        log.warning("%s has keys of an earlier version: %s; take them out", path, ", ".join(notes))
    try:
        return from_mapping(Config, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_mapping(kind: type[T], data: Mapping[str, Any]) -> T:
    """Build a configuration dataclass from what TOML gave.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range.
    """
    # takes 36 ms, which `edgeemo --help` does not need
    import msgspec

    _expect_known(kind, data, "")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_explanation(str(error), data)) from error


def _drop_removed(data: dict[str, Any]) -> list[str]:
    """Take removed keys out of the tables, and say which."""
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
    """Refuse unknown keys, which msgspec passes over in dataclasses, and choices, where it names none."""
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
    """msgspec's message in the words of a TOML file, with the value: "Expected `int`, got `str` - at `$.threads`"."""
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
