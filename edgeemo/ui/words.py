"""Names of expressions, doubts, times and numbers in the language of the window. Used by all widgets."""

from __future__ import annotations

import re

from PyQt6.QtCore import QDateTime, QLocale

from edgeemo import values
from edgeemo.report import classes
from edgeemo.stages import overlay
from edgeemo.stages.overlay import NO_NAMES, Names, percent
from edgeemo.types import Result
from edgeemo.ui.language import tr, translatable
from engines.spec import Emotion

__all__ = [
    "clock",
    "date",
    "display_of",
    "doubt_words",
    "name_of",
    "number",
    "percent",
    "person_name",
    "title_of",
    "word_of",
]

NAMES = (
    translatable("Neutral"),
    translatable("Happiness"),
    translatable("Sadness"),
    translatable("Surprise"),
    translatable("Fear"),
    translatable("Disgust"),
    translatable("Anger"),
    translatable("Contempt"),
    translatable("None of these"),
    translatable("Uncertain"),
    translatable("No face"),
    translatable("Other"),
    translatable("Unsure"),
)
IN_SENTENCES = (
    translatable("neutral"),
    translatable("happiness"),
    translatable("sadness"),
    translatable("surprise"),
    translatable("fear"),
    translatable("disgust"),
    translatable("anger"),
    translatable("contempt"),
    translatable("none of these"),
    translatable("uncertain"),
    translatable("no face"),
    translatable("other"),
    translatable("unsure"),
)
# recordings store doubts as text, so the text identifies them (`stages.quality`, `stages.pipeline`)
DOUBTS = (
    (re.compile(r"face (\S+) px"), translatable("face {value} px")),
    (re.compile(r"turned (\S+) degrees"), translatable("turned {value} degrees")),
    (re.compile(r"leaning (\S+) degrees"), translatable("leaning {value} degrees")),
    (re.compile(r"(\S+) % sure"), translatable("{value} % sure")),
    (re.compile("too dark"), translatable("too dark")),
    (re.compile("too bright"), translatable("too bright")),
    (re.compile("hardly any contrast"), translatable("hardly any contrast")),
    (re.compile("blurred"), translatable("blurred")),
    (re.compile("damaged picture"), translatable("damaged picture")),
)
BETWEEN = re.compile(r"between (.+) and (.+)")


def name_of(shown: str) -> str:
    """The display name of a shown class or a label, for example "Happiness", "Other", "Unsure"."""
    return tr(classes.name_of(shown))


def word_of(label: str) -> str:
    """The name within a sentence: "happiness", "other"."""
    return tr(classes.name_of(label).lower())


def display_of(label: str) -> str:
    """The name of a label, even if cards show "Other" for it."""
    return tr(Emotion.of(label).display)


def doubt_words(doubt: str) -> str:
    """Translate a reason of `Result.reasons`; unknown reasons are unchanged."""
    if (between := BETWEEN.fullmatch(doubt)) is not None:
        first, second = (tr(name) for name in between.groups())
        return tr("between {first} and {second}", first=first, second=second)
    for pattern, words in DOUBTS:
        if (found := pattern.fullmatch(doubt)) is not None:
            return tr(words, value=found.group(1)) if found.groups() else tr(words)
    return doubt


def title_of(result: Result, row: int, *, confidence: bool = True, names: Names = NO_NAMES) -> str:
    """The text over a face: `stages.overlay.title_of` in the window's language."""
    return overlay.title_of(result, row, confidence=confidence, names=names, display=display_of, unsure=_unsure_words)


def _unsure_words(reason: str) -> str:
    return tr("Unsure: {reason}", reason=doubt_words(reason))


def person_name(number: int) -> str:
    """The default name of a person."""
    return tr("Person {number}", number=number)


def number(value: float, digits: int = 0) -> str:
    """A number with the decimal separator of the language."""
    return QLocale().toString(float(value), "f", digits)


def clock(seconds: float, digits: int = 1) -> str:
    """A time or length, "0:04.6" or "1:02:05.0", with the decimal separator of the language.

    Args:
        digits: decimals of the seconds; 0 for a running clock.
    """
    return values.clock(seconds, digits).replace(".", QLocale().decimalPoint())


def date(started: str) -> str:
    """A local date and time (ISO 8601) in the format of the language; other texts are unchanged."""
    moment = QDateTime.fromString(started[:19], "yyyy-MM-ddTHH:mm:ss")
    return QLocale().toString(moment, tr("d MMM yyyy HH:mm")) if moment.isValid() else started
