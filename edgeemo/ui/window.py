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
    QMainWindow,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from edgeemo.capture import CameraInfo
from edgeemo.config import CaptureConfig, Config
from edgeemo.errors import EdgeemoError, SourceError
from edgeemo.recording import Marker, Recording, SessionFolder, sessions_folder
from edgeemo.report.plots import clock
from edgeemo.types import Result
from edgeemo.ui.analyse import AnalyseDialog
from edgeemo.ui.banner import Action, Banner
from edgeemo.ui.baseline import RestControl
from edgeemo.ui.camera_watch import DEVICES, CameraWatch
from edgeemo.ui.cards import WIDTH as PANEL
from edgeemo.ui.cards import FacePanel
from edgeemo.ui.health import HealthDialog
from edgeemo.ui.history import History
from edgeemo.ui.icons import icon
from edgeemo.ui.library import Library
from edgeemo.ui.menus import Menus
from edgeemo.ui.pickers import EnginePicker, SourcePicker, shown_name
from edgeemo.ui.player import Opener, Player, State
from edgeemo.ui.record import RecordControl
from edgeemo.ui.replay import ReplayBar
from edgeemo.ui.saliency import Saliency
from edgeemo.ui.settings import PRESETS, USUAL, Settings
from edgeemo.ui.snapshot import pictures_folder, save_snapshot
from edgeemo.ui.status_bar import Foot
from edgeemo.ui.theme import LIGHT, Theme, dress, named, system_theme
from edgeemo.ui.thumbnails import Strip
from edgeemo.ui.timeline import Timeline
from edgeemo.ui.video import LAMP, VideoView
from edgeemo.ui.welcome import DoctorDialog, WelcomeDialog
from engines.errors import EngineError

log = logging.getLogger(__name__)

