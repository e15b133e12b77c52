"""Tells when a camera is plugged in or out, without anybody asking for the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt6.QtCore import QFileSystemWatcher, QObject, QTimer, pyqtSignal

from edgeemo.capture import CameraInfo

DEVICES = Path("/dev")
SETTLE_MS = 500  # the device file comes first; its name and who may read it follow
POLL_MS = 5000  # where there is no folder of devices to watch


class CameraWatch(QObject):
    """Watches the folder of device files; where there is none looks every few seconds.

    Args:
        cameras: those that are connected at the moment.
        devices: the folder whose changes are a reason to look.

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
        """What is there now is known; what comes from now on is told."""
        self._known = {camera.uri: camera for camera in self._cameras()}
        if not (self._devices.is_dir() and self._watcher.addPath(str(self._devices))):
            self._poll.start()

    def stop(self) -> None:
        self._settle.stop()
        self._poll.stop()
        if watched := self._watcher.directories():
            self._watcher.removePaths(watched)

    def look(self) -> None:
        """Compare with the last time."""
        before, self._known = self._known, {camera.uri: camera for camera in self._cameras()}
        for uri, camera in before.items():
            if uri not in self._known:
                self.unplugged.emit(camera)
        for uri, camera in self._known.items():
            if uri not in before:
                self.plugged.emit(camera)
