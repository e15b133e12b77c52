"""Opens the window's dialogs about the program and the machine: welcome, self-test, health, settings, keys, about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QObject, Qt
from PyQt6.QtWidgets import QWidget

from edgeemo.ui.about import AboutDialog
from edgeemo.ui.health import HealthDialog, Paints
from edgeemo.ui.keys import KeysDialog
from edgeemo.ui.live import LiveControl
from edgeemo.ui.preferences import SettingsDialog
from edgeemo.ui.settings import Settings
from edgeemo.ui.welcome import DoctorDialog, WelcomeDialog


class Dialogs(QObject):
    """Opens dialogs that do not block the window."""

    def __init__(self, live: LiveControl, paints: Paints, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self._live, self._paints, self._settings, self._window = live, paints, settings, parent
        self.health: HealthDialog | None = None

    def show_health(self) -> None:
        if self.health is None:
            self.health = HealthDialog(self._window)
        self.health.show()
        self.refresh()

    def refresh(self) -> None:
        """Update the open dialogs with the newest figures."""
        if self.health is not None and self.health.isVisible():
            player = self._live.player
            self.health.show_stats(player.stats(), player.engine_description, self._paints)

    def show_welcome(self) -> None:
        dialog = WelcomeDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(self._on_welcomed)
        dialog.test.clicked.connect(self.show_doctor)
        dialog.open()

    def show_settings(self, sessions: Callable[[], Path]) -> SettingsDialog:
        """Open the settings.

        Args:
            sessions: returns the folder of sessions.
        """
        dialog = SettingsDialog(self._settings, sessions, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.preset.connect(self._live.choose_preset)
        dialog.confidence.connect(self._live.choose_confidence)
        dialog.show()
        return dialog

    def show_keys(self, menu: list[tuple[str, str]]) -> None:
        """Open the list of keys.

        Args:
            menu: (key, text) of the menu's entries.
        """
        dialog = KeysDialog(menu, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def show_about(self) -> None:
        dialog = AboutDialog(self._live.player.engine_description, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def show_doctor(self) -> None:
        dialog = DoctorDialog(self._live.config, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def _on_welcomed(self) -> None:
        self._settings.welcomed = True
