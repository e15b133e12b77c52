"""The dialog of the first start, and the self-test of the Help menu. Opened by `dialogs`."""

from __future__ import annotations

import logging
import threading

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from edgeemo.config import Config
from edgeemo.doctor import Check, examine
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.messages import finding_words
from edgeemo.ui.screen import open_with_size

log = logging.getLogger(__name__)

MARKS = {"ok": "✓", "warning": "!", "fault": "✗"}
NOTE = translatable("""
<h3>Before you begin</h3>
<p>edgeemo shows which <b>expression</b> a face in a picture resembles. It cannot see what somebody feels, and it is
often wrong: the engine's card, in every report, says how often.</p>
<p><b>Nothing leaves this machine.</b> Pictures are analysed here and forgotten; something is kept only while the red
light says that it is recorded, and without pictures unless you choose otherwise under Session.</p>
<p><b>Ask those who are filmed</b>, and let them see what is recorded. Expressions of a person who can be recognised are
personal data.</p>
<p><b>Not at work, not in education.</b> In the European Union inferring the emotions of people there is forbidden since
2 February 2025, medical and safety reasons apart (AI Act, Regulation (EU) 2024/1689, article 5(1)(f)). Elsewhere other
rules may apply.</p>
""")


class WelcomeDialog(QDialog):
    """Explains what edgeemo does and which rules apply; shown once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Welcome to edgeemo"))
        self.setMinimumWidth(520)
        self.note = QLabel(tr(NOTE))
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.RichText)
        self.note.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.buttons = QDialogButtonBox()
        self.understood = self.buttons.addButton(tr("I understand"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.test = QPushButton(tr("Check this machine"))
        self.buttons.addButton(self.test, QDialogButtonBox.ButtonRole.ActionRole)
        self.buttons.accepted.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.addWidget(self.note)
        layout.addWidget(self.buttons)


class DoctorDialog(QDialog):
    """`edgeemo doctor` in a dialog: shows each finding with its fix."""

    def __init__(self, config: Config, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Check this machine"))
        open_with_size(self, 760, 460)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(tr("Findings"))
        self.verdict = Label(tr("Looking …"))
        layout = QVBoxLayout(self)
        layout.addWidget(self.verdict)
        layout.addWidget(self.text, 1)
        self._found: list[Check] = []
        self._shown = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._show)
        self._timer.start(150)
        # not in the player's worker, because playback must not wait for it
        self._thread = threading.Thread(target=self._look, args=(config,), name="edgeemo-doctor", daemon=True)
        self._thread.start()

    def _look(self, config: Config) -> None:
        try:
            for check in examine(config):
                self._found.append(check)
        except Exception as error:
            log.exception("the self-test broke")
            self._found.append(
                Check(
                    tr("self-test"),
                    "fault",
                    f"{type(error).__name__}: {error}",
                    tr("This is a bug in edgeemo; please report it."),
                )
            )

    def _show(self) -> None:
        ended = not self._thread.is_alive()
        found = list(self._found)
        for check in found[self._shown :]:
            name, detail = finding_words(check.name), finding_words(check.detail)
            self.text.appendPlainText(f"{MARKS[check.status]} {name}: {detail}")
            if check.fix:
                self.text.appendPlainText(f"      → {finding_words(check.fix)}")
        self._shown = len(found)
        if not ended:
            return
        self._timer.stop()
        faults = sum(check.status == "fault" for check in self._found)
        self.verdict.setText(tr("edgeemo can run here.") if not faults else tr("%n to fix: see → below.", faults))
