"""Colours of the classes on light and dark backgrounds; `scripts/check-colours` measures them."""

from __future__ import annotations

from collections.abc import Mapping

OTHER = "other"  # the classes that are not expressions: none, uncertain, no_face
UNSURE = "unsure"
LIGHT_CLASSES: Mapping[str, str] = {
    "neutral": "#818d99",
    "happiness": "#b67e00",
    "sadness": "#3776c7",
    "surprise": "#db6941",
    "fear": "#8d65b5",
    "disgust": "#50874f",
    "anger": "#c02436",
    "contempt": "#b76f46",
    OTHER: "#5b616b",
    UNSURE: "#2b3340",
}
DARK_CLASSES: Mapping[str, str] = {
    "neutral": "#9ba3ae",
    "happiness": "#f9c543",
    "sadness": "#80a9eb",
    "surprise": "#eb8543",
    "fear": "#8f61ba",
    "disgust": "#6cb565",
    "anger": "#d13f40",
    "contempt": "#9d6646",
    OTHER: "#69737d",
    UNSURE: "#e8ebf0",
}
