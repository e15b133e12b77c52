"""The panel beside the picture: one card per face with all classes. Made by `window`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PyQt6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from edgeemo.report.classes import UNSURE, folded, shown_class, shown_classes
from edgeemo.stages.overlay import coloured_as, fitted
from edgeemo.types import U8, UNTRACKED, Frame, Result
from edgeemo.ui.bars import Bars
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.pixels import as_image
from edgeemo.ui.theme import LIGHT, Theme, emotion_colour, named, person_colour
from edgeemo.ui.words import doubt_words, name_of, percent, person_name, word_of
from engines.conformal import plausible
from engines.spec import EXPRESSIONS, Emotion

WIDTH = 312
THUMB = 46
MOST_NAMES = 3  # plausible expressions to show; more are not informative
PROMISE = translatable("Expressions, not feelings.\nNothing leaves this machine.")


class Thumb(QWidget):
    """A thumbnail of the face, to match cards and faces."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(THUMB, THUMB)
        self._pixels: U8 | None = None
        self._image = QImage()
        self._edge = QColor()
        self._person = UNTRACKED

    def show_face(self, frame: Frame, box: Sequence[float], emotion: Emotion, person: int) -> None:
        self._person = person
        height, width = frame.image.shape[:2]
        x1, y1, x2, y2 = (float(edge) for edge in box)
        side = min(max(x2 - x1, y2 - y1, 1.0) * 1.2, height, width)
        left = round(min(max((x1 + x2 - side) / 2, 0.0), width - side))
        top = round(min(max((y1 + y2 - side) / 2, 0.0), height - side))
        pixels = max(1, round(side))
        screen = round(THUMB * self.devicePixelRatioF())
        self._pixels = fitted(frame.image[top : top + pixels, left : left + pixels], screen, screen)
        self._image = as_image(self._pixels)
        self._edge = emotion_colour(emotion)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        area = QRectF(self.rect())
        path = QPainterPath()
        path.addRoundedRect(area, 9, 9)
        painter.fillPath(path, self._edge)
        inner = QPainterPath()
        inner.addRoundedRect(area.adjusted(2, 2, -2, -2), 7, 7)
        painter.setClipPath(inner)
        painter.drawImage(area, self._image)
        if self._person != UNTRACKED:
            painter.setClipping(False)
            painter.setPen(QPen(QColor("#ffffff"), 2))
            painter.setBrush(person_colour(self._person))
            painter.drawEllipse(QPointF(area.right() - 7, area.bottom() - 7), 5.5, 5.5)
        painter.end()


