"""The bar at the top of the window: the two pickers and the buttons. Made by the window, which connects its signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from edgeemo.capture import CameraInfo
from edgeemo.ui.icons import icon
from edgeemo.ui.language import tr
from edgeemo.ui.pickers import EnginePicker, SourcePicker
from edgeemo.ui.player import PlayerState
from edgeemo.ui.settings import Settings
from edgeemo.ui.theme import LIGHT, Theme, named
from edgeemo.ui.video import LAMP


class Toolbar(QWidget):
    """Pickers and buttons; the window connects their signals.

    Args:
        cameras, engines: return the current choices.
        settings: keep the folders of file dialogs.

    Signals:
        source_chosen, engine_chosen: the selected text.
        started: the button Start, Pause or Resume was pressed.
        stopped, snapped, recorded: the other buttons.
    """

    source_chosen = pyqtSignal(str)
    engine_chosen = pyqtSignal(str)
    started = pyqtSignal()
    stopped = pyqtSignal()
    snapped = pyqtSignal()
    recorded = pyqtSignal()

    def __init__(
        self,
        cameras: Callable[[], Sequence[CameraInfo]],
        engines: Callable[[], Sequence[str]],
        settings: Settings,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self._theme = LIGHT
        self._state = PlayerState.STOPPED
        self._replay: PlayerState | None = None
        self._recording = self._wide = False
        self._mode = ""
        self.source = SourcePicker(cameras, settings)
        self.source.chosen.connect(self.source_chosen)
        self.engine = EnginePicker(engines, settings)
        self.engine.chosen.connect(self.engine_chosen)
        self.record_button = self._button("record", self.recorded.emit)
        self.start_button = self._button("start", self.started.emit)
        self.start_button.setMinimumWidth(116)
        self.stop_button = self._button(
            "stop", self.stopped.emit, tr("Stop"), tr("Stop and release the camera (Ctrl+.)")
        )
        self.snapshot_button = self._button(
            "snapshot", self.snapped.emit, tr("Snapshot"), tr("Save the picture with its overlay (Ctrl+S)")
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 9, 14, 9)
        row.setSpacing(8)
        row.addWidget(self.source)
        row.addWidget(self.engine)
        row.addStretch()
        for button in (self.record_button, self.start_button, self.stop_button, self.snapshot_button):
            row.addWidget(button)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.source.setIcon(icon("source", theme.text))
        self.engine.setIcon(icon("engine", theme.text))
        self.stop_button.setIcon(icon("stop", theme.text, disabled=theme.muted))
        self.snapshot_button.setIcon(icon("snapshot", theme.text, disabled=theme.muted))
        self._show_buttons()

    def show_mode(self, mode: str) -> None:
        """Set what a recording stores, as shown on the record button."""
        self._mode = mode
        self._show_buttons()

    def fit(self, *, narrow: bool, wide: bool) -> None:
        """Hide texts of buttons and shorten names in a narrow window; the record button has text only in a wide one."""
        self._wide = wide
        self._show_buttons()
        self.stop_button.setText("" if narrow else tr("Stop"))
        self.snapshot_button.setText("" if narrow else tr("Snapshot"))
        self.source.give_room(150 if narrow else 240)
        self.engine.give_room(140 if narrow else 200)

    def show_state(self, state: PlayerState, *, replay: PlayerState | None, recording: bool) -> None:
        """Set texts, icons and enabled buttons.

        Args:
            state: state of the player.
            replay: PLAYING or PAUSED if a recorded session is on screen instead; else None.
            recording: a recording is running.
        """
        self._state, self._replay, self._recording = state, replay, recording
        self._show_buttons()

    def _show_buttons(self) -> None:
        self.stop_button.setEnabled(self._state in (PlayerState.OPENING, PlayerState.PLAYING, PlayerState.PAUSED))
        self._show_start()
        self.record_button.setIcon(icon("stop" if self._recording else "record", LAMP, disabled=self._theme.muted))
        words = tr("End the recording") if self._recording else tr("Record ({mode})", mode=self._mode)
        # as wide as before, so that a second click at the same place ends the recording
        self.record_button.setMinimumWidth(self.record_button.width() if self._wide and self._recording else 0)
        self.record_button.setText("" if not self._wide else tr("End") if self._recording else words)
        self.record_button.setToolTip(tr("{what} (Ctrl+R); choose what to store in the Session menu", what=words))
        self.record_button.setAccessibleName(words)
        self.record_button.setEnabled(self._state in (PlayerState.PLAYING, PlayerState.PAUSED))

    def _show_start(self) -> None:
        state = self._replay or self._state
        name, words, tip = {
            PlayerState.PLAYING: ("pause", tr("Pause"), tr("Pause (Space)")),
            PlayerState.PAUSED: ("play", tr("Resume"), tr("Resume (Space)")),
            PlayerState.OPENING: ("play", tr("Opening …"), tr("The source is being opened")),
        }.get(state, ("play", tr("Start"), tr("Start (Space)")))
        self.start_button.setText(words)
        self.start_button.setToolTip(tip)
        self.start_button.setIcon(icon(name, self._theme.on_accent, disabled=self._theme.muted))
        self.start_button.setEnabled(state is not PlayerState.OPENING)

    def _button(self, name: str, action: Callable[[], None], words: str = "", tip: str = "") -> QPushButton:
        button = named(QPushButton(words), name)
        button.setIconSize(QSize(20, 20))
        button.setToolTip(tip)
        button.setAccessibleName(words)
        button.clicked.connect(lambda: action())
        return button
