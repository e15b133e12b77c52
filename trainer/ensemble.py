"""An ensemble: the mean probabilities of several networks, optionally over the face and its mirror image.

It is more accurate than each member; inference costs the sum of its members. A small network can learn from it
(`fit --teacher`). `trainer.export` calls it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.spec import ModelSpec
from trainer.errors import RunError
from trainer.models import Classifier
from trainer.models.layers import Network
from trainer.runs import load_checkpoint


class Ensemble(Network):
    """Networks for the same faces -> the logarithm of their mean probabilities.

    Args:
        members: networks; they are set to evaluation mode.
        spec: input that all members share.
        mirror: each member also predicts the mirror image.

    Raises:
        ValueError: their last feature maps differ in size, so they cannot be concatenated.
    """

    def __init__(self, members: Sequence[Network], spec: ModelSpec, *, mirror: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members).eval()
        self._views = [(member, turned) for member in members for turned in ((False, True) if mirror else (False,))]
        with torch.no_grad():
            face = torch.zeros(1, spec.channels, spec.size, spec.size)
            maps = [member.features(face) for member, _ in self._views]
        if len({tuple(one.shape[2:]) for one in maps}) > 1:
            sizes = ", ".join("x".join(map(str, one.shape[2:])) for one in maps)
            raise ValueError(f"their last feature maps have different sizes: {sizes}")
        self._channels = [one.shape[1] for one in maps]

    def features(self, x: Tensor) -> Tensor:
        """The members' feature maps, concatenated; those of a mirror image are mirrored back and follow those of the
        face.
        """
        maps = [_turned(member.features(_turned(x, turned)), turned) for member, turned in self._views]
        return torch.cat(maps, dim=1)

    def head(self, maps: Tensor) -> Tensor:
        parts = torch.split(maps, self._channels, dim=1)
        logits = [member.head(_turned(part, turned)) for (member, turned), part in zip(self._views, parts, strict=True)]
        mean: Tensor = torch.stack(logits).log_softmax(dim=2).logsumexp(dim=0) - math.log(len(logits))
        return mean


def _turned(x: Tensor, mirror: bool) -> Tensor:
    return x.flip(3) if mirror else x


def load_together(checkpoints: Sequence[Path], *, mirror: bool = False) -> tuple[str, ModelSpec, Classifier]:
    """Title, input spec and model of one or several checkpoints; a single one gives the network itself.

    Raises:
        RunError: one cannot be read, or their inputs differ.
    """
    loaded = [load_checkpoint(path) for path in checkpoints]
    names = [arch for arch, _ in loaded]
    specs = [model.spec for _, model in loaded]
    for path, spec in zip(checkpoints, specs, strict=True):
        if (spec.size, spec.colour, spec.crop) != (specs[0].size, specs[0].colour, specs[0].crop):
            raise RunError(f"{path} ({spec.name}) and {checkpoints[0]} ({specs[0].name}) have different inputs")
    title = " + ".join(
        f"{names.count(arch)} {arch}" if names.count(arch) > 1 else arch for arch in dict.fromkeys(names)
    )
    if len(loaded) == 1 and not mirror:
        return title, specs[0], loaded[0][1]
    try:
        network = Ensemble([model.network for _, model in loaded], specs[0], mirror=mirror)
    except ValueError as error:
        raise RunError(f"these networks cannot form an ensemble: {error}") from error
    return f"{title}, mirrored too" if mirror else title, specs[0], Classifier(network, specs[0]).eval()
