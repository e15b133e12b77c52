"""Fixtures of several test modules: shared media, the demo clip, small generated clips and pictures."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edgeemo.capture import DEMO_CLIP
from edgeemo.types import U8

if TYPE_CHECKING:  # tests without a window must not import Qt
    from pytestqt.qtbot import QtBot
    from servers import Broker
    from windows import Studio, Windows

    from edgeemo.api import Recogniser
    from edgeemo.sinks.mqtt import MqttSink
    from edgeemo.types import Status

CLIP_FRAMES = 24
MakeClip = Callable[..., Path]


SLOW_TIMEOUT_S = 1200

# These files run first, so that at the end no process works alone on a long one.
LONGEST = (
    "test_train.py",
    "test_batch.py",
    "test_batch_split.py",
    "test_train_bundle.py",
    "test_fit_run.py",
    "test_cli.py",
    "test_export_cli.py",
    "test_detect.py",
    "test_border.py",
    "test_ddp.py",
    "test_layouts.py",
    "test_trt_end_to_end.py",
    "test_shards.py",
    "test_batch_ray.py",
    "test_evaluate.py",
    "test_capture_video.py",
    "test_docs.py",
    "test_outputs.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", help="run the tests marked slow too (they install, download or run long)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first, and deselect slow tests unless --all or -m selects them.

    Slow tests get a longer time limit.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)
    slow = [item for item in items if item.get_closest_marker("slow")]
    for item in slow:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
    if slow and not config.getoption("--all") and not config.getoption("-m"):
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, Any]:
    """Make captured output valid UTF-8, because pytest-xdist's worker ends if it has to send other bytes."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("timeout"):  # without it nothing stops a test that hangs
        config.addinivalue_line("markers", "timeout(seconds): time limit of one test (pytest-timeout)")
    # Under nohup or in a shell's background these signals are ignored, and the programs that are tested would inherit
    # that; a handler is not inherited.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of three_faces.mp4 and two_faces.mp4, which are not part of the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("shared/media is not laid beside this checkout")
    return folder


@pytest.fixture(scope="session")
def cases() -> Path:
    """Small inputs that failed once; their README has the right results. Not part of the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("shared/cases is not laid beside this checkout")
    return folder


@pytest.fixture(scope="session")
def ferplus_zip() -> Path:
    """The FER+ data set, which is not part of the repository."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "ferplus.zip"
    if not path.is_file():
        pytest.skip("shared/data/ferplus.zip is not laid beside this checkout")
    return path


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    return DEMO_CLIP


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The program ffmpeg, for clips that OpenCV cannot write."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed (scripts/test installs it)")
    return program


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Writes a video whose frame n has about grey level 20 + 4n: make_clip("a.mp4", frames=30)."""

    def make(name: str, *, frames: int = 30, width: int = 64, height: int = 48, fps: float = 25) -> Path:
        path = tmp_path / name
        code = "MJPG" if path.suffix == ".avi" else "mp4v"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), fps, (width, height))
        assert writer.isOpened(), f"OpenCV cannot write {name}"
        for number in range(frames):
            writer.write(np.full((height, width, 3), 20 + 4 * (number % 55), np.uint8))
        writer.release()
        return path

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with face2.png, face10.png and Face1.jpg, grey levels 20, 100 and 10."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, level in (("face10.png", 100), ("face2.png", 20), ("Face1.jpg", 10)):
        cv2.imwrite(str(folder / name), np.full((24, 32, 3), level, np.uint8))
    return folder


@pytest.fixture(scope="session")
def recogniser() -> Iterator[Recogniser]:
    from edgeemo.api import Recogniser

    with Recogniser() as opened:
        yield opened


@pytest.fixture(scope="session")
def pictures_of_clip(demo_clip: Path) -> list[U8]:
    """The first frames of the demo clip."""
    capture = cv2.VideoCapture(str(demo_clip))
    images = [np.asarray(capture.read()[1], np.uint8) for _ in range(CLIP_FRAMES)]
    capture.release()
    return images


@pytest.fixture(scope="session")
def clip(pictures_of_clip: list[U8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames of a face at 25 per second."""
    path = tmp_path_factory.mktemp("clips") / "clip.avi"
    height, width = pictures_of_clip[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for image in pictures_of_clip:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="session")
def written(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    """The results of `edgeemo run` for the clip, as events and as CSV."""
    from edgeemo.cli import main

    folder = tmp_path_factory.mktemp("written")
    jsonl, csv = folder / "results.jsonl", folder / "results.csv"
    assert main(["run", "--source", str(clip), "--sink", f"jsonl:{jsonl}", "--sink", f"csv:{csv}"]) == 0
    return [json.loads(line) for line in jsonl.read_text().splitlines()], csv.read_text()


@pytest.fixture
def qtbot(qtbot: QtBot) -> Iterator[QtBot]:
    """pytest-qt's; releases Shift and Ctrl after the test. Qt keeps the modifiers of the last key that was sent, and
    selecting a row with Shift would select several.
    """
    from PyQt6.QtCore import Qt
    from PyQt6.QtWidgets import QWidget

    yield qtbot
    qtbot.keyRelease(QWidget(), Qt.Key.Key_Shift)


@pytest.fixture
def studio() -> Studio:
    from windows import Studio

    return Studio()


@pytest.fixture
def make(qtbot: QtBot, studio: Studio, tmp_path: Path) -> Iterator[Windows]:
    """Makes windows of the app with fake stages; they are closed after the test."""
    from windows import Windows

    windows = Windows(qtbot, studio, tmp_path)
    yield windows
    windows.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running MQTT broker."""
    from servers import Broker

    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., MqttSink]]:
    """Opens MQTT sinks; they are closed after the test."""
    from edgeemo.config import Config, MqttConfig
    from edgeemo.sinks import SinkContext, open_sink
    from edgeemo.sinks.mqtt import MqttSink
    from engines import LABELS

    sinks: list[MqttSink] = []

    def make(
        port: int, status: Callable[[], Status] | None = None, *, lasting: bool = True, **options: Any
    ) -> MqttSink:
        config = MqttConfig(**{"spool": str(tmp_path / "spool.db"), **options})
        context = SinkContext(
            LABELS, draw=lambda each: each.frame.image, config=Config(mqtt=config), status=status, lasting=lasting
        )
        scheme = "mqtts" if config.ca_file else "mqtt"
        sink = open_sink(f"{scheme}://localhost:{port}/home/edge", context)
        assert isinstance(sink, MqttSink)
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()
