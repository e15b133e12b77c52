"""Live playback: opens sources and engines, reopens lost sources, and offers actions after a failure.

Made by `window`, which shows the results.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from edgeemo.capture import CameraInfo
from edgeemo.config import CaptureConfig, Config, QualityConfig, SmoothConfig
from edgeemo.errors import EdgeemoError, SourceError
from edgeemo.run.setup import ClassesDiffer
from edgeemo.types import Result
from edgeemo.ui.banner import Action, Banner
from edgeemo.ui.camera_watch import CameraWatch
from edgeemo.ui.engine_facts import EngineFacts, facts_of
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import error_words
from edgeemo.ui.pickers import shown_name
from edgeemo.ui.player import Opener, Player, PlayerState
from edgeemo.ui.settings import PRESETS, USUAL, Settings
from engines.errors import EngineError

log = logging.getLogger(__name__)

DEMO = "demo"
RETRY_MS = 2000  # interval of attempts to reopen a lost camera or stream
NO_CAMERA = translatable(
    "No camera found, so this is the demo clip. Connect a camera and choose it under Source, or open a video file."
)


class LiveControl(QObject):
    """Plays one configuration at a time.

    Args:
        config: initial configuration; an empty source means the first camera, or the demo clip without one.
        engine_given: whether the user gave the engine; else the remembered engine is used.
        opener: makes a runner that fills its `screen`; called in a worker thread.
        cameras: returns the connected cameras.
        settings: remembered choices for what `config` does not set.
        devices: the folder in which device files of cameras appear.

    Signals:
        opening: the Config about to be opened, and whether the last picture may stay until then.
        switched: the Config after a change of engine or smoothing.
        kept: the Config that stays because the chosen one failed.
        returned: the first Result of a lost source that is back.
        given_up: a lost source is not reopened.
        cameras_changed: a camera was connected or removed.
    """

    opening = pyqtSignal(object, bool)
    switched = pyqtSignal(object)
    kept = pyqtSignal(object)
    returned = pyqtSignal(object)
    given_up = pyqtSignal()
    cameras_changed = pyqtSignal()

    def __init__(
        self,
        config: Config,
        *,
        engine_given: bool,
        opener: Opener,
        cameras: Callable[[], Sequence[CameraInfo]],
        settings: Settings,
        banner: Banner,
        devices: Path,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._cameras = cameras
        self._settings = settings
        self._banner = banner
        self._config = _with_settings(config, settings, engine_given)
        self._opening = self._config
        self._works: Config | None = None  # the last configuration that delivered a picture
        self._delivered = False  # the configuration opened last has delivered a picture
        self._lost = False
        self.player = Player(opener, self)
        self.player.failed.connect(self._on_failure)
        self.player.changed.connect(self._on_state)
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.setInterval(RETRY_MS)
        self._retry.timeout.connect(self._reopen)
        self._watch = CameraWatch(cameras, devices, self)
        self._watch.plugged.connect(self._on_plugged)
        self._watch.unplugged.connect(lambda _: self.cameras_changed.emit())
        self._watch.start()

    @property
    def config(self) -> Config:
        """The configuration that plays, or that should play."""
        return self._config

    @property
    def source_name(self) -> str:
        """Display name of the source."""
        return shown_name(self._config.source, self._cameras())

    @property
    def recorded_name(self) -> str:
        """The English name, for recordings and their exports."""
        return shown_name(self._config.source, self._cameras(), str.format)

    @property
    def retrying(self) -> bool:
        """Whether a lost source is being reopened automatically."""
        return self._retry.isActive()

    @property
    def comes_back(self) -> bool:
        """Whether nothing plays because the source was lost and is being reopened automatically."""
        if self.player.state is PlayerState.OPENING:
            return self._lost
        return self.player.state is PlayerState.FAILED and self._is_lost(self.player.failure)

    def begin(self) -> None:
        """Play the configured source, or the first camera, or the demo clip."""
        if self._config.source:
            self.play(self._config)
            return
        cameras = list(self._cameras())
        self.play(replace(self._config, source=cameras[0].uri if cameras else DEMO, sources=()))
        if not cameras:
            self._banner.show_message("notice", tr(NO_CAMERA))

    def choose_source(self, uri: str) -> None:
        self.play(replace(self._config, source=uri, sources=()))

    def choose_engine(self, engine: str) -> None:
        self._switch(replace(self._config, engine=engine))

    def choose_preset(self, name: str) -> None:
        """Select a smoothing preset."""
        self._settings.preset = name
        self._adjust(replace(self._config, smooth=PRESETS[name]))

    def choose_confidence(self, limit: float) -> None:
        """Set the probability of the leading class below which a face is unsure, 0..1."""
        self._adjust(replace(self._config, quality=replace(self._config.quality, min_confidence=limit)))

    def _adjust(self, config: Config) -> None:
        if self.player.state in (PlayerState.OPENING, PlayerState.PLAYING, PlayerState.PAUSED):
            self._switch(config)
        else:
            self._config = config

    def find_facts(self, names: Sequence[str], measure: bool, then: Callable[[list[EngineFacts]], None]) -> None:
        """Look up facts about engines, and optionally measure them, during playback.

        Args:
            then: called once; when measuring, once per engine.
        """
        found: list[EngineFacts] = []
        threads = self._config.threads
        now, later = (names[:1], names[1:]) if measure else (names, ())

        def look() -> None:
            found.extend(facts_of(name, threads=threads, measure=measure) for name in now)

        def tell() -> None:
            then(found)
            if later:
                self.find_facts(later, measure, then)

        # the worker opens sources and sessions, which must not wait for a measurement
        run = self.player.beside if measure else self.player.in_background
        run(look, tell, self._banner.show_error)

    def start_or_pause(self) -> None:
        """Pause, resume or start playback."""
        if self.player.state is PlayerState.PLAYING:
            self.player.pause()
        elif self.player.state is PlayerState.PAUSED:
            self.player.resume()
        elif self.player.state is not PlayerState.OPENING:
            # outputs that have received nothing are opened again
            self.play(self._config if self._delivered else replace(self._config, sinks=self._opening.sinks))

    def play(self, config: Config) -> None:
        self._stop_retrying()
        same_source = config.source == self._config.source
        if config.source != DEMO:
            self._settings.source = config.source
        self._settings.engine = config.engine
        self._config = config
        self._banner.dismiss()
        self.opening.emit(config, same_source and self._works is not None)
        self._opening, self._delivered = config, False
        loop = config.capture.loop or config.source == DEMO
        self.player.open(replace(config, capture=CaptureConfig(loop=loop, paced=True)))
        # a second run would overwrite the output of the first one
        self._config = replace(config, sinks=())

    def _switch(self, config: Config) -> None:
        """Change engine, smoothing or limit; playback, sinks and recording continue."""
        if self.player.state is PlayerState.OPENING:
            self.play(replace(self._opening, engine=config.engine, smooth=config.smooth, quality=config.quality))
        elif self.player.switch(config, self._on_switched, self._on_switch_failure):
            self._config = config
        else:
            self.play(config)

    def _on_switched(self) -> None:
        self._settings.engine = self._config.engine
        if self._banner.kind == "error":
            self._banner.dismiss()
        self.switched.emit(self._config)

    def _on_switch_failure(self, error: Exception) -> None:
        playing = self.player.config
        if isinstance(error, ClassesDiffer) and not self.player.writes:
            # a run has the same classes from its beginning to its end
            self.play(self._config)
            return
        if playing is not None:
            self._config = replace(self._config, engine=playing.engine, smooth=playing.smooth, quality=playing.quality)
            self._settings.preset = preset_of(playing.smooth)
        self._banner.show_error(error)
        self.kept.emit(self._config)

    def on_result(self, result: Result) -> None:
        """Record that a picture arrived, so the configuration works and the source is not lost."""
        if self._lost:
            self._stop_retrying()
            self._banner.dismiss()
            self.returned.emit(result)
        self._works, self._delivered = self._config, True

    def shutdown(self) -> None:
        """Close everything, because the window is closing."""
        self._retry.stop()
        self._watch.stop()
        self.player.shutdown()

    def _on_failure(self, error: Exception) -> None:
        if not isinstance(error, EdgeemoError | EngineError):
            log.error("the pipeline broke", exc_info=error)
        if self.player.state is not PlayerState.FAILED:
            self._banner.show_error(error)
            return
        if self._is_lost(error):
            # an unplugged camera, or a stream whose server restarts
            self._lost = True
            self._retry.start()
            self._banner.show_message(
                "error",
                tr("{error}. Retrying automatically.", error=error_words(error)),
                (tr("Stop trying"), self._give_up),
            )
            return
        self._give_up()
        actions: list[Action] = [(tr("Try again"), self.start_or_pause)]
        works = self._works
        if isinstance(error, EngineError):
            if works is not None and works.engine != self._config.engine:
                actions.append(
                    (tr("Use {engine}", engine=Path(works.engine).name), lambda: self.choose_engine(works.engine))
                )
            elif self._config.engine != Config.engine:
                actions.append((tr("Use {engine}", engine=Config.engine), lambda: self.choose_engine(Config.engine)))
        elif self._config.source != DEMO:
            actions.append((tr("Play the demo clip"), lambda: self.choose_source(DEMO)))
        self._banner.show_error(error, *actions)

    def _on_state(self, state: PlayerState) -> None:
        if state is PlayerState.STOPPED and self._lost:
            # the message says that the source is being reopened
            self._banner.dismiss()
            self._stop_retrying()

    def _on_plugged(self, camera: CameraInfo) -> None:
        """Offer a new camera; reopen a lost camera at once."""
        self.cameras_changed.emit()
        if self._config.source in (camera.uri, camera.device):
            self._reopen()
            return
        self._banner.show_message(
            "notice",
            tr("{camera} was connected.", camera=camera.name),
            (tr("Use it"), lambda: self.choose_source(camera.uri)),
            seconds=0 if self.player.state is not PlayerState.PLAYING else 12,
        )

    def _is_lost(self, error: Exception | None) -> bool:
        """Whether an error means that a live source was lost after delivering pictures."""
        uri = self._config.source
        live = uri.isdigit() or uri.startswith("/dev/") or "://" in uri
        return isinstance(error, SourceError) and live and self._works is not None and self._works.source == uri

    def _reopen(self) -> None:
        if self._lost and self.player.state is PlayerState.FAILED:
            # not `play`: picture and message stay until a new picture arrives
            self.player.open(replace(self._config, capture=CaptureConfig(paced=True)), go_on=True)

    def _give_up(self) -> None:
        self._stop_retrying()
        self.given_up.emit()

    def _stop_retrying(self) -> None:
        self._lost = False
        self._retry.stop()


def preset_of(smooth: SmoothConfig) -> str:
    """Name of a smoothing preset; the default name for other settings."""
    return next((name for name, each in PRESETS.items() if each == smooth), USUAL)


def _with_settings(config: Config, settings: Settings, engine_given: bool) -> Config:
    """Apply remembered choices to what the configuration does not set."""
    if not config.source and not config.sources and settings.source and _exists(settings.source):
        config = replace(config, source=settings.source)
    if not engine_given and config.engine == Config.engine and settings.engine:
        config = replace(config, engine=settings.engine)
    if config.smooth == PRESETS[USUAL] and settings.preset != USUAL:
        config = replace(config, smooth=PRESETS[settings.preset])
    if config.quality.min_confidence == QualityConfig().min_confidence:
        config = replace(config, quality=replace(config.quality, min_confidence=settings.min_confidence))
    return config


def _exists(source: str) -> bool:
    """Whether a remembered source still exists: not a moved file or an unplugged camera."""
    return "://" in source or Path(f"/dev/video{source}" if source.isdigit() else source).exists()