class FaceCard(QFrame):
    """One face: person, expression, confidence and bars. A click selects the person for the timeline."""

    pressed = pyqtSignal(int)
    asked = pyqtSignal(int, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._number = UNTRACKED
        self.thumb = Thumb()
        self.expression = named(Label(), "expression")
        self.confidence = named(Label(), "expression")
        self.person = named(Label(), "muted")
        self.extent = named(Label(), "muted")
        self.extent.setToolTip(tr("Width of the face in the picture"))
        self.bars = Bars()
        self.others = named(Label(), "muted")
        self.others.hide()
        self.reason = named(Label(), "muted")
        self.reason.setWordWrap(True)
        self.reason.hide()
        self.relative = named(Label(), "muted")
        self.relative.setWordWrap(True)
        self.relative.hide()
        font = self.expression.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        self.expression.setFont(font)
        self.confidence.setFont(font)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.thumb, 0, 0, 2, 1)
        grid.addWidget(self.expression, 0, 1)
        grid.addWidget(self.confidence, 0, 2, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.person, 1, 1)
        grid.addWidget(self.extent, 1, 2, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(10)
        layout.addLayout(grid)
        layout.addWidget(self.reason)
        layout.addWidget(self.relative)
        layout.addWidget(self.bars)
        layout.addWidget(self.others)

    def set_theme(self, theme: Theme) -> None:
        self.bars.set_theme(theme)

    def show_face(self, result: Result, row: int, *, short: bool, relative: str = "", name: str = "") -> None:
        shown = shown_class(result.emotions[row])
        number = int(result.faces.ids[row])
        box = result.faces.boxes[row]
        self.thumb.show_face(result.frame, box.tolist(), coloured_as(result, row), number)
        reasons = result.reasons(row)
        _set(self.expression, name_of(UNSURE if reasons else shown))
        _set(self.confidence, "" if reasons else percent(result.confidence(row)))
        _set(self.reason, _reason_words(result, row))
        self.reason.setVisible(bool(reasons))
        _set(self.relative, relative)
        self.relative.setVisible(bool(relative))
        _set(self.person, name or (tr("Face") if number == UNTRACKED else person_name(number)))
        _set(self.extent, f"{float(box[2] - box[0]):.0f} px")
        keys = shown_classes(result.labels)
        classes = list(zip(keys, folded(result.probabilities[row], result.labels).tolist(), strict=True))
        self.bars.show_classes(classes, shown, short=short)
        if short:
            # an unsure card does not name the leading class elsewhere
            rest = _by_size(classes, "" if reasons else shown)
            ranked = [f"{name_of(key)} {percent(probability)}" for key, probability in rest]
            _set(self.others, "  ·  ".join(ranked[:2]))
            self.setToolTip("\n".join(ranked))
        elif self.toolTip():
            self.setToolTip("")
        self.others.setVisible(short)
        said = self.reason.text() or self.confidence.text()
        self.setAccessibleName(f"{self.person.text()}: {self.expression.text()}, {said}")
        self._number = number

    def show_chosen(self, chosen: bool) -> None:
        """Mark the card of the person in the timeline with an edge."""
        if self.property("chosen") is not chosen:
            self.setProperty("chosen", chosen)
            if (style := self.style()) is not None:  # a style sheet evaluates properties only when it is applied
                style.unpolish(self)
                style.polish(self)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self.pressed.emit(self._number)
        super().mousePressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        if event is not None:
            self.asked.emit(self._number, event.globalPos())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.pressed.emit(self._number)
        else:
            super().keyPressEvent(event)


def _by_size(classes: list[tuple[str, float]], but: str) -> list[tuple[str, float]]:
    return sorted((each for each in classes if each[0] != but), key=lambda each: -each[1])


def _reason_words(result: Result, row: int) -> str:
    """Why a face is unsure: "Perhaps happiness or neutral: 38 % sure" or "Between neutral and happiness".

    Names at most three classes of the 95 % set, if the engine has such sets. Empty if the face is not unsure.
    """
    reasons = result.reasons(row)
    between = [reason for reason in reasons if reason.startswith("between ")]
    if not reasons:
        return ""
    if between:
        words = [doubt_words(reason) for reason in (*between[:1], *(each for each in reasons if each not in between))]
        return ", ".join([words[0][:1].upper() + words[0][1:], *words[1:]])
    leading = result.labels[int(result.probabilities[row].argmax())]
    allowed = plausible(result.probabilities[row], result.labels, result.plausible_from)
    names = allowed if leading in EXPRESSIONS and 0 < len(allowed) <= MOST_NAMES else (leading,)
    shown = [word_of(name) for name in names]
    listed = tr(" or ").join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    sentence = tr("Perhaps {names}: {reasons}", names=listed, reasons=", ".join(map(doubt_words, reasons)))
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


class FacePanel(QWidget):
    """All cards, ordered by person number, or a hint if there is no face.

    Signals:
        chosen: number of the person whose card was clicked.
        asked: number of the person, and the screen position (QPoint) for a context menu.
    """

    chosen = pyqtSignal(int)
    asked = pyqtSignal(int, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self._theme = LIGHT
        self._cards: dict[tuple[str, int], FaceCard] = {}
        self._relative: Callable[[Result, int], str] | None = None
        self._names: Mapping[int, str] = {}
        self._chosen = UNTRACKED

        self.heading = named(Label(tr("Faces")), "heading")
        self.count = named(Label(""), "muted")
        top = QHBoxLayout()
        top.setContentsMargins(16, 12, 16, 2)
        top.addWidget(self.heading)
        top.addStretch()
        top.addWidget(self.count)

        self._pages = QStackedLayout()
        self._pages.addWidget(self._empty_page())
        self._pages.addWidget(self._cards_page())
        self.promise = named(Label(tr(PROMISE)), "muted")
        self.promise.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.promise.setToolTip(
            tr(
                "edgeemo says which expression a face shows; what somebody feels cannot be seen.\n"
                "All pictures are analysed here; none is sent anywhere."
            )
        )
        font = self.promise.font()
        font.setPointSizeF(font.pointSizeF() * 0.88)
        self.promise.setFont(font)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 10)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(self._pages, 1)
        layout.addWidget(self.promise)
        self.clear("")

    def _empty_page(self) -> QWidget:
        self.nobody = named(Label(tr("No face")), "nobody")
        self.hint = named(Label(""), "nobody_hint")
        self.hint.setWordWrap(True)
        for label in (self.nobody, self.hint):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        empty = QWidget()
        column = QVBoxLayout(empty)
        column.setContentsMargins(24, 0, 24, 0)
        column.addStretch(2)
        column.addWidget(self.nobody)
        column.addWidget(self.hint)
        column.addStretch(3)
        return empty

    def _cards_page(self) -> QWidget:
        cards = named(QWidget(), "cards")
        self._column = QVBoxLayout(cards)
        self._column.setContentsMargins(12, 6, 12, 12)
        self._column.setSpacing(10)
        self._column.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.viewport().setAutoFillBackground(False)  # type: ignore[union-attr]
        scroll.setWidget(cards)
        scroll.setAccessibleName(tr("Faces"))
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its cards take the focus and scroll it
        return scroll

    @property
    def cards(self) -> list[FaceCard]:
        """The visible cards, from top to bottom."""
        return list(self._cards.values())

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for card in self._cards.values():
            card.set_theme(theme)

    def show_names(self, names: Mapping[int, str]) -> None:
        """Show these names instead of numbers, from the next result on."""
        self._names = names

    def show_chosen(self, person: int) -> None:
        """Mark this person's card with an edge, from the next result on; `UNTRACKED`: none."""
        self._chosen = person

    def clear(self, hint: str) -> None:
        """Remove all cards and show a hint."""
        self._show({}, None)
        self.nobody.setText("" if hint else tr("No face"))
        self.hint.setText(hint)
        self.count.setText("")

    def show_result(self, result: Result, relative: Callable[[Result, int], str] | None = None) -> None:
        """Show one card per face.

        Args:
            relative: returns a text about the difference from the baseline, or "".
        """
        self._relative = relative
        rows = {
            ("row", row) if number == UNTRACKED else ("person", int(number)): row
            for row, number in enumerate(result.faces.ids)
        }
        self._show(dict(sorted(rows.items())), result)
        if not rows:
            _set(self.nobody, tr("No face"))
            _set(self.hint, tr("Nobody is in the picture, or the face is too small or turned away."))
        _set(self.count, str(len(rows)) if rows else "")

    def _show(self, rows: dict[tuple[str, int], int], result: Result | None) -> None:
        for key in [key for key in self._cards if key not in rows]:
            card = self._cards.pop(key)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        if result is not None:
            # use short cards if they would not all fit
            short = len(rows) * self._tall(len(shown_classes(result.labels))) > self._room()
            for key, row in rows.items():
                shown = self._cards.get(key)
                if shown is None:
                    shown = self._cards[key] = FaceCard()
                    shown.set_theme(self._theme)
                    shown.pressed.connect(self.chosen)
                    shown.asked.connect(self.asked)
                    self._cards = dict(sorted(self._cards.items()))
                    self._column.insertWidget(list(self._cards).index(key), shown)
                words = self._relative(result, row) if self._relative is not None else ""
                name = self._names.get(int(result.faces.ids[row]), "")
                shown.show_face(result, row, short=short, relative=words, name=name)
                shown.show_chosen(int(result.faces.ids[row]) == self._chosen != UNTRACKED)
        self._pages.setCurrentIndex(1 if rows else 0)

    def _tall(self, classes: int) -> float:
        """Height of a card with all bars, including the space below it."""
        return THUMB + 2 * 12 + 10 + classes * round(self.fontMetrics().height() * 1.2) + 12

    def _room(self) -> int:
        return self.height() - self.heading.height() - self.promise.height() - 40


def _set(label: Label, text: str) -> None:
    if label.text() != text:
        label.setText(text)
