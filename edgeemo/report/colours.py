"""Colours of the classes on light and dark backgrounds, and measures of contrast and difference.

Each colour has a contrast of at least 3:1 against the backgrounds of its theme (WCAG 2.2, 1.4.11). Curves with the same
line style are distinguishable with deuteranopia (Machado, Oliveira and Fernandes, 2009). `scripts/check-colours` checks
both. Used by reports and the app.
"""

from __future__ import annotations

import numpy as np

from edgeemo.types import F32

CONTRAST = 3.0
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]], np.float32
)
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
)
_WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)


def channels(colour: str) -> tuple[float, float, float]:
    """#rrggbb -> red, green, blue in 0..1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def luminance(colour: str) -> float:
    """Relative luminance by WCAG, 0..1."""
    return float(_linear(colour) @ np.array([0.2126, 0.7152, 0.0722], np.float32))


def contrast(colour: str, background: str) -> float:
    """Contrast ratio by WCAG, 1..21."""
    darker, lighter = sorted((luminance(colour), luminance(background)))
    return (lighter + 0.05) / (darker + 0.05)


def difference(colour: str, other: str, *, deuteranopia: bool = False) -> float:
    """Distance of two colours in CIELAB (1976); 2 is just noticeable side by side."""
    return float(np.linalg.norm(_lab(colour, deuteranopia) - _lab(other, deuteranopia)))


def _linear(colour: str) -> F32:
    values = np.array(channels(colour), np.float32)
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4), np.float32)


def _lab(colour: str, deuteranopia: bool) -> F32:
    linear = _linear(colour)
    if deuteranopia:
        linear = np.clip(_DEUTERANOPIA @ linear, 0, 1)
    x, y, z = np.asarray(_TO_XYZ @ linear / _WHITE).tolist()
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], np.float32)
