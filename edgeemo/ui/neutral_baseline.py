"""Neutral baselines, and differences from them. Used by `window`.

A baseline is the median of each class probability while the person looks neutral.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PyQt6.QtCore import QObject

from edgeemo.recording import Recording
from edgeemo.recording.recorder import baseline_of
from edgeemo.types import F32, Result
from edgeemo.ui.banner import Banner
from edgeemo.ui.history import Series
from edgeemo.ui.language import tr
from edgeemo.ui.player import Player, PlayerState
from edgeemo.ui.record import RecordControl
from edgeemo.ui.timeline import Timeline
from engines.spec import Emotion

TAKE_S = 10.0
LEAST_ROWS = 20  # minimum number of rows for a median


class Baselines:
    """At most one baseline per person. Raw values do not change."""

    def __init__(self, labels: tuple[str, ...] = ()) -> None:
        self.labels = labels
        self._kept: dict[int, F32] = {}

    def of(self, person: int) -> F32 | None:
        """(K,) the person's neutral baseline; None if it was not taken."""
        return self._kept.get(person)

    @property
    def people(self) -> list[int]:
        """Numbers of the persons that have one."""
        return list(self._kept)

    def keep(self, person: int, values: Mapping[str, float]) -> None:
        self._kept[person] = np.array([values.get(label, 0.0) for label in self.labels], np.float32)

    def forget(self, person: int) -> None:
        self._kept.pop(person, None)

    def words(self, result: Result, row: int) -> str:
        """The differences of a face, for example "Against the neutral baseline: happiness +34, neutral -30".

        Empty without a baseline.
        """
        baseline = self.of(int(result.faces.ids[row]))
        if baseline is None:
            return ""
        change = result.probabilities[row] - baseline
        columns = [column for column in np.argsort(-np.abs(change)).tolist()[:3] if abs(change[column]) >= 0.02]
        told = ", ".join(
            f"{tr(Emotion.of(result.labels[column]).display.lower())} {change[column] * 100:+.0f}" for column in columns
        )
        return tr("Against the neutral baseline: {changes}", changes=told or tr("no difference"))


class BaselineCapture:
    """A baseline being taken from the rows after a media time.

    Args:
        person: number of the person.
        begin: media time in seconds.
    """

    def __init__(self, person: int, begin: float) -> None:
        self.person = person
        self.begin = begin

    def left(self, now: float) -> float:
        """Remaining seconds."""
        return max(0.0, self.begin + TAKE_S - now)

    def finish(self, series: Series, labels: tuple[str, ...]) -> dict[str, float] | None:
        """The baseline, or None if the face was visible too rarely."""
        rows = np.asarray(series.values[series.times >= self.begin], np.float32)
        return baseline_of(rows, labels) if len(rows) >= LEAST_ROWS else None


class BaselineControl(QObject):
    """Takes, stores and deletes neutral baselines, in the window and in the recorded session."""

    def __init__(
        self,
        player: Player,
        timeline: Timeline,
        recording: RecordControl,
        banner: Banner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._player, self._timeline, self._recording, self._banner = player, timeline, recording, banner
        self._taking: BaselineCapture | None = None
        self._engine = ""  # fingerprint of the latest baseline's engine
        self._replayed: dict[int, F32] = {}  # the baselines that the replayed session has
        self.reset()
        recording.changed.connect(self._record_all)

    def reset(self) -> None:
        """Delete all baselines, because other people are shown."""
        self._taking, self._engine, self._replayed = None, "", {}
        self.baselines = Baselines()
        self._timeline.show_baselines(self.baselines.of)

    def check_engine(self) -> None:
        """Delete the baselines of another engine, from whose probabilities the new one's may differ anyway.

        Engines are compared by their files: a reopened source may find other files under the same name.
        """
        if self._engine and self._engine != (self._player.engine_fingerprint or self._engine):
            recorder = self._recording.recorder
            if recorder is not None:
                for person in self.baselines.people:
                    recorder.keep_baseline(person, None)
            self.reset()
            self._banner.show_message("notice", tr("The neutral baselines of the other engine were removed."))

    def take_over(self, recording: Recording) -> None:
        """Load the baselines of a replayed session, and again after an edit of its persons; call `reset` before."""
        self.baselines.labels = recording.labels
        before = self._replayed
        self._replayed = {track.id: track.baseline for track in recording.tracks if track.baseline is not None}
        for person in before.keys() - self._replayed.keys():
            self.baselines.forget(person)
        for person, values in self._replayed.items():
            if before.get(person) is not values:  # one that the user forgot stays forgotten
                self.baselines.keep(person, dict(zip(recording.labels, values.tolist(), strict=True)))

    def take(self) -> None:
        """Take the baseline from the next ten seconds of the selected person; then also show differences from it."""
        person = self._timeline.person
        if person is None or person < 0 or self._player.state is not PlayerState.PLAYING:
            self._banner.show_message(
                "notice", tr("To take a neutral baseline, play the picture and select a tracked face.")
            )
            return
        self._taking = BaselineCapture(person, self._timeline.history.end)
        self._engine = self._player.engine_fingerprint
        self._banner.show_message(
            "notice",
            tr("Person {number}: look neutral for %n seconds.", round(TAKE_S), number=person),
            (tr("Cancel"), self._cancel),
        )

    def forget(self) -> None:
        """Delete the selected person's baseline; raw values were never changed."""
        person = self._timeline.person
        if person is not None:
            self.baselines.forget(person)
            self._timeline.show_person(person)
            if self._recording.recorder is not None:
                self._recording.recorder.keep_baseline(person, None)

    def look(self) -> None:
        """Check whether the baseline is complete; called after each result."""
        history = self._timeline.history
        if self._taking is not None and history.end < self._taking.begin:  # the user has gone back in a file
            self._taking = BaselineCapture(self._taking.person, history.end)
        taking = self._taking
        if taking is None or taking.left(history.end) > 0:
            return
        self._taking = None
        baseline = taking.finish(history.series(taking.person), history.labels)
        if baseline is None:
            self._banner.show_message(
                "notice",
                tr("Person {number} was seen too rarely in these seconds.", number=taking.person),
                (tr("Again"), self.take),
            )
            return
        self.baselines.labels = history.labels
        self.baselines.keep(taking.person, baseline)
        if self._recording.recorder is not None:
            self._recording.recorder.keep_baseline(taking.person, baseline)
        self._timeline.show_person(taking.person)
        self._banner.show_message(
            "notice",
            tr("Person {number}: the neutral baseline is taken.", number=taking.person),
            (tr("Undo"), self.forget),
            seconds=10,
        )

    def _cancel(self) -> None:
        self._taking = None

    def _record_all(self) -> None:
        recorder = self._recording.recorder
        if recorder is None:
            return
        for person in self._timeline.history.people:
            baseline = self.baselines.of(person)
            if baseline is not None:
                recorder.keep_baseline(person, dict(zip(self.baselines.labels, baseline.tolist(), strict=True)))
