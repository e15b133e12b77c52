"""Our own network: the poster's Hybrid, made small.

It keeps what makes the Hybrid one: shortcut links from earlier maps that are added, never concatenated, and inception
blocks. It changes what made it expensive: 1x1 bottlenecks before every 3x3 and 5x5, strided convolutions instead of
pooling full-size maps, shortcuts of 1x1, and a global average pool instead of a linear layer over all positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.layers import Network


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Inception(nn.Module):
    """1x1, 3x3 and 5x5 branches behind one shared 1x1 bottleneck; a 1x1 mixes them and the input is added."""

    def __init__(self, channels: int, one: int, three: int, five: int) -> None:
        super().__init__()
        self.widths = [one, three, five]
        self.reduce = conv(channels, sum(self.widths), 1)
        self.three = conv(three, three, 3)
        self.five = conv(five, five, 5)
        self.mix = conv(sum(self.widths), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, three, five = torch.split(functional.relu(self.reduce(x)), self.widths, dim=1)
        branches = [one, functional.relu(self.three(three)), functional.relu(self.five(five))]
        return functional.relu(x + self.mix(torch.cat(branches, dim=1)))


class HybridLite(Network):
    """Grey faces (N, 1, 48, 48), already normalised -> logits (N, K)."""

    def __init__(self, classes: int = 11, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = conv(1, 32, 3)  # 48x48, pooled to 24x24
        self.low = conv(32, 48, 3)  # 24x24
        self.middle = conv(48, 128, 3, stride=2)  # 12x12
        self.middle_from_stem = conv(32, 128, 1)
        self.middle_blocks = nn.Sequential(*(Inception(128, 32, 64, 16) for _ in range(2)))
        self.high = conv(128, 192, 3, stride=2)  # 6x6
        self.high_from_low = conv(48, 192, 1)
        self.high_from_stem = conv(32, 192, 1)
        self.high_blocks = nn.Sequential(*(Inception(192, 48, 96, 24) for _ in range(2)))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(192, classes)

    def features(self, x: Tensor) -> Tensor:
        x1 = functional.max_pool2d(functional.relu(self.stem(x)), 2)
        x2 = functional.relu(self.low(x1))
        x3 = functional.relu(self.middle(x2) + self.middle_from_stem(functional.avg_pool2d(x1, 2)))
        x3 = self.middle_blocks(x3)
        x4 = functional.relu(
            self.high(x3)
            + self.high_from_low(functional.avg_pool2d(x2, 4))
            + self.high_from_stem(functional.avg_pool2d(x1, 4))
        )
        maps: Tensor = self.high_blocks(x4)
        return maps

    def head(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.dropout(maps.mean(dim=(2, 3))))
        return logits
