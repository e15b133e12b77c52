"""The pickers for source and engine. Used by `toolbar`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QFileDialog, QInputDialog, QMenu, QPushButton, QWidget

from edgeemo.capture import CameraInfo
from edgeemo.ui.engine_facts import EngineFacts
from edgeemo.ui.file_dialogs import PICTURES, VIDEOS, folder_dialog, open_dialog
from edgeemo.ui.labels import tip_of
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.settings import Settings

DEMO_CLIP = translatable("Demo clip")
CAMERA = translatable("Camera {number}")
STREAM = translatable("stream")


def shown_name(uri: str, cameras: Sequence[CameraInfo] = (), words: Callable[..., str] = tr) -> str:
    """Display name of a source, without the password of a URL.

    Args:
        uri: as for `edgeemo.capture.open_source`.
        words: `tr`, or `str.format` for the English name, which is recorded.
    """
    for camera in cameras:
        if uri in (camera.uri, camera.device):
            return camera.name
    if uri.split("?")[0] == "demo":
        return words(DEMO_CLIP)
    if uri.isdigit():
        return words(CAMERA, number=uri)
    if "://" in uri:
        try:
            parts = urlsplit(uri)
            return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        except ValueError:
            return words(STREAM)
    return Path(uri).name or uri


class Picker(QPushButton):
    """A button that shows the current choice and opens a menu; long names are elided in the middle."""

    chosen = pyqtSignal(str)

    def __init__(self, title: str, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._settings = title, settings
        self._name = ""
        self.choices = QMenu(self)
        self.choices.setToolTipsVisible(True)
        self.choices.aboutToShow.connect(self.fill)
        self.setMenu(self.choices)
        self.setIconSize(QSize(20, 20))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(110)

    def fill(self) -> None:
        """Rebuild the menu, because cameras may have changed."""
        raise NotImplementedError

    def name(self, text: str) -> None:
        self._name = text
        self.setToolTip(tip_of(f"{self._title}: {text}"))
        self.setAccessibleName(f"{self._title}: {text}")
        self._cut()

    def give_room(self, width: int) -> None:
        """Limit the width in pixels."""
        if width != self.maximumWidth():
            self.setMaximumWidth(width)
            self._cut()

    @property
    def _over(self) -> QWidget:
        """The parent window of dialogs."""
        return self.window() or self

    def _ask(self, dialog: QFileDialog) -> None:
        dialog.fileSelected.connect(self.chosen.emit)
        dialog.open()

    def _cut(self) -> None:
        room = self.maximumWidth() - 70  # width without icon, arrow and padding
        text = self.fontMetrics().elidedText(self._name, Qt.TextElideMode.ElideMiddle, room)
        # an ampersand would become a mnemonic
        self.setText(f"{text.replace('&', '&&')}  ▾")


class SourcePicker(Picker):
    """Selects a camera, the demo clip, or opens a dialog for a file, folder or address."""

    def __init__(
        self, cameras: Callable[[], Sequence[CameraInfo]], settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(tr("Source"), settings, parent)
        self.setMaximumWidth(240)
        self._cameras = cameras
        self._uri = ""
        self.open_file = self._dialog(tr("Open file…"), QKeySequence.StandardKey.Open, self._ask_for_file)
        self.open_folder = self._dialog(tr("Open folder…"), QKeySequence("Ctrl+Shift+O"), self._ask_for_folder)
        self.open_stream = self._dialog(tr("Open stream URL…"), QKeySequence("Ctrl+U"), self._ask_for_address)
        self.fill()

    def show_source(self, uri: str) -> None:
        self._uri = uri
        self.name(shown_name(uri, self._cameras()))

    def refresh(self) -> None:
        """Update the menu after cameras were connected or removed."""
        self.fill()
        if self._uri:
            self.show_source(self._uri)

    def fill(self) -> None:
        self.choices.clear()
        cameras = list(self._cameras())
        for camera in cameras:
            choice = self._choice(camera.name, camera.uri, self._uri in (camera.uri, camera.device))
            choice.setToolTip(tip_of(camera.device))
        if not cameras:
            nothing = self.choices.addAction(tr("No camera found"))
            if nothing is not None:
                nothing.setEnabled(False)
        self.choices.addSeparator()
        self._choice(tr(DEMO_CLIP), "demo", self._uri == "demo")
        self.choices.addSeparator()
        self.choices.addActions([self.open_file, self.open_folder, self.open_stream])

    def _choice(self, words: str, uri: str, checked: bool) -> QAction:
        action = QAction(words.replace("&", "&&"), self.choices)
        action.setCheckable(True)
        action.setChecked(checked)
        action.triggered.connect(lambda: self.chosen.emit(uri))
        self.choices.addAction(action)
        return action

    def _dialog(self, words: str, key: QKeySequence | QKeySequence.StandardKey, ask: Callable[[], None]) -> QAction:
        action = QAction(words, self)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda: ask())
        return action

    def _ask_for_file(self) -> None:
        self._ask(open_dialog(self._settings, "video", tr("Open a video or picture"), self._over, [VIDEOS, PICTURES]))

    def _ask_for_folder(self) -> None:
        self._ask(folder_dialog(self._settings, "pictures", tr("Open a folder of pictures"), self._over))

    def _ask_for_address(self) -> None:
        dialog = QInputDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(tr("Open a stream"))
        dialog.setLabelText(tr("Address of the stream (rtsp://… or http://…):"))
        dialog.setOkButtonText(tr("Open"))
        dialog.setMinimumWidth(460)
        dialog.textValueSelected.connect(lambda text: self.chosen.emit(text.strip()) if text.strip() else None)
        dialog.open()


class EnginePicker(Picker):
    """Selects an available engine, shown with its facts, or opens a dialog for another bundle.

    Signals:
        asked: names of engines whose `EngineFacts` are requested, and whether to measure their speed.
    """

    asked = pyqtSignal(object, bool)

    def __init__(self, engines: Callable[[], Sequence[str]], settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(tr("Engine"), settings, parent)
        self.setMaximumWidth(200)
        self._engines = engines
        self._engine = ""
        self._facts: dict[str, EngineFacts] = {}
        self._measured: set[str] = set()  # engines whose measurement has not ended
        self.measure = QAction(tr("Measure their speed here"), self)
        self.measure.setToolTip(tr("Takes some seconds per engine; playback is slower meanwhile"))
        self.measure.triggered.connect(lambda: self._ask_for_facts(measure=True))
        self.choices.aboutToShow.connect(self._ask_for_facts)
        self.open_bundle = QAction(tr("Open engine folder…"), self)
        self.open_bundle.triggered.connect(self._ask_for_bundle)
        self.fill()

    def show_engine(self, engine: str) -> None:
        self._engine = engine
        self.name(Path(engine).name or engine)

    def fill(self) -> None:
        self.choices.clear()
        names = list(self._engines())
        for engine in names:
            facts = self._facts.get(engine)
            # text after a tab is right-aligned
            words = engine.replace("&", "&&") + (f"\t{facts.words}" if facts is not None else "")
            action = QAction(words, self.choices)
            action.setToolTip(tip_of(facts.tip if facts is not None else engine))
            action.setData(engine)
            action.setCheckable(True)
            action.setChecked(engine == self._engine)
            action.triggered.connect(lambda _=False, engine=engine: self.chosen.emit(engine))
            self.choices.addAction(action)
        if not names:
            nothing = self.choices.addAction(tr("No engine found"))
            if nothing is not None:
                nothing.setEnabled(False)
        self.choices.addSeparator()
        self.choices.addActions([self.measure, self.open_bundle])

    def show_facts(self, facts: Sequence[EngineFacts]) -> None:
        """Show new facts about engines, also in an open menu."""
        self._facts |= {each.name: each for each in facts}
        self._measured -= {each.name for each in facts}
        self._show_measuring()
        self.fill()

    def _show_measuring(self) -> None:
        self.measure.setEnabled(not self._measured)
        self.measure.setText(tr("Measuring their speed …") if self._measured else tr("Measure their speed here"))

    def _ask_for_facts(self, *, measure: bool = False) -> None:
        names = list(self._engines())
        if measure:
            self._measured = set(names)
            self._show_measuring()
        if measure or any(name not in self._facts for name in names):
            self.asked.emit(names, measure)

    def _ask_for_bundle(self) -> None:
        title = tr("Open an engine folder (spec.json, model.onnx)")
        self._ask(folder_dialog(self._settings, "engine", title, self._over))
