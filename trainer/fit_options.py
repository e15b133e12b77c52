"""The options of `edgeemo-train fit`, derived from the fields and defaults of `FitConfig`. `trainer.cli` calls it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainer.config import PRESETS, Augmentation, FitConfig, LossConfig, Sizes, find_recipe, settings_from_file
from trainer.errors import RunError


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {value}")
    return value


def seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {value}")
    return value


def number(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, not {text}")
    return value


def sizes(text: str) -> Sizes:
    stages = []
    for part in text.split(","):
        size, colon, epochs = part.partition(":")
        if not colon or not size.strip().isdigit() or not epochs.strip().isdigit():
            raise argparse.ArgumentTypeError(f"must be SIZE:EPOCHS,..., for example 48:8,64:20, not {text!r}")
        if int(size) < 16 or int(size) % 8 or not int(epochs):
            raise argparse.ArgumentTypeError(f"sizes are multiples of 8 from 16, with 1 epoch or more, not {part!r}")
        stages.append((int(size), int(epochs)))
    return tuple(stages)


@dataclass(frozen=True)
class Setting:
    """Option for one field of `FitConfig` or `LossConfig`; choices and default come from the field.

    Attributes:
        alias: a former name, accepted for one version.
    """

    help: str
    type: Callable[[str], Any] | None = None
    alias: str = ""
    metavar: str | None = None


LOOP = {
    "batch": Setting("faces per step, over all processes", positive, metavar="N"),
    "accumulate": Setting("accumulate a step's gradients over N parts: less memory", positive, metavar="N"),
    "optimiser": Setting("update rule"),
    "learning_rate": Setting("highest learning rate", number, metavar="X"),
    "momentum": Setting("of SGD", number, metavar="X"),
    "weight_decay": Setting("weight decay of matrices and kernels", number, metavar="X"),
    "warmup": Setting("share of the run in which the learning rate rises", share, metavar="X"),
    "ema_decay": Setting("decay of the moving average of the weights, 0 for none", share, "--average-decay", "X"),
    "clip_norm": Setting("largest norm of the gradient, 0 for no limit", number, metavar="X"),
    "precision": Setting("precision of the forward pass"),
    "valid_precision": Setting("precision of the validation"),
    "patience": Setting("stop after N epochs without a better accuracy, 0: never", int, metavar="N"),
    "dropout": Setting("dropout instead of the network's own", share, metavar="X"),
    "seed": Setting("seed of initial weights, order and augmentation", int, metavar="N"),
}
PICTURES = {
    "mixup": Setting("strength, 0 for none", number, metavar="X"),
    "cutmix": Setting("strength, 0 for none", number, metavar="X"),
    "non_faces": Setting("share of faces replaced by non-faces, labelled no_face", share, "--scrambled", "X"),
}
LOSS = {
    "smoothing": Setting("share of a label that is spread over all classes", share, metavar="X"),
    "class_weight": Setting("0: as in the data; 1: all classes weigh the same", number, metavar="X"),
    "logit_adjustment": Setting("0: none; 1: as if all classes were equally frequent", number, metavar="X"),
    "focal": Setting("exponent of the focal loss, 0 for none", number, metavar="X"),
}
TEACHERS = {
    "teacher_weight": Setting("the teachers' share of the loss", share, metavar="X"),
    "teacher_temperature": Setting("softens the teachers' probabilities", number, metavar="X"),
}


def add_fit_options(fit: argparse.ArgumentParser, data_help: str) -> None:
    """Add the options that determine a run's result; those not given are None or absent after parsing."""
    fit.add_argument("--data", metavar="KIND:PATH", help=data_help)
    fit.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in TOML, or a run's config.json; options override it",
    )
    fit.add_argument("--extra-data", nargs="+", metavar="KIND:PATH", help="further data sets to train on")
    add_alias(fit, "--also", "extra_data", nargs="+")
    what = fit.add_mutually_exclusive_group()
    what.add_argument("--network", metavar="NAME", help="a network, see edgeemo-train models")
    what.add_argument("--arch", dest="network", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    what.add_argument("--recipe", metavar="NAME", help="a row of the poster's table, see edgeemo-train table")
    fit.add_argument(
        "--start-from",
        metavar="RUN_OR_ENGINE",
        help="run folder, .pt or engine that gives the initial weights, for example hybrid_lite",
    )
    fit.add_argument(
        "--head-only",
        action="store_true",
        default=None,
        help="train only the layers after the last feature maps; with --start-from",
    )
    _add_validation(fit)
    loop = fit.add_argument_group("loop")
    length = loop.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, metavar="N", help=f"default: {FitConfig().epochs}")
    length.add_argument(
        "--sizes",
        type=sizes,
        metavar="SIZE:EPOCHS,...",
        help="successive input sizes, for example 48:8,64:20; the network then takes the last one",
    )
    _add(loop, LOOP, FitConfig)
    pictures = fit.add_argument_group("pictures")
    pictures.add_argument(
        "--augment",
        choices=get_args(Augmentation),
        help="light: for the last epochs; poster: flip and colour jitter (default: the recipe's, else full)",
    )
    _add(pictures, PICTURES, FitConfig)
    _add(fit.add_argument_group("loss"), LOSS, LossConfig)
    teach = fit.add_argument_group("distillation")
    teach.add_argument(
        "--teacher",
        nargs="+",
        dest="teachers",
        metavar="RUN_OR_ENGINE",
        help="networks to learn from beside the labels",
    )
    _add(teach, TEACHERS, FitConfig)
    teach.add_argument(
        "--teacher-draw",
        action="store_true",
        default=None,
        help="each step uses one teacher, drawn at random, on the faces or their mirror images: the mean of "
        "all at the cost of one",
    )


