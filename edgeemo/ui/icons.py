"""The window's icons: SVG lines on a square of 24, in the colours of the theme."""

from __future__ import annotations

from PyQt6.QtCore import QByteArray, QRectF, QSize, Qt
from PyQt6.QtGui import QIcon, QPainter, QPixmap
from PyQt6.QtSvg import QSvgRenderer

_SHAPES = {
    "play": '<path d="M8 5.5v13l10.5-6.5z" fill="{c}"/>',
    "pause": '<path d="M8.5 5.5v13M15.5 5.5v13" stroke-width="3"/>',
    "back": '<path d="M17 5.5v13L8.5 12zM6 6v12" fill="{c}"/>',
    "forward": '<path d="M7 5.5v13l8.5-6.5zM18 6v12" fill="{c}"/>',
    "stop": '<rect x="6.5" y="6.5" width="11" height="11" rx="2" fill="{c}"/>',
    "snapshot": '<path d="M4.5 8h3l1.6-2.5h5.8L16.5 8h3a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5h-15'
    'A1.5 1.5 0 0 1 3 17.5v-8A1.5 1.5 0 0 1 4.5 8z"/><circle cx="12" cy="13.2" r="3.4"/>',
    "record": '<circle cx="12" cy="12" r="6.5" fill="{c}"/>',
    "source": '<rect x="3" y="7" width="12" height="10.5" rx="2"/><path d="M15 11l5.5-3v8.5L15 13.5z"/>',
    "engine": '<rect x="6.5" y="6.5" width="11" height="11" rx="2"/><path d="M10 3v3M14 3v3M10 18v3M14 18v3M3 10h3'
    'M3 14h3M18 10h3M18 14h3"/><rect x="10" y="10" width="4" height="4"/>',
    "down": '<path d="M7 10l5 5 5-5"/>',
    "error": '<path d="M12 4L2.8 19.5h18.4z"/><path d="M12 10v4.2M12 16.9v.1"/>',
    "notice": '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 7.9v.1"/>',
    "dismiss": '<path d="M7 7l10 10M17 7L7 17"/>',
    "face": '<circle cx="12" cy="12" r="8.5"/><path d="M8.6 14.6c1.8 2.2 5 2.2 6.8 0M9.2 9.6v.1M14.8 9.6v.1"/>',
}
_SIZES = (16, 20, 24, 32, 48)


def icon(name: str, colour: str, *, disabled: str = "") -> QIcon:
    """An icon in a colour (#rrggbb), and in another colour while its button is disabled."""
    made = QIcon()
    for mode, shade in ((QIcon.Mode.Normal, colour), (QIcon.Mode.Disabled, disabled or colour)):
        for size in _SIZES:
            made.addPixmap(pixmap(name, shade, size, 1.0), mode)
            made.addPixmap(pixmap(name, shade, size, 2.0), mode)
    return made


def pixmap(name: str, colour: str, size: int, ratio: float) -> QPixmap:
    """A square of `size` logical pixels for a screen with this device pixel ratio."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" stroke-width="1.9" '
        f'stroke-linecap="round" stroke-linejoin="round">{_SHAPES[name].format(c=colour)}</svg>'
    )
    side = round(size * ratio)
    canvas = QPixmap(QSize(side, side))
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, side, side))
    painter.end()
    canvas.setDevicePixelRatio(ratio)
    return canvas


def app_icon() -> QIcon:
    """The application icon for the task bar."""
    made = QIcon()
    for side in (32, 64, 128, 256):
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke-linecap="round">'
            '<rect x="1" y="1" width="22" height="22" rx="6" fill="#2f6fde"/>'
            '<circle cx="12" cy="12" r="7.2" fill="#f6c344"/>'
            '<path d="M9 13.8c1.6 2 4.4 2 6 0M9.6 9.6v.4M14.4 9.6v.4" stroke="#1c2430" stroke-width="1.5"/></svg>'
        )
        canvas = QPixmap(side, side)
        canvas.fill(Qt.GlobalColor.transparent)
        painter = QPainter(canvas)
        QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, side, side))
        painter.end()
        made.addPixmap(canvas)
    return made
