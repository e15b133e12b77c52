"""The rows of the poster's table, each as settings that one command trains.

The accuracies and which rows had augmentation are the poster's ("Emotion Recognition on AffectNet via CNNs", Ayerdi,
Bucknell). It prints no optimiser, rate or length: those are this trainer's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.errors import RunError

Augmentation = Literal["full", "light", "poster", "none"]

HUMANS = {"human, untrained": 0.570, "human, trained": 0.630}


@dataclass(frozen=True)
class Recipe:
    """How one row of the table is trained.

    Attributes:
        title: the row's name on the poster.
        arch: its network.
        augment: "poster" (flip and colour jitter, the poster's DA), "none", or "full" (this trainer's own).
        poster: accuracy on AffectNet, 11 classes, as printed; None where the row is ours.
    """

    title: str
    arch: str
    augment: Augmentation
    poster: float | None


RECIPES = {
    "baseline64": Recipe("Baseline (64)", "baseline64", "none", 0.602),
    "baseline128": Recipe("Baseline (128)", "baseline128", "none", 0.607),
    "resnet64": Recipe("ResNet (64)", "resnet64", "none", 0.607),
    "resnet128": Recipe("ResNet (128)", "resnet128", "none", 0.611),
    "baseline128_da": Recipe("Baseline (128, DA)", "baseline128", "poster", 0.602),
    "densenet_da": Recipe("DenseNet (128, DA)", "densenet", "poster", 0.632),
    "hybrid": Recipe("Hybrid", "hybrid", "none", 0.634),
    "hybrid_lite": Recipe("hybrid_lite", "hybrid_lite", "full", None),
    "hybrid_wide": Recipe("hybrid_wide", "hybrid_wide", "full", None),
}


def find_recipe(name: str) -> Recipe:
    """
    Raises:
        RunError: there is none of that name.
    """
    if name not in RECIPES:
        raise RunError(f"no recipe named {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def poster_accuracy(arch: str) -> float | None:
    """The best that the poster prints for a network."""
    printed = [recipe.poster for recipe in RECIPES.values() if recipe.arch == arch and recipe.poster is not None]
    return max(printed, default=None)
