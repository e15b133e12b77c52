"""Detect when a camera is connected or removed. Used by `live`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt6.QtCore import QFileSystemWatcher, QObject, QTimer, pyqtSignal

from edgeemo.capture import CameraInfo

DEVICES = Path("/dev")
SETTLE_MS = 500  # delay after the device file appears, until its name and permissions are set
POLL_MS = 5000  # interval on systems without a folder of device files


class CameraWatch(QObject):
    """Watches the folder of device files; without such a folder it polls.

    Args:
        cameras: returns the connected cameras.
        devices: the folder to watch.

    Signals:
        plugged, unplugged: a CameraInfo.
    """

    plugged = pyqtSignal(object)
    unplugged = pyqtSignal(object)

    def __init__(
        self, cameras: Callable[[], Sequence[CameraInfo]], devices: Path = DEVICES, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._cameras = cameras
        self._known: dict[str, CameraInfo] = {}
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.look)
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self.look)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(lambda _: self._settle.start())
        self._devices = devices

    def start(self) -> None:
        """Record the connected cameras; report changes from now on."""
        self._known = {camera.uri: camera for camera in self._cameras()}
        if not (self._devices.is_dir() and self._watcher.addPath(str(self._devices))):
            self._poll.start()

    def stop(self) -> None:
        self._settle.stop()
        self._poll.stop()
        if watched := self._watcher.directories():
            self._watcher.removePaths(watched)

    def look(self) -> None:
        """Compare with the last check."""
        before, self._known = self._known, {camera.uri: camera for camera in self._cameras()}
        for uri, camera in before.items():
            if uri not in self._known:
                self.unplugged.emit(camera)
        for uri, camera in self._known.items():
            if uri not in before:
                self.plugged.emit(camera)
