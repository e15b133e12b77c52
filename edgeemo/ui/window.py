"""The window: picture, faces, pickers, figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PyQt6.QtCore import QSize, Qt, QTimer, QUrl
from PyQt6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PyQt6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from edgeemo.capture import CameraInfo
from edgeemo.config import CaptureConfig, Config
from edgeemo.errors import EdgeemoError
from edgeemo.types import Result
from edgeemo.ui.banner import Action, Banner
from edgeemo.ui.cards import FacePanel
from edgeemo.ui.icons import icon
from edgeemo.ui.pickers import EnginePicker, SourcePicker, shown_name
from edgeemo.ui.player import Opener, Player, State
from edgeemo.ui.snapshot import pictures_folder, save_snapshot
from edgeemo.ui.theme import LIGHT, Theme, dress, named, system_theme
from edgeemo.ui.video import VideoView
from engines.errors import EngineError

log = logging.getLogger(__name__)

DEMO = "demo"
FIGURES_MS = 400
NO_CAMERA = (
    "No camera found, so this is the demo clip. Connect a camera and choose it under Source, or open a video file."
)


class Window(QMainWindow):
    """The desktop app's one window.

    Args:
        config: what to begin with; an empty source means the first camera, else the demo clip.
        opener: makes a session that fills its `screen`; called in a worker thread.
        cameras, engines: what can be picked at the moment.
        pictures: where snapshots go; None: the user's Pictures folder.
    """

    def __init__(
        self,
        config: Config,
        *,
        opener: Opener,
        cameras: Callable[[], Sequence[CameraInfo]],
        engines: Callable[[], Sequence[str]],
        pictures: Path | None = None,
    ) -> None:
        super().__init__()
        self._config = config
        self._cameras = cameras
        self._pictures = pictures
        self._works: Config | None = None  # the last configuration that gave a picture
        self._theme = LIGHT
        self.setWindowTitle("edgeemo")
        self.setAcceptDrops(True)
        self.setMinimumSize(760, 480)
        self.resize(1280, 800)

        self.player = Player(opener, self)
        self.player.changed.connect(self._on_state)
        self.player.arrived.connect(self._on_result)
        self.player.failed.connect(self._on_failure)

        self.source = SourcePicker(cameras)
        self.source.chosen.connect(self.choose_source)
        self.engine = EnginePicker(engines)
        self.engine.chosen.connect(self.choose_engine)
        self.start = self._button("start", self.start_or_pause)
        self.stop = self._button("stop", self.player.stop, "Stop", "Stop and let the camera go")
        self.snapshot = self._button(
            "snapshot", self.take_snapshot, "Snapshot", "Save the picture with its overlay (Ctrl+S)"
        )
        self.banner = Banner()
        self.video = VideoView()
        self.faces = FacePanel()
        self.figures = named(QLabel(), "muted")
        self.figures.setToolTip(
            "Frames recognised a second; time from a frame's arrival to its result (median); frames of a live source "
            "that were skipped to keep up"
        )
        self.description = named(QLabel(), "muted")
        # a long description is cut rather than making the window wider
        self.description.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.description.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._description = ""
        self._lay_out()

        for key, action in (
            (QKeySequence("Ctrl+S"), self.take_snapshot),
            (QKeySequence("Ctrl+."), self.player.stop),
            (QKeySequence(QKeySequence.StandardKey.Quit), self.close),
        ):
            QShortcut(key, self, lambda action=action: _ignore(action()))
        self.addActions([self.source.open_file, self.source.open_folder, self.source.open_stream])

        self._figures_timer = QTimer(self)
        self._figures_timer.timeout.connect(self._show_figures)
        self._figures_timer.start(FIGURES_MS)
        hints = QGuiApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(lambda _: self.set_theme(system_theme()))
        self.set_theme(system_theme())
        self._on_state(State.STOPPED)
        self.start.setFocus()

    @property
    def config(self) -> Config:
        """What plays, or would play if it could."""
        return self._config

    def begin(self) -> None:
        """Play what the configuration asks for; without a source the first camera, without a camera the demo clip."""
        if self._config.source:
            self._play(self._config)
            return
        cameras = list(self._cameras())
        self._play(replace(self._config, source=cameras[0].uri if cameras else DEMO))
        if not cameras:
            self.banner.put_up("notice", NO_CAMERA)

    def choose_source(self, uri: str) -> None:
        self._play(replace(self._config, source=uri))

    def choose_engine(self, engine: str) -> None:
        self._play(replace(self._config, engine=engine))

    def start_or_pause(self) -> None:
        """The main button: pause what plays, go on with what is paused, else start."""
        if self.player.state is State.PLAYING:
            self.player.pause()
        elif self.player.state is State.PAUSED:
            self.player.resume()
        elif self.player.state is not State.OPENING:
            self._play(self._config)

    def take_snapshot(self) -> None:
        """Save what is shown, in the background; the banner says where."""
        result = self.video.result
        if result is None:
            return
        saved: list[Path] = []
        folder, now = self._pictures or pictures_folder(), datetime.now()
        self.player.in_background(
            lambda: saved.append(save_snapshot(result, folder, now)),
            lambda: self._on_snapshot(saved[0]),
            self.say_error,
        )

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        app = QApplication.instance()
        if isinstance(app, QApplication):
            dress(app, theme)
        self.source.setIcon(icon("source", theme.text))
        self.engine.setIcon(icon("engine", theme.text))
        self.stop.setIcon(icon("stop", theme.text, disabled=theme.muted))
        self.snapshot.setIcon(icon("snapshot", theme.text, disabled=theme.muted))
        self._show_start()
        self.banner.set_theme(theme)
        self.video.set_theme(theme)
        self.faces.set_theme(theme)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        # here and not as a shortcut: a focused button must be able to have the space bar
        if event is not None and event.key() == Qt.Key.Key_Space:
            self.start_or_pause()
        elif event is not None and event.key() == Qt.Key.Key_Escape:
            self.banner.take_down()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and _dropped_path(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        if event is not None and (path := _dropped_path(event)):
            event.acceptProposedAction()
            self.choose_source(path)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._show_description()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self._figures_timer.stop()
        # gone from the screen at once, whatever the threads still do
        self.hide()
        self.player.shutdown()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        bar = named(QWidget(), "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 9, 14, 9)
        row.setSpacing(8)
        row.addWidget(self.source)
        row.addWidget(self.engine)
        row.addStretch()
        row.addWidget(self.start)
        row.addWidget(self.stop)
        row.addWidget(self.snapshot)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.video, 1)
        middle.addWidget(self.faces)
        foot = named(QWidget(), "foot")
        figures = QHBoxLayout(foot)
        figures.setContentsMargins(16, 6, 16, 6)
        figures.setSpacing(18)
        figures.addWidget(self.figures)
        figures.addWidget(self.description, 1)
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self.banner)
        layout.addLayout(middle, 1)
        layout.addWidget(foot)
        self.setCentralWidget(whole)

    def _button(self, name: str, action: Callable[[], None], words: str = "", tip: str = "") -> QPushButton:
        button = named(QPushButton(words), name)
        button.setIconSize(QSize(20, 20))
        button.setToolTip(tip)
        button.clicked.connect(lambda: action())
        return button

    def _play(self, config: Config) -> None:
        same_source = config.source == self._config.source
        self._config = config
        self.source.show_source(config.source)
        self.engine.show_engine(config.engine)
        self.setWindowTitle(f"{shown_name(config.source, self._cameras())} - edgeemo")
        self.banner.take_down()
        self.video.show_message(
            f"Opening {shown_name(config.source, self._cameras())} …",
            keep_picture=same_source and self._works is not None,
        )
        loop = config.capture.loop or config.source == DEMO
        self.player.open(replace(config, capture=CaptureConfig(loop=loop, paced=True)))
        # a second run would write over what the first one left
        self._config = replace(config, sinks=())

    def _on_state(self, state: State) -> None:
        self._show_start()
        self.stop.setEnabled(state in (State.OPENING, State.PLAYING, State.PAUSED))
        if state in (State.PLAYING, State.FAILED, State.STOPPED):
            self._description = self.player.engine_description
            self._show_description()
        if state is State.STOPPED:
            self.video.show_message("Stopped. Press Start to go on." if self._config.source else "")
            self.faces.clear("Faces appear here while the picture plays.")
        elif state is State.ENDED:
            self._say_ended()
        elif state is State.FAILED:
            self.video.show_message(
                "" if self.video.result else "No picture", keep_picture=self.video.result is not None
            )
            self.faces.clear("Faces appear here while the picture plays.")
        self.snapshot.setEnabled(self.video.result is not None)
        self._show_figures()

    def _on_result(self, result: Result) -> None:
        first = self.video.result is None
        self._works = self._config
        self.video.show_result(result)
        self.faces.show_result(result)
        if first:
            self.snapshot.setEnabled(True)
            self._show_figures()

    def _on_failure(self, error: Exception) -> None:
        mistake = isinstance(error, EdgeemoError | EngineError)
        if not mistake:
            log.error("the pipeline broke", exc_info=error)
        if self.player.state is not State.FAILED:
            self.say_error(error)
            return
        actions: list[Action] = [("Try again", self.start_or_pause)]
        works = self._works
        if isinstance(error, EngineError):
            if works is not None and works.engine != self._config.engine:
                actions.append((f"Use {Path(works.engine).name}", lambda: self.choose_engine(works.engine)))
            elif self._config.engine != Config.engine:
                actions.append((f"Use {Config.engine}", lambda: self.choose_engine(Config.engine)))
        elif self._config.source != DEMO:
            actions.append(("Play the demo clip", lambda: self.choose_source(DEMO)))
        self.say_error(error, *actions)

    def say_error(self, error: BaseException, *actions: Action) -> None:
        """Show what happened across the window, with buttons for what to do next."""
        text = " ".join(str(error).split())
        if not isinstance(error, EdgeemoError | EngineError):
            text = f"This is a fault of edgeemo's, please report it: {type(error).__name__}: {text}"
        self.banner.put_up("error", text[:1].upper() + text[1:], *actions)

    def _say_ended(self) -> None:
        last = self.video.result
        if last is None:
            self.video.show_message("Nothing to show")
        elif last.frame.still and last.frame.index == 0:
            # a single picture stays, that is all that was wanted
            return
        self.banner.put_up(
            "notice",
            f"{shown_name(self._config.source, self._cameras())} has ended.",
            ("Play again", self.start_or_pause),
        )

    def _on_snapshot(self, path: Path) -> None:
        def open_folder() -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))

        self.banner.put_up("notice", f"Snapshot saved to {path}", ("Open folder", open_folder), seconds=8)

    def _show_start(self) -> None:
        state = self.player.state
        name, words, tip = {
            State.PLAYING: ("pause", "Pause", "Hold the picture (Space)"),
            State.PAUSED: ("play", "Go on", "Go on (Space)"),
            State.OPENING: ("play", "Opening …", "The source is being opened"),
        }.get(state, ("play", "Start", "Start (Space)"))
        self.start.setText(words)
        self.start.setToolTip(tip)
        self.start.setIcon(icon(name, self._theme.on_accent, disabled=self._theme.muted))
        self.start.setEnabled(state is not State.OPENING)
        self.start.setMinimumWidth(116)

    def _show_figures(self) -> None:
        parts = []
        if self.player.state is State.PAUSED:
            parts.append("Paused")
        result = self.video.result
        if result is not None and result.frame.still:
            parts.append(result.frame.origin)
        stats = self.player.stats()
        if stats is not None and stats.frames:
            parts.append(f"{stats.fps:.0f} frames a second")
            parts.append(f"{stats.latency_ms:.0f} ms latency")
            parts.append(f"{stats.dropped} dropped")
        self.figures.setText("   ·   ".join(parts))
        if self.player.engine_description not in ("", self._description):
            self._description = self.player.engine_description
            self._show_description()

    def _show_description(self) -> None:
        cut = self.description.fontMetrics().elidedText(
            self._description, Qt.TextElideMode.ElideRight, max(self.description.width() - 4, 0)
        )
        self.description.setText(cut)
        self.description.setToolTip(self._description)


def _dropped_path(event: QDropEvent) -> str:
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    return urls[0].toLocalFile() if len(urls) == 1 else ""


def _ignore(_: object) -> None:
    """What a shortcut's action returns is nobody's business."""
