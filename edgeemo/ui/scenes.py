"""Convert the frames of a recorded session to results. Used by `replay` and `overlay_video`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeemo.capture.ffmpeg import Video, open_video
from edgeemo.capture.playhead import SeekTarget, go_to
from edgeemo.errors import SourceError
from edgeemo.recording import Recording, Track
from edgeemo.types import F32, I64, U8, Faces, Frame, Result

log = logging.getLogger(__name__)

AHEAD_S = 2.0  # up to this distance forward, decoding is faster than seeking
NOTHING = np.zeros((1, 1, 3), np.uint8)  # until the size of the empty picture is computed
EMPTY = 38  # grey level of the picture if no video was recorded


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of all tracks, by frame, then by track.

    Attributes:
        frames, tracks, rows: (n,) number of the frame, index of the track, and of the row in it.
    """

    recording: Recording
    frames: I64
    tracks: I64
    rows: I64

    @classmethod
    def of(cls, recording: Recording) -> _Rows:
        counts = [len(track) for track in recording.tracks]
        frames = np.concatenate([np.zeros(0, np.int64), *(track.frames for track in recording.tracks)])
        order = np.argsort(frames, kind="stable")
        rows = np.concatenate([np.zeros(0, np.int64), *map(np.arange, counts)])
        return cls(recording, frames[order], np.repeat(np.arange(len(counts)), counts)[order], rows[order])

    def at(self, frame: int) -> list[tuple[Track, int]]:
        """The tracks that are visible in a frame, and their rows."""
        first, last = np.searchsorted(self.frames, [frame, frame + 1]).tolist()
        rows = zip(self.tracks[first:last].tolist(), self.rows[first:last].tolist(), strict=True)
        return [(self.recording.tracks[which], row) for which, row in rows]


class Scenes:
    """The results of a recording, by frame index. The video is opened with the first of them.

    `result` and `close` may be called in another thread, at most one of them at a time.

    Args:
        recording: the session; it is not modified.
    """

    def __init__(self, recording: Recording) -> None:
        self.change(recording)
        self._opened = False
        self._decoder: Video | None = None
        self._at = -1.0
        self._picture: U8 | None = None
        self._empty = NOTHING

    def change(self, recording: Recording) -> None:
        """Continue with the same session after changes of persons or markers."""
        self._rows = _Rows.of(recording)

    @property
    def recording(self) -> Recording:
        return self._rows.recording

    @property
    def has_pictures(self) -> bool:
        """Whether there is a video to decode, unless it is missing."""
        return self.recording.video is not None or self.recording.file is not None

    def __len__(self) -> int:
        return len(self.recording.times)

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def nearest(self, time: float) -> int:
        """The index of the frame shown at a media time."""
        return max(0, min(int(np.searchsorted(self.recording.times, time + 1e-6, side="right")) - 1, len(self) - 1))

    def result(self, index: int) -> Result:
        """The result of a frame, 0 <= index < len."""
        rows = self._rows
        recording = rows.recording
        number, time = int(recording.frames[index]), float(recording.times[index])
        image = self._image(recording.video_time(time) if recording.video is not None else time)
        tracks = rows.at(number)
        count, classes = len(tracks), len(recording.labels)
        boxes = np.array([track.boxes[row] for track, row in tracks], np.float32).reshape(count, 4)
        values: F32 = np.array([track.probabilities[row] for track, row in tracks], np.float32).reshape(count, classes)
        faces = Faces(
            boxes,
            np.zeros((count, 6, 2), np.float32),
            np.array([track.scores[row] for track, row in tracks], np.float32),
            np.array([track.id for track, _ in tracks], np.int64),
        )
        return Result(
            Frame(image, number, time, recording.origins.get(number, recording.source)),
            faces,
            values,
            values,
            recording.labels,
            tuple(recording.labels[int(track.emotions[row])] for track, row in tracks),
            doubts=tuple(
                tuple(track.reasons[number].split("; ")) if number in track.reasons else () for track, _ in tracks
            ),
        )

    def _image(self, at: float) -> U8:
        if not self._opened:
            self._opened, self._decoder, self._empty = True, _decoder(self.recording), self._blank()
        try:
            if at < self._at - 1e-3 or at > self._at + AHEAD_S:
                self._picture = None
                self._seek(at)
            else:
                self._read_to(at)
        except OSError as error:
            log.debug("no picture at %.3f s: %s", at, error)
        return self._picture if self._picture is not None else self._empty

    def _seek(self, at: float) -> None:
        if self._decoder is not None and self._decoder.can_seek:
            # a plain seek may land behind the picture, for example in a transport stream
            found = go_to(self._decoder, SeekTarget(at))
            self._at = self._decoder.time
            self._picture = self._decoder.image() if found and self._at > at - AHEAD_S else None
            return
        if at < self._at:  # a raw stream is read again from its beginning
            self.close()
            self._decoder = _decoder(self.recording)
            self._at = -1.0
        self._read_to(at)

    def _read_to(self, at: float) -> None:
        if self._decoder is None:
            return
        period = 1 / self._decoder.fps
        while self._picture is None or self._at < at - period / 2:
            if not self._decoder.grab():
                break
            self._at = self._decoder.time
            image = self._decoder.image() if self._at >= at - 1.5 * period else None
            if image is not None:
                self._picture = image

    def _blank(self) -> U8:
        """An empty picture large enough for all faces."""
        boxes = [track.boxes for track in self.recording.tracks if len(track)]
        reach = np.nanmax(np.concatenate(boxes), axis=0) if boxes else np.array([0, 0, 560, 300])
        width = int(np.clip(reach[2] * 1.15 if np.isfinite(reach[2]) else 640, 320, 3840))
        height = int(np.clip(reach[3] * 1.15 if np.isfinite(reach[3]) else 360, 180, 2160))
        width, height = max(width, round(height * 16 / 9)), max(height, round(width * 9 / 16))
        return np.full((height, width, 3), EMPTY, np.uint8)


def _decoder(recording: Recording) -> Video | None:
    """The recorded video, or the analysed file; None if neither can be opened."""
    path = recording.video
    if path is None and recording.file is not None and recording.file.is_there:
        path = Path(recording.file.path)
    try:
        return None if path is None else open_video(str(path))
    except SourceError as error:
        log.warning("no picture under the replay: %s", error)
        return None
