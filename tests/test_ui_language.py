"""The window in English and German: every text has a translation, plurals and numbers follow the language."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PyQt6.QtCore import QLocale
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QAbstractButton, QApplication, QComboBox, QDialogButtonBox, QLabel, QWidget
from pytestqt.qtbot import QtBot
from test_ui_appearance import cut_texts
from windows import Studio, Windows, shows

from edgeemo.config import QualityConfig
from edgeemo.report.classes import OTHER, UNSURE
from edgeemo.stages.pipeline import undecided
from edgeemo.stages.quality import QualityJudge, doubts
from edgeemo.types import Doubt, Faces, Frame, Quality
from edgeemo.ui import words
from edgeemo.ui.language import FOLDER, languages, read_texts, tr, use_language
from edgeemo.ui.settings import Settings
from edgeemo.ui.welcome import WelcomeDialog
from engines.spec import LABELS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    usual = QLocale()
    use_language(qapp, "de")
    yield
    use_language(qapp, "en")
    QLocale.setDefault(usual)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/update-translations."""
    loader = SourceFileLoader("update_translations", str(ROOT / "scripts" / "update-translations"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, loader.name, module)
    loader.exec_module(module)
    return module


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["update-translations", *arguments])
    return int(script.main())


def test_every_text_of_the_window_has_a_translation(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, monkeypatch, "--check") == 0, capsys.readouterr().out


