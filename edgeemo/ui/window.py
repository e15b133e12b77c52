"""The window: lays out the parts and connects them. Made by `edgeemo.ui.app` and by tests."""

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
from edgeemo.errors import EdgeemoError
from edgeemo.recording import Recording, sessions_folder
from edgeemo.recording.folder import SESSIONS_VARIABLE
from edgeemo.types import UNTRACKED, Result
from edgeemo.ui.analyse import AnalyseDialog
from edgeemo.ui.banner import Banner
from edgeemo.ui.baseline import BaselineControl
from edgeemo.ui.camera_watch import DEVICES
from edgeemo.ui.cards import WIDTH as PANEL
from edgeemo.ui.cards import FacePanel
from edgeemo.ui.dialogs import Dialogs
from edgeemo.ui.history import History
from edgeemo.ui.keys import add_shortcuts, press
from edgeemo.ui.layout import laid_out
from edgeemo.ui.library import Library
from edgeemo.ui.live import LiveControl
from edgeemo.ui.marking import Marking
from edgeemo.ui.menus import Menus, connect_menus
from edgeemo.ui.player import Opener, Player, PlayerState
from edgeemo.ui.queue import QueueDialog, dropped_paths, is_for_queue
from edgeemo.ui.record import MODES, RecordControl
from edgeemo.ui.replay import ReplayBar
from edgeemo.ui.replaying import Replaying
from edgeemo.ui.saliency import Saliency
from edgeemo.ui.screen import fit_to_screen
from edgeemo.ui.settings import Settings
from edgeemo.ui.snapshot import Snapshots
from edgeemo.ui.status_bar import StatusBar
from edgeemo.ui.style_sheet import apply_theme
from edgeemo.ui.theme import DARK, LIGHT, Theme, system_theme
from edgeemo.ui.thumbnails import Thumbnails
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.toolbar import Toolbar
from edgeemo.ui.video import VideoView

FIGURES_MS = 400
USUAL = 1280, 860
SMALLEST = 620, 400  # what a screen of 1280x860 has left at 200 %
NARROW, LOW = 740, 470  # below these the window leaves things out
WIDE = 900  # from here on the record button has words
NARROW_PANEL = 248
NO_FACES = "Faces appear here while the picture plays."


