"""The classes shown in reports and the app: eight expressions, and "other" for the classes that name none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeemo.palette import OTHER, UNSURE
from edgeemo.types import F32
from engines.spec import Emotion

__all__ = ["DASHED", "OTHER", "UNSURE", "folded", "name_of", "shown_class", "shown_classes"]

# drawn with broken lines, so that curves do not differ only by colour
DASHED = ("disgust", "contempt")


def shown_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """The expressions among the labels, then "other" if there are more.

    Args:
        labels: K class names.
    """
    expressions = tuple(label for label in labels if Emotion.of(label).is_expression)
    return (*expressions, OTHER) if len(expressions) < len(labels) else expressions


def shown_class(label: str) -> str:
    """The shown class of a label."""
    return label if label in (UNSURE, OTHER) or Emotion.of(label).is_expression else OTHER


def folded(values: F32, labels: Sequence[str]) -> F32:
    """(..., K) values of all labels -> (..., M) values of `shown_classes`."""
    expressions = [Emotion.of(label).is_expression for label in labels]
    if all(expressions):
        return values
    rest = values[..., ~np.array(expressions)].sum(axis=-1, keepdims=True)
    return np.asarray(np.concatenate([values[..., np.array(expressions)], rest], axis=-1), np.float32)


def name_of(shown: str) -> str:
    """The display name of a shown class or label, for example "Happiness", "Other", "Unsure"."""
    key = shown_class(shown)
    return key.capitalize() if key in (UNSURE, OTHER) else Emotion.of(key).display
