"""Draw results onto the picture: per face a box, a title and one bar per class.

`arrange` computes the layout without a drawing library, so the window draws the same tags with Qt. Called by the window
and by the sinks that write or serve pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np

from edgeemo.types import U8, UNTRACKED, Result
from engines.spec import Emotion

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER = (24, 20, 16), (255, 255, 255)
PANEL, TRACK = (30, 26, 22), (104, 94, 86)
PANEL_OPACITY = 0.82
SMALLEST_TEXT, LARGEST_TEXT = 9.0, 48.0

# lengths in units of the text size
PAD, GAP, ROW, TITLE, BAR, CAPITAL = 0.5, 0.45, 1.35, 1.8, 5.0, 0.72
# bars are omitted if more than these shares of the panel would cover other faces or labels, or the face itself
OTHERS_COVERED, FACE_HIDDEN = 0.02, 0.05


@dataclass(frozen=True)
class Rect:
    """Left, top, width and height in pixels of the target picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def area(self) -> float:
        return self.width * self.height

    def overlap(self, other: Rect) -> float:
        """Area of the intersection in square pixels."""
        across = min(self.right, other.right) - max(self.x, other.x)
        down = min(self.bottom, other.bottom) - max(self.y, other.y)
        return across * down if across > 0 and down > 0 else 0.0

    def kept_inside(self, width: float, height: float) -> Rect:
        x = min(max(self.x, 0.0), max(width - self.width, 0.0))
        y = min(max(self.y, 0.0), max(height - self.height, 0.0))
        return Rect(x, y, self.width, self.height)


@dataclass(frozen=True)
class Bar:
    """The bar of one class: where its name begins, and the track that its probability fills from the left."""

    emotion: Emotion
    probability: float
    name: Rect
    track: Rect


@dataclass(frozen=True)
class Tag:
    """How one face is shown.

    Attributes:
        row: row of the face in the result.
        emotion: the emotion shown, or uncertain.
        box: the face, clipped to the picture.
        title: identity, name and confidence; empty if the picture has no room for it.
        label: background of the title.
        panel: label and bars together; equal to `label` without bars.
        bars: one per class, or empty.
    """

    row: int
    emotion: Emotion
    box: Rect
    title: str
    label: Rect
    panel: Rect
    bars: tuple[Bar, ...] = ()


Measure = Callable[[str], float]
Names = Mapping[int, str]
NO_NAMES: Names = {}


class Title(Protocol):
    """Returns the title of a face, with or without the confidence at its end."""

    def __call__(self, result: Result, row: int, *, confidence: bool, names: Names) -> str: ...


def text_size(height: float) -> float:
    """Text size in pixels for a picture `height` pixels high."""
    return min(max(height / 34, SMALLEST_TEXT), LARGEST_TEXT)


def title_of(
    result: Result,
    row: int,
    *,
    confidence: bool = True,
    names: Names = NO_NAMES,
    display: Callable[[str], str] = lambda label: Emotion.of(label).display,
    unsure: Callable[[str], str] = "Unsure: {}".format,
) -> str:
    """The title of a face, for example "#1 Happiness 91 %" or "Anna Unsure: face 31 px".

    Without tracking the title has no person's number. The window passes functions that translate.

    Args:
        display: returns the displayed name of a label.
        unsure: returns the words for a reason of doubt.
    """
    number = int(result.faces.ids[row])
    parts = [] if number == UNTRACKED else [names.get(number) or f"#{number}"]
    if reasons := result.reasons(row):
        return " ".join([*parts, unsure(reasons[0])])
    parts.append(display(result.emotions[row]))
    if confidence:
        parts.append(percent(result.confidence(row)))
    return " ".join(parts)


def coloured_as(result: Result, row: int) -> Emotion:
    """The emotion whose colour a face gets: the one shown, or "uncertain" (grey) if that is unsure."""
    return Emotion.UNCERTAIN if result.reasons(row) else Emotion.of(result.emotions[row])


def percent(probability: float) -> str:
    return f"{probability * 100:.0f} %"


def shown_classes(result: Result, row: int) -> list[tuple[Emotion, float]]:
    """The expressions with their probabilities, in the engine's order.

    The classes that name no expression (none, uncertain, no face) are omitted unless they are shown as the face's
    emotion.
    """
    return [
        (emotion, float(result.probabilities[row, column]))
        for column, emotion in enumerate(map(Emotion.of, result.labels))
        if emotion.is_expression or emotion.label == result.emotions[row]
    ]


