"""The data passed between stages, and the protocols of the stages.

Arrays are checked when a value is constructed and never written to afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
F32: TypeAlias = npt.NDArray[np.float32]
I64: TypeAlias = npt.NDArray[np.int64]

KEYPOINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
UNTRACKED = -1


def _expect(name: str, array: npt.NDArray[np.generic], shape: tuple[int | None, ...], dtype: type) -> None:
    fits = len(array.shape) == len(shape) and array.dtype.type is dtype and array.dtype.isnative
    for got, want in zip(array.shape, shape, strict=False):
        fits = fits and (want is None or got == want)
    if not fits:
        wanted = ", ".join("*" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be ({wanted}) {np.dtype(dtype)}, got {array.shape} {array.dtype}")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR, C-contiguous.
        index: 0 for the first frame of the source; a dropped frame leaves a gap.
        time: seconds of media time since the first frame (live sources: since the source opened).
        origin: display name of the source: a file name, "camera 0", a URL without its password.
        still: a single picture (from a folder): nothing is tracked or smoothed across it.
        wall: capture time in seconds since the epoch; only set by a service, else None.
        captured: arrival by `time.perf_counter`; for files only set in results for a window, else None.
        damage: decoding errors since the previous frame: the number of lost pictures, plus 1 if this one has errors.
    """

    image: U8
    index: int
    time: float
    origin: str
    still: bool = False
    wall: float | None = None
    damage: int = 0
    captured: float | None = None

    def __post_init__(self) -> None:
        _expect("image", self.image, (None, None, 3), np.uint8)
        if 0 in self.image.shape:
            raise ValueError(f"image is empty: {self.image.shape}")
        if not self.image.flags.c_contiguous:
            raise ValueError("image must be C-contiguous: MediaPipe misreads views")


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one frame, N >= 0 rows.

    Attributes:
        boxes: (N, 4) float32 x1, y1, x2, y2 in pixels; may extend outside the image.
        keypoints: (N, 6, 2) float32 pixels, in the order of `KEYPOINTS`.
        scores: (N,) float32, the detector's confidence in 0..1.
        ids: (N,) int64 track ids from 1 on, or `UNTRACKED`.
        turned: (N,) int64 rotation of lying and upside-down heads in still pictures: 90, 180 or 270 degrees clockwise;
            0 for upright heads, in video, and by default.
    """

    boxes: F32
    keypoints: F32
    scores: F32
    ids: I64
    turned: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        count = self.boxes.shape[0] if self.boxes.ndim else 0
        _expect("boxes", self.boxes, (count, 4), np.float32)
        _expect("keypoints", self.keypoints, (count, len(KEYPOINTS), 2), np.float32)
        _expect("scores", self.scores, (count,), np.float32)
        _expect("ids", self.ids, (count,), np.int64)
        if count and not len(self.turned):
            object.__setattr__(self, "turned", np.zeros(count, np.int64))
        _expect("turned", self.turned, (count,), np.int64)

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def none(cls) -> Faces:
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros((0, len(KEYPOINTS), 2), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
        )

    def take(self, rows: npt.NDArray[np.bool_] | I64 | list[int]) -> Faces:
        """The rows selected by index or mask, in that order."""
        chosen = np.asarray(rows)
        if chosen.size == 0 and chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)
        return Faces(*(getattr(self, each.name)[chosen] for each in fields(self)))


@dataclass(frozen=True)
class Marker:
    """An event at a media time in seconds; it lasts `duration` seconds, 0 for a moment.

    Attributes:
        wall: when it was set, in seconds since the epoch; None if that is unknown.
    """

    time: float
    label: str
    duration: float = 0.0
    wall: float | None = field(default=None, compare=False)


class Doubt(str):
    """A reason why an expression is unsure: the text to show, and a code and value for programs.

    Attributes:
        code: damaged_picture, small_face, turned_head, leaning_head, too_dark, too_bright, low_contrast, blurred,
            low_confidence or undecided (the leading class differs from the label); empty if only the text is known.
        value: the measurement: pixels, degrees, grey level, its deviation, sharpness, or the probability.
    """

    code: str
    value: float | None

    def __new__(cls, words: str, code: str = "", value: float | None = None) -> Doubt:
        doubt = super().__new__(cls, words)
        doubt.code, doubt.value = code, value
        return doubt


@dataclass(frozen=True)
class Quality:
    """Quality measurements of one face.

    Attributes:
        face_px: width of the box in pixels of the frame.
        yaw_deg: yaw to the person's left (positive) or right; roll_deg: roll, clockwise on the screen positive.
        sharpness: standard deviation of the Laplacian of the face at 48 pixels, divided by its contrast.
        light: mean grey level, 0 to 255; contrast: its standard deviation.
    """

    face_px: float
    yaw_deg: float
    roll_deg: float
    sharpness: float
    light: float
    contrast: float


class Judged(NamedTuple):
    """Quality of N faces: N tuples of doubts, and N measurements."""

    doubts: tuple[tuple[Doubt, ...], ...]
    quality: tuple[Quality, ...]


@dataclass(frozen=True, eq=False)
class Result:
    """The recognised faces of one frame.

    Attributes:
        frame: the analysed frame.
        faces: N faces.
        probabilities: (N, K) float32 as shown: smoothed in time if the source is a video.
        raw: (N, K) float32 from the engine.
        labels: K class names.
        emotions: N names from `labels`: the emotion shown for each face (with hysteresis, so not always the arg max).
        timings: milliseconds per stage.
        doubts: N tuples of reasons why an expression is unsure, each a text ("face 31 px") or `Doubt`, empty for faces
            without doubts; () without the quality stage.
        quality: N measurements; () without the quality stage.
        plausible_from: threshold of the engine's 95 % conformal sets (`engines.conformal`); 0: it has none.
        markers: markers that another program sent since the previous result; their times may be shortly before this
            frame.
    """

    frame: Frame
    faces: Faces
    probabilities: F32
    raw: F32
    labels: tuple[str, ...]
    emotions: tuple[str, ...]
    timings: dict[str, float] = field(default_factory=dict)
    doubts: tuple[tuple[str, ...], ...] = ()
    quality: tuple[Quality, ...] = ()
    plausible_from: float = 0.0
    markers: tuple[Marker, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.faces), len(self.labels))
        _expect("probabilities", self.probabilities, shape, np.float32)
        _expect("raw", self.raw, shape, np.float32)
        if len(self.emotions) != len(self.faces):
            raise ValueError(f"emotions must name {len(self.faces)} faces, got {len(self.emotions)}")
        if self.doubts and len(self.doubts) != len(self.faces):
            raise ValueError(f"doubts must cover {len(self.faces)} faces, got {len(self.doubts)}")
        if self.quality and len(self.quality) != len(self.faces):
            raise ValueError(f"quality must cover {len(self.faces)} faces, got {len(self.quality)}")

    def confidence(self, row: int) -> float:
        """Probability of the emotion shown for a face."""
        return float(self.probabilities[row, self.labels.index(self.emotions[row])])

    def without_picture(self) -> Result:
        """A copy with a black picture of the same size, which takes no memory."""
        return replace(self, frame=replace(self.frame, image=_black(self.frame.image.shape)))

    def reasons(self, row: int) -> tuple[str, ...]:
        """Why a face's expression is unsure; empty if it is not."""
        return self.doubts[row] if self.doubts else ()


