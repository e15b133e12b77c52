"""The poster's Hybrid: the DenseNet's trunk, one more densely linked stage, an inception block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from trainer.models.densenet import Trunk
from trainer.models.layers import Head, Network, conv, pool


class Inception(nn.Module):
    """(N, 192, s, s) -> (N, 192, s, s): a 1x1 path beside 1x1, 3x3 and 5x5 paths that a 3x3 convolution mixes.

    No batch norm and no ReLU inside. The layers follow from the parameter count; the connections are the only ones
    found in which every layer is used and every size fits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(192, 64, 1)
        self.reduce = nn.Conv2d(192, 32, 1)
        self.five = nn.Conv2d(32, 32, 5, padding=2)
        self.three = nn.Conv2d(32, 32, 3, padding=1)
        self.plain = nn.Conv2d(192, 192, 1)
        self.mix = nn.Conv2d(256, 128, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        mixed = self.mix(torch.cat([self.plain(x), self.five(reduced), self.three(reduced)], dim=1))
        return torch.cat([mixed, self.one(x)], dim=1)


class Hybrid(Network):
    """Colour faces (N, 3, 128, 128), already normalised -> logits (N, K)."""

    def __init__(self, classes: int = 11) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.c8 = conv(288, 192)
        self.c9 = conv(32, 192)
        self.c10 = conv(96, 192)
        self.c11 = conv(192, 192)
        self.inception = Inception()
        self.classify = Head(192, 16, 192, classes)

    def features(self, x: Tensor) -> Tensor:
        x1, x2, x3, x4 = self.trunk(x)
        linked = pool(self.c9(x1), 4) + pool(self.c10(x2)) + self.c11(x3)
        maps: Tensor = self.inception(relu(self.c8(x4) + pool(linked)))
        return maps

    def head(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.classify(maps)
        return logits
