"""The poster's DenseNet: shortcuts from all earlier feature maps; they are added, not concatenated."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from trainer.models.layers import Head, Network, conv, pool


class Trunk(nn.Module):
    """The four stages that DenseNet and Hybrid share.

    Their feature maps are 32 at 128x128, 96 at 64x64, 192 at 32x32 and 288 at 16x16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.c1 = conv(3, 32)
        self.c2 = conv(32, 96)
        self.c3 = conv(96, 192)
        self.c4 = conv(32, 192)
        self.c5 = conv(192, 288)
        self.c6 = conv(96, 288)
        self.c7 = conv(32, 288)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x1 = relu(self.c1(x))
        x2 = relu(pool(self.c2(x1)))
        x3 = relu(pool(self.c3(x2) + pool(self.c4(x1))))
        x4 = relu(pool(self.c5(x3) + pool(self.c6(x2)) + pool(self.c7(x1), 4)))
        return x1, x2, x3, x4


class DenseNet(Network):
    """Colour faces (N, 3, 128, 128), already normalised -> logits (N, K)."""

    def __init__(self, classes: int = 11) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.classify = Head(288, 16, 288, classes)

    def features(self, x: Tensor) -> Tensor:
        maps: Tensor = self.trunk(x)[3]
        return maps

    def head(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.classify(maps)
        return logits
