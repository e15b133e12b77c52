"""Save the timeline as PNG at twice the screen's size, or as SVG. Called by `timeline`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QRect, QSize
from PyQt6.QtGui import QImage, QPainter
from PyQt6.QtSvg import QSvgGenerator
from PyQt6.QtWidgets import QPushButton, QWidget

from edgeemo.errors import RecordingError
from edgeemo.recording.atomic import atomic_draft
from edgeemo.ui.file_dialogs import save_dialog
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.settings import Settings

SCALE = 2.0
KINDS = (translatable("PNG (*.png)"), translatable("SVG (*.svg)"))


def save_plot(widget: QWidget, path: Path) -> None:
    """Write the contents of a widget; the file appears when it is complete.

    Raises:
        RecordingError: it cannot be written, or the suffix is not .png or .svg.
    """
    ending = path.suffix.lower()
    if ending not in (".png", ".svg"):
        raise RecordingError(f"cannot save the plot as {path.name}: give a name that ends in .png or .svg")
    with atomic_draft(path) as draft:
        if ending == ".svg":
            generator = QSvgGenerator()
            generator.setFileName(str(draft))
            generator.setSize(widget.size())
            generator.setViewBox(QRect(0, 0, widget.width(), widget.height()))
            generator.setTitle("edgeemo: probabilities over time")
            _render(widget, generator)
        else:
            image = QImage(QSize(widget.width(), widget.height()) * SCALE, QImage.Format.Format_RGB32)
            image.setDevicePixelRatio(SCALE)
            _render(widget, image)
            if not image.save(str(draft), "PNG"):
                raise RecordingError(f"cannot write {path}; choose another path")


def ask_and_save(
    widget: QWidget, settings: Settings, saved: Callable[[Path], None], failed: Callable[[Exception], None]
) -> None:
    """Ask for a file and write the contents of the widget.

    Args:
        saved: called with the path.
        failed: called with the error.
    """
    dialog = save_dialog(settings, "plot", tr("Save the plot"), widget.window() or widget, KINDS, "timeline.png")

    def save(path: str) -> None:
        try:
            save_plot(widget, Path(path))
        except RecordingError as error:
            failed(error)
        else:
            saved(Path(path))

    dialog.fileSelected.connect(save)
    dialog.open()


def _render(widget: QWidget, device: QImage | QSvgGenerator) -> None:
    # hide buttons in the picture
    shown = [button for button in widget.findChildren(QPushButton) if button.isVisible()]
    for button in shown:
        button.hide()
    painter = QPainter(device)
    widget.render(painter)
    painter.end()
    for button in shown:
        button.show()
