"""Pictures of numbers: learning curves, confusion, reliability, risk against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from trainer.robustness import Row

matplotlib.use("agg")  # a server has no display

LOSSES = {"train_loss": "train", "valid_loss": "valid"}


def draw_curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Losses and accuracy by epoch, from the rows of metrics.csv."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for key, name in LOSSES.items():
        losses.plot(epochs, [row[key] for row in rows], label=name)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    accuracy.plot(epochs, [100 * row["valid_accuracy"] for row in rows], color="tab:green")
    accuracy.set(xlabel="epoch", ylabel="accuracy on valid, %")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Shares of each true class (row), with the counts."""
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
    right.set(xlabel="faces answered, the surest first, %", ylabel="errors among them, %", xlim=(0, 100))
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_robustness(table: Sequence[Row], path: Path) -> None:
    """One curve a kind of condition, with 95 % intervals; the lines are the unchanged pictures and 5 points less."""
    base = table[0]
    kinds = list(dict.fromkeys(row.condition.kind for row in table if row.condition is not None))
    across = min(4, max(1, len(kinds)))
    down = max(1, -(-len(kinds) // across))
    figure = Figure(figsize=(3.2 * across, 2.8 * down), layout="constrained")
    grid = np.asarray(figure.subplots(down, across, sharey=True, squeeze=False)).ravel()
    for axes, kind in zip(grid, kinds, strict=False):
        rows = [row for row in table if row.condition is not None and row.condition.kind == kind]
        names = [row.name.removeprefix(f"{kind} ") for row in rows]
        middle = np.array([100 * row.accuracy for row in rows])
        spread = np.array([[row.accuracy - row.low, row.high - row.accuracy] for row in rows]).T * 100
        levels = rows[0].condition is not None and not rows[0].condition.how
        axes.errorbar(range(len(rows)), middle, spread, marker="o", capsize=3, linestyle="-" if levels else "none")
        axes.axhline(100 * base.accuracy, color="grey", linewidth=0.8)
        axes.axhline(100 * base.accuracy - 5, color="tab:red", linewidth=0.8, linestyle="--")
        axes.set_xticks(range(len(rows)), names, rotation=0 if levels else 30)
        axes.set_title(kind)
        axes.grid(alpha=0.3)
    for axes in grid[len(kinds) :]:
        axes.set_visible(False)
    for axes in grid[::across]:
        axes.set_ylabel("accuracy, %")
    figure.savefig(path, dpi=110)
