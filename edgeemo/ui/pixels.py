"""Convert NumPy pixels to Qt images."""

from __future__ import annotations

from typing import cast

from PyQt6.QtGui import QImage, QPixmap

from edgeemo.types import U8


def as_image(pixels: U8) -> QImage:
    """(H, W, 3) BGR or (H, W, 4) BGRx -> an image that shares the memory: keep the array as long as the image."""
    height, width, channels = pixels.shape
    kind = QImage.Format.Format_BGR888 if channels == 3 else QImage.Format.Format_RGB32
    # PyQt accepts any buffer, its type stubs only bytes
    return QImage(cast(bytes, pixels.data), width, height, pixels.strides[0], kind)


def as_pixmap(pixels: U8) -> QPixmap:
    """A pixmap with its own memory, because Qt may share an image's memory with its pixmap."""
    return QPixmap.fromImage(as_image(pixels).copy())
