"""Light and dark colours of the window. Used by all widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from PyQt6.QtCore import QObject, Qt
from PyQt6.QtGui import QColor, QGuiApplication, QPalette

from edgeemo.palette import DARK_CLASSES, LIGHT_CLASSES
from edgeemo.report.colours import CONTRAST, channels, contrast, luminance
from engines.spec import Emotion

Thing = TypeVar("Thing", bound=QObject)


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb.

    Attributes:
        window, surface, raised: backgrounds of the window, of cards and bars, of buttons.
        hover, accent_hover: `raised` and `accent` below the pointer.
        line: borders.
        well: background of the picture.
        track: the empty part of a bar.
        text, muted: text.
        accent, on_accent: main button and focus ring, and text on it.
        error, notice: for each kind of banner the background, and the colour of edge and icon.
        classes: bars and curves, one colour per class of `report.classes.shown_classes`; checked by
            scripts/check-colours.
    """

    dark: bool
    window: str
    surface: str
    raised: str
    hover: str
    line: str
    well: str
    track: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    error: tuple[str, str]
    notice: tuple[str, str]
    classes: Mapping[str, str]


LIGHT = Theme(
    dark=False,
    window="#f3f4f7",
    surface="#ffffff",
    raised="#ffffff",
    hover="#eceef3",
    line="#d9dde5",
    well="#1b1e24",
    track="#e8ebf0",
    text="#1c2430",
    muted="#5d6878",
    accent="#2f6fde",
    accent_hover="#245fc7",
    on_accent="#ffffff",
    error=("#fdecec", "#c63a3a"),
    notice=("#e9f1fe", "#2f6fde"),
    classes=LIGHT_CLASSES,
)
DARK = Theme(
    dark=True,
    window="#15181d",
    surface="#1e2229",
    raised="#272c35",
    hover="#323844",
    line="#343b47",
    well="#0b0d10",
    track="#323945",
    text="#e8ebf0",
    muted="#98a3b3",
    accent="#5b94f5",
    accent_hover="#74a6f8",
    on_accent="#0c1420",
    error=("#3a2023", "#f07a7a"),
    notice=("#1d2b42", "#74a6f8"),
    classes=DARK_CLASSES,
)


def system_theme() -> Theme:
    """The desktop's colour scheme; if unknown, derived from its palette."""
    hints = QGuiApplication.styleHints()
    scheme = hints.colorScheme() if hints is not None else Qt.ColorScheme.Unknown
    if scheme == Qt.ColorScheme.Unknown:
        return DARK if QGuiApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT
    return DARK if scheme == Qt.ColorScheme.Dark else LIGHT


def palette(theme: Theme) -> QPalette:
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.window,
        role.WindowText: theme.text,
        role.Base: theme.surface,
        role.AlternateBase: theme.window,
        role.Text: theme.text,
        role.Button: theme.raised,
        role.ButtonText: theme.text,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.PlaceholderText: theme.muted,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Link: theme.accent,
        role.Mid: theme.line,
        role.Dark: theme.line,
    }
    made = QPalette()
    for each, colour in colours.items():
        made.setColor(each, QColor(colour))
    for each in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, each, QColor(theme.muted))
    return made


# distinguishable with colour blindness: the seven colours of Okabe and Ito (2008), and a violet
PEOPLE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a6fdf")


def person_colour(number: int) -> QColor:
    """The colour of a track id."""
    return QColor(PEOPLE[(number - 1) % len(PEOPLE)])


def readable(colour: str, background: str, ratio: float = CONTRAST) -> str:
    """Mix a colour with black or white until its contrast with a background is sufficient."""
    towards = 0.0 if luminance(background) > 0.18 else 1.0
    red, green, blue = channels(colour)
    for step in range(21):
        mixed = tuple(value + (towards - value) * step / 20 for value in (red, green, blue))
        shade = "#" + "".join(f"{round(value * 255):02x}" for value in mixed)
        if contrast(shade, background) >= ratio:
            return shade
    return "#ffffff" if towards else "#000000"


def emotion_colour(emotion: Emotion) -> QColor:
    return QColor(emotion.colour)


def named(thing: Thing, name: str) -> Thing:
    """Set the name that the style sheet uses for a widget."""
    thing.setObjectName(name)
    return thing
