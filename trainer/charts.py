"""Figures: learning curves, confusion, reliability, risk-coverage, robustness.

Called by training, evaluation and robustness, with plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

matplotlib.use("agg")  # a server has no display

LOSSES = {"train_loss": "train", "valid_loss": "valid"}


def draw_curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Losses and accuracy by epoch, from the rows of metrics.csv."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    validated = all("valid_accuracy" in row for row in rows)
    for key, name in LOSSES.items():
        if validated or not key.startswith("valid"):
            losses.plot(epochs, [row[key] for row in rows], label=name)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    if validated:
        accuracy.plot(epochs, [100 * row["valid_accuracy"] for row in rows], color="tab:green")
    accuracy.set(xlabel="epoch", ylabel="accuracy on valid, %")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Confusion matrix as shares of each true class (row), with the counts."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.62 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    for row in range(len(classes)):
        for column in range(len(classes)):
            if confusion[row, column]:
                axes.text(
                    column,
                    row,
                    f"{shares[row, column]:.0%}\n{confusion[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if shares[row, column] > 0.5 else "black",
                )
    figure.savefig(path, dpi=120)


def draw_reliability(
    bins: Sequence[tuple[float, float, int]],
    coverage: npt.NDArray[np.float64],
    risk: npt.NDArray[np.float64],
    path: Path,
) -> None:
    """Left: accuracy by confidence (each bin's mean confidence, accuracy, count). Right: error by coverage."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    total = sum(count for _, _, count in bins)
    sizes = [8 + 400 * count / total for _, _, count in bins]
    left.scatter([bin_[0] for bin_ in bins], [bin_[1] for bin_ in bins], s=sizes, alpha=0.7)
    left.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    right.plot(100 * coverage, 100 * risk)
    right.set(xlabel="coverage, %", ylabel="errors, %", xlim=(0, 100))
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


@dataclass(frozen=True, eq=False)
class RobustnessCurve:
    """Accuracy under one kind of condition.

    Attributes:
        kind: its title.
        names: of L conditions.
        accuracy: (L, 3) accuracy with its 95 % interval: low, value, high; as shares.
        ordered: the conditions are levels of one quantity and are joined by a line.
    """

    kind: str
    names: tuple[str, ...]
    accuracy: npt.NDArray[np.float64]
    ordered: bool


def draw_robustness(curves: Sequence[RobustnessCurve], base: float, path: Path) -> None:
    """One curve per kind of condition, with 95 % intervals; lines mark the unchanged pictures and a drop of 5 points.

    Args:
        base: accuracy on the unchanged pictures.
    """
    across = min(4, max(1, len(curves)))
    down = max(1, -(-len(curves) // across))
    figure = Figure(figsize=(3.2 * across, 2.8 * down), layout="constrained")
    grid = np.asarray(figure.subplots(down, across, sharey=True, squeeze=False)).ravel()
    for axes, curve in zip(grid, curves, strict=False):
        low, middle, high = 100 * curve.accuracy.T
        spread = np.stack([middle - low, high - middle])
        style = "-" if curve.ordered else "none"
        axes.errorbar(range(len(middle)), middle, spread, marker="o", capsize=3, linestyle=style)
        axes.axhline(100 * base, color="grey", linewidth=0.8)
        axes.axhline(100 * base - 5, color="tab:red", linewidth=0.8, linestyle="--")
        axes.set_xticks(range(len(middle)), curve.names, rotation=0 if curve.ordered else 30)
        axes.set_title(curve.kind)
        axes.grid(alpha=0.3)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    for axes in grid[::across]:
        axes.set_ylabel("accuracy, %")
    figure.savefig(path, dpi=110)
