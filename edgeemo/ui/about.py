"""The dialog About: version, engine in use, licences of the parts. Opened by `dialogs`."""

from __future__ import annotations

from html import escape
from importlib.metadata import PackageNotFoundError, metadata, version

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QDialog, QLabel, QWidget

import edgeemo
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.screen import open_with_size, scroll_with_close

PARTS = (
    "PyQt6", "pyqtgraph", "numpy", "opencv-contrib-python", "av", "onnxruntime", "mediapipe", "msgspec", "platformdirs",
)  # fmt: skip
LONGEST = 60
UNSTATED = translatable("see its own files")

ABOUT = translatable(
    "<h3>edgeemo {version}</h3><p>Facial expressions in video, in real time, on this machine alone.</p>"
    "<p>Engine: {engine}</p><h4>Parts and their licences</h4><table>{rows}</table>"
    "<p>Each engine's card names its training data and its licence. The texts of all licences: "
    "<code>scripts/make-notices</code>, or THIRD-PARTY-NOTICES.txt in an installed bundle.</p>"
)


class AboutDialog(QDialog):
    """Shows version, engine and licences.

    Args:
        engine: description of the engine in use; empty: none.
    """

    def __init__(self, engine: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("About edgeemo"))
        open_with_size(self, 520, 420)
        rows = "".join(
            "<tr>" + "".join(f"<td style='padding-right: 18px'>{escape(text)}</td>" for text in part) + "</tr>"
            for part in parts()
        )
        self.text = QLabel(
            tr(ABOUT, version=escape(edgeemo.__version__), engine=escape(engine) or tr("none runs"), rows=rows)
        )
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.text.setMargin(8)
        scroll_with_close(self, self.text)


def parts() -> list[tuple[str, str, str]]:
    """(name, version, licence) of the installed parts, from the metadata of their packages."""
    found = []
    for name in PARTS:
        try:
            found.append((name, version(name), licence_of(name)))
        except PackageNotFoundError:
            continue
    return found


def licence_of(package: str) -> str:
    """The licence that a package states, in one line."""
    about = metadata(package)
    fields = {name: about.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")}
    kinds = [each.rpartition(" :: ")[2] for each in fields["Classifier"] if each.startswith("License ::")]
    stated = [*fields["License-Expression"], *(text.strip() for text in fields["License"]), *kinds]
    short = (text for text in stated if text and len(text) <= LONGEST and "\n" not in text)
    return next(short, tr(UNSTATED))
