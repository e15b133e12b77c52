"""What the window remembers until the next time."""

from __future__ import annotations

from PyQt6.QtCore import QByteArray, QSettings

from edgeemo.config import SmoothConfig
from edgeemo.recording import VIDEO_CHOICES

# name -> how calm what is shown is
PRESETS = {
    "Quick": SmoothConfig(time_constant_s=0.04, margin=0.08),
    "Balanced": SmoothConfig(),
    "Calm": SmoothConfig(time_constant_s=0.4, margin=0.15),
}
USUAL = "Balanced"


class Settings:
    """Typed access to a QSettings; without one nothing is kept (tests, a second window)."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store
        self._kept: dict[str, str] = {}

    @property
    def lasting(self) -> bool:
        return self._store is not None

    @property
    def welcomed(self) -> bool:
        return self._text("welcomed", "no") == "yes"

    @welcomed.setter
    def welcomed(self, value: bool) -> None:
        self._put("welcomed", "yes" if value else "no")

    @property
    def source(self) -> str:
        return self._text("source", "")

    @source.setter
    def source(self, value: str) -> None:
        # an address may carry a password
        self._put("source", "" if "@" in value else value)

    @property
    def engine(self) -> str:
        return self._text("engine", "")

    @engine.setter
    def engine(self, value: str) -> None:
        self._put("engine", value)

    @property
    def video(self) -> str:
        """What a recording keeps of the pictures: nothing until somebody chooses otherwise."""
        value = self._text("video", VIDEO_CHOICES[0])
        return value if value in VIDEO_CHOICES else VIDEO_CHOICES[0]

    @video.setter
    def video(self, value: str) -> None:
        self._put("video", value)

    @property
    def preset(self) -> str:
        value = self._text("preset", USUAL)
        return value if value in PRESETS else USUAL

    @preset.setter
    def preset(self, value: str) -> None:
        self._put("preset", value)

    @property
    def timeline(self) -> bool:
        return self._text("timeline", "yes") == "yes"

    @timeline.setter
    def timeline(self, value: bool) -> None:
        self._put("timeline", "yes" if value else "no")

    @property
    def geometry(self) -> QByteArray | None:
        value = self._store.value("geometry") if self._store is not None else None
        return value if isinstance(value, QByteArray) else None

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        if self._store is not None:
            self._store.setValue("geometry", value)

    def _text(self, key: str, usual: str) -> str:
        value = self._store.value(key) if self._store is not None else self._kept.get(key)
        return value if isinstance(value, str) and value else usual

    def _put(self, key: str, value: str) -> None:
        if self._store is not None:
            self._store.setValue(key, value)
        else:
            self._kept[key] = value
