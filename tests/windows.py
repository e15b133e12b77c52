"""The app's window with fake stages, shared by tests of the user interface. Fixtures are in conftest.py."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
from fakes import FakeClassifier, FakeParts, FakeSink
from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot

from edgeemo.capture import CameraInfo
from edgeemo.config import Config
from edgeemo.errors import SourceError
from edgeemo.run.runner import Runner
from edgeemo.types import Faces, Frame, Result
from edgeemo.ui.app import keep_opencvs_qt_out
from edgeemo.ui.player import PlayerState
from edgeemo.ui.settings import Settings
from edgeemo.ui.window import Window
from engines import LABELS
from engines.errors import BundleNotFound

keep_opencvs_qt_out(os.environ)

WIDTH, HEIGHT = 320, 180
GREY = 60
CAMERA = CameraInfo(uri="/dev/v4l/by-id/a-camera", name="Desk camera", device="/dev/video0")


class Clip:
    """Grey pictures, about a hundred per second, until it ends, fails or is closed."""

    def __init__(
        self,
        name: str,
        *,
        frames: int = 1_000_000,
        error: Exception | None = None,
        stuck: bool = False,
        still: bool = False,
    ) -> None:
        self.name = name
        self.live = True
        self.pause_s = 0.0
        self.decoder = ""
        self.released = False
        self._frames = frames
        self._error = error
        self._stuck = stuck
        self._still = still

    def frames(self) -> Iterator[Frame]:
        try:
            for index in range(self._frames):
                yield Frame(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), index, index / 100, self.name, self._still)
                sleep(0.5 if self._stuck else 0.01)
            if self._error is not None:
                raise self._error
        finally:
            self.released = True


class Faced:
    """A detector that finds a number of faces, with space for their labels."""

    description = ""

    def __init__(self, count: int) -> None:
        self._count = count

    def detect(self, frame: Frame) -> Faces:
        left = np.arange(self._count, dtype=np.float32) * 60 + 20
        boxes = np.stack([left, np.full_like(left, 60), left + 40, np.full_like(left, 100)], axis=1)
        count = self._count
        return Faces(
            boxes, np.zeros((count, 6, 2), np.float32), np.ones(count, np.float32), np.full(count, -1, np.int64)
        )

    def close(self) -> None:
        pass


class Studio:
    """Opens runs with fake stages and stores them."""

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.clips: list[Clip] = []
        self.faces = 1
        self.delay = 0.0
        self.closing: Exception | None = None
        self.clip: Callable[[str], Clip] = Clip
        self.sinks: dict[str, FakeSink] = {}
        self.classes: dict[str, tuple[str, ...]] = {}  # of an engine; else all
        self.engine_s = 0.0  # time to open an engine
        self.fingerprints: dict[str, str] = {}  # of an engine; else its name

    def open(self, config: Config) -> Runner:
        self.configs.append(config)
        sleep(self.delay)
        if config.source == "missing.mp4":
            raise SourceError("no file missing.mp4; check its name")
        if config.source == "broken":
            raise RuntimeError("a fault")
        clip = self.clip(config.source)
        self.clips.append(clip)
        parts = FakeParts(
            {config.source: clip},
            self.sinks | {"closing": lambda: Closing(self.closing)},
            detector=lambda: Faced(self.faces),
            classifier=self._classifier,
        )
        sinks = (*config.sinks, "closing") if self.closing is not None else config.sinks
        return Runner(replace(config, sinks=sinks), parts, screen=True)

    def _classifier(self, config: Config) -> FakeClassifier:
        if config.engine == "nosuch":
            raise BundleNotFound("no engine named 'nosuch'; there are: hybrid_lite")
        sleep(self.engine_s)
        return FakeClassifier(
            self.classes.get(config.engine, LABELS),
            description=f"{config.engine}, fake runtime",
            fingerprint=self.fingerprints.get(config.engine, config.engine),
        )


class Closing(FakeSink):
    """Fails when it is closed."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self._closing = error

    def close(self) -> None:
        if self._closing is not None:
            raise self._closing


class Windows:
    """Makes windows whose runs a `Studio` opens; `close` closes all of them."""

    def __init__(self, qtbot: QtBot, studio: Studio, folder: Path) -> None:
        self._qtbot = qtbot
        self._studio = studio
        self._folder = folder
        self._made: list[Window] = []

    def __call__(
        self,
        config: Config | None = None,
        *,
        cameras: Sequence[CameraInfo] = (),
        settings: Settings | None = None,
        begin: bool = True,
    ) -> Window:
        window = Window(
            config or Config(source="clip.mp4"),
            opener=self._studio.open,
            cameras=lambda: cameras,
            engines=lambda: ["hybrid_lite", "other"],
            pictures=self._folder / "Pictures",
            sessions=self._folder / "sessions",
            settings=settings,
        )
        self._made.append(window)
        self._qtbot.addWidget(window)
        window.show()
        if begin:
            window.begin()
        return window

    def close(self) -> None:
        for window in self._made:
            window.close()


def shows(qtbot: QtBot, window: Window) -> Result:
    qtbot.waitUntil(lambda: window.player.state is PlayerState.PLAYING and window.video.result is not None)
    result = window.video.result
    assert result is not None
    return result


def press(qtbot: QtBot, window: Window, words: str) -> None:
    (button,) = [button for button in window.banner.buttons if button.text() == words]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
