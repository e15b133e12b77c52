"""Translations of the window, read from Qt translation files `languages/edgeemo_<code>.ts`. Used by all widgets.

`scripts/update-translations` collects the texts that `tr` and `translatable` mark. Only the window is translated: files
and standard output are always English.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from PyQt6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

CONTEXT = "edgeemo"
FOLDER = Path(__file__).parent / "languages"
SYSTEM, ENGLISH = "system", "en"
Forms = tuple[str, ...]


def tr(text: str, count: int | None = None, /, **values: object) -> str:
    """A text in the window's language.

    Args:
        text: English; a literal, or a text marked with `translatable`.
        count: chooses the plural form and replaces `%n`.
        values: replace `{name}`.
    """
    found = _found(text) if count is None else QCoreApplication.translate(CONTEXT, text, "", count)
    return found.format(**values) if values else found


@lru_cache(maxsize=2048)
def _found(text: str) -> str:
    # cached: cards need about twenty texts per face and frame, and a look-up in Qt takes 6 us; texts with a count are
    # not, because every count would be an entry
    return QCoreApplication.translate(CONTEXT, text)


def translatable(text: str) -> str:
    """Mark a text that is stored in English and passed to `tr` when it is shown."""
    return text


def languages() -> dict[str, str]:
    """Code and native name of every available language."""
    codes = sorted(path.stem.removeprefix("edgeemo_") for path in FOLDER.glob("edgeemo_*.ts"))
    return {code: "English" if code == ENGLISH else QLocale(code).nativeLanguageName() for code in codes}


def use_language(app: QCoreApplication, choice: str, system: QLocale | None = None) -> str:
    """Set the language of new texts, numbers and dates; texts already on screen do not change.

    Args:
        choice: a code from `languages`, or "system": the desktop's language if available, else English.
        system: the desktop's language; None: the current setting.

    Returns:
        The code.
    """
    desktop = system or QLocale.system()
    own = QLocale.languageToCode(desktop.language())
    wanted = own if choice == SYSTEM else choice
    code = wanted if wanted in languages() else ENGLISH
    locale = desktop if code == own else QLocale(code)
    locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
    QLocale.setDefault(locale)
    for old in app.findChildren(QTranslator):
        app.removeTranslator(old)
        old.deleteLater()
    of_qt = QTranslator(app)  # the texts of Qt's dialogs
    if code != ENGLISH and of_qt.load(f"qtbase_{code}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(of_qt)
    app.installTranslator(Texts(code, app))
    _found.cache_clear()
    return code


class Texts(QTranslator):
    """The texts of one language.

    Args:
        code: for example "de".
    """

    def __init__(self, code: str, parent: QCoreApplication | None = None) -> None:
        super().__init__(parent)
        self._code = code
        self._forms = read_texts(FOLDER / f"edgeemo_{code}.ts")

    def isEmpty(self) -> bool:  # noqa: N802
        return not self._forms

    def translate(  # type: ignore[override]
        self, context: str | None, source: str | None, disambiguation: str | None = None, n: int = -1
    ) -> str | None:
        """The translation; None makes Qt try its next translator, or show the source text."""
        forms = self._forms.get(source or "") if context == CONTEXT else None
        return None if forms is None else forms[min(plural_form(self._code, n), len(forms) - 1)]


def plural_form(code: str, n: int) -> int:
    """The index of the plural form for a number, in Qt's numbering. Languages with other rules need a row here."""
    if code in ("fr", "pt"):
        return int(n > 1)
    return int(n != 1) if n >= 0 else 0


def read_texts(path: Path) -> Mapping[str, Forms]:
    """English text -> its translation in a .ts file: one form, or one per plural; unfinished ones are skipped."""
    texts: dict[str, Forms] = {}
    for message in ElementTree.parse(path).iter("message"):
        translation = message.find("translation")
        if translation is None or translation.get("type"):
            continue
        forms = [form.text or "" for form in translation.findall("numerusform")] or [translation.text or ""]
        if all(forms):
            texts[message.findtext("source", "")] = tuple(forms)
    return texts
