"""Edit a replayed session: persons and markers. Made by `replaying`.

Every change is stored in the session's folder at once and can be undone; the recorded events do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal

from edgeemo.errors import RecordingError
from edgeemo.recording import Marker, Recording
from edgeemo.recording.markers import read_events, sorted_markers, write_events, write_markers
from edgeemo.recording.people import Edit, Exclude, Merge, Name, Split, edited, next_number, write_edits
from edgeemo.ui.player import Player
from edgeemo.values import marker_label

PERSONS, MARKERS = 0, 1


class Review(QObject):
    """The replayed session after the latest change.

    Args:
        player: its second thread writes the files.
        time: returns the media time of the frame on screen.

    Signals:
        changed: the Recording after a change.
        failed: an exception: a change is not possible or could not be stored.
        exported: number of markers, and the file.
    """

    changed = pyqtSignal(object)
    failed = pyqtSignal(object)
    exported = pyqtSignal(int, object)

    def __init__(self, player: Player, time: Callable[[], float], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._player = player
        self.time = time
        self.recording: Recording | None = None
        self._before: list[Recording] = []
        self._stored: list[Recording] = []  # those whose persons and whose markers are in the folder; set by the worker

    def begin(self, recording: Recording) -> None:
        self.recording, self._before, self._stored = recording, [], [recording, recording]

    def end(self) -> None:
        self.recording, self._before = None, []

    @property
    def can_undo(self) -> bool:
        return bool(self._before) or (self.recording is not None and bool(self.recording.edits))

    # persons

    def name(self, person: int, name: str) -> None:
        """Name a person; an empty name removes the name."""
        self._edit(Name(person, name))

    def merge(self, people: Sequence[int]) -> None:
        """Merge persons into the one with the lowest number."""
        first, *others = sorted(people)
        self._edit(*(Merge(other, first) for other in others))

    def split(self, person: int) -> None:
        """Give a person a new number from the frame on screen on."""
        if self.recording is not None:
            self._edit(Split(person, self.time(), next_number(self.recording)))

    def exclude(self, person: int, excluded: bool = True) -> None:
        """Exclude a person, or include the person again."""
        self._edit(Exclude(person, excluded))

    # markers

    def mark(self, label: str = "") -> None:
        """Set a marker at the frame on screen."""
        if self.recording is not None:
            words = marker_label(label or f"mark {len(self.recording.markers) + 1}")
            self._set_markers([*self.recording.markers, Marker(self.time(), words)])

    def rename_marker(self, marker: Marker, label: str) -> None:
        self._replace_marker(marker, replace(marker, label=marker_label(label)))

    def end_marker(self, marker: Marker) -> None:
        """Make a marker an interval that ends at the frame on screen."""
        self._replace_marker(marker, replace(marker, duration=max(0.0, self.time() - marker.time)))

    def delete_markers(self, markers: Sequence[Marker]) -> None:
        if self.recording is not None:
            # not by equality: a marker may have been set twice
            deleted = {id(marker) for marker in markers}
            self._set_markers([each for each in self.recording.markers if id(each) not in deleted])

    def import_markers(self, path: Path) -> None:
        """Add the events of a table."""
        recording = self.recording
        if recording is None:
            return
        added: list[Marker] = []
        stored = self._stored

        def add() -> None:
            if self.recording is not None and self._stored is stored:  # the same session is still replayed
                self._set_markers([*self.recording.markers, *added])

        self._player.with_files(lambda: added.extend(read_events(path, recording.begin)), add, self.failed.emit)

    def export_markers(self, path: Path) -> None:
        """Write all markers as a table of events."""
        recording = self.recording
        if recording is None:
            return
        count: list[int] = []
        self._player.with_files(
            lambda: count.append(write_events(recording, path)),
            lambda: self.exported.emit(count[0], path),
            self.failed.emit,
        )

    def undo(self) -> None:
        """Undo the latest change; after reopening the session, the latest change of persons."""
        recording = self.recording
        if recording is None:
            return
        if self._before:
            self._keep(self._before.pop())
        elif recording.edits:
            self._keep(edited(recording, recording.edits[:-1]))

    def _edit(self, *edits: Edit) -> None:
        recording = self.recording
        if recording is None:
            return
        try:
            new = edited(recording, (*recording.edits, *edits))
        except RecordingError as error:
            self.failed.emit(error)
            return
        self._before.append(recording)
        self._keep(new)

    def _replace_marker(self, old: Marker, new: Marker) -> None:
        if self.recording is not None:
            self._set_markers([new if each is old else each for each in self.recording.markers])

    def _set_markers(self, markers: Sequence[Marker]) -> None:
        recording = self.recording
        if recording is not None:
            self._before.append(recording)
            self._keep(replace(recording, markers=sorted_markers(markers)))

    def _keep(self, new: Recording) -> None:
        self.recording, stored = new, self._stored

        def write() -> None:
            # an edit that could not be stored is stored with the next one
            if new.markers != stored[MARKERS].markers:
                write_markers(new.path, new.markers, stored[MARKERS].markers)
                stored[MARKERS] = new
            if new.edits != stored[PERSONS].edits:
                write_edits(new.path, new.edits, stored[PERSONS].edits)
                stored[PERSONS] = new

        self._player.with_files(write, lambda: None, self.failed.emit)
        self.changed.emit(new)
