"""The contents of a session as arrays. Made by `read`; used by replay, report and exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeemo.columns import person_name
from edgeemo.recording.source_file import SourceFile
from edgeemo.types import F32, I64, Marker

if TYPE_CHECKING:
    from edgeemo.recording.people import Edit

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """The data of one person, in the order of the frames.

    Attributes:
        id: track id; -1 if faces were not tracked.
        frames: (n,) frame numbers.
        times: (n,) media time in seconds.
        boxes: (n, 4) pixels.
        scores, confidences: (n,) 0..1.
        probabilities: (n, K).
        emotions: (n,) index of the shown class.
        unsure: (n,) whether it was unsure; all False without quality checks.
        turned: (n,) degrees, see `edgeemo.columns`.
        quality: (n, 6) the figures `edgeemo.columns.QUALITY`; NaN if not recorded.
        reasons: frame number -> doubts.
        baseline: (K,) the neutral baseline; None if not taken.
        name: name given by the user, or empty.
    """

    id: int
    frames: I64
    times: F64
    boxes: F32
    scores: F32
    confidences: F32
    probabilities: F32
    emotions: I64
    unsure: npt.NDArray[np.bool_]
    turned: I64
    quality: F32
    reasons: Mapping[int, str] = field(default_factory=dict)
    baseline: F32 | None = None
    name: str = ""

    @property
    def person(self) -> str:
        """The given name, or the default name."""
        return self.name or person_name(self.id)

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, rows: npt.NDArray[np.bool_]) -> Track:
        """The rows selected by an (n,) mask."""
        frames = set(self.frames[rows].tolist())
        return replace(
            self,
            frames=self.frames[rows],
            times=self.times[rows],
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            confidences=self.confidences[rows],
            probabilities=self.probabilities[rows],
            emotions=self.emotions[rows],
            unsure=self.unsure[rows],
            turned=self.turned[rows],
            quality=self.quality[rows],
            reasons={frame: words for frame, words in self.reasons.items() if frame in frames},
        )

    @property
    def relative(self) -> F32 | None:
        """(n, K) differences from the neutral baseline; None without a baseline."""
        return None if self.baseline is None else np.asarray(self.probabilities - self.baseline, np.float32)

    def seconds_of(self, longest: float = 1.0) -> F64:
        """(n,) duration of each row in seconds: the time to the next row.

        Before a gap longer than `longest` seconds it is the median duration, because the face was absent then.
        """
        if len(self) < 2:
            return np.full(len(self), 0.0)
        steps = np.diff(self.times)
        usual = float(np.median(steps))
        return np.append(np.where(steps > max(longest, usual), usual, steps), min(usual, longest))


@dataclass(frozen=True, eq=False)
class Recording:
    """A complete session.

    Attributes:
        labels: K class names.
        card: the engine's card in Markdown, if stored.
        frames, times: (F,) number and media time of every frame, with or without faces.
        origins: frame number -> origin, if it differs between frames (a folder of pictures); else empty.
        cuts: pauses that were removed from `video`: (media time after the pause, total seconds removed so far).
        missing: what could not be recorded, one line each.
        file: the analysed video file, if there was one; `times` are positions in it.
        edits: edits of the persons, in order; already applied to `tracks`.
        recorded: the tracks without edits.
        walls: frame number -> time of recognition in seconds since the epoch, if recorded.
    """

    name: str
    path: Path
    source: str
    engine: str
    started: str
    labels: tuple[str, ...]
    frames: I64
    times: F64
    tracks: tuple[Track, ...]
    markers: tuple[Marker, ...] = ()
    card: str = ""
    video: Path | None = None
    origins: Mapping[int, str] = field(default_factory=dict)
    cuts: tuple[tuple[float, float], ...] = ()
    missing: tuple[str, ...] = ()
    file: SourceFile | None = None
    edits: tuple[Edit, ...] = ()
    recorded: tuple[Track, ...] = ()
    walls: Mapping[int, float] = field(default_factory=dict)

    @property
    def begin(self) -> float:
        return float(self.times[0]) if len(self.times) else 0.0

    @property
    def seconds(self) -> float:
        """Duration of the session; the last frame counts with the median frame duration, at most 1 s."""
        if len(self.times) < 2:
            return 0.0
        return float(self.times[-1] - self.times[0] + min(np.median(np.diff(self.times)), 1.0))

    def video_time(self, time: float) -> float:
        """Convert a media time to a time in the video, without the cut pauses; a time in a pause is that of its end."""
        skipped = max((skip for at, skip in self.cuts if at <= time), default=0.0)
        ends = [at - skip for at, skip in self.cuts if at > time]
        return max(0.0, min([time - skipped, *ends]) - self.begin)