def _add_validation(fit: argparse.ArgumentParser) -> None:
    held = fit.add_argument_group("validation (default: the validation split)")
    held.add_argument(
        "--all",
        dest="train_on_all",
        action="store_true",
        default=None,
        help="no validation: train on that split too and keep the last epoch",
    )
    held.add_argument(
        "--folds", type=positive, metavar="K", help="validate on one of K parts of train and validation split"
    )
    held.add_argument(
        "--fold", type=positive, metavar="I", help="number of the part, from 1; equal pictures share a part"
    )


def add_alias(parser: Any, old: str, dest: str, **kind: Any) -> None:
    """Accept an option's former name for one version, without listing it in the help."""
    parser.add_argument(old, dest=dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **kind)


def _add(group: Any, settings: Mapping[str, Setting], config: type) -> None:
    hints = get_type_hints(config)
    defaults = {item.name: item.default for item in fields(config)}
    for name, setting in settings.items():
        kind: dict[str, Any] = {"type": setting.type}
        if get_origin(hints[name]) is Literal:
            kind = {"choices": get_args(hints[name])}
        default = defaults[name]
        shown = "" if default is None else f" (default: {default})"
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, help=setting.help + shown, metavar=setting.metavar, **kind)
        if setting.alias:
            add_alias(group, setting.alias, name, **kind)


def fit_config(options: argparse.Namespace) -> FitConfig:
    """The settings of a run: options override the --config file, which overrides the recipe.

    Raises:
        RunError: there is no such recipe, the file cannot be read, or the settings contradict each other.
    """
    given = {key: value for key, value in vars(options).items() if value is not None}
    settings: dict[str, Any] = {"augment": PRESETS["full"]}
    if "config" in given:
        settings |= settings_from_file(given["config"])
    if "recipe" in given:
        settings |= {"recipe": given["recipe"], **find_recipe(given["recipe"]).settings()}
    elif "network" in given:
        settings |= {"arch": given["network"], "recipe": ""}
    if "arch" not in settings:
        raise RunError("no network given: use --network NAME, --recipe NAME or a --config FILE that names one")
    if "augment" in given:
        settings["augment"] = PRESETS[given["augment"]]
    if "sizes" in given:
        settings |= {"sizes": given["sizes"], "epochs": sum(epochs for _, epochs in given["sizes"])}
    elif "epochs" in given:
        settings |= {"sizes": (), "epochs": given["epochs"]}
    plain = {"data", "start_from", "head_only", "teacher_draw", "train_on_all", "folds", "fold"}
    settings |= {key: given[key] for key in {*LOOP, *PICTURES, *TEACHERS, *plain} if key in given}
    settings |= {key: tuple(given[key]) for key in ("extra_data", "teachers") if key in given}
    if not settings.get("data"):
        raise RunError("no data given: use --data KIND:PATH or a --config FILE that names it")
    losses = {key: given[key] for key in LOSS if key in given}
    settings["loss"] = replace(settings.get("loss", LossConfig()), **losses)
    try:
        return FitConfig(**settings)
    except ValueError as error:
        raise RunError(str(error)) from error


def run_folder(options: argparse.Namespace, config: FitConfig) -> Path:
    """The run folder: --run, else runs/ with the name of recipe or network and the fold, if any."""
    run: Path | None = options.run
    part = f"-fold{config.fold}" if config.fold else "-all" if config.train_on_all else ""
    return run or Path("runs") / f"{config.recipe or config.arch}{part}"
