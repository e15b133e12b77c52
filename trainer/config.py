"""All settings of a training: `FitConfig` with its losses and augmentation, and the recipes of the poster's table.

Called by the command line, which fills a `FitConfig`, and by everything that trains or describes a run. No torch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from engines.files import read_file
from trainer.errors import RunError

LARGEST_FILE = 1 << 16  # bytes of settings; the TOML parser takes minutes for some larger ones
SAFETENSORS = ".safetensors"
CHECKPOINT_SUFFIXES = (".pt", SAFETENSORS)
LARGEST_SEED = 1 << 32  # seeds of epochs are multiples of it and have 64 bits
TRAINED_ON_ALL = "trained on the validation split too"  # in the summary of a run of `fit --all`
BEST = "best.pt"  # in a run folder: the checkpoint with the highest validation accuracy

Augmentation = Literal["full", "light", "poster", "none"]
Precision = Literal["bf16", "fp16", "fp32"]
# the limits are checked where a file is read; `trainer.fit_options` checks options
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Sizes = tuple[tuple[Annotated[int, msgspec.Meta(ge=16, multiple_of=8)], Positive], ...]


@dataclass(frozen=True)
class LossConfig:
    """Settings of the loss; all are off by default.

    Attributes:
        smoothing: share of every target spread evenly over the classes.
        class_weight: the weight of a class is (1 / its share of the data) to this power; 1 balances the classes.
        logit_adjustment: this times the logarithm of each class's share is added to the logits during training, so
            that the network need not learn the shares (Menon et al., 2021).
        focal: exponent of the focal loss: the weight of a face is (1 - p of its class) ** focal (Lin et al., 2017).
    """

    smoothing: Share = 0.0
    class_weight: float = 0.0
    logit_adjustment: NotNegative = 0.0
    focal: NotNegative = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.class_weight <= 1:
            raise ValueError(f"--class-weight is a power between 0 and 1, not {self.class_weight:g}")


@dataclass(frozen=True)
class AugmentConfig:
    """Largest strength and probability of each change."""

    flip: NotNegative = 0.5
    rotate_degrees: NotNegative = 15.0
    scale: NotNegative = 0.12  # 0.12: 0.88 to 1.12 times
    shift: NotNegative = 0.06  # in sides of the picture
    brightness: NotNegative = 0.2  # of the range 0..255
    dim: NotNegative = 0.12  # probability of dimming the light to between an eighth and a half
    contrast: NotNegative = 0.3
    gamma: NotNegative = 0.3
    noise: NotNegative = 6.0  # grey levels
    blur: NotNegative = 0.15
    low_resolution: NotNegative = 0.15
    occlude: NotNegative = 0.3
    occlude_side: NotNegative = 0.45  # of the side, at most
    saturation: NotNegative = 0.3  # colour faces only, as hue
    hue_degrees: NotNegative = 10.0


OFF = AugmentConfig(
    flip=0.0,
    rotate_degrees=0.0,
    scale=0.0,
    shift=0.0,
    brightness=0.0,
    dim=0.0,
    contrast=0.0,
    gamma=0.0,
    noise=0.0,
    blur=0.0,
    low_resolution=0.0,
    occlude=0.0,
    saturation=0.0,
    hue_degrees=0.0,
)
# "light" is for the last epochs after "full", so that a small network ends with faces as they usually look.
# "poster" is the poster's DA: horizontal flip and colour jitter; their strength is not stated, these are common values.
PRESETS: dict[str, AugmentConfig] = {
    "full": AugmentConfig(),
    "light": AugmentConfig(
        rotate_degrees=8.0,
        scale=0.06,
        shift=0.03,
        brightness=0.15,
        dim=0.06,
        contrast=0.2,
        gamma=0.2,
        noise=3.0,
        blur=0.07,
        low_resolution=0.07,
        occlude=0.1,
    ),
    "poster": replace(OFF, flip=0.5, brightness=0.1, contrast=0.2, saturation=0.2, hue_degrees=10.0),
    "none": OFF,
}


@dataclass(frozen=True)
class FitConfig:
    """Everything that determines a run's result; stored in its folder as config.json.

    Attributes:
        arch: the network, see `trainer.models.ARCHITECTURES`.
        data: KIND:PATH, see `trainer.data.open_data`; its validation split chooses the best epoch.
        extra_data: further data sets; their training splits are added.
        start_from: a run, checkpoint or engine of the same network that gives the initial weights, or "". A hybrid_wide
            also starts from a hybrid_lite, see `trainer.models.hybrid_lite.grow`. densenet and hybrid also start from
            each other: their trunks are the same, the other layers get random weights.
        head_only: train the layers after the last feature maps; those before keep the weights and the batch-norm
            statistics of `start_from`.
        batch: faces per step, over all processes.
        accumulate: gradients of a step are accumulated over this many parts, which takes less memory; batch norms
            see one part at a time.
        train_on_all: train on the validation split too; nothing is validated, and the last epoch is kept.
        folds, fold: the union of training and validation split is divided into `folds` parts, equal pictures into the
            same part (with by=person, all pictures of a person); part `fold`, counted from 1, is used for validation.
            0: the data set's own splits.
        warmup: share of the run in which the learning rate rises.
        sizes: successive input sizes and their epochs, under one learning-rate schedule; empty: the network's own
            size. The finished network takes the last size.
        valid_precision: of the forward pass over the validation faces.
        clip_norm: largest norm of the gradient, 0 for no limit.
        ema_decay: of the exponential moving average of the weights, which is validated and saved.
        mixup, cutmix: see `trainer.augment.mix`.
        non_faces: share of faces replaced by non-faces with the label no_face, see `trainer.augment.make_non_faces`.
        precision: of the forward pass; weights and their updates are always float32. "auto": what is fastest on the
            device, see `trainer.precision`; a resumed run keeps it.
        patience: stop after this many epochs without a higher accuracy; 0: never.
        dropout: replaces the network's own; None keeps it.
        teachers: runs, checkpoints or engines to learn from beside the labels, see `trainer.distill`.
        teacher_weight: the teachers' share of the loss.
        teacher_draw: each step uses one teacher, drawn at random, on the faces or their mirror images.
        recipe: the row of the poster's table that this run reproduces, or "".
    """

    arch: str = "hybrid_lite"
    data: str = ""
    extra_data: tuple[str, ...] = ()
    start_from: str = ""
    head_only: bool = False
    epochs: Positive = 60
    batch: Positive = 128
    accumulate: Positive = 1
    train_on_all: bool = False
    folds: int = 0
    fold: int = 0
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: NotNegative = 2e-3
    momentum: NotNegative = 0.9  # of SGD
    weight_decay: NotNegative = 0.05
    warmup: Share = 0.05
    sizes: Sizes = ()
    ema_decay: Share = 0.998
    mixup: NotNegative = 0.2
    cutmix: NotNegative = 0.0
    non_faces: Share = 0.0
    clip_norm: NotNegative = 2.0
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    valid_precision: Literal["bf16", "fp32"] = "fp32"
    patience: int = 0
    dropout: Share | None = None
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    teachers: tuple[str, ...] = ()
    teacher_weight: Share = 0.7
    teacher_temperature: float = 2.0
    teacher_draw: bool = False
    recipe: str = ""

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"--patience is 0 (never) or a number of epochs, not {self.patience}")
        if abs(self.seed) >= LARGEST_SEED:
            raise ValueError(f"--seed must be below {LARGEST_SEED:,}, not {self.seed}")
        if not self.teacher_temperature > 0:
            raise ValueError(f"--teacher-temperature must be above 0, not {self.teacher_temperature:g}")
        if self.head_only and not self.start_from:
            raise ValueError("--head-only keeps the other layers as they are, so it needs --start-from")
        if self.sizes and self.epochs != sum(epochs for _, epochs in self.sizes):
            raise ValueError(f"{self.epochs} epochs, but the stages {self.sizes} have another sum")
        if self.accumulate < 1 or self.batch % self.accumulate:
            raise ValueError(f"batches of {self.batch} faces cannot be accumulated in {self.accumulate} equal parts")
        if self.folds == 1 or self.folds < 0 or not (1 <= self.fold <= self.folds or self.fold == self.folds == 0):
            raise ValueError(f"fold {self.fold} of {self.folds}: --folds 2 or more needs --fold from 1 to as many")
        if self.train_on_all and (self.folds or self.patience):
            raise ValueError("--all has no validation, so it excludes --folds and --patience")

    def size_at(self, epoch: int) -> int | None:
        """Pixels across of the network's input in an epoch, counted from 0; None: the network's own size."""
        for size, epochs in self.sizes:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.sizes[-1][0] if self.sizes else None


# config.json's keys of earlier versions -> today's
RENAMED = {"also": "extra_data", "average_decay": "ema_decay", "scrambled": "non_faces"}


def config_from_json(text: str) -> FitConfig:
    """Read a run's config.json. Settings missing in older versions get their default; unknown ones are ignored.

    Raises:
        ValueError: it is not JSON, or a setting has the wrong type.
    """
    stored = json.loads(text)
    if not isinstance(stored, Mapping):
        raise ValueError("not an object")
    return msgspec.convert({RENAMED.get(key, key): value for key, value in stored.items()}, FitConfig)


def settings_from_file(path: Path) -> dict[str, Any]:
    """Settings of a TOML file, or of a run's config.json, as arguments of `FitConfig`.

    TOML has the keys of `FitConfig`, with `network` for `arch`; `augment` may be the name of a preset, and `recipe`
    supplies what the file does not set.

    Raises:
        RunError: it cannot be read, or has an unknown key or a value of the wrong type.
    """
    try:
        text = read_file(path, limit=LARGEST_FILE).decode()
        if path.suffix.lower() == ".json":
            config = config_from_json(text)
            return {item.name: getattr(config, item.name) for item in fields(config)}
        stored = {RENAMED.get(key, key): value for key, value in tomllib.loads(text).items()}
        if "network" in stored:
            stored["arch"] = stored.pop("network")
        unknown = sorted(set(stored) - {item.name for item in fields(FitConfig)})
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}")
        preset = stored.get("augment")
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise ValueError(f"augment must be one of {', '.join(PRESETS)}, or a table, not {preset!r}")
            stored["augment"] = asdict(PRESETS[preset])
        if "sizes" in stored:
            stored.setdefault("epochs", sum(epochs for _, epochs in stored["sizes"]))
        # the fold may come from the command line
        fold = {"fold": 1} if stored.get("folds") and "fold" not in stored else {}
        config = msgspec.convert(stored | fold, FitConfig)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, RecursionError) as error:  # TOML's, JSON's and msgspec's errors are ValueError
        raise RunError(f"{path} is not a valid training configuration: {error}") from error
    given = {key: getattr(config, key) for key in stored}
    return find_recipe(config.recipe).settings() | given if config.recipe else given


def config_to_json(config: FitConfig) -> str:
    return json.dumps(asdict(config), indent=2) + "\n"


def changed_settings(stored: FitConfig, wanted: FitConfig) -> list[str]:
    """Names of the settings that differ; precision "auto" means that of the stored run."""
    if wanted.precision == "auto":
        wanted = replace(wanted, precision=stored.precision)
    before, after = asdict(stored), asdict(wanted)
    return sorted(key for key in after if before[key] != after[key])


def is_longer(stored: FitConfig, wanted: FitConfig) -> bool:
    """Whether `wanted` is the stored run with more epochs at its last input size, so that it can be continued."""
    if wanted.epochs <= stored.epochs or len(wanted.sizes) != len(stored.sizes):
        return False
    if stored.sizes and (wanted.sizes[:-1], wanted.sizes[-1][0]) != (stored.sizes[:-1], stored.sizes[-1][0]):
        return False
    return not changed_settings(stored, replace(wanted, epochs=stored.epochs, sizes=stored.sizes))


def augmentation_name(config: AugmentConfig) -> str | None:
    """Name of the preset with these settings; None for custom ones."""
    return next((name for name, preset in PRESETS.items() if preset == config), None)


HUMANS = {"human, untrained": 0.570, "human, trained": 0.630}


@dataclass(frozen=True)
class Recipe:
    """How one row of the poster's table is trained.

    The accuracies and which rows had augmentation are the poster's ("Emotion Recognition on AffectNet via CNNs",
    Ayerdi, Bucknell). It gives no optimiser, learning rate or number of epochs: those are ours.

    Attributes:
        title: the row's name on the poster.
        arch: its network.
        augment: "poster" (flip and colour jitter, the poster's DA), "none", or "full" (this trainer's own).
        sizes: see `FitConfig.sizes`; empty: the network's own size for all epochs.
        poster: accuracy on AffectNet, 11 classes, as printed; None where the row is ours.
    """

    title: str
    arch: str
    augment: Augmentation
    poster: float | None
    sizes: Sizes = ()

    def settings(self) -> dict[str, Any]:
        """The settings of a `FitConfig` that the recipe fixes."""
        settings: dict[str, Any] = {"arch": self.arch, "augment": PRESETS[self.augment]}
        if self.augment != "full":
            settings["mixup"] = 0.0
        if self.sizes:
            settings |= {"sizes": self.sizes, "epochs": sum(epochs for _, epochs in self.sizes)}
        return settings


# The large networks start on smaller faces, which cost a seventh at 48 px and a quarter at 64 px of what 128 px cost,
# and end at the poster's 128 px. On AffectNet's 350,000 training faces eight epochs are 22,000 steps.
GROWING: Sizes = ((48, 8), (64, 8), (128, 8))
RECIPES = {
    "baseline64": Recipe("Baseline (64)", "baseline64", "none", 0.602),
    "baseline128": Recipe("Baseline (128)", "baseline128", "none", 0.607),
    "resnet64": Recipe("ResNet (64)", "resnet64", "none", 0.607),
    "resnet128": Recipe("ResNet (128)", "resnet128", "none", 0.611, GROWING),
    "baseline128_da": Recipe("Baseline (128, DA)", "baseline128", "poster", 0.602),
    "densenet_da": Recipe("DenseNet (128, DA)", "densenet", "poster", 0.632, GROWING),
    "hybrid": Recipe("Hybrid", "hybrid", "none", 0.634, GROWING),
    "hybrid_lite": Recipe("hybrid_lite", "hybrid_lite", "full", None),
    "hybrid_wide": Recipe("hybrid_wide", "hybrid_wide", "full", None),
}


def find_recipe(name: str) -> Recipe:
    """Look up a recipe by its name.

    Raises:
        RunError: there is none of that name.
    """
    if name not in RECIPES:
        raise RunError(f"no recipe named {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def poster_accuracy(arch: str) -> float | None:
    """The best accuracy that the poster gives for a network."""
    printed = [recipe.poster for recipe in RECIPES.values() if recipe.arch == arch and recipe.poster is not None]
    return max(printed, default=None)


def is_checkpoint(place: Path) -> bool:
    """Whether `place` is named like a checkpoint or is a run folder with a best.pt, so it is not an engine."""
    return place.suffix in CHECKPOINT_SUFFIXES or os.path.isfile(place / BEST)
