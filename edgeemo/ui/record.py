"""Start, show and end recordings. Made by `window`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from time import time

from PyQt6.QtCore import QObject, pyqtSignal

from edgeemo.recording import Recorder, SessionFolder, SessionInfo
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import message_words
from edgeemo.ui.player import Player, PlayerState
from edgeemo.ui.words import clock
from engines import EngineError, find_bundle

log = logging.getLogger(__name__)

END_NOW_S = 3.0  # limit for completing the video when the window closes; an incomplete video is readable too
MODES = {"none": translatable("data only"), "blurred": translatable("faces covered"), "whole": translatable("video")}


class RecordControl(QObject):
    """Records the player's run, at most once at a time. Files are opened and closed in the player's threads.

    A lost source that comes back is recorded into the same session.

    Args:
        folder: folder of sessions.
        comes_back: returns whether the stopped source is being reopened automatically.

    Signals:
        changed: a recording started or ended, or part of it can no longer be written.
        failed: an exception or a text, because the recording could not start or continue.
        warned: a text, because the disk is nearly full.
        saved: the SessionFolder of a finished recording, and one line for each missing part.
    """

    changed = pyqtSignal()
    failed = pyqtSignal(object)
    warned = pyqtSignal(str)
    saved = pyqtSignal(object, object)

    def __init__(
        self,
        player: Player,
        folder: Callable[[], Path],
        comes_back: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._player = player
        self._folder = folder
        self._comes_back = comes_back
        self._waiting = False
        self._recorder: Recorder | None = None
        self._mode = ""
        self._beginning = False
        self._losses_told = 0
        self._warned = False
        player.changed.connect(self._on_state)

    @property
    def recorder(self) -> Recorder | None:
        return self._recorder

    @property
    def active(self) -> bool:
        return self._recorder is not None

    @property
    def lamp(self) -> str:
        """Text beside the red light: recorded time, and what is being written; empty without a recording."""
        recorder = self._recorder
        if recorder is None:
            return ""
        if self._waiting and recorder.writing:
            return tr("REC {time}  waiting for the source", time=clock(recorder.seconds, 0))
        mode = MODES[self._mode] if "video" in recorder.writing else MODES["none"]
        return (
            tr("REC {time}  {mode}", time=clock(recorder.seconds, 0), mode=tr(mode))
            if recorder.writing
            else tr("RECORDING STOPPED")
        )

    def begin(self, name: str, source: str, video: str) -> None:
        """Start recording.

        Args:
            name: name of the session.
            source: its display name.
            video: "none", "blurred" or "whole".
        """
        if self._recorder is not None or self._beginning or not self._player.labels:
            return
        self._beginning = True
        made: list[Recorder] = []

        def open_recorder() -> None:
            # read in the worker, after a change of engine that is under way
            config, labels = self._player.config, self._player.labels
            if config is None or not labels:
                return
            info = SessionInfo(name, source, self._player.engine_description or config.engine, labels, video=video)
            folder = SessionFolder.create(self._folder(), info, card=engine_card(config.engine))
            made.append(Recorder(folder, labels, video=video, clock=time))

        def attach() -> None:
            self._beginning = False
            if not made:
                return
            if not self._player.attach(made[0]):
                # playback stopped meanwhile
                self._abandon(made[0])
                return
            self._recorder = made[0]
            self._mode, self._waiting = video, False
            self._losses_told, self._warned = 0, False
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
        """As `end`, and wait briefly, because the window is closing."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._player.detach(recorder)
            recorder.close(END_NOW_S)

    def look(self) -> None:
        """Report parts that can no longer be written, and end the recording when none is left; called regularly."""
        recorder = self._recorder
        if recorder is None:
            return
        losses = recorder.losses
        if len(losses) > self._losses_told:
            self.failed.emit("; ".join(str(loss) for loss in losses[self._losses_told :]))
            self._losses_told = len(losses)
            self.changed.emit()
        elif recorder.warning and not self._warned:
            self._warned = True
            self.warned.emit(
                tr(
                    "The disk is nearly full: {space}. Free some space or end the recording.",
                    space=message_words(recorder.warning),
                )
            )
        if not recorder.writing:
            self.end()

    def _abandon(self, recorder: Recorder) -> None:
        """Remove a session that has received nothing."""

        def remove() -> None:
            recorder.close()
            recorder.folder.delete()

        self._player.with_files(remove, lambda: None, self.failed.emit)

    def _finish(self, recorder: Recorder) -> None:
        def done() -> None:
            if recorder.folder.path.is_dir():
                self.saved.emit(recorder.folder, recorder.missing)
            else:
                self.failed.emit(recorder.error)

        self._player.with_files(recorder.close, done, self.failed.emit)

    def _on_state(self, state: PlayerState) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        if state is PlayerState.PLAYING and self._waiting:
            self._waiting = False
            if self._player.labels == recorder.labels:
                self._player.attach(recorder)
            else:
                # the engine's files were replaced meanwhile, so its classes differ
                self.end()
        elif state not in (PlayerState.PLAYING, PlayerState.PAUSED):
            if self._comes_back():
                self._player.detach(recorder)
                self._waiting = True
            else:
                self.end()


def engine_card(engine: str) -> str:
    try:
        return (find_bundle(engine).folder / "CARD.md").read_text(encoding="utf-8", errors="replace")
    except (EngineError, OSError) as error:
        log.debug("no card: %s", error)
        return ""
