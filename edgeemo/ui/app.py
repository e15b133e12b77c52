"""Start the desktop app. Called by `edgeemo.commands`."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from types import TracebackType

import cv2
from PyQt6.QtCore import QSettings, QTimer
from PyQt6.QtWidgets import QApplication

from edgeemo.capture import list_cameras
from edgeemo.config import Config
from edgeemo.system.signals import ending_on_signals
from edgeemo.ui.icons import app_icon
from edgeemo.ui.language import use_language
from edgeemo.ui.player import open_for_screen
from edgeemo.ui.settings import Settings
from edgeemo.ui.window import Window
from engines import bundle_names

log = logging.getLogger(__name__)

DONE, INTERRUPTED = 0, 130
SIGNALS_MS = 100


def run(config: Config, *, engine_given: bool = False) -> int:
    """Open the window; returns when it is closed or a signal ends the process.

    Returns:
        The exit code: 0 closed by the user, 130 interrupted.
    """
    keep_opencvs_qt_out(os.environ)
    app = QApplication(["edgeemo"])
    app.setApplicationName("edgeemo")
    app.setApplicationDisplayName("edgeemo")
    app.setDesktopFileName("edgeemo")
    app.setWindowIcon(app_icon())
    app.setOrganizationName("edgeemo")
    settings = Settings(QSettings("edgeemo", "edgeemo"))
    use_language(app, settings.language)
    window = Window(
        config,
        opener=open_for_screen,
        cameras=list_cameras,
        engines=bundle_names,
        engine_given=engine_given,
        settings=settings,
    )
    stop = threading.Event()
    told: set[str] = set()

    def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            app.quit()
        elif repr(error) not in told:
            # report each error once: an error in painting occurs at every frame
            told.add(repr(error))
            log.error("a bug in edgeemo, please report it", exc_info=(kind, error, trace))
            window.banner.show_error(error)

    def watch() -> None:
        if stop.is_set():
            window.close()
            app.quit()

    # Python handles signals only while Python code runs, so Qt's loop must call some regularly
    timer = QTimer()
    timer.timeout.connect(watch)
    timer.start(SIGNALS_MS)
    # without a hook, an exception in a slot would end the process
    hook, sys.excepthook = sys.excepthook, fault
    try:
        with ending_on_signals(stop):
            window.show()
            window.begin()
            app.exec()
    finally:
        sys.excepthook = hook
        ended = window.player.shutdown()
    code = INTERRUPTED if stop.is_set() else DONE
    if not ended or threading.active_count() > 1:
        # a thread in native code, for example of the self-test, would crash the interpreter's end (std::terminate)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def keep_opencvs_qt_out(environment: os._Environ[str] | dict[str, str]) -> None:
    """Remove the paths of plugins and fonts that OpenCV's wheel sets to its own Qt 5, which PyQt6 cannot load."""
    own = Path(cv2.__file__).parent
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if Path(environment.get(name, "")).is_relative_to(own):
            environment.pop(name)