def arrange(
    result: Result,
    scale: float,
    size: float,
    measure: Measure,
    *,
    bars: bool = True,
    names: Names = NO_NAMES,
    title: Title | None = None,
) -> list[Tag]:
    """Place every face's label inside the picture and, if possible, off other faces.

    Larger faces are placed first. If bars would cover another face or label, only the title is shown.

    Args:
        scale: drawn pixels per pixel of the frame.
        size: text size in drawn pixels.
        measure: returns a text's width in drawn pixels at that size.
        bars: show bars if there is room.
        names: names of persons by their number.
        title: returns the title of a face; None: `title_of`.

    Returns:
        Tags of the faces that are at least partly inside the picture, smallest first: later tags are drawn on top.
    """
    title = title or title_of
    height, width = (side * scale for side in result.frame.image.shape[:2])
    boxes: dict[int, Rect] = {}
    for row, box in enumerate(result.faces.boxes):
        if not np.isfinite(box).all():
            continue
        x1, x2 = (min(max(float(edge) * scale, 0.0), width) for edge in box[0::2])
        y1, y2 = (min(max(float(edge) * scale, 0.0), height) for edge in box[1::2])
        if x2 > x1 and y2 > y1:
            boxes[row] = Rect(x1, y1, x2 - x1, y2 - y1)
    tags: list[Tag] = []
    for row in sorted(boxes, key=lambda row: -boxes[row].area):
        box = boxes[row]
        avoid = [other for key, other in boxes.items() if key != row] + [tag.panel for tag in tags if tag.title]
        classes = shown_classes(result, row) if bars else []
        titles = (
            title(result, row, confidence=True, names=names),
            title(result, row, confidence=False, names=names) + " 100 %",
        )
        tags.append(_tag(result, row, box, avoid, classes, (width, height), size, measure, titles))
    return tags[::-1]


def draw(image: U8, result: Result, *, bars: bool = True, names: Names = NO_NAMES) -> U8:
    """A copy of the picture with the overlay of a result.

    Args:
        image: (H, W, 3) BGR of the size of the result's frame; it is not changed.
        bars: show one bar per class beside the face, if there is room.
        names: names of persons by their number.
    """
    canvas = image.copy()
    if not len(result.faces):
        return canvas
    size = text_size(image.shape[0])
    tags = arrange(result, 1.0, size, _font(size).width, bars=bars, names=names)
    for tag in tags:
        _draw_box(canvas, tag, size)
    for tag in tags:
        if tag.title:
            _draw_panel(canvas, tag, size)
    return canvas


def fitted(image: U8, width: int, height: int) -> U8:
    """Resize a frame for the screen: (H, W, 3) BGR -> (height, width, 4) BGRx."""
    # area averaging takes six times as long as bilinear, except for a factor of exactly two; below two, bilinear is as
    # good
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] != (height, width):
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), np.uint8)


def ink_on(emotion: Emotion) -> tuple[int, int, int]:
    """Black or white (BGR), whichever has more contrast with the emotion's colour."""
    blue, green, red = emotion.bgr
    return INK if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else PAPER


def _tag(
    result: Result,
    row: int,
    box: Rect,
    avoid: list[Rect],
    classes: list[tuple[Emotion, float]],
    picture: tuple[float, float],
    size: float,
    measure: Measure,
    titles: tuple[str, str],
) -> Tag:
    emotion = coloured_as(result, row)
    title, widest = titles
    pad, strip = PAD * size, TITLE * size
    # room for the widest number, so that the panel's width does not change with the confidence
    title_width = measure(widest) + 2 * pad
    if classes:
        names = max(measure(emotion.display) for emotion, _ in classes)
        width = max(title_width, 3 * pad + names + BAR * size)
        height = strip + pad + len(classes) * ROW * size + pad / 2
        if width <= picture[0] and height <= picture[1]:
            panel = _place(box, width, height, avoid, picture, GAP * size, beside=True)
            if _covered(panel, avoid) <= OTHERS_COVERED and panel.overlap(box) <= FACE_HIDDEN * box.area:
                label = Rect(panel.x, panel.y, width, strip)
                left = panel.x + 2 * pad + names
                rows = tuple(
                    Bar(
                        each,
                        probability,
                        Rect(panel.x + pad, top, names, ROW * size),
                        Rect(left, top + 0.35 * size, panel.right - pad - left, 0.65 * size),
                    )
                    for number, (each, probability) in enumerate(classes)
                    for top in (panel.y + strip + pad / 2 + number * ROW * size,)
                )
                return Tag(row, emotion, box, title, label, panel, rows)
    if title_width > picture[0]:
        title = emotion.display
        title_width = measure(title) + 2 * pad
    if title_width > picture[0] or strip > picture[1]:
        nowhere = Rect(box.x, box.y, 0, 0)
        return Tag(row, emotion, box, "", nowhere, nowhere)
    label = _place(box, title_width, strip, avoid, picture, 0.25 * size, beside=False)
    return Tag(row, emotion, box, title, label, label)


