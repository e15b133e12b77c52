"""A sink that records a session into a folder, and survives a full disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from queue import Full, Queue
from time import time

import numpy as np

from edgeemo.errors import EdgeemoError, RecordingError, SinkError
from edgeemo.recording.anonymous import Anonymiser
from edgeemo.recording.folder import SessionFolder
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import F32, Result, Sink

log = logging.getLogger(__name__)

QUEUE = 24  # pictures that wait for the encoder
GAP_S = 5.0  # a longer pause is cut out of the video
KEPT_S = 0.04  # of a pause that was cut out
NOTES = """
CREATE TABLE IF NOT EXISTS markers (time REAL NOT NULL, label TEXT NOT NULL, wall REAL);
CREATE TABLE IF NOT EXISTS baselines (id INTEGER NOT NULL, label TEXT NOT NULL, value REAL, PRIMARY KEY (id, label));
CREATE TABLE IF NOT EXISTS cuts (time REAL NOT NULL, skipped REAL NOT NULL);
"""


class Recorder(Sink):
    """Records results until it is closed. Give it to `Session.attach`.

    Events are written by whoever calls `write`, at most a second late, none left out. Pictures are encoded by a thread
    of its own; those of a live source that come too fast are left out. What fails does not end the session: `error`
    says it, and what was written before is kept.

    Args:
        folder: a new one.
        labels: the engine's classes.
        video: "none", "blurred" or "whole".
        every_picture: wait for the encoder instead of leaving pictures out (a file that is analysed).

    Attributes:
        error: what could not go on, recording or its video, and why, in one line; empty while all is well.
        frames: recorded so far.

    Raises:
        RecordingError, SinkError: the folder cannot be written to.
    """

    def __init__(
        self, folder: SessionFolder, labels: tuple[str, ...], *, video: str = "none", every_picture: bool = False
    ) -> None:
        self.folder = folder
        self.error = ""
        self.frames = 0
        self._lock = threading.Lock()
        self._open = True
        self._broken = False
        self._every = every_picture
        self._first: float | None = None
        self._last = 0.0
        self._cuts = 0.0
        self._anonymiser = Anonymiser() if video == "blurred" else None
        self._pictures: Queue[Result | None] = Queue(QUEUE)
        context = SinkContext(labels, draw=lambda result: result.frame.image)
        self._events: Sink = open_sink(f"sqlite:{folder.events}", context)
        self._video: Sink | None = None
        self._encoder: threading.Thread | None = None
        try:
            self._notes = sqlite3.connect(folder.events, timeout=5, isolation_level=None, check_same_thread=False)
            self._notes.execute("PRAGMA synchronous = NORMAL")
            self._notes.executescript(NOTES)
            if video != "none":
                self._video = open_sink(f"video:{folder.video}", context)
                self._encoder = threading.Thread(target=self._encode, name="edgeemo-video", daemon=True)
                self._encoder.start()
        except (sqlite3.Error, EdgeemoError) as error:
            self._events.close()
            raise RecordingError(f"cannot record into {folder.path}: {error}") from error

    @property
    def seconds(self) -> float:
        """Media time recorded so far."""
        return self._last - self._first if self._first is not None else 0.0

    @property
    def now(self) -> float:
        """Media time of the newest frame, in seconds."""
        return self._last

    def write(self, result: Result) -> None:
        with self._lock:
            if not self._open or self._broken:
                return
            try:
                self._events.write(result)
                self._picture(result)
            except (SinkError, sqlite3.Error) as error:
                self._broken = True
                self._fail("recording", error)
                return
            self._first = result.frame.time if self._first is None else self._first
            self._last = result.frame.time
            self.frames += 1

    def mark(self, label: str, at: float | None = None) -> None:
        """Note that something happens now, or at a media time; on the disk when this returns."""
        with self._lock:
            if self._open:
                self._execute("INSERT INTO markers VALUES (?, ?, ?)", (self._last if at is None else at, label, time()))

    def keep_baseline(self, person: int, values: Mapping[str, float] | None) -> None:
        """Keep a person's neutral baseline, or forget it; the events stay as they are."""
        with self._lock:
            if not self._open:
                return
            self._execute("DELETE FROM baselines WHERE id = ?", (person,))
            for label, value in (values or {}).items():
                self._execute("INSERT INTO baselines VALUES (?, ?, ?)", (person, label, float(value)))

    def close(self) -> None:
        """Write the rest and say in session.json that it has ended; may be called twice. Never raises: see `error`."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            for step in (self._events.close, self._notes.close):
                try:
                    step()
                except (EdgeemoError, sqlite3.Error) as error:
                    self._broken = True
                    self._fail("recording", error)
        if self._encoder is not None:
            self._pictures.put(None)
            self._encoder.join()
        try:
            ended = "" if self._broken else datetime.now().astimezone().isoformat(timespec="seconds")
            info = self.folder.read()
            self.folder.write(replace(info, ended=ended, frames=self.frames, seconds=round(self.seconds, 3)))
        except RecordingError as error:
            self._fail("recording", error)

    def _execute(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._notes.execute(statement, values)
        except sqlite3.Error as error:
            self._fail("a note", error)

    def _picture(self, result: Result) -> None:
        if self._video is None:
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
        try:
            self._pictures.put(replace(result, frame=frame), block=self._every, timeout=5 if self._every else None)
        except Full:
            log.debug("the encoder is behind; a picture was left out")

    def _encode(self) -> None:
        video = self._video
        assert video is not None
        works = True
        while (result := self._pictures.get()) is not None:
            if not works:
                continue
            try:
                video.write(result)
            except SinkError as error:
                # the events go on
                works = False
                self._fail("the video", error)
        try:
            video.close()
        except SinkError as error:
            self._fail("the video", error)

    def _fail(self, what: str, error: Exception) -> None:
        # the first one is the cause
        if not self.error:
            self.error = f"{what} could not go on: {' '.join(str(error).split())}"
            log.warning("%s", self.error)


def baseline_of(rows: F32, labels: tuple[str, ...]) -> dict[str, float]:
    """A neutral baseline: the median of (n, K) probabilities, made to sum to 1."""
    middle = np.median(rows, axis=0)
    return {label: float(value) for label, value in zip(labels, middle / max(float(middle.sum()), 1e-6), strict=True)}
