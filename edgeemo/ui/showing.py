"""Update picture, cards, timeline, buttons and figures together during playback and replay. Made by `window`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject

from edgeemo.config import Config
from edgeemo.errors import EdgeemoError
from edgeemo.recording import Recording
from edgeemo.types import UNTRACKED, Result
from edgeemo.ui.history import History
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.player import PlayerState

if TYPE_CHECKING:
    from edgeemo.ui.window import Window

NO_FACES = translatable("Faces appear here while the picture plays.")


class Showing(QObject):
    """Keeps the parts of a window consistent; used after all parts are made."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window

    def on_opening(self, config: Config, same_source: bool) -> None:
        if self._window.replay.recording is not None:
            self._window.replay.end()
        self._window.recording.end()
        self.forget_people()
        self._window.thumbnails.start()
        self._window.video.show_heat(None)
        if self._window.menus.saliency_action.isChecked():
            self._window.saliency.start(config)
        self._window.toolbar.source.show_source(config.source)
        self._window.toolbar.engine.show_engine(config.engine)
        self._window.setWindowTitle(f"{self._window.live.source_name} - edgeemo")
        self._window.video.show_message(
            tr("Opening {source} …", source=self._window.live.source_name), keep_picture=same_source
        )

    def on_switched(self, config: Config) -> None:
        """Show another engine or smoothing, with which the source continues."""
        self._window.toolbar.engine.show_engine(config.engine)
        self._window.neutral_baseline.check_engine()
        self._window.marking.mark_change(config)
        if self._window.saliency.active:
            self._window.saliency.start(config)

    def on_kept(self, config: Config) -> None:
        """Show the old engine or smoothing again, because a change failed."""
        self._window.toolbar.engine.show_engine(config.engine)
        self._window.menus.preset_actions[self._window.settings.preset].setChecked(True)

    def on_state(self, state: PlayerState) -> None:
        self.show_buttons()
        if state in (PlayerState.PLAYING, PlayerState.FAILED, PlayerState.STOPPED):
            self._window.status_bar.describe(self._window.player.engine_description)
        if state is PlayerState.STOPPED:
            words = tr("Stopped. Press Start to continue.") if self._window.config.source else ""
            self._window.video.show_message(words, offer=True)
            self._window.faces.clear(tr(NO_FACES))
        elif state is PlayerState.ENDED:
            self._say_ended()
        elif state is PlayerState.FAILED:
            self._window.video.show_message(
                "" if self._window.video.result else tr("No picture"),
                keep_picture=self._window.video.result is not None,
                offer=self._window.video.result is None,
            )
            self._window.faces.clear(tr(NO_FACES))
        self._window.toolbar.snapshot_button.setEnabled(self._window.video.result is not None)
        self.show_figures()

    def on_result(self, result: Result) -> None:
        first = self._window.video.result is None
        self._window.live.on_result(result)
        self._window.neutral_baseline.check_engine()
        self.show(result)
        self._window.history.add(result)
        if result.markers:
            self._window.marking.show(result.markers)
        self._window.saliency.offer(result, self._window.timeline.person)
        self._window.file_bar.on_result(result)
        self._window.neutral_baseline.look()
        if result.frame.still:
            self._window.thumbnails.add(result)
        if first:
            self._window.toolbar.snapshot_button.setEnabled(True)
            self.show_figures()

    def tell_saved(self, path: Path) -> None:
        """Report a saved plot."""
        self._window.banner.show_message("notice", tr("Plot written to {path}", path=path), seconds=8)

    def _say_ended(self) -> None:
        last = self._window.video.result
        if last is None:
            self._window.video.show_message(tr("Nothing to show"), offer=True)
        elif last.frame.still and last.frame.index == 0:
            # a single picture stays on screen
            return
        if self._window.banner.text and self._window.banner.buttons:
            # keep an offer such as "Resume"; the button Start also plays the source again
            return
        self._window.banner.show_message(
            "notice",
            tr("{source} has ended.", source=self._window.live.source_name),
            (tr("Play again"), self._window.start_or_pause),
        )

    def show_buttons(self) -> None:
        focused = self._window.toolbar.start_button.hasFocus()
        replay = self._window.replay
        replayed = PlayerState.PLAYING if replay.playing else PlayerState.PAUSED
        self._window.toolbar.show_state(
            self._window.player.state,
            replay=replayed if replay.recording is not None else None,
            recording=self._window.recording.active,
        )
        if focused and not self._window.toolbar.start_button.isEnabled():
            self._window.video.setFocus()
        self._show_lamp()

    def show_figures(self) -> None:
        self._window.recording.look()
        self._window.file_bar.look()
        self._show_lamp()
        stats = self._window.player.stats()
        self._window.dialogs.refresh()
        if (replayed := self._window.replay.recording) is not None:
            words = tr("Replay of {session}", session=replayed.name)
            without = replayed.video is None and replayed.file is None
            self._window.status_bar.say(f"{words} ({tr('no pictures were recorded')})" if without else words)
            return
        result = self._window.video.result
        self._window.status_bar.show_figures(
            stats,
            paused=self._window.player.state is PlayerState.PAUSED,
            still=result.frame.origin if result is not None and result.frame.still else "",
            delay_ms=self._window.video.paints.delay(),
        )
        if self._window.player.engine_description:
            self._window.status_bar.describe(self._window.player.engine_description)

    def _show_lamp(self) -> None:
        self._window.video.show_recording(self._window.recording.lamp)

    def forget_people(self) -> None:
        """Reset the persons for another source or session."""
        self._window.history = History()
        self._window.timeline.show_history(self._window.history)
        self._window.neutral_baseline.reset()

    def on_replay(self, recording: Recording) -> None:
        self._window.thumbnails.start()
        # the map shows a person of the source; a person of the session may have the same number
        self._window.saliency.stop()
        self._window.video.show_heat(None)
        self._window.neutral_baseline.take_over(recording)
        self._window.setWindowTitle(f"{recording.name} - edgeemo")

    def after_replay(self) -> None:
        self.forget_people()
        words = tr("Press Start to continue.") if self._window.config.source else ""
        self._window.video.show_message(words, offer=True)
        self._window.faces.clear(tr(NO_FACES))
        self.show_buttons()
        self.show_figures()

    def show_again(self) -> None:
        """Redraw after another person was selected."""
        if self._window.video.result is not None:
            self.show(self._window.video.result)

    def show(self, result: Result) -> None:
        person = (
            self._window.timeline.person
            if self._window.timeline.person is not None and len(result.faces) > 1
            else UNTRACKED
        )
        self._window.video.show_chosen(person)
        self._window.faces.show_chosen(person)
        self._window.video.show_result(result)
        self._window.faces.show_result(result, self._window.neutral_baseline.baselines.words)
        if self._window.replay.recording is not None:
            self._window.timeline.show_cursor(result.frame.time)
            self._window.toolbar.snapshot_button.setEnabled(True)

    def on_picture(self, result: Result) -> None:
        self._window.player.pause()
        self.show(result)

    def on_record_failure(self, what: Exception | str) -> None:
        self._window.banner.show_error(EdgeemoError(what) if isinstance(what, str) else what)
