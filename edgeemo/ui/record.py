"""Recording from the window: begins, marks, shows that it runs, and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal

from edgeemo.recording import Recorder, SessionFolder, SessionInfo
from edgeemo.ui.player import Player, State
from engines import EngineError, find_bundle

log = logging.getLogger(__name__)


class RecordControl(QObject):
    """At most one recording at a time, of what the player plays. Files are made and closed in the player's worker.

    Signals:
        changed: recording has begun or ended.
        failed: an exception or a line of text: it could not begin, or could not go on.
        saved: the SessionFolder of a recording that has ended.
    """

    changed = pyqtSignal()
    failed = pyqtSignal(object)
    saved = pyqtSignal(object)

    def __init__(self, player: Player, folder: Callable[[], Path], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._player = player
        self._folder = folder
        self._recorder: Recorder | None = None
        self._beginning = False
        self._told = ""
        player.changed.connect(self._on_state)

    @property
    def recorder(self) -> Recorder | None:
        return self._recorder

    @property
    def active(self) -> bool:
        return self._recorder is not None

    def begin(self, name: str, source: str, engine: str, video: str) -> None:
        """Record from now on.

        Args:
            name: of the session. source, engine: as the user calls them.
            video: "none", "blurred" or "whole".
        """
        labels = self._player.labels
        if self._recorder is not None or self._beginning or not labels:
            return
        self._beginning = True
        made: list[Recorder] = []
        description = self._player.engine_description or engine

        def open_recorder() -> None:
            info = SessionInfo(name, source, description, labels, video=video)
            folder = SessionFolder.create(self._folder(), info, card=engine_card(engine))
            made.append(Recorder(folder, labels, video=video))

        def attach() -> None:
            self._beginning = False
            if not self._player.attach(made[0]):
                # it has stopped meanwhile
                self._finish(made[0])
                return
            self._recorder = made[0]
            self._told = ""
            self.changed.emit()

        def refuse(error: Exception) -> None:
            self._beginning = False
            self.failed.emit(error)

        self._player.in_background(open_recorder, attach, refuse)

    def end(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self._player.detach(recorder)
        self._finish(recorder)
        self.changed.emit()

    def end_now(self) -> None:
        """As `end`, and wait: the window is closing."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._player.detach(recorder)
            recorder.close()

    def look(self) -> None:
        """Tell what could not go on; called now and then."""
        if self._recorder is not None and self._recorder.error not in ("", self._told):
            self._told = self._recorder.error
            self.failed.emit(self._told)

    def _finish(self, recorder: Recorder) -> None:
        def done() -> None:
            if recorder.error not in ("", self._told):
                self.failed.emit(recorder.error)
            else:
                self.saved.emit(recorder.folder)

        self._player.in_background(recorder.close, done, self.failed.emit)

    def _on_state(self, state: State) -> None:
        if state not in (State.PLAYING, State.PAUSED):
            self.end()


def engine_card(engine: str) -> str:
    try:
        return (find_bundle(engine).folder / "CARD.md").read_text(encoding="utf-8", errors="replace")
    except (EngineError, OSError) as error:
        log.debug("no card: %s", error)
        return ""
