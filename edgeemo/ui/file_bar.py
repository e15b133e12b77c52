"""The bar for seeking in a file that is analysed while it plays. Made by `window`."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtWidgets import QWidget

from edgeemo.types import Result
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.live import LiveControl
from edgeemo.ui.player import PlayerState
from edgeemo.ui.transport import Transport
from edgeemo.ui.words import clock

MS = 1000  # steps of the slider per second
ANYWHERE = (PlayerState.PLAYING, PlayerState.PAUSED, PlayerState.ENDED)
WRITES = translatable("Seeking is disabled while a recording or an output needs the whole file.")


class FileBar(Transport):
    """Visible while a file plays in which one can seek.

    Args:
        writes: returns whether results are being written. Seeking is then disabled, so that they stay in order.
    """

    def __init__(self, live: LiveControl, writes: Callable[[], bool], parent: QWidget | None = None) -> None:
        super().__init__(tr("the file"), parent)
        self._live, self._player, self._writes = live, live.player, writes
        self._source = ""
        self._shown = 0.0  # media time of the frame on screen
        self._asked = False  # a seek was requested, and its frame has not arrived yet
        self._next: float | None = None  # next seek target, because a slider requests more seeks than can be decoded
        self._after_opening: tuple[float, bool] | None = None  # seek target after opening, and whether to pause there
        self.slider.setToolTip(tr("Arrow keys: a tenth of a second; Page keys: five seconds"))
        self.slider.setSingleStep(MS // 10)
        self.slider.setPageStep(5 * MS)
        self.slider.valueChanged.connect(lambda value: self.seek(value / MS))
        self._player.changed.connect(self._on_state)

    @property
    def can_seek(self) -> bool:
        return self.isVisible() and not self._writes()

    @property
    def playing(self) -> bool:
        return self._player.state is PlayerState.PLAYING

    def play_or_pause(self) -> None:
        self._live.start_or_pause()

    def set_speed(self, speed: float) -> None:
        super().set_speed(speed)
        if self._player.playhead is not None:
            self._player.playhead.speed = speed

    def seek(self, time: float, *, hold: bool = False) -> None:
        """Go to a media time. A file that has ended is reopened; it plays unless `hold` is set."""
        if not self.can_seek:
            return
        if self._player.state is PlayerState.ENDED:
            self._after_opening = time, hold
            self._live.start_or_pause()
        elif self._asked:
            self._next = time
        else:
            self._asked = True
            self._player.seek(time)

    def step(self, frames: int) -> None:
        self._player.pause()
        if self._player.state is PlayerState.ENDED:
            self.seek(self._shown + frames / MS, hold=True)
        elif not self._asked:
            self._asked = frames < 0
            if frames < 0:
                self._player.step_back(self._shown)
            else:
                self._player.step()

    def leap(self, seconds: float) -> None:
        self.seek((self._shown if self._next is None else self._next) + seconds)

    def go_to_edge(self, end: bool) -> None:
        self._player.pause()
        self.seek(self.slider.maximum() / MS if end else 0.0, hold=True)

    def on_result(self, result: Result) -> None:
        """Update the bar after a frame was shown, and start the next requested seek."""
        self._shown, self._asked = result.frame.time, False
        if self._next is not None:
            time, self._next = self._next, None
            self.seek(time)
        elif self.isVisible() and not self.slider.isSliderDown():
            self._show_place()

    def look(self) -> None:
        """Show the bar while a file plays in which one can seek; called regularly."""
        playhead = self._player.playhead
        if playhead is not None and playhead.duration > 0 and not self.isVisible():
            self._source = self._live.config.source
            self.slider.blockSignals(True)
            self.slider.setRange(0, round(playhead.duration * MS))
            self.slider.blockSignals(False)
            playhead.speed = self._speed
            self.show()
        elif self.isVisible() and not self._stays():
            self.hide()
        self.setEnabled(not self._writes())
        self.setToolTip("" if self.isEnabled() else tr(WRITES))

    def _stays(self) -> bool:
        if self._live.config.source != self._source:
            return False
        return self._player.state in ANYWHERE or self._after_opening is not None

    def _show_place(self) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(self._shown * MS))
        self.slider.blockSignals(False)
        self.place.setText(tr("{time} of {length}", time=clock(self._shown), length=clock(self.slider.maximum() / MS)))

    def _on_state(self, state: PlayerState) -> None:
        self._asked, self._next = False, None
        if self._live.config.source != self._source or state in (PlayerState.FAILED, PlayerState.STOPPED):
            self._after_opening = None
        if state is PlayerState.PLAYING:
            playhead = self._player.playhead
            if playhead is not None:
                playhead.speed = self._speed
            if self._after_opening is not None:
                (time, hold), self._after_opening = self._after_opening, None
                if hold:
                    self._player.pause()
                self.seek(time)
        self._show_button()
        if state is not PlayerState.OPENING:
            self.look()
