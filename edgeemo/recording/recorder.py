"""A sink that records a session into a folder and reports losses at once. Made by the app."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic, time

import numpy as np

from edgeemo.errors import EdgeemoError, RecordingError, SinkError
from edgeemo.recording.anonymous import Anonymiser
from edgeemo.recording.encoder import CLOSE_S, VideoEncoder
from edgeemo.recording.folder import SessionFolder
from edgeemo.recording.rows import DecodingErrors
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.sqlite import MARKERS
from edgeemo.types import F32, Result, Sink
from edgeemo.values import clock

log = logging.getLogger(__name__)

GAP_S = 5.0  # a longer pause is removed from the video
LONGEST_FRAME_S = 1.0  # maximum assumed duration of a frame
KEPT_S = 0.04  # a removed pause is this long in the video
WATCH_S = 1.0  # interval of checking the disk
WARN_BYTES, WARN_S = 1 << 30, 300.0  # warn below this free space or time until the disk is full
RESERVE_BYTES = 64 << 20  # free space reserved for the data: with less, the video ends
NOTE = "a note"
NOTES = f"""
{MARKERS};
CREATE TABLE IF NOT EXISTS baselines (id INTEGER NOT NULL, label TEXT NOT NULL, value REAL, PRIMARY KEY (id, label));
CREATE TABLE IF NOT EXISTS cuts (time REAL NOT NULL, skipped REAL NOT NULL);
"""


@dataclass(frozen=True)
class Loss:
    """A loss in a session.

    Attributes:
        part: "recording" (all of it), "the video" or "a note" (a marker or baseline).
        reason: in words.
        seconds: media time from the start of the recording.
    """

    part: str
    reason: str
    seconds: float

    def __str__(self) -> str:
        if self.part == NOTE:
            return f"{NOTE} could not be stored at {clock(self.seconds)}: {self.reason}"
        return f"{self.part} could not continue after {clock(self.seconds)}: {self.reason}"


class Recorder(Sink):
    """Records results until it is closed. Give it to `Runner.attach`.

    `write` stores every event within one second. A separate thread encodes pictures and drops those that come too fast.
    Errors do not end the session: `losses` lists them at once, and earlier data are kept. The folder and the free space
    are checked every second.

    Args:
        folder: a new session folder.
        labels: the engine's classes.
        video: "none", "blurred" or "whole".
        clock: returns the wall-clock time of a frame in seconds since the epoch; None: not stored (analysed files).
        free_bytes: returns the free space of a folder's disk.

    Attributes:
        frames: number of frames recorded so far.
        labels: the engine's classes.

    Raises:
        RecordingError, SinkError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: SessionFolder,
        labels: tuple[str, ...],
        *,
        video: str = "none",
        clock: Callable[[], float] | None = None,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self.folder = folder
        self.labels = labels
        self.frames = 0
        self._clock = clock
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self._losses: list[Loss] = []
        self._missing: list[str] = []
        self._spoiled = DecodingErrors()
        self._warning = ""
        self._open = True
        self._broken = False
        self._first: float | None = None
        self._last = 0.0
        self._step = 0.0  # assumed duration of the newest frame: that of the previous one
        self._cuts = 0.0
        self._began = self._watched = monotonic()
        self._anonymiser = Anonymiser() if video == "blurred" else None
        context = SinkContext(labels, draw=lambda result: result.frame.image)
        self._events: Sink = open_sink(f"sqlite:{folder.events}", context)
        self._encoder: VideoEncoder | None = None
        try:
            self._inode = folder.events.stat().st_ino
            self._notes = sqlite3.connect(folder.events, timeout=5, isolation_level=None, check_same_thread=False)
            self._notes.execute("PRAGMA synchronous = NORMAL")
            self._notes.executescript(NOTES)
            if video != "none":
                self._encoder = VideoEncoder(open_sink(f"video:{folder.video}", context), self._on_video_error)
        except (sqlite3.Error, OSError, EdgeemoError) as error:
            self._events.close()
            raise RecordingError(f"cannot record into {folder.path}: {error}") from error

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Losses so far, in the order of time."""
        return tuple(self._losses)

    @property
    def error(self) -> str:
        """The losses in one line; empty if there are none."""
        return "; ".join(str(loss) for loss in self._losses)

    @property
    def missing(self) -> tuple[str, ...]:
        """Everything that is missing, one line each: losses, decoding errors, and the texts of `note_missing`."""
        return (*self._missing, *self._spoiled.note(), *map(str, self._losses))

    @property
    def warning(self) -> str:
        """The free space if it is low; else empty."""
        return self._warning

    @property
    def writing(self) -> tuple[str, ...]:
        """What is currently written to disk: "data", "video"."""
        data = ("data",) if self._open and not self._broken else ()
        video = ("video",) if data and self._encoder is not None and self._encoder.working else ()
        return data + video

    @property
    def seconds(self) -> float:
        """Media time recorded so far, to the end of the newest frame."""
        return self._last - self._first + self._step if self._first is not None else 0.0

    @property
    def now(self) -> float:
        """Media time of the newest frame, in seconds."""
        return self._last

    def write(self, result: Result) -> None:
        with self._lock:
            if not self._open or self._broken:
                return
            if self._clock is not None and result.frame.wall is None:
                result = replace(result, frame=replace(result.frame, wall=self._clock()))
            try:
                self._watch_disk()
                self._events.write(result)
                self._picture(result)
            except (SinkError, RecordingError, sqlite3.Error, OSError) as error:
                self._break(error)
                return
            if self._first is None:
                self._first = result.frame.time
            else:
                self._step = min(result.frame.time - self._last, LONGEST_FRAME_S)
            self._last = result.frame.time
            self._spoiled.add(result.frame.time, result.frame.damage)
            self.frames += 1

    def mark(self, label: str, at: float | None = None, duration: float = 0.0) -> None:
        """Store a marker now, or an interval that ends now; it is on disk when this returns.

        Args:
            at: media time of the frame on screen, or of the interval's start; None: of the newest frame.
            duration: of the interval, in seconds.
        """
        with self._lock:
            if self._open:
                # rounded like the times of frames; otherwise a third of the markers would be after their frame
                at = round(self._last if at is None else at, 4)
                self._execute(
                    "INSERT INTO markers (time, label, wall, duration) VALUES (?, ?, ?, ?)",
                    (at, label, time() - duration, duration),
                )

    def keep_baseline(self, person: int, values: Mapping[str, float] | None) -> None:
        """Store or delete a person's neutral baseline; the events do not change."""
        with self._lock:
            if not self._open:
                return
            self._execute("DELETE FROM baselines WHERE id = ?", (person,))
            for label, value in (values or {}).items():
                self._execute("INSERT INTO baselines VALUES (?, ?, ?)", (person, label, float(value)))

    def note_missing(self, text: str) -> None:
        """Store in the session that part of the source is missing; may be called after `close`."""
        with self._lock:
            self._missing.append(text)
            closed = not self._open
        if closed:
            self._write_info()

    def close(self, timeout: float = CLOSE_S) -> None:
        """Write the rest and set `ended` in session.json; may be called twice. It never raises; see `losses`.

        Args:
            timeout: seconds for the rest of the video.
        """
        with self._lock:
            if not self._open:
                return
            for step in (self._events.close, self._notes.close):
                try:
                    step()
                except (EdgeemoError, sqlite3.Error, OSError) as error:
                    self._break(error)
            self._open = False
        if self._encoder is not None:
            try:
                self._encoder.close(timeout)
            except TimeoutError as error:
                self._lose("the video", error)
            if self._encoder.left_out > self.frames / 100:
                self._missing.append(f"{self._encoder.left_out} pictures of the video: the encoder was too slow")
        self._write_info()

    def _write_info(self) -> None:
        try:
            ended = "" if self._broken else datetime.now().astimezone().isoformat(timespec="seconds")
            info = self.folder.read()
            seconds = round(self.seconds, 3)
            self.folder.write(replace(info, ended=ended, frames=self.frames, seconds=seconds, missing=self.missing))
        except RecordingError as error:
            if not self._broken:
                self._break(error)

    def _execute(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._notes.execute(statement, values)
        except sqlite3.Error as error:
            self._lose(NOTE, error)

    def _picture(self, result: Result) -> None:
        encoder = self._encoder
        if encoder is None or not encoder.working:
            return
        gap = result.frame.time - self._last
        if self._first is not None and gap > GAP_S:
            self._cuts += gap - KEPT_S
            self._notes.execute("INSERT INTO cuts VALUES (?, ?)", (result.frame.time, self._cuts))
        image = result.frame.image
        if self._anonymiser is not None:
            image = self._anonymiser.apply(image, result.faces.boxes, result.frame.time)
        start = result.frame.time if self._first is None else self._first
        frame = replace(result.frame, image=image, time=result.frame.time - start - self._cuts)
        encoder.put(replace(result, frame=frame))

    def _watch_disk(self) -> None:
        """Check every `WATCH_S` that the folder exists and how much space is free.

        SQLite continues to write into a deleted file without an error.
        """
        now = monotonic()
        if now - self._watched < WATCH_S:
            return
        self._watched = now
        try:
            there = self.folder.events.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise RecordingError(f"the folder {self.folder.path} was moved or deleted")
        free = self._free_bytes(self.folder.path)
        rate = self.folder.size() / max(now - self._began, 1.0)
        left_s = free / max(rate, 1.0)
        self._warning = _words(free, left_s) if free < WARN_BYTES or left_s < WARN_S else ""
        if free < RESERVE_BYTES and self._encoder is not None and self._encoder.working:
            self._encoder.end()
            self._lose("the video", RecordingError(f"{_words(free, left_s)}; the data continue"))

    def _break(self, error: Exception) -> None:
        self._broken = True
        if self._encoder is not None:
            self._encoder.end()
        self._lose("recording", error)

    def _on_video_error(self, error: Exception) -> None:
        self._lose("the video", error)

    def _lose(self, part: str, error: Exception) -> None:
        # one line per part: the first error causes the later ones
        if all(known.part != part for known in self._losses):
            self._losses.append(Loss(part, " ".join(str(error).split()), self.seconds))
            log.warning("%s", self._losses[-1])


def _words(free: int, left_s: float) -> str:
    size = f"{free / 1e9:.1f} GB" if free >= 1e8 else f"{free / 1e6:.0f} MB"
    return f"{size} of disk space left" + (f", enough for about {left_s / 60:.0f} minutes" if left_s < 7200 else "")


def baseline_of(rows: F32, labels: tuple[str, ...]) -> dict[str, float]:
    """A neutral baseline: the median of (n, K) probabilities, normalised to sum 1."""
    middle = np.median(rows, axis=0)
    return {label: float(value) for label, value in zip(labels, middle / max(float(middle.sum()), 1e-6), strict=True)}
