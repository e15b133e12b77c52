"""Layers of the networks on the poster (docs/networks.md), reconstructed from the parameter counts that it gives."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Network(nn.Module):
    """A network in two halves: `features` returns the last feature maps, `head` converts them to logits.

    Class activation and Grad-CAM read these maps.
    """

    def features(self, x: Tensor) -> Tensor:
        """(N, C, S, S) normalised faces -> the last feature maps (N, F, s, s)."""
        raise NotImplementedError

    def head(self, maps: Tensor) -> Tensor:
        """The last feature maps (N, F, s, s) -> logits (N, K)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def feature_layers(self) -> list[nn.Module]:
        """The layers of `features`: all but `classify` and its dropout."""
        return [layer for name, layer in self.named_children() if name not in {"classify", "dropout"}]


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution that keeps height and width, and batch norm.

    The bias has no effect before batch norm, but the poster's parameter counts include it.
    """
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs))


def pool(maps: Tensor, side: int = 2) -> Tensor:
    return functional.max_pool2d(maps, side)


class Head(nn.Sequential):
    """Flatten, linear, batch norm, ReLU, dropout, linear. The poster gives no dropout; 0.5 is ours.

    Args:
        channels, side: of the last feature maps (N, channels, side, side) at the network's own input size. With another
            input size these have another side; they are then resized bilinearly to `side`, so no parameter depends
            on the input size.
        hidden: features of the first linear layer.
    """

    def __init__(self, channels: int, side: int, hidden: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * side * side, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
        self.side = side

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[-1] != self.side:
            size = (self.side, self.side)
            maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        logits: Tensor = super().forward(maps)  # type: ignore[no-untyped-call]
        return logits
