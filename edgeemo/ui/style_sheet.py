"""The style sheet of the window for a theme. Called by `window`."""

from __future__ import annotations

from PyQt6.QtWidgets import QApplication

from edgeemo.ui.theme import Theme, palette


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Apply a theme's colours to the application."""
    app.setStyle("Fusion")
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme))


def style_sheet(theme: Theme) -> str:
    """Rules for the application; widgets are selected by the names set with `named`."""
    return _menus_and_bars(theme) + _buttons(theme) + _cards_and_banner(theme)


def _menus_and_bars(theme: Theme) -> str:
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
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QMenuBar {{ background: {theme.surface}; color: {theme.text}; }}
    QMenuBar::item {{ padding: 4px 10px; background: transparent; border-radius: 5px; }}
    QMenuBar::item:selected {{ background: {theme.hover}; }}
    QHeaderView::section {{
        background: {theme.surface}; color: {theme.muted}; border: none; border-bottom: 1px solid {theme.line};
        padding: 4px 8px;
    }}
    QTableWidget, QPlainTextEdit {{ border: 1px solid {theme.line}; border-radius: 8px; outline: none; }}
    QTableWidget:focus, QPlainTextEdit:focus, QScrollArea:focus, #thumbnails:focus {{
        border: 1px solid {theme.accent};
    }}
    QTableWidget::item {{ padding: 0 8px; }}
    QLineEdit {{
        background: {theme.surface}; border: 1px solid {theme.muted}; border-radius: 6px; padding: 3px 6px;
    }}
    QLineEdit:focus {{ border: 2px solid {theme.accent}; padding: 2px 5px; }}
    QComboBox QLineEdit, QAbstractSpinBox QLineEdit {{ border: none; padding: 0; background: transparent; }}
    QTableWidget::indicator:unchecked {{ border: 1px solid {theme.muted}; border-radius: 3px; }}
    QProgressBar {{
        background: {theme.track}; border: none; border-radius: 6px; height: 14px; text-align: right;
        margin-right: 48px;
    }}
    QProgressBar::chunk {{ background: {theme.accent}; border-radius: 6px; }}
    QSlider::groove:horizontal {{ background: {theme.track}; height: 6px; border-radius: 3px; }}
    QSlider::sub-page:horizontal {{ background: {theme.accent}; border-radius: 3px; }}
    QSlider::handle:horizontal {{
        background: {theme.accent}; width: 16px; margin: -5px 0; border-radius: 8px;
    }}
    QSlider:focus {{ border: 2px solid {theme.accent}; border-radius: 6px; }}
    #status_bar {{ background: {theme.surface}; border-top: 1px solid {theme.line}; }}
    """


def _buttons(theme: Theme) -> str:
    return f"""
    QToolButton, QPushButton {{
        background: {theme.raised}; color: {theme.text}; border: 1px solid {theme.line}; border-radius: 8px;
        padding: 6px 12px; min-height: 20px;
    }}
    QToolButton:hover, QPushButton:hover {{ background: {theme.hover}; }}
    QToolButton:focus, QPushButton:focus {{ border: 2px solid {theme.accent}; padding: 5px 11px; }}
    QToolButton:disabled, QPushButton:disabled {{ color: {theme.muted}; background: {theme.surface}; }}
    QFileDialog QToolButton {{ padding: 2px; min-height: 0; border-radius: 6px; }}
    QFileDialog QToolButton:focus {{ padding: 1px; }}
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
    """


def _cards_and_banner(theme: Theme) -> str:
    return f"""
    #card {{ background: {theme.window}; border: 1px solid {theme.line}; border-radius: 10px; }}
    #card[chosen="true"] {{ border: 2px solid {theme.text}; }}
    #card:focus {{ border: 2px solid {theme.accent}; }}
    #heading {{ font-weight: 600; }}
    #expression {{ font-weight: 600; }}
    #muted, #nobody_hint {{ color: {theme.muted}; }}
    #nobody {{ color: {theme.muted}; font-weight: 600; }}
    QScrollArea, #cards {{ background: transparent; }}
    QScrollArea:!focus, #cards {{ border: none; }}
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
