"""Compare run folders with the poster's table. Called by `edgeemo-train table` and `edgeemo-train models`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engines.metrics import wilson
from trainer.config import HUMANS, PRESETS, RECIPES, FitConfig
from trainer.errors import RunError
from trainer.models import ARCHITECTURES
from trainer.runs import CONFIG, load_config, read_metrics, read_result

HEAD = (
    "| model | input | poster: AffectNet, 11 classes | ours | 95 % interval | mean recall | measured on | epochs |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Result:
    """Result of one run: the best epoch on its validation split.

    Attributes:
        row: its recipe, or "".
        done: trained epochs of `epochs`.
    """

    run: Path
    arch: str
    row: str
    measured_on: str
    accuracy: float
    interval: tuple[float, float] | None
    mean_recall: float | None
    done: int
    epochs: int


def load_result(run: Path) -> Result:
    """A run folder's result.

    Raises:
        RunError: it is not a run folder, or has no finished epoch.
    """
    try:
        config = load_config(run)
        rows = read_metrics(run)
        result = read_result(run)
    except (OSError, ValueError) as error:
        raise RunError(f"{run} has damaged figures: {error}") from error
    if not rows:
        raise RunError(f"{run} has no finished epoch yet")
    if config.train_on_all:
        raise RunError(f"{run} has no accuracy, because it was also trained on the validation split")
    accuracy = result.get("accuracy", max(row["valid_accuracy"] for row in rows))
    faces = result.get("faces")
    kind = config.data.partition(":")[0]
    classes = f", {result['classes']} classes" if "classes" in result else ""
    return Result(
        run=run,
        arch=config.arch,
        row=_row(config),
        measured_on=f"{kind} valid{classes}",
        accuracy=accuracy,
        interval=wilson(round(accuracy * faces), faces) if faces else None,
        mean_recall=result.get("mean_recall"),
        done=int(rows[-1]["epoch"]),
        epochs=config.epochs,
    )


def measured(arch: str, runs: Path, zoo: Path) -> str:
    """Accuracy of a network for the list of networks: that of its bundle, else of its best run, else "-"."""
    bundle = zoo / arch / "scores.json"
    if bundle.is_file():
        scores = json.loads(bundle.read_text(encoding="utf-8"))
        return f"{scores['accuracy']:.1%} ({scores['data']} {scores['split']}, {len(scores['classes'])} classes)"
    results = []
    for run in find_runs([runs]) if runs.is_dir() else []:
        with contextlib.suppress(RunError):  # skip runs without a finished epoch
            results.append(load_result(run))
    best = max((one for one in results if one.arch == arch), key=lambda one: one.accuracy, default=None)
    return "-" if best is None else f"{best.accuracy:.1%} ({best.measured_on}, run {best.run.name})"


def _row(config: FitConfig) -> str:
    """The recipe that a run names, else the one with its network and augmentation."""
    if config.recipe:
        return config.recipe
    for name, recipe in RECIPES.items():
        if recipe.arch == config.arch and PRESETS[recipe.augment] == config.augment:
            return name
    return ""


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Run folders among the given folders and one level below."""
    found = []
    for place in places:
        if (place / CONFIG).is_file():
            found.append(place)
        elif place.is_dir():
            found += sorted(item.parent for item in place.glob(f"*/{CONFIG}"))
        else:
            raise RunError(f"no run folder at {place}")
    return found


def table(results: Iterable[Result]) -> str:
    """Markdown table: the poster's rows in order, each with our runs, then our other runs."""
    left = list(results)
    humans = list(HUMANS.items())
    rows = [_line(humans[0][0], "", humans[0][1], None)]
    for name, recipe in RECIPES.items():
        size = ARCHITECTURES[recipe.arch].spec.size
        if name == "densenet_da":
            rows.append(_line(humans[1][0], "", humans[1][1], None))
        ours = [one for one in left if one.row == name]
        left = [one for one in left if one.row != name]
        best = max(ours, key=lambda one: one.accuracy, default=None)
        rows.append(_line(recipe.title, f"{size}x{size}", recipe.poster, best))
        left += [one for one in ours if one is not best and one.measured_on != (best and best.measured_on)]
    for one in left:
        size = ARCHITECTURES[one.arch].spec.size
        rows.append(_line(f"{one.arch} ({one.run.name})", f"{size}x{size}", None, one))
    return "\n".join([HEAD, *rows])


def _line(title: str, size: str, poster: float | None, ours: Result | None) -> str:
    cells = [title, size, "" if poster is None else f"{poster:.1%}"]
    if ours is None:
        cells += [""] * 5
    else:
        cells += [
            f"{ours.accuracy:.2%}",
            "" if ours.interval is None else f"{ours.interval[0]:.1%} to {ours.interval[1]:.1%}",
            "" if ours.mean_recall is None else f"{ours.mean_recall:.1%}",
            ours.measured_on,
            f"{ours.done} of {ours.epochs}" if ours.done < ours.epochs else str(ours.done),
        ]
    return "| " + " | ".join(cells) + " |"