DEMO = "demo"
FIGURES_MS = 400
SMALLEST = 620, 400  # what a screen of 1280x860 has left at 200 %
NARROW, LOW = 740, 470  # below these the window leaves things out
NARROW_PANEL = 248
RETRY_MS = 2000  # between two attempts to open a camera or stream that was lost
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
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self._sessions = sessions
        self._config = self._remembered(config)
        self._cameras = cameras
        self._pictures = pictures
        self._works: Config | None = None  # the last configuration that gave a picture
        self._theme = LIGHT
        self.setWindowTitle("edgeemo")
        self.setAcceptDrops(True)
        self.setMinimumSize(*SMALLEST)
        self.resize(1280, 860)
        if (geometry := self.settings.geometry) is not None:
            self.restoreGeometry(geometry)

        self._opener = opener
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
        self.record = self._button("record", self.record_or_end)
        self.banner = Banner()
        self.video = VideoView()
        self.faces = FacePanel()
        self.history = History()
        self.timeline = Timeline()
        self.timeline.show_history(self.history)
        self.timeline.setVisible(self.settings.timeline)
        self.timeline.sought.connect(self._on_sought)
        self.faces.chosen.connect(self.timeline.show_person)
        self.strip = Strip()
        self.strip.chosen.connect(self._on_picture)
        self.replay = ReplayBar()
        self.replay.arrived.connect(self._show)
        self.replay.left.connect(self._after_replay)
        self.recording = RecordControl(self.player, self._sessions_folder, self)
        self.recording.changed.connect(self._show_recording)
        self.recording.failed.connect(self._on_record_failure)
        self.library = Library(self.player, self.banner, self._sessions_folder, self)
        self.library.read.connect(self._replay)
        self.library.failed.connect(self.say_error)
        self.recording.saved.connect(self.library.tell_recorded)
        self.saliency = Saliency(self)
        self.saliency.arrived.connect(self.video.show_heat)
        self.saliency.failed.connect(self._on_saliency_failure)
        self.rest = RestControl(self.player, self.timeline, self.recording, self.banner, self)
        self._health: HealthDialog | None = None
        self.foot = Foot()
        self._lay_out()

        for key, action in (
            (QKeySequence("Ctrl+S"), self.take_snapshot),
            (QKeySequence("Ctrl+."), self.player.stop),
            (QKeySequence(QKeySequence.StandardKey.Quit), self.close),
        ):
            QShortcut(key, self, lambda action=action: _ignore(action()))
        self.menus = Menus(self)
        self.addActions([self.source.open_file, self.source.open_folder, self.source.open_stream])

        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.setInterval(RETRY_MS)
        self._retry.timeout.connect(self._try_again)
        self._lost = False
        self.plugged = CameraWatch(cameras, devices, self)
        self.plugged.plugged.connect(self._on_plugged)
        self.plugged.unplugged.connect(lambda _: self.source.refresh())
        self.plugged.start()
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
        if self.settings.lasting and not self.settings.welcomed:
            self.show_welcome()
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
        if self.replay.recording is not None:
            self.replay.play_or_pause()
        elif self.player.state is State.PLAYING:
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
        self.timeline.set_theme(theme)
        self.replay.set_theme(theme)
        self._show_recording()
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
        elif event is not None and event.key() == Qt.Key.Key_M:
            self.mark()
        elif event is not None and Qt.Key.Key_1 <= event.key() <= Qt.Key.Key_9 and not event.modifiers():
            self.mark(event.text())
        elif event is not None and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self.strip.isVisible():
            self.strip.step(1 if event.key() == Qt.Key.Key_Right else -1)
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
        self._fit()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self._figures_timer.stop()
        self._retry.stop()
        self.plugged.stop()
        self.settings.geometry = self.saveGeometry()
        self.replay.end()
        self.recording.end_now()
        self.saliency.stop()
        for analysis in self.findChildren(AnalyseDialog):
            analysis.reject()
        # gone from the screen at once, whatever the threads still do
        self.hide()
        self.player.shutdown()
        super().closeEvent(event)

    def _fit(self) -> None:
        """On a small or much enlarged screen: buttons without words, a narrow panel, no timeline."""
        narrow, low = self.width() < NARROW, self.height() < LOW
        self.stop.setText("" if narrow else "Stop")
        self.snapshot.setText("" if narrow else "Snapshot")
        self.source.give_room(150 if narrow else 240)
        self.engine.give_room(140 if narrow else 200)
        self.faces.setFixedWidth(NARROW_PANEL if narrow else PANEL)
        self.timeline.setVisible(self.settings.timeline and not low)

    def _lay_out(self) -> None:
        bar = named(QWidget(), "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 9, 14, 9)
        row.setSpacing(8)
        row.addWidget(self.source)
        row.addWidget(self.engine)
        row.addStretch()
        row.addWidget(self.record)
        row.addWidget(self.start)
        row.addWidget(self.stop)
        row.addWidget(self.snapshot)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.video)
        split.addWidget(self.timeline)
        split.setStretchFactor(0, 4)
        split.setStretchFactor(1, 1)
        split.setSizes([560, 190])
        left = QVBoxLayout()
        left.setSpacing(0)
        left.addWidget(split, 1)
        left.addWidget(self.strip)
        left.addWidget(self.replay)
        middle.addLayout(left, 1)
        middle.addWidget(self.faces)
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self.banner)
        layout.addLayout(middle, 1)
        layout.addWidget(self.foot)
        self.setCentralWidget(whole)

    def _button(self, name: str, action: Callable[[], None], words: str = "", tip: str = "") -> QPushButton:
        button = named(QPushButton(words), name)
        button.setIconSize(QSize(20, 20))
        button.setToolTip(tip)
        button.setAccessibleName(words)
        button.clicked.connect(lambda: action())
        return button

    def _play(self, config: Config) -> None:
        if self.replay.recording is not None:
            self.replay.end()
        self.recording.end()
        self._give_up()
        same_source = config.source == self._config.source
        self._forget_people()
        self.strip.start()
        if config.source != DEMO:
            self.settings.source = config.source
        self.settings.engine = config.engine
        self.video.show_heat(None)
        if self.saliency.active:
            self.saliency.start(config)
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
        self._show_recording()
        if state in (State.PLAYING, State.FAILED, State.STOPPED):
            self.foot.describe(self.player.engine_description)
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
        if self._lost:
            self._give_up()
            self.banner.take_down()
        self._works = self._config
        self._show(result)
        self.history.add(result)
        self.saliency.offer(result, self.timeline.person)
        self.rest.look()
        if result.frame.still:
            self.strip.add(result)
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
        if isinstance(error, SourceError) and self._comes_back():
            # a camera that was unplugged, a stream whose server restarts
            self._lost = True
            self._retry.start()
            text = " ".join(str(error).split())
            self.banner.put_up(
                "error", f"{text[:1].upper()}{text[1:]}. Trying again by itself.", ("Stop trying", self._give_up)
            )
            return
        if isinstance(error, EngineError):
            if works is not None and works.engine != self._config.engine:
                actions.append((f"Use {Path(works.engine).name}", lambda: self.choose_engine(works.engine)))
            elif self._config.engine != Config.engine:
                actions.append((f"Use {Config.engine}", lambda: self.choose_engine(Config.engine)))
        elif self._config.source != DEMO:
            actions.append(("Play the demo clip", lambda: self.choose_source(DEMO)))
        self.say_error(error, *actions)

    def _on_plugged(self, camera: CameraInfo) -> None:
        """A new camera: offer it; the one that was lost is opened at once."""
        self.source.refresh()
        if self._config.source in (camera.uri, camera.device):
            self._try_again()
            return
        self.banner.put_up(
            "notice",
            f"{camera.name} was connected.",
            ("Use it", lambda: self.choose_source(camera.uri)),
            seconds=0 if self.player.state is not State.PLAYING else 12,
        )

    def _comes_back(self) -> bool:
        """Whether the source is a live one that has given pictures before."""
        uri = self._config.source
        live = uri.isdigit() or uri.startswith("/dev/") or "://" in uri
        return live and self._works is not None and self._works.source == uri

    def _try_again(self) -> None:
        if self._lost and self.player.state is State.FAILED:
            # not `_play`: what is on screen, and the message, stay until there is a picture again
            self.player.open(replace(self._config, capture=CaptureConfig(paced=True)))

    def _give_up(self) -> None:
        self._lost = False
        self._retry.stop()

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
        if self.replay.recording is not None:
            self.start.setText("Start")
            self.start.setEnabled(True)
            return
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
        self.recording.look()
        self._show_lamp()
        stats = self.player.stats()
        if self._health is not None and self._health.isVisible():
            self._health.show_stats(stats, self.player.engine_description, self.video.paints)
        if (replayed := self.replay.recording) is not None:
            self.foot.say(f"Replay of {replayed.name}")
            return
        result = self.video.result
        self.foot.show_figures(
            stats,
            paused=self.player.state is State.PAUSED,
            still=result.frame.origin if result is not None and result.frame.still else "",
        )
        if self.player.engine_description:
            self.foot.describe(self.player.engine_description)

    def _sessions_folder(self) -> Path:
        return self._sessions or sessions_folder()

    def record_or_end(self) -> None:
        """The red button: record what plays from now on, or end the recording."""
        if self.recording.active:
            self.recording.end()
            return
        source = shown_name(self._config.source, self._cameras())
        name = f"{source}, {datetime.now():%d %B %H:%M}"
        self.recording.begin(name, source, self._config.engine, self.settings.video)

    def mark(self, label: str = "") -> None:
        """Note that something happens now, in the timeline and, while it is recorded, in the session."""
        if self.replay.recording is not None or self.video.result is None or self.history.begin is None:
            return
        words = label or f"mark {len(self.history.markers) + 1}"
        self.history.markers.append(Marker(self.video.result.frame.time, words))
        self.timeline.show_markers()
        if self.recording.recorder is not None:
            self.recording.recorder.mark(words, self.video.result.frame.time)

    def show_saliency(self, shown: bool) -> None:
        """Lay over the chosen person's face what the engine needs for its answer, renewed about twice a second."""
        self.video.show_heat(None)
        if shown:
            self.saliency.start(self._config)
        else:
            self.saliency.stop()

    def _on_saliency_failure(self, error: Exception) -> None:
        self.menus.saliency.setChecked(False)
        self.video.show_heat(None)
        self.say_error(error)

    def _forget_people(self) -> None:
        """Another source or session: persons are counted anew."""
        self.history = History()
        self.timeline.show_history(self.history)
        self.rest.begin_anew()

    def show_sessions(self) -> None:
        self.library.show()

    def open_recording(self, folder: SessionFolder) -> None:
        """Replay a session."""
        self.library.replay(folder)

    def show_health(self) -> None:
        if self._health is None:
            self._health = HealthDialog(self)
        self._health.show()
        self._show_figures()

    def show_welcome(self) -> None:
        dialog = WelcomeDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(self._on_welcomed)
        dialog.test.clicked.connect(self.show_doctor)
        dialog.open()

    def show_doctor(self) -> None:
        dialog = DoctorDialog(self._config, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def analyse_file(self, path: Path) -> AnalyseDialog:
        """Analyse a video file as fast as the machine can, into a session."""
        dialog = AnalyseDialog(path, self._config, self._opener, self._sessions_folder, self)
        dialog.analysed.connect(self.library.tell_recorded)
        dialog.failed.connect(self.say_error)
        dialog.open()
        return dialog

    def choose_preset(self, name: str) -> None:
        """How calm what is shown is; what plays begins anew."""
        self.settings.preset = name
        self._config = replace(self._config, smooth=PRESETS[name])
        if self.player.state in (State.OPENING, State.PLAYING, State.PAUSED):
            self._play(self._config)

    def show_timeline(self, shown: bool) -> None:
        self.settings.timeline = shown
        self._fit()

    def _remembered(self, config: Config) -> Config:
        """What was chosen the last time, where nothing else is asked for."""
        settings = self.settings
        if not config.source and settings.source and _there(settings.source):
            config = replace(config, source=settings.source)
        if config.engine == Config.engine and settings.engine:
            config = replace(config, engine=settings.engine)
        if config.smooth is None and settings.preset != USUAL:
            config = replace(config, smooth=PRESETS[settings.preset])
        return config

    def _replay(self, recording: Recording) -> None:
        self.player.stop()
        self.banner.take_down()
        self.strip.start()
        self._forget_people()
        self.rest.take_over(recording)
        self.timeline.show_history(History.of(recording), whole=True)
        self.setWindowTitle(f"{recording.name} - edgeemo")
        self.replay.begin(recording)
        self._show_start()
        self._show_figures()

    def _after_replay(self) -> None:
        self._forget_people()
        self.video.show_message("Press Start to go on." if self._config.source else "")
        self.faces.clear("Faces appear here while the picture plays.")
        self._show_start()
        self._show_figures()

    def _show(self, result: Result) -> None:
        self.video.show_result(result)
        self.faces.show_result(result, self.rest.baselines.words)
        if self.replay.recording is not None:
            self.timeline.show_cursor(result.frame.time)
            self.snapshot.setEnabled(True)

    def _on_picture(self, result: Result) -> None:
        self.player.pause()
        self._show(result)

    def _on_sought(self, time: float) -> None:
        self.replay.seek(time)

    def _on_welcomed(self) -> None:
        self.settings.welcomed = True

    def _on_record_failure(self, what: Exception | str) -> None:
        self.say_error(EdgeemoError(what) if isinstance(what, str) else what)

    def _show_recording(self) -> None:
        active = self.recording.active
        self.record.setIcon(icon("stop" if active else "record", LAMP, disabled=self._theme.muted))
        words = "End the recording" if active else "Record"
        self.record.setToolTip(f"{words} (Ctrl+R); what is kept is chosen under Session")
        self.record.setAccessibleName(words)
        self.record.setEnabled(self.player.state in (State.PLAYING, State.PAUSED))
        self._show_lamp()

    def _show_lamp(self) -> None:
        recorder = self.recording.recorder
        self.video.show_recording("" if recorder is None else f"REC {clock(recorder.seconds)}")


def _there(source: str) -> bool:
    """Whether a source of the last time is worth a try: a file that was moved, or a camera unplugged, is not."""
    return "://" in source or Path(f"/dev/video{source}" if source.isdigit() else source).exists()


def _dropped_path(event: QDropEvent) -> str:
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    return urls[0].toLocalFile() if len(urls) == 1 else ""


def _ignore(_: object) -> None:
    """What a shortcut's action returns is nobody's business."""