def test_texts_that_are_not_marked_or_not_translated_are_found_and_a_language_is_begun(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, files = tmp_path / "ui", tmp_path / "languages"
    sources.mkdir()
    files.mkdir()
    (sources / "new.py").write_text(
        'A = QLabel("waits")\nB = f"{len(A)} of the files"\nC = tr("Resume")\nD = tr("%n frames", 2)\nE = "fine"\n'
    )
    (files / "edgeemo_de.ts").write_text(
        "<TS><context><message><source>Resume</source><translation>{was} weiter</translation></message></context></TS>"
    )
    for name, value in (("SOURCES", sources), ("FOLDER", files), ("ROOT", tmp_path)):
        monkeypatch.setattr(script, name, value)
    assert run(script, monkeypatch, "--check") == 1
    found = capsys.readouterr().out
    assert "new.py:1: 'waits' is not in tr()" in found
    assert "new.py:2: ' of the files' is not in tr()" in found
    assert "no translation of '%n frames'" in found
    assert "other placeholders" in found
    assert len(found.splitlines()) == 4
    assert run(script, monkeypatch, "fr") == 0
    assert '<TS version="2.1" language="fr"' in (files / "edgeemo_fr.ts").read_text()
    assert read_texts(files / "edgeemo_fr.ts") == {}, "an unfinished text counts as a translation"


def test_the_desktops_language_is_used_where_the_window_has_it(qapp: QApplication, german: None) -> None:
    assert languages() == {"de": "Deutsch", "en": "English"}
    austria = QLocale(QLocale.Language.German, QLocale.Country.Austria)
    assert use_language(qapp, "system", austria) == "de"
    assert tr("Undo") == "Rückgängig"
    assert QLocale().territory() == QLocale.Country.Austria
    assert use_language(qapp, "system", QLocale("fr")) == "en"
    assert (tr("Undo"), words.number(4.6, 1)) == ("Undo", "4.6")
    assert use_language(qapp, "nonsense", QLocale("de")) == "en"


def test_plurals_numbers_dates_and_expressions_follow_the_language(german: None) -> None:
    assert [tr("%n files", count) for count in (0, 1, 2)] == ["0 Dateien", "1 Datei", "2 Dateien"]
    assert tr("{done} of %n files", 1, done=0) == "0 von 1 Datei"
    assert (words.clock(4.62), words.number(1234.5, 1)) == ("0:04,6", "1234,5")
    assert words.date("2026-03-05T09:12:03+01:00") == "5. März 2026 09:12"
    assert words.doubt_words("between neutral and happiness") == "zwischen neutral und Freude"
    assert words.doubt_words("face 31 px") == "Gesicht 31 px"
    assert words.doubt_words("something new") == "something new"
    texts = read_texts(FOLDER / "edgeemo_de.ts")
    for label in (*LABELS, OTHER, UNSURE):
        assert words.classes.name_of(label) in texts
        assert words.classes.name_of(label).lower() in texts


def test_every_doubt_that_a_face_can_have_is_translated(german: None) -> None:
    poor = Quality(face_px=12, yaw_deg=60, roll_deg=-70, sharpness=0.0, light=10, contrast=1)
    found = [*doubts(poor, 0.2, QualityConfig())]
    found += doubts(replace(poor, light=250), 1.0, QualityConfig())
    found += doubts(replace(poor, light=100), 1.0, QualityConfig())
    found += doubts(replace(poor, light=100, contrast=50), 1.0, QualityConfig())
    one = np.ones(1, np.int64)
    face = Faces(np.array([[0, 0, 9, 9]], np.float32), np.zeros((1, 6, 2), np.float32), np.float32(one), one)
    damaged = Frame(np.zeros((9, 9, 3), np.uint8), 0, 0.0, "x", damage=1)
    found += QualityJudge().judge(damaged, face, [0.9]).doubts[0]
    for first, second in itertools.combinations(range(len(LABELS)), 2):
        values = np.zeros(len(LABELS), np.float32)
        values[first] = 1
        found += undecided(values, LABELS, LABELS[second])
    assert {doubt.code for doubt in found} == set(re.findall(r"[a-z]+_[a-z]+|blurred|undecided", (Doubt.__doc__ or "")))
    assert [doubt for doubt in found if words.doubt_words(doubt) == doubt] == []


def test_the_german_window_shows_no_english(qtbot: QtBot, make: Windows, german: None) -> None:
    window = make()
    shows(qtbot, window)
    (card,) = window.faces.cards
    assert card.expression.text() == "Freude"
    window.library.show()
    settings = window.dialogs.show_settings(lambda: Path("sessions"))
    window.dialogs.show_health()
    window.dialogs.show_keys(window.menus.shortcuts)
    window.dialogs.show_about()
    window.show_queue()
    window.replaying.show_markers()
    welcome = WelcomeDialog(window)
    english = {
        source: forms[0] for source, forms in read_texts(FOLDER / "edgeemo_de.ts").items() if source not in forms
    }
    assert len(english) > 250
    shown = texts_of(window)
    assert [text for text in shown if text.replace("&&", "&") in english] == []
    assert {"Einstellungen", "Aufgenommene Sitzungen", "&Sitzung", "Umbenennen…"} <= shown
    close = settings.findChildren(QDialogButtonBox)[0].button(QDialogButtonBox.StandardButton.Close)
    assert close is not None
    assert close.text() == "Schließen", "Qt's own texts are English"
    welcome.close()


@pytest.mark.parametrize("size", [(640, 430), (900, 600), (1366, 728)])
def test_no_german_words_are_cut(
    qtbot: QtBot, make: Windows, studio: Studio, german: None, size: tuple[int, int]
) -> None:
    studio.faces = 2
    window = make()
    window.resize(*size)
    shows(qtbot, window)
    window.record_or_end()
    qtbot.waitUntil(lambda: window.recording.active)

    def nothing_is_cut() -> None:
        assert cut_texts(window) == []

    qtbot.waitUntil(nothing_is_cut)
    assert window.width() == size[0]


def test_the_language_is_remembered_for_the_next_start(qtbot: QtBot, make: Windows) -> None:
    settings = Settings()
    dialog = make(settings=settings, begin=False).dialogs.show_settings(lambda: Path("sessions"))
    assert [dialog.languages.itemText(row) for row in range(3)] == ["As the desktop", "Deutsch", "English"]
    dialog.languages.setCurrentIndex(1)
    dialog.languages.activated.emit(1)
    assert settings.language == "de"
    assert "started again" in dialog.hint.text()
    assert dialog.windowTitle() == "Settings"


def texts_of(window: QWidget) -> set[str]:
    """All texts of a window and its dialogs."""
    found: set[str] = set()
    for widget in [window, *window.findChildren(QWidget)]:
        found |= {widget.windowTitle(), widget.toolTip(), widget.accessibleName()}
        if isinstance(widget, QLabel | QAbstractButton):
            found.add(widget.text())
        if isinstance(widget, QComboBox):
            found |= {widget.itemText(row) for row in range(widget.count())}
    for action in window.findChildren(QAction):
        found |= {action.text(), action.toolTip()}
    return found - {"", "other", "Export"}  # the name of an engine, and a disabled menu of pyqtgraph
