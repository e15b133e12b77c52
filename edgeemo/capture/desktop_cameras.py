"""List and open cameras on Windows and macOS. Called by camera.py and decoder.py.

Not yet tried on these systems: the tests run against fakes of them.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import cv2

from edgeemo.errors import SourceError

# OpenCV's capture interfaces of a system, in the order in which they are tried. MSMF is the current one of Windows;
# some older and virtual cameras support only DirectShow.
APIS: dict[str, tuple[int, ...]] = {
    "win32": (cv2.CAP_MSMF, cv2.CAP_DSHOW),
    "darwin": (cv2.CAP_AVFOUNDATION,),
}
ADVICE = {
    "win32": ("close other programs that use it, and allow desktop apps under Settings > Privacy & security > Camera"),
    "darwin": (
        "close other programs that use it, and allow it for this program (the terminal, if it was started from one) "
        "under System Settings > Privacy & Security > Camera; then start the program again"
    ),
}
_asked = False


def found(
    platform: str = sys.platform, enumerate_cameras: Callable[[int], Sequence[Any]] | None = None
) -> list[tuple[int, str]]:
    """Index and name of each camera; empty on other systems and without cv2-enumerate-cameras.

    Args:
        enumerate_cameras: cv2_enumerate_cameras.enumerate_cameras, which numbers them as OpenCV's interface does.
    """
    if enumerate_cameras is None:
        try:
            enumerate_cameras = importlib.import_module("cv2_enumerate_cameras").enumerate_cameras
        except (ImportError, OSError):
            return []
    cameras: dict[int, str] = {}
    for api in APIS.get(platform, ()):
        for camera in enumerate_cameras(api):
            cameras.setdefault(int(camera.index), str(camera.name).strip() or f"camera {camera.index}")
        if cameras:  # the other interface may number the same cameras differently
            break
    return sorted(cameras.items())


def open_capture(
    index: int,
    options: Sequence[int],
    *,
    platform: str = sys.platform,
    capture: Callable[[int, int, Sequence[int]], cv2.VideoCapture] = cv2.VideoCapture,
) -> cv2.VideoCapture | None:
    """Open a camera by its number with the first interface that succeeds; None if none does.

    Args:
        options: OpenCV properties and values, alternating.
    """
    for api in APIS.get(platform, ()):
        try:
            opened = capture(index, api, options)
        except cv2.error:
            continue
        if opened.isOpened():
            return opened
        opened.release()
    return None


def advice(platform: str = sys.platform) -> str:
    """What to do about a camera that does not open."""
    return ADVICE.get(platform, "another program may be using it; close that first")


def ask_permission(
    platform: str = sys.platform,
    *,
    capture: Callable[[int, int, Sequence[int]], cv2.VideoCapture] = cv2.VideoCapture,
    on_main_thread: bool | None = None,
) -> None:
    """Let macOS ask the user for the camera, once per process.

    OpenCV can show this question only from the main thread, but another thread reads the frames. Therefore the first
    camera is opened and closed here, before that thread starts.

    Raises:
        SourceError: the user refused, or no camera can be opened.
    """
    global _asked
    if on_main_thread is None:
        on_main_thread = threading.current_thread() is threading.main_thread()
    if platform != "darwin" or _asked or not on_main_thread:
        return
    opened = capture(0, cv2.CAP_AVFOUNDATION, [])
    allowed = opened.isOpened()
    opened.release()
    if not allowed:
        raise SourceError(f"cannot open a camera: {advice(platform)}")
    _asked = True
