"""Set markers, live or in a replay. Made by `window`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import time

from PyQt6.QtCore import QObject

from edgeemo.config import Config, QualityConfig
from edgeemo.recording import Marker
from edgeemo.types import Result
from edgeemo.ui.live import preset_of
from edgeemo.ui.player import Player
from edgeemo.ui.record import RecordControl
from edgeemo.ui.review import Review
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.video import VideoView


class Marking(QObject):
    """Sets markers in the timeline, the outputs, and the recorded or replayed session."""

    def __init__(
        self,
        timeline: Timeline,
        video: VideoView,
        player: Player,
        recording: RecordControl,
        review: Review,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._timeline, self._video, self._player = timeline, video, player
        self._recording, self._review = recording, review

    def mark(self, label: str = "") -> None:
        """Set a marker at the frame on screen."""
        history = self._timeline.history
        if self._review.recording is not None:
            self._review.mark(label)
        elif self._video.result is not None and history.begin is not None:
            self._keep(Marker(self._video.result.frame.time, label or f"mark {len(history.markers) + 1}"))

    def mark_gap(self, result: Result) -> None:
        """Mark the gap of a lost source; `result` is the first one after it."""
        end = self._timeline.history.end
        self._keep(Marker(end, "no signal", result.frame.time - end))

    def mark_change(self, config: Config) -> None:
        """Mark a change of engine, smoothing or the confidence below which a face is unsure."""
        words = f"{Path(config.engine).name}, {preset_of(config.smooth)}"
        limit = config.quality.min_confidence
        self.mark(words if limit == QualityConfig().min_confidence else f"{words}, unsure below {limit * 100:.0f} %")

    def show(self, markers: Sequence[Marker]) -> None:
        """Put markers that another program sent into the timeline. A recording gets them with its results."""
        self._timeline.history.markers += markers
        self._timeline.show_markers()

    def _keep(self, marker: Marker) -> None:
        self._timeline.history.markers.append(marker)
        self._timeline.show_markers()
        self._player.mark(replace(marker, wall=time() - marker.duration))
        if self._recording.recorder is not None:
            self._recording.recorder.mark(marker.label, marker.time, marker.duration)
