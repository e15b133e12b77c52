"""The dialog Settings: theme, language, folder of sessions, what a recording stores, smoothing, minimum confidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from edgeemo.config import QualityConfig
from edgeemo.ui.buttons import action_button
from edgeemo.ui.labels import Label
from edgeemo.ui.language import SYSTEM, languages, tr, translatable
from edgeemo.ui.settings import PRESETS, THEMES, VIDEO_CHOICES, Settings
from edgeemo.ui.theme import named
from edgeemo.ui.words import percent

THEME_WORDS = {"system": translatable("As the desktop"), "light": translatable("Light"), "dark": translatable("Dark")}


class SettingsDialog(QDialog):
    """Changes are stored and take effect at once; another language takes effect at the next start.

    Args:
        sessions: the current folder of sessions.

    Signals:
        theme, folder: it changed.
        preset, video: name of the choice.
        confidence: probability below which a face is unsure, 0..1.
    """

    theme = pyqtSignal()
    folder = pyqtSignal()
    preset = pyqtSignal(str)
    video = pyqtSignal(str)
    confidence = pyqtSignal(float)

    def __init__(self, settings: Settings, sessions: Callable[[], Path], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Settings"))
        self.setMinimumWidth(480)
        self._settings = settings
        self._sessions = sessions
        self.themes = _choices({name: tr(THEME_WORDS[name]) for name in THEMES}, settings.theme)
        self.videos = _choices({name: tr(words) for name, (words, _) in VIDEO_CHOICES.items()}, settings.video)
        self.presets = _choices({name: tr(name) for name in PRESETS}, settings.preset)
        self.languages = _choices({SYSTEM: tr("As the desktop"), **languages()}, settings.language)
        self.limit = QSpinBox()
        self.limit.setRange(0, 95)
        self.limit.setMinimumHeight(self.themes.sizeHint().height())
        self.limit.setSuffix(" %")
        self.limit.setValue(round(settings.min_confidence * 100))
        self.limit.setToolTip(tr("Default: {percent}", percent=percent(QualityConfig().min_confidence)))
        self.place = Label(str(sessions()))
        self.place.setWordWrap(True)
        self.place.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.choose = action_button(tr("Choose…"), self._ask_for_folder)
        self.choose.setAccessibleName(tr("Choose the folder of sessions"))
        row = QHBoxLayout()
        row.addWidget(self.place, 1)
        row.addWidget(self.choose)
        form = QFormLayout()
        form.addRow(tr("&Theme"), self.themes)
        form.addRow(tr("&Language"), self.languages)
        form.addRow(tr("&Recording"), self.videos)
        form.addRow(tr("&Smoothing"), self.presets)
        form.addRow(tr("&Unsure below"), self.limit)
        form.addRow(tr("Sessions in"), row)
        self.hint = named(
            Label(tr("Playback continues; a recording gets a marker for a change of smoothing or limit.")), "muted"
        )
        self.hint.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.hint)
        layout.addWidget(buttons)
        self.themes.activated.connect(lambda _: self._set_theme())
        self.languages.activated.connect(lambda _: self._set_language())
        self.videos.activated.connect(lambda _: self._set_video())
        self.presets.activated.connect(lambda _: self.preset.emit(self.presets.currentData()))
        self.limit.editingFinished.connect(self._set_limit)

    def _set_theme(self) -> None:
        self._settings.theme = self.themes.currentData()
        self.theme.emit()

    def _set_language(self) -> None:
        self._settings.language = self.languages.currentData()
        self.hint.setText(tr("The language changes when edgeemo is started again."))

    def _set_video(self) -> None:
        self._settings.video = self.videos.currentData()
        self.video.emit(self._settings.video)

    def _set_limit(self) -> None:
        value = self.limit.value() / 100
        if value != self._settings.min_confidence:
            self._settings.min_confidence = value
            self.confidence.emit(value)

    def _ask_for_folder(self) -> None:
        dialog = QFileDialog(self, tr("Where sessions are kept"), str(self._sessions()))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self._set_folder)
        dialog.open()

    def _set_folder(self, path: str) -> None:
        self._settings.sessions = path
        self.place.setText(str(self._sessions()))
        self.folder.emit()


def _choices(words: dict[str, str], chosen: str) -> QComboBox:
    box = QComboBox()
    for name, text in words.items():
        box.addItem(text, name)
    box.setCurrentIndex(list(words).index(chosen))
    return box
