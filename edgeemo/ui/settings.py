"""The stored settings of the window."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from PyQt6.QtCore import QByteArray, QSettings

from edgeemo.config import QualityConfig, SmoothConfig
from edgeemo.ui.language import SYSTEM, languages, translatable

log = logging.getLogger(__name__)

# name -> smoothing parameters
PRESETS = {
    translatable("Quick"): SmoothConfig(time_constant_s=0.04, margin=0.08),
    translatable("Balanced"): SmoothConfig(),
    translatable("Calm"): SmoothConfig(time_constant_s=0.4, margin=0.15),
}
USUAL = "Balanced"
THEMES = ("system", "light", "dark")
# kind of video in a recording -> text and advice
VIDEO_CHOICES = {
    "none": (translatable("Data only, no pictures"), translatable("Nobody can be identified from it")),
    "blurred": (translatable("Video with faces covered"), translatable("Undetected faces are not covered")),
    "whole": (translatable("Video as it is"), translatable("Those filmed must have agreed")),
}


class Settings:
    """Typed access to a QSettings. Without one, settings are not stored on disk (tests, a second window)."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store
        self._kept: dict[str, str] = {}

    @property
    def lasting(self) -> bool:
        return self._store is not None

    def save(self) -> None:
        """Write changes to the disk now."""
        if self._store is not None:
            self._store.sync()
            if self._store.status() is not QSettings.Status.NoError:
                log.error("cannot write the settings to %s; check its permissions", self._store.fileName())

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
        # an address may contain a password
        self._put("source", "" if "@" in value else value)

    @property
    def engine(self) -> str:
        return self._text("engine", "")

    @engine.setter
    def engine(self, value: str) -> None:
        self._put("engine", value)

    @property
    def video(self) -> str:
        """What a recording stores of the pictures; by default nothing."""
        value = self._text("video", "none")
        return value if value in VIDEO_CHOICES else "none"

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
    def theme(self) -> str:
        value = self._text("theme", THEMES[0])
        return value if value in THEMES else THEMES[0]

    @theme.setter
    def theme(self, value: str) -> None:
        self._put("theme", value)

    @property
    def language(self) -> str:
        """A language code, or "system" for the desktop's language."""
        value = self._text("language", SYSTEM)
        return value if value in languages() else SYSTEM

    @language.setter
    def language(self, value: str) -> None:
        self._put("language", value)

    @property
    def sessions(self) -> str:
        """The chosen folder of sessions; empty: the default."""
        return self._text("sessions", "")

    @sessions.setter
    def sessions(self, value: str) -> None:
        self._put("sessions", value)

    def folder(self, purpose: str) -> str:
        """Folder of the last file dialog for a purpose; empty if there was none."""
        return self._folders().get(purpose, "")

    def keep_folder(self, purpose: str, path: str) -> None:
        self._put("folders", msgspec.json.encode(self._folders() | {purpose: path}).decode())

    def _folders(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._text("folders", "{}"), type=dict[str, str])
        except msgspec.DecodeError:
            return {}

    @property
    def queue(self) -> tuple[str, ...]:
        """An unfinished queue of videos: the folder of its results, then the videos; empty without a queue."""
        try:
            return tuple(msgspec.json.decode(self._text("queue", "[]"), type=list[str]))
        except msgspec.DecodeError:
            return ()

    @queue.setter
    def queue(self, value: Sequence[str]) -> None:
        self._put("queue", msgspec.json.encode(list(value)).decode())

    @property
    def min_confidence(self) -> float:
        """Confidence below which a face is unsure."""
        usual = QualityConfig().min_confidence
        try:
            value = float(self._text("min_confidence", str(usual)))
        except ValueError:
            return usual
        return value if 0 <= value <= 1 else usual

    @min_confidence.setter
    def min_confidence(self, value: float) -> None:
        self._put("min_confidence", str(value))

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
