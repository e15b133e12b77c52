"""The desktop app as a command."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType

import cv2
from PyQt6.QtWidgets import QApplication

from edgeemo.capture import list_cameras
from edgeemo.config import Config
from edgeemo.session import Session, open_session
from edgeemo.ui.icons import app_icon
from edgeemo.ui.window import Window
from engines import bundle_names

log = logging.getLogger(__name__)

DONE, INTERRUPTED = 0, 130


def run(config: Config) -> int:
    """Open the window and stay until it is closed, or the process gets SIGINT or SIGTERM.

    Returns:
        The exit code: 0 closed by the user, 130 interrupted.
    """
    keep_opencvs_qt_out(os.environ)
    app = QApplication(["edgeemo"])
    app.setApplicationName("edgeemo")
    app.setApplicationDisplayName("edgeemo")
    app.setDesktopFileName("edgeemo")
    app.setWindowIcon(app_icon())
    window = Window(config, opener=_open, cameras=list_cameras, engines=bundle_names)
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        window.close()

    def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.error("a fault of edgeemo's, please report it", exc_info=(kind, error, trace))

    # an exception in a slot would otherwise end the process
    hook, sys.excepthook = sys.excepthook, fault
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        window.show()
        window.begin()
        app.exec()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.excepthook = hook
        window.player.shutdown()
    return INTERRUPTED if interrupted else DONE


def keep_opencvs_qt_out(environment: os._Environ[str] | dict[str, str]) -> None:
    """OpenCV's wheel sets where Qt finds its plugins and fonts to its own Qt 5, which PyQt6 cannot load."""
    own = Path(cv2.__file__).parent
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if Path(environment.get(name, "")).is_relative_to(own):
            environment.pop(name)


def _open(config: Config) -> Session:
    return open_session(config, screen=True)
