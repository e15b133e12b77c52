"""Thumbnails of the pictures of a folder, for stepping back. Made by `window`."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QIcon
from PyQt6.QtWidgets import QListView, QListWidget, QListWidgetItem, QWidget

from edgeemo.stages.overlay import fitted
from edgeemo.types import U8, Result
from edgeemo.ui.labels import tip_of
from edgeemo.ui.language import tr
from edgeemo.ui.pixels import as_pixmap
from edgeemo.ui.words import display_of

MOST = 500
LONGEST = 1280  # maximum longer side of the kept pictures in pixels
QUALITY = 95  # of the kept JPEG pictures: as pixels, `MOST` of them would take 1.6 GB
THUMB = QSize(84, 56)
NO_IMAGE = np.zeros((1, 1, 3), np.uint8)  # a frame has at least one pixel


class Thumbnails(QListWidget):
    """One thumbnail per picture; selected with arrow keys and clicks.

    Signals:
        chosen: the Result of a picture.
    """

    chosen = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("thumbnails")
        self.setAccessibleName(tr("Pictures shown so far"))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setIconSize(THUMB)
        self.setSpacing(4)
        self.setFixedHeight(THUMB.height() + 50)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._results: list[tuple[Result, U8]] = []  # without its picture; the picture as JPEG
        self._adding = False
        self.currentRowChanged.connect(self._on_row)
        self.hide()

    def start(self) -> None:
        """Delete all pictures and hide."""
        self._adding = True
        self.clear()
        self._adding = False
        self._results = []
        self.hide()

    def add(self, result: Result) -> None:
        """Add the newest picture and select it without a signal; more than `MOST` pictures are ignored."""
        if len(self._results) >= MOST:
            return
        kept = _smaller(result)
        thumb = _thumb(kept.frame.image)
        item = QListWidgetItem(QIcon(as_pixmap(thumb)), _shortened(result.frame.origin))
        names = ", ".join(
            tr("unsure") if result.reasons(row) else display_of(emotion) for row, emotion in enumerate(result.emotions)
        )
        item.setToolTip(tip_of(f"{result.frame.origin}: {names or tr('no face')}"))
        self._results.append((_with_image(kept, NO_IMAGE), _encoded(kept.frame.image)))
        self._adding = True
        self.addItem(item)
        self.setCurrentItem(item)
        self.scrollToItem(item)
        self._adding = False
        # a single picture needs no thumbnails
        self.setVisible(len(self._results) > 1)

    def step(self, by: int) -> None:
        """Select the next (1) or the previous (-1) picture."""
        self.setCurrentRow(min(max(self.currentRow() + by, 0), self.count() - 1))

    def _on_row(self, row: int) -> None:
        if not self._adding and 0 <= row < len(self._results):
            result, encoded = self._results[row]
            image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
            self.chosen.emit(_with_image(result, image))


def _encoded(image: U8) -> U8:
    return np.asarray(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1], np.uint8)


def _with_image(result: Result, image: U8) -> Result:
    return replace(result, frame=replace(result.frame, image=image))


def _smaller(result: Result) -> Result:
    height, width = result.frame.image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return result
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = np.asarray(cv2.resize(result.frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    faces = result.faces
    factor = np.float32(scale)
    return replace(
        result,
        frame=replace(result.frame, image=image),
        faces=replace(faces, boxes=faces.boxes * factor, keypoints=faces.keypoints * factor),
    )


def _thumb(image: U8) -> U8:
    height, width = image.shape[:2]
    scale = min(2 * THUMB.width() / width, 2 * THUMB.height() / height)
    return fitted(image, max(1, round(width * scale)), max(1, round(height * scale)))


def _shortened(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}"
