"""The banner across the window: a message, and buttons for the next step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QApplication, QFrame, QHBoxLayout, QPushButton, QSizePolicy, QToolButton, QWidget

from edgeemo.errors import EdgeemoError
from edgeemo.ui.icons import icon, pixmap
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr
from edgeemo.ui.messages import error_words
from edgeemo.ui.theme import LIGHT, Theme, named
from engines.errors import EngineError

log = logging.getLogger(__name__)

Kind = Literal["error", "notice"]
Action = tuple[str, Callable[[], None]]


class Banner(QFrame):
    """Shows one message at a time; hidden without a message.

    Signals:
        left: the banner's button that had the focus is gone. The receiver moves the focus; Qt would give it to the next
            button, which Space would then press.
    """

    left = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._theme = LIGHT
        self._kind: Kind = "notice"
        self._mark = Label()
        self._text = Label()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._actions = QHBoxLayout()
        self._actions.setSpacing(8)
        self.dismiss_button = named(QToolButton(), "dismiss")
        self.dismiss_button.setToolTip(tr("Dismiss (Esc)"))
        self.dismiss_button.setAccessibleName(tr("Dismiss the message"))
        self.dismiss_button.clicked.connect(self.dismiss)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 6, 12, 6)
        layout.setSpacing(10)
        layout.addWidget(self._mark)
        layout.addWidget(self._text, 1)
        layout.addLayout(self._actions)
        layout.addWidget(self.dismiss_button)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        self.hide()

    @property
    def text(self) -> str:
        """The message; empty while the banner is hidden."""
        return self._text.text() if not self.isHidden() else ""

    @property
    def kind(self) -> Kind:
        return self._kind

    @property
    def buttons(self) -> list[QPushButton]:
        widgets = (self._actions.itemAt(index).widget() for index in range(self._actions.count()))  # type: ignore[union-attr]
        return [widget for widget in widgets if isinstance(widget, QPushButton)]

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.dismiss_button.setIcon(icon("dismiss", theme.text))
        self._paint_mark()

    def show_message(self, kind: Kind, text: str, *actions: Action, seconds: float = 0) -> None:
        """Show a message; it replaces the current one.

        Args:
            actions: text of a button and its function; pressing it also hides the message.
            seconds: hide it after this time; 0: show it until it is dismissed or replaced.
        """
        self._timer.stop()
        focused = self._has_focus()
        self._kind = kind
        self._text.setText(text)
        for button in self.buttons:
            self._actions.removeWidget(button)
            button.hide()
            button.deleteLater()
        for words, action in actions:
            button = QPushButton(words.replace("&", "&&"))  # an ampersand would become a mnemonic
            button.clicked.connect(lambda _=False, action=action: self._act(action))
            self._actions.addWidget(button)
            if (before := self.dismiss_button.previousInFocusChain()) is not None:
                self.setTabOrder(before, button)
        self.setProperty("kind", kind)
        self.setAccessibleName(text)
        self._restyle()
        self._paint_mark()
        self.show()
        if focused:
            self.left.emit()
        if seconds:
            self._timer.start(round(seconds * 1000))

    def show_error(self, error: BaseException, *actions: Action) -> None:
        """Show an error; one that is not an `EdgeemoError` or `EngineError` is reported as a bug.

        It is logged if nobody can see it, because the window is closing.
        """
        text = error_words(error)
        if not self.window().isVisible():  # type: ignore[union-attr]
            log.error("%s", " ".join(str(error).split()), exc_info=None if _expected(error) else error)
        if not _expected(error):
            plain = " ".join(str(error).split())
            text = tr("This is a bug in edgeemo, please report it: {error}", error=f"{type(error).__name__}: {plain}")
        self.show_message("error", text, *actions)

    def dismiss(self) -> None:
        self._timer.stop()
        focused = self._has_focus()
        self.hide()
        if focused:
            self.left.emit()

    def _has_focus(self) -> bool:
        focused = QApplication.focusWidget()
        return focused is not None and self.isAncestorOf(focused)

    def _act(self, action: Callable[[], None]) -> None:
        self.dismiss()
        action()

    def _restyle(self) -> None:
        # a style sheet evaluates properties only when it is applied
        style = self.style()
        if style is not None:
            style.unpolish(self)
            style.polish(self)

    def _paint_mark(self) -> None:
        colour = self._theme.error[1] if self._kind == "error" else self._theme.notice[1]
        self._mark.setPixmap(pixmap(self._kind, colour, 22, self.devicePixelRatioF()))


def _expected(error: BaseException) -> bool:
    """Whether the user can correct an error."""
    return isinstance(error, EdgeemoError | EngineError)
