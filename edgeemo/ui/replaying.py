"""Replay sessions in the window; names, timeline and dialogs follow edits of the session. Made by `window`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QObject, QPoint, pyqtSignal
from PyQt6.QtWidgets import QDialog, QWidget

from edgeemo.recording import Recording
from edgeemo.ui.banner import Banner
from edgeemo.ui.cards import FacePanel
from edgeemo.ui.history import History
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.markers import MarkersDialog
from edgeemo.ui.people import PeopleDialog, show_person_menu
from edgeemo.ui.player import Player
from edgeemo.ui.replay import ReplayBar
from edgeemo.ui.review import Review
from edgeemo.ui.settings import Settings
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.video import VideoView

NO_REPLAY = translatable("To edit persons and markers, replay a session: choose one under Recorded sessions.")


class Replaying(QObject):
    """Replays at most one session at a time.

    Args:
        bar: plays the session.
        forget: removes the persons shown before from the window.

    Signals:
        begins: the Recording about to be shown.
        began: it is shown.
        edited: the Recording after a change of persons or markers, which is about to be shown.
        asked_for_sessions: nothing is replayed, and the user wants to select a session.
    """

    begins = pyqtSignal(object)
    began = pyqtSignal()
    edited = pyqtSignal(object)
    asked_for_sessions = pyqtSignal()

    def __init__(
        self,
        bar: ReplayBar,
        player: Player,
        banner: Banner,
        views: tuple[VideoView, FacePanel, Timeline],
        forget: Callable[[], None],
        settings: Settings,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._bar, self._player, self._banner, self._forget, self._window = bar, player, banner, forget, parent
        self._settings = settings
        self._video, self._faces, self._timeline = views
        self.review = Review(player, lambda: bar.time, self)
        self.review.changed.connect(self._on_changed)
        self.review.failed.connect(self._on_failed)
        self.review.exported.connect(self._on_exported)
        self._faces.asked.connect(self._on_asked)
        self._timeline.sought.connect(bar.seek)
        bar.left.connect(self._on_left)
        self._refused = ""  # why the latest change was not possible
        self.people: PeopleDialog | None = None
        self.markers: MarkersDialog | None = None

    def begin(self, recording: Recording) -> None:
        """Stop playback and replay a session."""
        self._player.stop()
        self._banner.dismiss()
        self._forget()
        self.review.begin(recording)
        for dialog in (self.people, self.markers):
            if dialog is not None:
                dialog.fill()
        self._show_names(recording)
        self._timeline.show_history(History.of(recording), whole=True)
        self.begins.emit(recording)
        self._bar.begin(recording)
        self.began.emit()

    def show_people(self) -> None:
        """Open the dialog of persons."""
        if self._can_edit():
            if self.people is None:
                self.people = PeopleDialog(self.review, self._window)
            self.people.fill()
            self.people.table.choose_first()
            self.people.show()

    def show_markers(self) -> None:
        """Open the dialog of markers."""
        if self._can_edit():
            if self.markers is None:
                self.markers = MarkersDialog(self.review, self._settings, self._window)
                self.markers.sought.connect(self._bar.seek)
            self.markers.fill()
            self.markers.table.choose_first()
            self.markers.show()

    def _can_edit(self) -> bool:
        if self.review.recording is None:
            offer = (tr("Recorded sessions…"), self.asked_for_sessions.emit)
            self._banner.show_message("notice", tr(NO_REPLAY), offer, seconds=10)
        return self.review.recording is not None

    def _on_failed(self, error: Exception) -> None:
        self._banner.show_error(error)
        self._refused = self._banner.text

    def _on_changed(self, recording: Recording) -> None:
        if self._refused and self._banner.text == self._refused:
            # another change succeeded
            self._banner.dismiss()
        self._refused = ""
        self._show_names(recording)
        self.edited.emit(recording)
        self._timeline.change_history(History.of(recording))
        self._bar.change(recording)

    def _on_exported(self, count: int, path: Path) -> None:
        self._banner.show_message("notice", tr("%n markers written to {path}", count, path=path), seconds=8)

    def _on_asked(self, person: int, where: QPoint) -> None:
        show_person_menu(self.review, person, where, self._window)

    def _on_left(self) -> None:
        self.review.end()
        for dialog in (self.people, self.markers):
            if isinstance(dialog, QDialog):
                dialog.hide()
        for view in (self._video, self._faces, self._timeline):
            view.show_names({})

    def _show_names(self, recording: Recording) -> None:
        names = {track.id: track.name for track in recording.tracks if track.name}
        for view in (self._video, self._faces, self._timeline):
            view.show_names(names)