def _place(
    box: Rect, width: float, height: float, avoid: list[Rect], picture: tuple[float, float], gap: float, *, beside: bool
) -> Rect:
    """The best position near a face: it covers least of the other rectangles, then least of the face itself."""
    right, left = box.right + gap, box.x - gap - width
    above, below = box.y - gap - height, box.bottom + gap
    sides = [(right, box.y), (left, box.y), (right, box.bottom - height), (left, box.bottom - height)]
    ends = [(box.x, above), (box.x, below), (box.right - width, above), (box.right - width, below)]
    wanted = [*sides, *ends] if beside else [*ends, *sides]
    places = [
        Rect(x, y, width, height).kept_inside(*picture)
        for x, y in [*wanted, (box.x, box.y), (box.x, box.bottom - height)]
    ]
    costs = [
        10 * _covered(place, avoid) + 3 * place.overlap(box) / box.area + 0.01 * order
        for order, place in enumerate(places)
    ]
    return places[costs.index(min(costs))]


def _covered(place: Rect, others: list[Rect]) -> float:
    """The share of a place that covers other rectangles."""
    return sum(place.overlap(other) for other in others) / place.area


@dataclass(frozen=True)
class _Font:
    """OpenCV's font parameters for a text size; `capital` is the height of a capital letter in pixels."""

    scale: float
    thickness: int
    capital: int

    @lru_cache(maxsize=1024)  # noqa: B019  fonts are few and live as long as their cache
    def width(self, text: str) -> float:
        (width, _), _ = cv2.getTextSize(text, FONT, self.scale, self.thickness)
        return float(width)


@lru_cache(maxsize=16)
def _font(size: float) -> _Font:
    # measured by drawing, because the height from getTextSize differs between OpenCV 4 and 5
    sample = np.zeros((64, 64), np.uint8)
    cv2.putText(sample, "H", (8, 56), FONT, 1.0, 255, 1, cv2.LINE_AA)
    rows = np.flatnonzero((sample > 127).any(axis=1))
    capital = float(rows[-1] - rows[0] + 1) if len(rows) else 22.0
    return _Font(CAPITAL * size / capital, max(1, round(size / 16)), round(CAPITAL * size))


def _draw_box(canvas: U8, tag: Tag, size: float) -> None:
    thickness = max(1, round(size / 7))
    inset = thickness / 2
    corners = (
        (round(tag.box.x + inset), round(tag.box.y + inset)),
        (round(tag.box.right - inset - 1), round(tag.box.bottom - inset - 1)),
    )
    if thickness > 1:
        # a dark outline keeps the line visible on a background of the same colour
        cv2.rectangle(canvas, *corners, INK, thickness + 2)
    cv2.rectangle(canvas, *corners, tag.emotion.bgr, thickness)


def _draw_panel(canvas: U8, tag: Tag, size: float) -> None:
    font = _font(size)
    if tag.bars:
        top, left = round(tag.panel.y), round(tag.panel.x)
        region = canvas[top : round(tag.panel.bottom), left : round(tag.panel.right)]
        backdrop = np.full_like(region, PANEL)
        cv2.addWeighted(region, 1 - PANEL_OPACITY, backdrop, PANEL_OPACITY, 0, dst=region)
    _fill(canvas, tag.label, tag.emotion.bgr)
    _write(canvas, tag.title, tag.label.x + PAD * size, tag.label, font, ink_on(tag.emotion))
    for bar in tag.bars:
        _write(canvas, bar.emotion.display, bar.name.x, bar.name, font, PAPER)
        _fill(canvas, bar.track, TRACK)
        width = bar.track.width * min(max(bar.probability, 0.0), 1.0)
        _fill(canvas, Rect(bar.track.x, bar.track.y, width, bar.track.height), bar.emotion.bgr)


def _fill(canvas: U8, rect: Rect, colour: tuple[int, int, int]) -> None:
    canvas[round(rect.y) : round(rect.bottom), round(rect.x) : round(rect.right)] = colour


def _write(canvas: U8, text: str, x: float, line: Rect, font: _Font, colour: tuple[int, int, int]) -> None:
    at = (round(x), round(line.y + (line.height + font.capital) / 2))
    cv2.putText(canvas, text, at, FONT, font.scale, colour, font.thickness, cv2.LINE_AA)