@lru_cache(maxsize=16)
def _black(shape: tuple[int, ...]) -> U8:
    """A black picture; pages that are never written take no memory."""
    return np.zeros(shape, np.uint8)


@dataclass(frozen=True)
class Counters:
    """Totals and rates of a run.

    Attributes:
        frames: frames recognised.
        faces: faces in them, summed.
        dropped: frames of a live source that were not processed.
        damaged: pictures of a video that were lost or decoded with errors.
        seconds: from the capture of the first frame to the latest result (of a finished run: until it was written).
        fps: frames per second over the latest results; for the whole run use `frames / seconds`.
        latency_ms, latency_p95_ms: median and 95th percentile of the time from a frame's capture to its result, over
            the latest results.
        timings: median milliseconds per stage over the latest results: detect, track, classify, smooth, sink.
        emotions: number of times that each expression was shown, by label.
    """

    frames: int = 0
    faces: int = 0
    dropped: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    latency_ms: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    emotions: dict[str, int] = field(default_factory=dict)
    damaged: int = 0
    latency_p95_ms: float = 0.0


class State(str, Enum):
    """State of a source: connecting -> live <-> stalled -> lost -> back-off -> connecting -> live again."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"  # connected, but no frame has come for a while
    LOST = "lost"  # the connection has just ended
    BACK_OFF = "back-off"  # waiting before the next attempt
    ENDED = "ended"  # the end of a file was reached


@dataclass(frozen=True)
class SourceStatus:
    """The state of one source.

    Attributes:
        captured: frames that the source delivered, including those skipped by a late file player.
        processed: frames recognised.
        dropped: frames that were replaced by a newer one before processing, or skipped by a late file player.
        waiting: frames in flight: at most 3 of a live source, 8 of a file. captured = processed + dropped + waiting.
        camera_fps, process_fps: recent frames per second.
        faces: faces in the newest frame.
        connects: number of successful connections.
        damaged: pictures that were lost or decoded with errors.
        since_s: seconds in the current state.
        error: why the last connection ended; empty while it is live.
        decoder: see `Source`.
    """

    name: str
    state: State
    since_s: float = 0.0
    captured: int = 0
    processed: int = 0
    dropped: int = 0
    waiting: int = 0
    camera_fps: float = 0.0
    process_fps: float = 0.0
    faces: int = 0
    connects: int = 0
    error: str = ""
    decoder: str = ""
    damaged: int = 0


@dataclass(frozen=True)
class SinkStatus:
    """The state of one sink.

    Attributes:
        written: results that were written to the file or confirmed by the broker.
        dropped: results that were lost, because the sink was too slow or failed.
        waiting: results in its queue.
        error: why it cannot be written to now; empty while it can.
        kept: accepted results that are stored on disk until they can be sent.
    """

    name: str
    written: int = 0
    dropped: int = 0
    waiting: int = 0
    error: str = ""
    kept: int = 0


@dataclass(frozen=True)
class Status:
    """The state of a run.

    Attributes:
        engine: the engine in use.
        started: start time in seconds since the epoch.
    """

    engine: str = ""
    started: float = 0.0
    uptime_s: float = 0.0
    sources: tuple[SourceStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = field(default_factory=tuple)

    def to_mapping(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"sources": [asdict(each) | {"state": each.state.value} for each in self.sources]}


class Source(Protocol):
    """Frames of a camera, file, stream or folder.

    `frames()` opens the source, yields its frames and releases it when the generator is closed. It raises `SourceError`
    if the source cannot be opened or fails.
    """

    name: str
    pause_s: float  # pause of the reader between two frames (pictures of a folder that are shown)

    @property
    def live(self) -> bool:
        """Whether frames arrive in real time: only the newest is kept, frames not taken are dropped."""
        ...

    @property
    def decoder(self) -> str:
        """The video decoder, for example "FFmpeg", known from the first frame on; empty if nothing is decoded."""
        ...

    def frames(self) -> Iterator[Frame]: ...


class Detector(Protocol):
    """Finds the faces of a frame.

    Attributes:
        description: runtime of its models; empty if there is nothing to report.
    """

    description: str

    def detect(self, frame: Frame) -> Faces: ...
    def close(self) -> None: ...


class Tracker(Protocol):
    def update(self, faces: Faces, frame: Frame) -> Faces:
        """The same faces with ids; rows may be added for undetected faces of the previous frame."""
        ...

    def reset(self) -> None: ...


class Classifier(Protocol):
    labels: tuple[str, ...]
    plausible_from: float  # see `Result.plausible_from`
    fingerprint: str  # hash of the engine's files; another one means other outputs

    @property
    def description(self) -> str:
        """The engine in use; it changes when a faster engine takes over."""
        ...

    def classify(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        """(N, K) probabilities for each of several frames; all their faces go through the engine in one call."""
        ...

    def close(self) -> None: ...


class Smoother(Protocol):
    def smooth(self, frame: Frame, faces: Faces, raw: F32) -> tuple[F32, tuple[str, ...]]:
        """(N, K) smoothed probabilities and N names to show."""
        ...

    def reset(self) -> None: ...


class Judge(Protocol):
    def judge(self, frame: Frame, faces: Faces, confidences: list[float]) -> Judged:
        """Measure N faces and list their doubts, given the probability of each leading class."""
        ...


class MarkerSource(Protocol):
    """Markers of another program."""

    def take(self) -> list[tuple[float, str]]:
        """Markers since the last call: time by `time.perf_counter`, and a label of one line."""
        ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Takes results in the order of their frames. Opened by its constructor; raises `SinkError` in one line.

    Sinks inherit from it; optional methods have defaults.

    Attributes:
        pictures: the sink needs the frame's image; others may get results without it.
        takes_markers: the sink gets markers of the window at once; others get them with the next result.
    """

    pictures: bool = False
    takes_markers: bool = False

    def write(self, result: Result) -> None: ...

    def close(self) -> None: ...

    def take_marker(self, marker: Marker) -> None:
        """Take a marker that the user set; called only with `takes_markers`."""
        return

    def tick(self) -> None:
        """Called several times per second, also without results."""
        return

    def reopen(self) -> None:
        """Reopen files by name, because they may have been renamed (logrotate)."""
        return

    def stop_waiting(self) -> None:
        """The run ends: `write` must give up soon if nothing accepts its data. Called by another thread, also during
        `write`.
        """
        return

    @property
    def fault(self) -> str:
        """Why accepted results cannot be delivered now; empty if they can."""
        return ""

    @property
    def lost(self) -> int:
        """Number of results that `write` accepted and that were lost later."""
        return 0

    @property
    def kept(self) -> int:
        """Number of results that `write` accepted and that are stored on disk until they can be sent."""
        return 0
