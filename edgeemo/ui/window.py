"""The window: creates its parts and connects them. Made by `edgeemo.ui.app` and by tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QResizeEvent,
)
from PyQt6.QtWidgets import QApplication, QMainWindow

from edgeemo.capture import CameraInfo
from edgeemo.config import Config
from edgeemo.recording import sessions_folder
from edgeemo.recording.folder import SESSIONS_VARIABLE
from edgeemo.system.process import return_free_memory
from edgeemo.ui.analyse import AnalyseDialog
from edgeemo.ui.banner import Banner
from edgeemo.ui.camera_watch import DEVICES
from edgeemo.ui.cards import WIDTH as PANEL
from edgeemo.ui.cards import FacePanel
from edgeemo.ui.connections import connect_live, connect_recorded
from edgeemo.ui.dialogs import Dialogs
from edgeemo.ui.file_bar import FileBar
from edgeemo.ui.history import History
from edgeemo.ui.keys import add_shortcuts, press
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.layout import laid_out
from edgeemo.ui.library import Library
from edgeemo.ui.live import LiveControl
from edgeemo.ui.marking import Marking
from edgeemo.ui.menus import Menus, connect_menus
from edgeemo.ui.neutral_baseline import BaselineControl
from edgeemo.ui.player import Opener, Player, PlayerState
from edgeemo.ui.queue import QueueDialog, accept_copy, dropped_paths, is_for_queue
from edgeemo.ui.record import MODES, RecordControl
from edgeemo.ui.replay import ReplayBar
from edgeemo.ui.replaying import Replaying
from edgeemo.ui.saliency_overlay import Saliency
from edgeemo.ui.screen import fit_to_screen
from edgeemo.ui.settings import Settings
from edgeemo.ui.showing import Showing
from edgeemo.ui.snapshot import Snapshots
from edgeemo.ui.status_bar import StatusBar
from edgeemo.ui.style_sheet import apply_theme
from edgeemo.ui.theme import DARK, LIGHT, Theme, system_theme
from edgeemo.ui.thumbnails import Thumbnails
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.toolbar import Toolbar
from edgeemo.ui.video import VideoView

FIGURES_MS = 400  # interval of updating the figures
TRIM_MS = 60_000  # interval of returning free memory: glibc's heaps grow by fragmentation, 10 MiB in half an hour
UNFINISHED = translatable("A queue of videos was not finished.")
USUAL = 1280, 860  # first size in logical pixels
SMALLEST = 620, 400  # minimum size, which fits a screen of 1280x860 at 200 % scaling
NARROW, LOW = 740, 470  # width and height below which parts are hidden
WIDE = 900  # width from which the record button has text
NARROW_PANEL = 248


class Window(QMainWindow):
    """The window of the desktop app.

    Args:
        config: initial configuration; an empty source means the first camera, or the demo clip without one.
        engine_given: whether the user gave the engine; else the remembered engine is used.
        opener: makes a runner that fills its `screen`; called in a worker thread.
        cameras, engines: return the current choices.
        pictures: folder of snapshots; None: the user's Pictures folder.
        sessions: folder of recordings; None: the user's data folder.
        settings: stored settings; None: nothing is stored.
        devices: the folder in which device files of cameras appear.
    """

    def __init__(
        self,
        config: Config,
        *,
        opener: Opener,
        cameras: Callable[[], Sequence[CameraInfo]],
        engines: Callable[[], Sequence[str]],
        pictures: Path | None = None,
        sessions: Path | None = None,
        settings: Settings | None = None,
        devices: Path = DEVICES,
        engine_given: bool = False,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self._opener = opener
        self._sessions = sessions
        self.queue: QueueDialog | None = None
        self._theme = LIGHT
        self.setWindowTitle("edgeemo")
        self.setAcceptDrops(True)
        if (geometry := self.settings.geometry) is None or not self.restoreGeometry(geometry):
            self.resize(*USUAL)
        fit_to_screen(self, SMALLEST)

        self.banner = Banner()
        self.live = LiveControl(
            config,
            engine_given=engine_given,
            opener=opener,
            cameras=cameras,
            settings=self.settings,
            banner=self.banner,
            devices=devices,
            parent=self,
        )
        self.toolbar = Toolbar(cameras, engines, self.settings)
        self.showing = Showing(self)
        self._make_views()
        self._make_controls(pictures)
        self.setCentralWidget(laid_out(self))
        menu_bar = self.menuBar()
        assert menu_bar is not None
        self.menus = Menus(menu_bar, self.settings)
        connect_live(self)
        connect_recorded(self)
        connect_menus(self.menus, self)
        add_shortcuts(self)
        self._figures_timer = QTimer(self)
        self._figures_timer.timeout.connect(self.showing.show_figures)
        self._figures_timer.start(FIGURES_MS)
        self._trim_timer = QTimer(self)
        self._trim_timer.timeout.connect(return_free_memory)
        self._trim_timer.start(TRIM_MS)
        hints = QGuiApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(lambda _: self.set_chosen_theme())
        self.set_chosen_theme()
        self.show_mode()
        self.showing.on_state(PlayerState.STOPPED)
        # focus no button: while a source opens the start button is disabled, and Space would press the next one
        self.video.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.video.setFocus()

    @property
    def player(self) -> Player:
        return self.live.player

    @property
    def config(self) -> Config:
        """The configuration that plays, or that should play."""
        return self.live.config

    def begin(self) -> None:
        """Play the configured source; at the first start also open the welcome dialog."""
        if self.settings.lasting and not self.settings.welcomed:
            self.dialogs.show_welcome()
        self.live.begin()
        if self.settings.queue:
            self.banner.show_message(
                "notice",
                tr(UNFINISHED),
                (tr("Resume"), lambda: self.show_queue().start_or_pause()),
            )

    def start_or_pause(self) -> None:
        """The main button: pause, resume or start."""
        if self.replay.recording is not None:
            self.replay.play_or_pause()
        else:
            self.live.start_or_pause()

    def take_snapshot(self) -> None:
        """Save the current frame in the background; the banner shows the path."""
        self.snapshots.take(self.video.result, self.video.names)

    def record_or_end(self) -> None:
        """The red button: start or end a recording."""
        if self.recording.active:
            self.recording.end()
            return
        source = self.live.recorded_name
        name = f"{source}, {datetime.now():%d %B %H:%M}"
        self.recording.begin(name, source, self.settings.video)

    def mark(self, label: str = "") -> None:
        """Set a marker in the timeline and in the recorded or replayed session."""
        self.marking.mark(label)

    def show_saliency(self, shown: bool) -> None:
        """Show saliency maps over the selected person's face, about twice per second."""
        self.video.show_heat(None)
        if shown:
            self.saliency.start(self.config)
        else:
            self.saliency.stop()

    def stop_saliency(self, error: Exception) -> None:
        """Stop the saliency maps after an error."""
        self.menus.saliency_action.setChecked(False)
        self.video.show_heat(None)
        self.banner.show_error(error)

    def show_timeline(self, shown: bool) -> None:
        self.settings.timeline = shown
        self._fit()

    def analyse_file(self, path: Path) -> AnalyseDialog:
        """Analyse a video file at full speed into a session."""
        dialog = AnalyseDialog(path, self.config, self._opener, self._sessions_folder, self)
        dialog.analysed.connect(self.library.tell_recorded)
        dialog.failed.connect(self.banner.show_error)
        dialog.open()
        return dialog

    def ask_for_video(self, purpose: str) -> None:
        """Act on an empty state's offer: "video" opens a video, "analysis" analyses one."""
        if purpose == "analysis":
            self.menus.ask_for_file()
        else:
            self.toolbar.source.open_file.trigger()

    def show_settings(self) -> None:
        """Open the settings."""
        dialog = self.dialogs.show_settings(self._sessions_folder)
        dialog.theme.connect(self.set_chosen_theme)
        dialog.preset.connect(lambda name: self.menus.preset_actions[name].setChecked(True))
        dialog.video.connect(lambda _: self.show_mode())

    def show_mode(self) -> None:
        """Show what a recording will store."""
        self.menus.video_actions[self.settings.video].setChecked(True)
        self.toolbar.show_mode(tr(MODES[self.settings.video]))

    def leave(self) -> None:
        """Close the window."""
        self.close()

    def show_queue(self, paths: Sequence[str] = ()) -> QueueDialog:
        """Open the queue of videos and add paths to it."""
        if self.banner.text == tr(UNFINISHED):
            self.banner.dismiss()
        if self.queue is None:
            kept = self.settings.queue
            output = Path(kept[0]) if kept else self._sessions_folder() / f"queue {datetime.now():%Y-%m-%d %H.%M}"
            self.queue = QueueDialog(lambda: self.config, output, self.settings, self)
            paths = [*kept[1:], *paths]
        if paths:
            self.queue.add(paths)
        self.queue.show()
        return self.queue

    def set_chosen_theme(self) -> None:
        """Apply the theme of the settings, or the desktop's."""
        self.set_theme({"light": LIGHT, "dark": DARK}.get(self.settings.theme) or system_theme())

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, theme)
        for part in (self.toolbar, self.timeline, self.replay, self.file_bar, self.banner, self.video, self.faces):
            part.set_theme(theme)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        if event is not None and not press(self, event):
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and dropped_paths(event):
            accept_copy(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        paths = dropped_paths(event) if event is not None else []
        if event is not None and paths:
            accept_copy(event)
            if is_for_queue(paths):
                self.show_queue(paths)
            else:
                self.live.choose_source(paths[0])

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._fit()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self._figures_timer.stop()
        self.settings.geometry = self.saveGeometry()
        self.settings.save()
        # hide at once, while threads still end
        self.hide()
        self.replay.end()
        self.replay.close_decoder()
        self.recording.end_now()
        self.saliency.close()
        if self.queue is not None:
            self.queue.end()
        for analysis in self.findChildren(AnalyseDialog):
            analysis.end()
        self.live.shutdown()
        super().closeEvent(event)

    def _make_views(self) -> None:
        self.video = VideoView()
        self.faces = FacePanel()
        self.history = History()
        self.timeline = Timeline(self.settings)
        self.timeline.show_history(self.history)
        self.timeline.setVisible(self.settings.timeline)
        self.thumbnails = Thumbnails()
        self.replay = ReplayBar()
        self.file_bar = FileBar(self.live, self._writes)
        self.status_bar = StatusBar()

    def _writes(self) -> bool:
        """Whether results are being recorded or written."""
        return self.recording.active or bool(self.player.config is not None and self.player.config.sinks)

    def _make_controls(self, pictures: Path | None) -> None:
        self.recording = RecordControl(self.player, self._sessions_folder, lambda: self.live.comes_back, self)
        self.library = Library(self.player, self.banner, self._sessions_folder, self.settings, self)
        self.replaying = Replaying(
            self.replay,
            self.player,
            self.banner,
            (self.video, self.faces, self.timeline),
            self.showing.forget_people,
            self.settings,
            self,
        )
        self.marking = Marking(self.timeline, self.video, self.player, self.recording, self.replaying.review, self)
        self.saliency = Saliency(self)
        self.neutral_baseline = BaselineControl(self.player, self.timeline, self.recording, self.banner, self)
        self.dialogs = Dialogs(self.live, self.video.paints, self.settings, self)
        self.snapshots = Snapshots(self.player, self.banner, pictures, self)

    def _fit(self) -> None:
        """In a small window, hide the text of buttons, narrow the panel and hide the timeline."""
        narrow, low = self.width() < NARROW, self.height() < LOW
        self.toolbar.fit(narrow=narrow, wide=self.width() >= WIDE)
        self.replay.fit(narrow=narrow)
        self.file_bar.fit(narrow=narrow)
        self.faces.setFixedWidth(NARROW_PANEL if narrow else PANEL)
        self.timeline.setVisible(self.settings.timeline and not low)

    def _sessions_folder(self) -> Path:
        if self._sessions is None and self.settings.sessions and SESSIONS_VARIABLE not in os.environ:
            return Path(self.settings.sessions)
        return self._sessions or sessions_folder()
