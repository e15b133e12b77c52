"""The taxonomy of expressions, and `ModelSpec`: what a model expects of its input. Used by all packages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import msgspec

from engines.errors import SpecError
from engines.files import read_file

Colour = Literal["grey", "rgb"]


class Emotion(Enum):
    """AffectNet's eleven classes, in AffectNet's order (Mollahosseini et al., 2017).

    The first eight are expressions; the last three say why there is none.
    """

    NEUTRAL = ("neutral", "Neutral", "#9aa5b1")
    HAPPINESS = ("happiness", "Happiness", "#f6c344")
    SADNESS = ("sadness", "Sadness", "#4f83cc")
    SURPRISE = ("surprise", "Surprise", "#f08a4b")
    FEAR = ("fear", "Fear", "#8e6bbf")
    DISGUST = ("disgust", "Disgust", "#5fa55a")
    ANGER = ("anger", "Anger", "#d64545")
    CONTEMPT = ("contempt", "Contempt", "#b0704f")
    NONE = ("none", "None of these", "#6b7280")
    UNCERTAIN = ("uncertain", "Uncertain", "#7b8794")
    NO_FACE = ("no_face", "No face", "#52606d")

    def __init__(self, label: str, display: str, colour: str) -> None:
        self.label = label
        self.display = display
        self.colour = colour

    @classmethod
    def of(cls, label: str) -> Emotion:
        emotion = _BY_LABEL.get(label)
        if emotion is None:
            raise SpecError(f"unknown emotion {label!r}; known: {', '.join(LABELS)}")
        return emotion

    @property
    def is_expression(self) -> bool:
        return self.label in EXPRESSIONS

    @property
    def bgr(self) -> tuple[int, int, int]:
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return blue, green, red


LABELS: tuple[str, ...] = tuple(emotion.label for emotion in Emotion)
_BY_LABEL = {emotion.label: emotion for emotion in Emotion}
EXPRESSIONS: tuple[str, ...] = LABELS[:8]


@dataclass(frozen=True)
class CropGeometry:
    """The part of the frame around a detected face that is cropped for the network.

    Attributes:
        scale: side of the square crop, in sides of the detector's box (its longer side).
        rise: distance of the crop's centre above the box's centre, in box heights.
        align: rotate the crop so that the line between the eyes is level.
    """

    scale: float = 1.14
    rise: float = 0.08
    align: bool = True

    def __post_init__(self) -> None:
        if not 0.5 <= self.scale <= 4:
            raise SpecError(f"crop scale must be between 0.5 and 4, not {self.scale}")
        if not -1 <= self.rise <= 1:
            raise SpecError(f"crop rise must be between -1 and 1, not {self.rise}")


@dataclass(frozen=True)
class ModelSpec:
    """Input and labels of a trained model: spec.json of its bundle.

    The graph takes float32 (N, C, size, size) in 0..255 and returns probabilities (N, K): normalisation, calibration
    temperature and softmax are inside it. `temperature` records the built-in value. `plausible_from` is the threshold
    of its 95 % sets (`engines.conformal`); 0: not calibrated.

    Raises:
        SpecError: a value is out of range; the message names it.
    """

    name: str
    labels: tuple[str, ...] = LABELS
    size: int = 64
    colour: Colour = "grey"
    crop: CropGeometry = field(default_factory=CropGeometry)
    temperature: float = 1.0
    input: str = "faces"
    output: str = "probabilities"
    plausible_from: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise SpecError("the model has no name")
        unknown = [label for label in self.labels if label not in LABELS]
        if unknown or len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise SpecError(
                f"labels must be two or more different ones of {', '.join(LABELS)}; got {', '.join(self.labels)}"
            )
        if not 8 <= self.size <= 1024:
            raise SpecError(f"input size must be between 8 and 1024 pixels, not {self.size}")
        if self.colour not in ("grey", "rgb"):
            raise SpecError(f"colour must be grey or rgb, not {self.colour!r}")
        if not 0 < self.temperature < 100:
            raise SpecError(f"temperature must be between 0 and 100, not {self.temperature}")
        if not 0 <= self.plausible_from <= 1:
            raise SpecError(f"plausible_from must be between 0 and 1, not {self.plausible_from}")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read a spec.json. Unknown keys are errors, missing ones take their default.

        Raises:
            SpecError: the text is not a JSON object, or a key or value is wrong.
        """
        try:
            data = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise SpecError(f"not valid JSON ({error})") from error
        _expect_known(cls, data)
        if "crop" in data:
            _expect_known(CropGeometry, data["crop"])
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise SpecError(f"a value has the wrong type or is missing ({error})") from error

    @classmethod
    def load(cls, path: Path) -> ModelSpec:
        try:
            return cls.from_json(read_file(path).decode())
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise SpecError(f"cannot read {path}: {why}; copy or make the bundle again") from error
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from error


def _expect_known(kind: type, data: Any) -> None:
    """Raises: SpecError: it is not an object, or has an unknown key."""
    if not isinstance(data, dict):
        raise SpecError(f"expected an object with the keys of {kind.__name__}, got {type(data).__name__}")
    known = [item.name for item in fields(kind)]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise SpecError(f"unknown key {', '.join(unknown)}; known: {', '.join(known)}")
