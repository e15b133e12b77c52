"""Results of the Python interface: a Result per picture or frame, a Face per face. Made by `Recogniser`."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from edgeemo import types
from edgeemo.api.inputs import Colour, check_colour
from edgeemo.api.interop import to_supervision
from edgeemo.api.tables import Columns, Library, to_table
from edgeemo.columns import person_name
from edgeemo.errors import SinkError
from edgeemo.sinks.event import event, line
from edgeemo.stages import overlay
from edgeemo.types import KEYPOINTS, U8, Doubt, Frame, Quality
from engines.conformal import plausible
from engines.files import user_path

NOTEBOOK_PX = 480  # width of the picture that a notebook shows and stores
PNG_PX = 320  # width of the PNG for notebooks without HTML; as a file, a PNG is five times as large as a JPEG


@dataclass(frozen=True, repr=False)
class Face:
    """One face of one picture or frame.

    Attributes:
        id: the face's number, from 1; in a video it stays the same while the face is tracked.
        person: "Person 1" for id 1, as in tables.
        box: x1, y1, x2, y2 in pixels of the frame; may extend outside it.
        keypoints: (x, y) in pixels by name: right_eye, left_eye, nose, mouth, right_ear, left_ear (the person's own
            right and left).
        score: the face detector's confidence, 0..1.
        emotion: the expression shown, a key of `probabilities`. In a video it is smoothed in time and not always the
            most probable one.
        confidence: calibrated probability of `emotion`, 0..1.
        probabilities: 0..1 by expression, in the engine's order; they sum to 1. Smoothed in time in a video.
        plausible: 95 % set (docs/accuracy.md), the most probable expression first. Empty if the engine has no
            conformal calibration.
        doubts: reasons why the expression is unsure: strings ("face 31 px") with the attributes `code` ("small_face")
            and `value` (31.0); empty if it is sure.
        quality: size, pose, sharpness and light; None if not measured.
        turned: rotation of the head in a still picture: 90, 180 or 270 degrees clockwise; 0 if upright and in videos.
        frame: its frame.
    """

    id: int
    box: tuple[float, float, float, float]
    keypoints: Mapping[str, tuple[float, float]] = field(hash=False)
    score: float
    emotion: str
    confidence: float
    probabilities: Mapping[str, float] = field(hash=False)
    plausible: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    quality: Quality | None
    turned: int
    frame: Frame = field(compare=False)

    @property
    def person(self) -> str:
        return person_name(self.id)

    def crop(self, margin: float = 0.0) -> U8:
        """Crop the face from the frame.

        Args:
            margin: added on each side, as a fraction of the box's width or height.

        Returns:
            (h, w, 3) uint8 BGR, a copy, clipped to the frame.
        """
        image = self.frame.image
        height, width = image.shape[:2]
        x1, y1, x2, y2 = self.box
        across, down = margin * (x2 - x1), margin * (y2 - y1)
        left, right = _clipped(x1 - across, x2 + across, width)
        top, bottom = _clipped(y1 - down, y2 + down, height)
        return image[top:bottom, left:right].copy()

    def __repr__(self) -> str:
        box = ", ".join(f"{edge:.0f}" for edge in self.box)
        doubts = f", doubts={list(map(str, self.doubts))}" if self.doubts else ""
        return f"Face(id={self.id}, {self.emotion} {self.confidence:.0%}, box=({box}){doubts})"


@dataclass(frozen=True, eq=False, repr=False)
class Result(types.Result):
    """The faces of one picture or frame, as a sequence; empty if there are none.

        result = edgeemo.recognise("photo.jpg")
        len(result), result[0], [face.emotion for face in result]

    The same data as arrays: `faces.boxes` (N, 4), `faces.keypoints` (N, 6, 2), `faces.scores` (N,), `faces.ids` (N,),
    `probabilities` (N, K) in the order of `labels`, `raw` (N, K) before smoothing.

    Attributes:
        path: file of the picture; None for arrays and frames of a video.
    """

    path: Path | None = None

    @classmethod
    def of(cls, result: types.Result, path: Path | None = None) -> Result:
        """Convert a result of the pipeline."""
        return cls(**{each.name: getattr(result, each.name) for each in fields(types.Result)}, path=path)

    @property
    def time(self) -> float:
        """Media time in seconds; for a list of pictures the picture's number."""
        return self.frame.time

    @property
    def index(self) -> int:
        """Number of the frame in its video, or of the picture in its list, from 0."""
        return self.frame.index

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, place: int) -> Face: ...

    @overload
    def __getitem__(self, place: slice) -> list[Face]: ...

    def __getitem__(self, place: int | slice) -> Face | list[Face]:
        rows = range(len(self.faces))[place]
        return [self._face(row) for row in rows] if isinstance(rows, range) else self._face(rows)

    def __iter__(self) -> Iterator[Face]:
        return map(self._face, range(len(self.faces)))

    def plot(self, *, bars: bool = True, color: Colour = "bgr") -> U8:
        """Draw boxes, names and bars on a copy of the frame: (H, W, 3) uint8.

        Args:
            bars: show one bar per expression beside a face, if there is room.
            color: "bgr" as in OpenCV, "rgb" for Matplotlib and PIL.

        Raises:
            SourceError: `color` is neither of them.
        """
        drawn = overlay.draw(self.frame.image, self, bars=bars)
        if check_colour(color) == "rgb":
            return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB), np.uint8)
        return drawn

    def save(self, path: str | Path, *, bars: bool = True) -> Path:
        """Write `plot()` to a file; its suffix selects the format.

        Returns:
            The path.

        Raises:
            SinkError: the suffix is not a picture format, the file cannot be written, or it is the input picture.
        """
        target = user_path(path)
        if self.path is not None and target.exists() and self.path.exists() and target.samefile(self.path):
            raise SinkError(f"{target} is the picture itself; choose another name")
        try:
            done, data = cv2.imencode(target.suffix, self.plot(bars=bars))
        except cv2.error:
            done, data = False, np.zeros(0, np.uint8)
        if not done:
            raise SinkError(f"cannot save as {target.name!r}: give a name that ends in .png, .jpg or .webp")
        try:
            target.write_bytes(data.tobytes())
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error.strerror or error}; choose another path") from error
        return target

    def to_dict(self) -> dict[str, Any]:
        """The data of one JSON line of `edgeemo run`."""
        return event(self)

    def to_json(self) -> str:
        """One line of JSON, as `edgeemo run` writes it."""
        return line(self)

    def to_df(self, to: Library | None = None, *, columns: Columns = "edgeemo") -> Any:
        """A table with one row per face, as from `edgeemo.table`.

        Raises:
            ConfigError: no such library is installed, or a name is unknown.
        """
        return to_table([self], self.labels, to=to, columns=columns)

    def to_supervision(self) -> Any:
        """The faces as `supervision.Detections`, for its annotators, trackers and zones.

        xyxy, confidence (of the expression), class_id (index of the emotion in `labels`), tracker_id (the face's
        number), and the emotion's name in data["emotion"] and data["class_name"].

        Raises:
            ConfigError: supervision is not installed.
        """
        return to_supervision(self)

    def __repr__(self) -> str:
        where = self.frame.origin if self.frame.still else f"{self.frame.origin}, {self.time:.3f} s"
        found = ", ".join(f"{face.emotion} {face.confidence:.0%}" for face in self)
        count = f"{len(self)} face{'' if len(self) == 1 else 's'}"
        return f"Result({where}: {count}{': ' if found else ''}{found})"

    def _repr_png_(self) -> bytes:
        return _encoded(".png", self.plot(), PNG_PX)

    def _repr_html_(self) -> str:
        picture = base64.b64encode(_encoded(".jpg", self.plot(), NOTEBOOK_PX)).decode("ascii")
        caption = f"<figcaption>{html.escape(repr(self))}</figcaption>"
        return f'<figure><img src="data:image/jpeg;base64,{picture}">{caption}</figure>'

    def _face(self, row: int) -> Face:
        faces = self.faces
        x1, y1, x2, y2 = faces.boxes[row].tolist()
        points = ((x, y) for x, y in faces.keypoints[row].tolist())
        probabilities = dict(zip(self.labels, self.probabilities[row].tolist(), strict=True))
        return Face(
            id=int(faces.ids[row]),
            box=(x1, y1, x2, y2),
            keypoints=dict(zip(KEYPOINTS, points, strict=True)),
            score=float(faces.scores[row]),
            emotion=self.emotions[row],
            confidence=self.confidence(row),
            probabilities=probabilities,
            plausible=plausible(self.probabilities[row], self.labels, self.plausible_from),
            doubts=tuple(each if isinstance(each, Doubt) else Doubt(each) for each in self.reasons(row)),
            quality=self.quality[row] if self.quality else None,
            turned=int(faces.turned[row]),
            frame=self.frame,
        )


def _clipped(low: float, high: float, size: int) -> tuple[int, int]:
    """A range of pixels inside 0..size, at least one."""
    first = min(max(round(low), 0), size - 1)
    return first, min(max(round(high), first + 1), size)


def _encoded(suffix: str, image: U8, widest: int) -> bytes:
    height, width = image.shape[:2]
    if width > widest:
        size = widest, max(1, round(height * widest / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()