class Window(QMainWindow):
    """The desktop app's one window.

    Args:
        config: what to begin with; an empty source means the first camera, else the demo clip.
        engine_given: the engine was asked for, so a remembered one does not replace it.
        opener: makes a session that fills its `screen`; called in a worker thread.
        cameras, engines: what can be picked at the moment.
        pictures: where snapshots go; None: the user's Pictures folder.
        sessions: where recordings go; None: the user's data folder.
        settings: what is remembered until the next time; None: nothing is.
        devices: the folder in which cameras appear.
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
        self.toolbar = Toolbar(cameras, engines)
        self._make_views()
        self._make_controls(pictures)
        self.setCentralWidget(laid_out(self))
        menu_bar = self.menuBar()
        assert menu_bar is not None
        self.menus = Menus(menu_bar, self.settings)
        self._connect_live()
        self._connect_recorded()
        connect_menus(self.menus, self)
        add_shortcuts(self)
        self._figures_timer = QTimer(self)
        self._figures_timer.timeout.connect(self._show_figures)
        self._figures_timer.start(FIGURES_MS)
        hints = QGuiApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(lambda _: self.set_chosen_theme())
        self.set_chosen_theme()
        self.show_mode()
        self._on_state(PlayerState.STOPPED)
        # not a button: the start button is disabled while a source opens, and Space would go to its neighbour
        self.video.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.video.setFocus()

    @property
    def player(self) -> Player:
        return self.live.player

    @property
    def config(self) -> Config:
        """What plays, or would play if it could."""
        return self.live.config

    def begin(self) -> None:
        """Play what the configuration asks for, after the note of the first run."""
        if self.settings.lasting and not self.settings.welcomed:
            self.dialogs.show_welcome()
        self.live.begin()
        if self.settings.queue:
            self.banner.show_message(
                "notice", "A queue of videos was not finished.", ("Resume", lambda: self.show_queue().start_or_pause())
            )

    def start_or_pause(self) -> None:
        """The main button: pause what plays, resume what is paused, else start."""
        if self.replay.recording is not None:
            self.replay.play_or_pause()
        else:
            self.live.start_or_pause()

    def take_snapshot(self) -> None:
        """Save what is shown, in the background; the banner says where."""
        self.snapshots.take(self.video.result)

    def record_or_end(self) -> None:
        """The red button: record what plays from now on, or end the recording."""
        if self.recording.active:
            self.recording.end()
            return
        source = self.live.source_name
        name = f"{source}, {datetime.now():%d %B %H:%M}"
        self.recording.begin(name, source, self.config.engine, self.settings.video)

    def mark(self, label: str = "") -> None:
        """Note that something happens now, in the timeline and in the session that is recorded or replayed."""
        self.marking.mark(label)

    def show_saliency(self, shown: bool) -> None:
        """Lay over the chosen person's face what the engine looked at, renewed about twice a second."""
        self.video.show_heat(None)
        if shown:
            self.saliency.start(self.config)
        else:
            self.saliency.stop()

    def _stop_saliency(self, error: Exception) -> None:
        self.menus.saliency_action.setChecked(False)
        self.video.show_heat(None)
        self.banner.show_error(error)

    def show_timeline(self, shown: bool) -> None:
        self.settings.timeline = shown
        self._fit()

    def analyse_file(self, path: Path) -> AnalyseDialog:
        """Analyse a video file as fast as the machine can, into a session."""
        dialog = AnalyseDialog(path, self.config, self._opener, self._sessions_folder, self)
        dialog.analysed.connect(self.library.tell_recorded)
        dialog.failed.connect(self.banner.show_error)
        dialog.open()
        return dialog

    def show_settings(self) -> None:
        """Open the settings."""
        dialog = self.dialogs.show_settings(self._sessions_folder)
        dialog.theme.connect(self.set_chosen_theme)
        dialog.preset.connect(lambda name: self.menus.preset_actions[name].setChecked(True))
        dialog.video.connect(lambda _: self.show_mode())

    def show_mode(self) -> None:
        """Show what a recording keeps from now on."""
        self.menus.video_actions[self.settings.video].setChecked(True)
        self.toolbar.show_mode(MODES[self.settings.video])

    def leave(self) -> None:
        """Close the window."""
        self.close()

    def show_queue(self, paths: Sequence[str] = ()) -> QueueDialog:
        """Open the queue of videos, with some more in it."""
        if self.queue is None:
            kept = self.settings.queue
            output = Path(kept[0]) if kept else self._sessions_folder() / f"queue {datetime.now():%Y-%m-%d %H.%M}"
            self.queue = QueueDialog(self.config, output, self.settings, self)
            paths = [*kept[1:], *paths]
        if paths:
            self.queue.add(paths)
        self.queue.show()
        return self.queue

    def set_chosen_theme(self) -> None:
        """The theme of the settings, else the desktop's."""
        self.set_theme({"light": LIGHT, "dark": DARK}.get(self.settings.theme) or system_theme())

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, theme)
        for part in (self.toolbar, self.timeline, self.replay, self.banner, self.video, self.faces):
            part.set_theme(theme)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        if event is not None and not press(self, event):
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and dropped_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        paths = dropped_paths(event) if event is not None else []
        if event is not None and paths:
            event.acceptProposedAction()
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
        # gone from the screen at once, whatever the threads still do
        self.hide()
        self.replay.end()
        self.recording.end_now()
        self.saliency.stop()
        if self.queue is not None:
            self.queue.end()
        for analysis in self.findChildren(AnalyseDialog):
            analysis.reject()
        self.live.shutdown()
        super().closeEvent(event)

    def _make_views(self) -> None:
        self.video = VideoView()
        self.faces = FacePanel()
        self.history = History()
        self.timeline = Timeline()
        self.timeline.show_history(self.history)
        self.timeline.setVisible(self.settings.timeline)
        self.thumbnails = Thumbnails()
        self.replay = ReplayBar()
        self.status_bar = StatusBar()

    def _make_controls(self, pictures: Path | None) -> None:
        self.recording = RecordControl(self.player, self._sessions_folder, lambda: self.live.comes_back, self)
        self.library = Library(self.player, self.banner, self._sessions_folder, self)
        self.replaying = Replaying(
            self.replay,
            self.player,
            self.banner,
            (self.video, self.faces, self.timeline),
            self._forget_people,
            self,
        )
        self.marking = Marking(self.timeline, self.video, self.recording, self.replaying.review, self)
        self.saliency = Saliency(self)
        self.neutral_baseline = BaselineControl(self.player, self.timeline, self.recording, self.banner, self)
        self.dialogs = Dialogs(self.live, self.video.paints, self.settings, self)
        self.snapshots = Snapshots(self.player, self.banner, pictures, self)

    def _fit(self) -> None:
        """On a small or much enlarged screen: buttons without words, a narrow panel, no timeline."""
        narrow, low = self.width() < NARROW, self.height() < LOW
        self.toolbar.fit(narrow=narrow, wide=self.width() >= WIDE)
        self.replay.fit(narrow=narrow)
        self.faces.setFixedWidth(NARROW_PANEL if narrow else PANEL)
        self.timeline.setVisible(self.settings.timeline and not low)

    def _connect_live(self) -> None:
        self.live.opening.connect(self._on_opening)
        self.live.switched.connect(self._on_switched)
        self.live.kept.connect(self._on_kept)
        self.live.returned.connect(self.marking.mark_gap)
        self.live.given_up.connect(self.recording.end)
        self.live.cameras_changed.connect(self.toolbar.source.refresh)
        self.player.changed.connect(self._on_state)
        self.player.arrived.connect(self._on_result)
        self.toolbar.source_chosen.connect(self.live.choose_source)
        self.toolbar.engine_chosen.connect(self.live.choose_engine)
        picker = self.toolbar.engine
        picker.asked.connect(lambda names, measure: self.live.find_facts(names, measure, picker.show_facts))
        self.toolbar.started.connect(self.start_or_pause)
        self.toolbar.stopped.connect(self.player.stop)
        self.toolbar.snapped.connect(self.take_snapshot)
        self.toolbar.recorded.connect(self.record_or_end)
        self.faces.chosen.connect(self.timeline.show_person)
        self.timeline.failed.connect(self.banner.show_error)
        self.timeline.chosen.connect(lambda _: self._show_again())
        self.thumbnails.chosen.connect(self._on_picture)
        self.saliency.arrived.connect(self.video.show_heat)
        self.saliency.failed.connect(lambda error: self._stop_saliency(error))

    def _connect_recorded(self) -> None:
        self.recording.changed.connect(self._show_buttons)
        self.recording.failed.connect(self._on_record_failure)
        self.recording.warned.connect(lambda text: self.banner.show_message("error", text))
        self.recording.saved.connect(self.library.tell_recorded)
        self.library.read.connect(self.replaying.begin)
        self.replaying.begins.connect(self._on_replay)
        self.replaying.began.connect(self._show_buttons)
        self.replaying.began.connect(self._show_figures)
        self.library.failed.connect(self.banner.show_error)
        self.replay.arrived.connect(self._show)
        self.replay.left.connect(self._after_replay)

    def _on_opening(self, config: Config, same_source: bool) -> None:
        if self.replay.recording is not None:
            self.replay.end()
        self.recording.end()
        self._forget_people()
        self.thumbnails.start()
        self.video.show_heat(None)
        if self.saliency.active:
            self.saliency.start(config)
        self.toolbar.source.show_source(config.source)
        self.toolbar.engine.show_engine(config.engine)
        self.setWindowTitle(f"{self.live.source_name} - edgeemo")
        self.video.show_message(f"Opening {self.live.source_name} …", keep_picture=same_source)

    def _on_switched(self, config: Config) -> None:
        """What plays goes on with another engine or smoothing."""
        self.toolbar.engine.show_engine(config.engine)
        self.marking.mark_change(config)
        if self.saliency.active:
            self.saliency.start(config)

    def _on_kept(self, config: Config) -> None:
        """Another engine or smoothing failed: the pickers show what still runs."""
        self.toolbar.engine.show_engine(config.engine)
        self.menus.preset_actions[self.settings.preset].setChecked(True)

    def _on_state(self, state: PlayerState) -> None:
        self._show_buttons()
        if state in (PlayerState.PLAYING, PlayerState.FAILED, PlayerState.STOPPED):
            self.status_bar.describe(self.player.engine_description)
        if state is PlayerState.STOPPED:
            self.video.show_message("Stopped. Press Start to go on." if self.config.source else "")
            self.faces.clear(NO_FACES)
        elif state is PlayerState.ENDED:
            self._say_ended()
        elif state is PlayerState.FAILED:
            self.video.show_message(
                "" if self.video.result else "No picture", keep_picture=self.video.result is not None
            )
            self.faces.clear(NO_FACES)
        self.toolbar.snapshot_button.setEnabled(self.video.result is not None)
        self._show_figures()

    def _on_result(self, result: Result) -> None:
        first = self.video.result is None
        self.live.on_result(result)
        self._show(result)
        self.history.add(result)
        self.saliency.offer(result, self.timeline.person)
        self.neutral_baseline.look()
        if result.frame.still:
            self.thumbnails.add(result)
        if first:
            self.toolbar.snapshot_button.setEnabled(True)
            self._show_figures()

    def _say_ended(self) -> None:
        last = self.video.result
        if last is None:
            self.video.show_message("Nothing to show")
        elif last.frame.still and last.frame.index == 0:
            # a single picture stays, that is all that was wanted
            return
        self.banner.show_message("notice", f"{self.live.source_name} has ended.", ("Play again", self.start_or_pause))

    def _show_buttons(self) -> None:
        focused = self.toolbar.start_button.hasFocus()
        self.toolbar.show_state(
            self.player.state, replaying=self.replay.recording is not None, recording=self.recording.active
        )
        if focused and not self.toolbar.start_button.isEnabled():
            self.video.setFocus()
        self._show_lamp()

    def _show_figures(self) -> None:
        self.recording.look()
        self._show_lamp()
        stats = self.player.stats()
        self.dialogs.refresh()
        if (replayed := self.replay.recording) is not None:
            self.status_bar.say(f"Replay of {replayed.name}")
            return
        result = self.video.result
        self.status_bar.show_figures(
            stats,
            paused=self.player.state is PlayerState.PAUSED,
            still=result.frame.origin if result is not None and result.frame.still else "",
        )
        if self.player.engine_description:
            self.status_bar.describe(self.player.engine_description)

    def _show_lamp(self) -> None:
        self.video.show_recording(self.recording.lamp)

    def _sessions_folder(self) -> Path:
        if self._sessions is None and self.settings.sessions and SESSIONS_VARIABLE not in os.environ:
            return Path(self.settings.sessions)
        return self._sessions or sessions_folder()

    def _forget_people(self) -> None:
        """Another source or session: person numbers start again."""
        self.history = History()
        self.timeline.show_history(self.history)
        self.neutral_baseline.reset()

    def _on_replay(self, recording: Recording) -> None:
        self.thumbnails.start()
        self.neutral_baseline.take_over(recording)
        self.setWindowTitle(f"{recording.name} - edgeemo")

    def _after_replay(self) -> None:
        self._forget_people()
        self.video.show_message("Press Start to go on." if self.config.source else "")
        self.faces.clear(NO_FACES)
        self._show_buttons()
        self._show_figures()

    def _show_again(self) -> None:
        """Another person was chosen: what is on screen shows it too."""
        if self.video.result is not None:
            self._show(self.video.result)

    def _show(self, result: Result) -> None:
        person = self.timeline.person if self.timeline.person is not None and len(result.faces) > 1 else UNTRACKED
        self.video.show_chosen(person)
        self.faces.show_chosen(person)
        self.video.show_result(result)
        self.faces.show_result(result, self.neutral_baseline.baselines.words)
        if self.replay.recording is not None:
            self.timeline.show_cursor(result.frame.time)
            self.toolbar.snapshot_button.setEnabled(True)

    def _on_picture(self, result: Result) -> None:
        self.player.pause()
        self._show(result)

    def _on_record_failure(self, what: Exception | str) -> None:
        self.banner.show_error(EdgeemoError(what) if isinstance(what, str) else what)
