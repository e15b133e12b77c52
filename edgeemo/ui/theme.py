"""Colours of the window, light and dark, as the system wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from PyQt6.QtCore import QObject, Qt
from PyQt6.QtGui import QColor, QGuiApplication, QPalette
from PyQt6.QtWidgets import QApplication

from edgeemo.report.colours import CONTRAST, DARK_CLASSES, LIGHT_CLASSES, channels, contrast, luminance
from engines.spec import Emotion

Thing = TypeVar("Thing", bound=QObject)


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb.

    Attributes:
        window, surface, raised: backgrounds: behind all, of cards and bars, of what can be pressed.
        line: borders. well: behind the picture. track: the empty part of a bar.
        text, muted: writing. accent, on_accent: the main button, the focus ring, and writing on it.
        error, notice: the two kinds of banner, background first, then the edge and icon.
        classes: of bars and curves, by `report.classes.shown_classes`; scripts/check-colours checks them.
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
    """What the desktop asks for; where it doesn't say, what its palette looks like."""
    hints = QGuiApplication.styleHints()
    scheme = hints.colorScheme() if hints is not None else Qt.ColorScheme.Unknown
    if scheme == Qt.ColorScheme.Unknown:
        return DARK if QGuiApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT
    return DARK if scheme == Qt.ColorScheme.Dark else LIGHT


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Give the whole application the theme's colours."""
    app.setStyle("Fusion")
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme))


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


def style_sheet(theme: Theme) -> str:
    return f"""
    QToolTip {{ color: {theme.text}; background: {theme.raised}; border: 1px solid {theme.line}; padding: 4px 6px; }}
    QMenu {{ background: {theme.surface}; border: 1px solid {theme.line}; padding: 5px; }}
    QMenu::item {{ padding: 6px 26px 6px 14px; border-radius: 5px; color: {theme.text}; }}
    QMenu::item:selected {{ background: {theme.accent}; color: {theme.on_accent}; }}
    QMenu::item:disabled {{ color: {theme.muted}; background: transparent; }}
    QMenu::separator {{ height: 1px; background: {theme.line}; margin: 5px 8px; }}
    QMenu::indicator {{ width: 16px; height: 16px; left: 6px; }}

    #bar {{ background: {theme.surface}; border-bottom: 1px solid {theme.line}; }}
    #side {{ background: {theme.surface}; border-left: 1px solid {theme.line}; }}
    #timeline, #thumbnails, #replay {{ background: {theme.surface}; border: none; border-top: 1px solid {theme.line}; }}
    QMenuBar {{ background: {theme.surface}; color: {theme.text}; }}
    QMenuBar::item {{ padding: 4px 10px; background: transparent; border-radius: 5px; }}
    QMenuBar::item:selected {{ background: {theme.hover}; }}
    QHeaderView::section {{
        background: {theme.surface}; color: {theme.muted}; border: none; border-bottom: 1px solid {theme.line};
        padding: 4px 8px;
    }}
    QTableWidget, QPlainTextEdit {{ border: 1px solid {theme.line}; border-radius: 8px; }}
    QTableWidget::item {{ padding: 0 8px; }}
    QProgressBar {{
        background: {theme.track}; border: none; border-radius: 6px; height: 14px; text-align: center;
    }}
    QProgressBar::chunk {{ background: {theme.accent}; border-radius: 6px; }}
    QSlider::groove:horizontal {{ background: {theme.track}; height: 6px; border-radius: 3px; }}
    QSlider::sub-page:horizontal {{ background: {theme.accent}; border-radius: 3px; }}
    QSlider::handle:horizontal {{
        background: {theme.accent}; width: 16px; margin: -5px 0; border-radius: 8px;
    }}
    QSlider:focus {{ border: 2px solid {theme.accent}; border-radius: 6px; }}
    #status_bar {{ background: {theme.surface}; border-top: 1px solid {theme.line}; }}

    QToolButton, QPushButton {{
        background: {theme.raised}; color: {theme.text}; border: 1px solid {theme.line}; border-radius: 8px;
        padding: 6px 12px; min-height: 20px;
    }}
    QToolButton:hover, QPushButton:hover {{ background: {theme.hover}; }}
    QToolButton:focus, QPushButton:focus {{ border: 2px solid {theme.accent}; padding: 5px 11px; }}
    QToolButton:disabled, QPushButton:disabled {{ color: {theme.muted}; background: {theme.surface}; }}
    QPushButton#small {{ padding: 2px 10px; min-height: 16px; border-radius: 6px; }}
    QPushButton#small:focus {{ padding: 1px 9px; }}
    QPushButton#small:checked {{ background: {theme.hover}; border-color: {theme.text}; }}
    QPushButton::menu-indicator {{ image: none; width: 0px; }}
    QPushButton#start {{
        background: {theme.accent}; color: {theme.on_accent}; border-color: {theme.accent}; font-weight: 600;
    }}
    QPushButton#start:hover {{ background: {theme.accent_hover}; }}
    QPushButton#start:focus {{ border: 2px solid {theme.text}; }}
    QPushButton#start:disabled {{ background: {theme.track}; color: {theme.muted}; border-color: {theme.line}; }}
    QToolButton#dismiss {{ border: 1px solid transparent; background: transparent; padding: 4px; }}
    QToolButton#dismiss:hover {{ background: {theme.hover}; }}
    QToolButton#dismiss:focus {{ border: 2px solid {theme.accent}; padding: 3px; }}

    #card {{ background: {theme.window}; border: 1px solid {theme.line}; border-radius: 10px; }}
    #card[chosen="true"] {{ border: 2px solid {theme.text}; }}
    #card:focus {{ border: 2px solid {theme.accent}; }}
    #heading {{ font-weight: 600; }}
    #expression {{ font-weight: 600; }}
    #muted, #nobody_hint {{ color: {theme.muted}; }}
    #nobody {{ color: {theme.muted}; font-weight: 600; }}
    QScrollArea, #cards {{ background: transparent; border: none; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar::handle:vertical {{ background: {theme.line}; border-radius: 4px; min-height: 32px; margin: 0 1px; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
        background: transparent; height: 0;
    }}

    #banner[kind="error"] {{
        background: {theme.error[0]}; border: none; border-bottom: 2px solid {theme.error[1]};
    }}
    #banner[kind="notice"] {{
        background: {theme.notice[0]}; border: none; border-bottom: 2px solid {theme.notice[1]};
    }}
    """


# told apart by those who see few colours too (Okabe and Ito, 2008), and by their order
PEOPLE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a6fdf")


def person_colour(number: int) -> QColor:
    """The same for a track id all the time."""
    return QColor(PEOPLE[(number - 1) % len(PEOPLE)])


def readable(colour: str, background: str, ratio: float = CONTRAST) -> str:
    """A colour mixed with black or white until it can be told from a background."""
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
    """Give a widget the name by which the style sheet finds it."""
    thing.setObjectName(name)
    return thing
