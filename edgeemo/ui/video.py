"""The picture with the overlay of the same frame. Made by `window`.

The overlay is drawn with Qt's painter instead of `overlay.draw`, so that text is sharp at any size and on any screen.
Both use the layout of `overlay.arrange`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import perf_counter
from typing import cast

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PyQt6.QtWidgets import QPushButton, QSizePolicy, QWidget

from edgeemo.palette import UNSURE
from edgeemo.stages.overlay import Rect, Tag, arrange, fitted, ink_on
from edgeemo.types import U8, UNTRACKED, Result
from edgeemo.ui.health import Paints
from edgeemo.ui.language import tr
from edgeemo.ui.pixels import as_image
from edgeemo.ui.saliency_overlay import Heat
from edgeemo.ui.theme import LIGHT, Theme, emotion_colour, person_colour
from edgeemo.ui.words import display_of, name_of, title_of
from engines.preprocess import square

SMALLEST_TEXT, LARGEST_TEXT = 11.0, 19.0  # logical pixels
MARGIN, RADIUS = 14, 10
INK = QColor(16, 20, 24)
LAMP = "#e5383b"


class VideoView(QWidget):
    """Shows one result at a time in its aspect ratio, or a line of text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("video")
        self.setAccessibleName(tr("Picture"))
        self.setMinimumSize(320, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.paints = Paints()
        self.offer = QPushButton(tr("Open a video…"), self)
        self.offer.hide()
        self._theme = LIGHT
        self._result: Result | None = None
        self._painted: Result | None = None
        self._message = ""
        self._dimmed = False
        self._recording = ""
        self._heat: Heat | None = None
        self._names: Mapping[int, str] = {}
        self._chosen = UNTRACKED
        self._scaled: tuple[Result, QSize, U8, QImage] | None = None

    @property
    def result(self) -> Result | None:
        return self._result

    @property
    def message(self) -> str:
        return self._message

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(900, 560)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_result(self, result: Result) -> None:
        if (words := described(result)) != self.accessibleDescription():
            self.setAccessibleDescription(words)
        self._result = result
        self._message = ""
        self._dimmed = False
        self.offer.hide()
        self.update()

    def show_message(self, message: str, *, keep_picture: bool = False, offer: bool = False) -> None:
        """Show a text over the dimmed picture or instead of it.

        Args:
            offer: also show the button that opens a video.
        """
        self.offer.setVisible(offer)
        self._place_offer()
        self._message = message
        self._dimmed = keep_picture
        if not keep_picture:
            self._result = self._scaled = None
            self.paints.forget_delays()
        self.update()

    def show_recording(self, words: str) -> None:
        """Show the red light over the picture with a text; an empty text hides it."""
        if words != self._recording:
            self._recording = words
            self.update()

    def show_names(self, names: Mapping[int, str]) -> None:
        """Show these names instead of numbers."""
        self._names = names
        self.update()

    @property
    def names(self) -> Mapping[int, str]:
        return self._names

    def show_chosen(self, person: int) -> None:
        """Draw this person's box thicker, from the next picture on; `UNTRACKED`: none."""
        self._chosen = person

    def show_heat(self, heat: Heat | None) -> None:
        """Draw a saliency map over the face of its person at its current position."""
        self._heat = heat
        self.update()

    @property
    def heat(self) -> Heat | None:
        return self._heat

    @property
    def recording(self) -> str:
        return self._recording

    def picture_rect(self) -> QRectF:
        """Rectangle of the picture in the widget, in logical pixels; empty without a picture."""
        if self._result is None:
            return QRectF()
        height, width = self._result.frame.image.shape[:2]
        room = QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        scale = min(room.width() / width, room.height() / height)
        # align to screen pixels, so that the picture is not blurred
        ratio = self.devicePixelRatioF()
        across, down = (max(1, round(side * scale * ratio)) / ratio for side in (width, height))
        left, top = (
            round((start + (space - side) / 2) * ratio) / ratio
            for start, space, side in ((room.x(), room.width(), across), (room.y(), room.height(), down))
        )
        return QRectF(left, top, across, down)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._place_offer()

    def _place_offer(self) -> None:
        self.offer.adjustSize()
        self.offer.move((self.width() - self.offer.width()) // 2, self.height() // 2 + 2 * self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        began = perf_counter()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._theme.window))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._result is not None:
            self._paint_result(painter, self._result)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._theme.well))
            room = QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
            painter.drawRoundedRect(room, RADIUS, RADIUS)
        if self._message:
            self._paint_message(painter)
        if self._recording:
            self._paint_lamp(painter)
        painter.end()
        if self._result is not None:
            self._note_paint(self._result, began)

    def _note_paint(self, result: Result, began: float) -> None:
        now, delay_ms = perf_counter(), None
        if result is not self._painted:
            self._painted = result
            delay_ms = None if result.frame.captured is None else (now - result.frame.captured) * 1e3
        self.paints.add((now - began) * 1e3, delay_ms)

    def _paint_result(self, painter: QPainter, result: Result) -> None:
        where = self.picture_rect()
        ratio = self.devicePixelRatioF()
        size = QSize(round(where.width() * ratio), round(where.height() * ratio))
        image = self._image(result, size)
        clip = QPainterPath()
        clip.addRoundedRect(where, RADIUS, RADIUS)
        painter.save()
        painter.setClipPath(clip)
        painter.drawImage(where, image)
        if self._dimmed:
            painter.fillRect(where, QColor(0, 0, 0, 130))
        else:
            painter.translate(where.topLeft())
            scale = where.width() / result.frame.image.shape[1]
            if self._heat is not None:
                _paint_heat(painter, self._heat, result, scale)
            text = min(max(where.height() / 40, SMALLEST_TEXT), LARGEST_TEXT)
            font = QFont(self.font())
            font.setPixelSize(round(text))
            font.setWeight(QFont.Weight.DemiBold)
            metrics = QFontMetricsF(font)
            painter.setFont(font)
            tags = arrange(
                result, scale, text, metrics.horizontalAdvance, bars=False, names=self._names, title=title_of
            )
            for tag in tags:
                _paint_box(painter, tag, thick=int(result.faces.ids[tag.row]) == self._chosen != UNTRACKED)
            for tag in tags:
                if tag.title:
                    _paint_label(painter, tag)
                if (number := int(result.faces.ids[tag.row])) != UNTRACKED:
                    _paint_person(painter, tag, number)
        painter.restore()

    def _image(self, result: Result, size: QSize) -> QImage:
        """The frame scaled to screen pixels; computed once per frame and size."""
        if self._scaled is None or self._scaled[0] is not result or self._scaled[1] != size:
            pixels = fitted(result.frame.image, size.width(), size.height())
            self._scaled = result, size, pixels, as_image(pixels)
        return self._scaled[3]

    def _paint_lamp(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        width = painter.fontMetrics().horizontalAdvance(self._recording) + 42
        where = QRectF(self.width() - MARGIN - 10 - width, MARGIN + 10, width, 28)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(20, 20, 20, 200))
        painter.drawRoundedRect(where, 14, 14)
        painter.setBrush(QColor(LAMP))
        painter.drawEllipse(QPointF(where.x() + 17, where.center().y()), 6.5, 6.5)
        painter.setPen(QColor("#ffffff"))
        room = where.adjusted(30, 0, 0, 0)
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self._recording)

    def _paint_message(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 1.15)
        painter.setFont(font)
        room = QRectF(self.rect()).adjusted(3 * MARGIN, 3 * MARGIN, -3 * MARGIN, -3 * MARGIN)
        flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
        painter.setPen(QColor("#e8ebf0"))
        painter.drawText(room, flags, self._message)


