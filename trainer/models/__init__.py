"""The networks, one file each, and the table of their builders. Called by training, export and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engines.spec import LABELS, ModelSpec
from trainer.config import FitConfig
from trainer.errors import RunError
from trainer.models.baseline import baseline64, baseline128
from trainer.models.densenet import DenseNet
from trainer.models.hybrid import Hybrid
from trainer.models.hybrid_lite import HybridLite, hybrid_wide
from trainer.models.layers import Network
from trainer.models.resnet import resnet64, resnet128


@dataclass(frozen=True)
class Architecture:
    """A network and the input it is designed for.

    Attributes:
        build: number of classes -> network from normalised faces (N, C, S, S) to logits (N, K).
        spec: input size, colour and crop geometry that the network is trained with.
    """

    build: Callable[[int], Network]
    spec: ModelSpec


ARCHITECTURES = {
    "baseline64": Architecture(baseline64, ModelSpec("baseline64", size=64, colour="rgb")),
    "baseline128": Architecture(baseline128, ModelSpec("baseline128", size=128, colour="rgb")),
    "resnet64": Architecture(resnet64, ModelSpec("resnet64", size=64, colour="rgb")),
    "resnet128": Architecture(resnet128, ModelSpec("resnet128", size=128, colour="rgb")),
    "densenet": Architecture(DenseNet, ModelSpec("densenet", size=128, colour="rgb")),
    "hybrid": Architecture(Hybrid, ModelSpec("hybrid", size=128, colour="rgb")),
    "hybrid_lite": Architecture(HybridLite, ModelSpec("hybrid_lite", size=48, colour="grey")),
    "hybrid_wide": Architecture(hybrid_wide, ModelSpec("hybrid_wide", size=48, colour="grey")),
}


def architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise RunError(f"no network named {name!r}; there are: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def input_spec(config: FitConfig) -> ModelSpec:
    """Input of a run's finished network: the architecture's spec, at the size of the last stage."""
    spec = architecture(config.arch).spec
    return replace(spec, size=config.sizes[-1][0]) if config.sizes else spec


class Standardise(nn.Module):
    """Levels 0..255 -> zero mean and unit deviation per face, which removes the effect of brightness and contrast.

    Eight grey levels are added to the deviation, so that the noise of a uniform patch is not amplified.
    """

    def forward(self, faces: Tensor) -> Tensor:
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        centred = faces - mean
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return centred / (deviation + 8)


class Classifier(nn.Module):
    """The exported model: faces in 0..255 -> normalisation, network, temperature, softmax -> probabilities.

    `spec` describes the faces that it was trained on.
    """

    def __init__(self, network: Network, spec: ModelSpec, temperature: float = 1.0) -> None:
        super().__init__()
        self.spec = spec
        self.normalise = Standardise()
        self.network = network
        self.temperature = temperature

    def logits(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(faces))
        return logits

    def forward(self, faces: Tensor) -> Tensor:
        return self.to_probabilities(self.logits(faces))

    def to_probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits / self.temperature, dim=1)


def build(name: str, classes: int = len(LABELS)) -> Classifier:
    """A network with random weights.

    Raises:
        RunError: there is none of that name.
    """
    entry = architecture(name)
    return Classifier(entry.build(classes), entry.spec)
