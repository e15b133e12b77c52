"""The poster's ResNet: wider than the Baseline, with one residual link."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from trainer.models.layers import Head, Network, conv, pool


class ResNet(Network):
    """Colour faces (N, 3, size, size), already normalised -> logits (N, K)."""

    def __init__(self, classes: int = 11, size: int = 128) -> None:
        super().__init__()
        self.c1 = conv(3, 32)
        self.c2 = conv(32, 96)
        self.c3 = conv(96, 192)
        self.shortcut = conv(32, 192)
        self.classify = Head(192, size // 8, 192, classes)

    def features(self, x: Tensor) -> Tensor:
        x1 = relu(pool(self.c1(x)))
        x2 = relu(pool(self.c2(x1)))
        return relu(pool(self.c3(x2) + pool(self.shortcut(x1))))

    def head(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.classify(maps)
        return logits


def resnet64(classes: int) -> ResNet:
    return ResNet(classes, 64)


def resnet128(classes: int) -> ResNet:
    return ResNet(classes, 128)