def described(result: Result) -> str:
    """A description of the picture for screen readers."""
    if not result.emotions:
        return tr("No face")
    return ", ".join(
        name_of(UNSURE) if result.reasons(row) else display_of(emotion) for row, emotion in enumerate(result.emotions)
    )


def _paint_heat(painter: QPainter, heat: Heat, result: Result, scale: float) -> None:
    if result.frame.still and result.frame.index != heat.frame:
        # persons of separate pictures have the same numbers
        return
    for row, person in enumerate(result.faces.ids.tolist()):
        if person != heat.person:
            continue
        x, y, side, angle = square(result.faces.boxes[row], result.faces.keypoints[row], heat.spec)
        height, width = heat.pixels.shape[:2]
        image = QImage(
            cast(bytes, heat.pixels.data),
            width,
            height,
            heat.pixels.strides[0],
            QImage.Format.Format_ARGB32_Premultiplied,
        )
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.translate(x * scale, y * scale)
        painter.rotate(math.degrees(angle))
        painter.drawImage(QRectF(-side / 2 * scale, -side / 2 * scale, side * scale, side * scale), image)
        painter.restore()


def _qt(rect: Rect) -> QRectF:
    return QRectF(rect.x, rect.y, rect.width, rect.height)


def _paint_box(painter: QPainter, tag: Tag, *, thick: bool) -> None:
    box = _qt(tag.box).adjusted(1, 1, -1, -1)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    # a dark outline keeps the line visible on a background of the same colour
    wide = 4.5 if thick else 2.5
    painter.setPen(QPen(QColor(0, 0, 0, 110), wide + 2))
    painter.drawRoundedRect(box, 6, 6)
    painter.setPen(QPen(emotion_colour(tag.emotion), wide))
    painter.drawRoundedRect(box, 6, 6)


def _paint_person(painter: QPainter, tag: Tag, number: int) -> None:
    """A disc in the person's colour at the lower right corner of the box; the card has the same."""
    box = _qt(tag.box)
    painter.setPen(QPen(QColor("#ffffff"), 2))
    painter.setBrush(person_colour(number))
    painter.drawEllipse(box.bottomRight() - QPointF(2, 2), 6.5, 6.5)


def _paint_label(painter: QPainter, tag: Tag) -> None:
    where = _qt(tag.label)
    text = painter.fontMetrics().horizontalAdvance(tag.title)
    # the layout reserves room for the widest number
    pad = where.height() * 0.28
    where.setWidth(min(where.width(), text + 2 * pad))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(emotion_colour(tag.emotion))
    painter.drawRoundedRect(where, 5, 5)
    blue, green, red = ink_on(tag.emotion)
    painter.setPen(QColor(red, green, blue))
    baseline = where.center().y() + painter.fontMetrics().capHeight() / 2
    painter.drawText(QPointF(where.x() + pad, baseline), tag.title)
