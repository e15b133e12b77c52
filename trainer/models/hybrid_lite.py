"""Our own network: a small version of the poster's Hybrid.

It keeps the Hybrid's two ideas: added shortcuts from earlier maps, and inception blocks. It makes the expensive parts
cheaper: every 3x3 and 5x5 has a 1x1 bottleneck, strided convolutions replace pooled full-size maps, shortcuts are 1x1,
and global average pooling replaces the linear layer over all positions.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Widths:
    """Per stage: channels, number of inception blocks, and channels of their 1x1, 3x3 and 5x5 branches."""

    stem: int
    low: int
    middle: int
    middle_blocks: int
    middle_branches: tuple[int, int, int]
    high: int
    high_blocks: int
    high_branches: tuple[int, int, int]


LITE = Widths(32, 48, 128, 2, (32, 64, 16), 192, 2, (48, 96, 24))
WIDE = Widths(32, 64, 256, 2, (64, 128, 32), 384, 4, (96, 192, 48))


class HybridLite(Network):
    """Grey faces (N, 1, 48, 48), already normalised -> logits (N, K)."""

    def __init__(self, classes: int = 11, dropout: float = 0.2, widths: Widths = LITE) -> None:
        super().__init__()
        stem, low, middle, high = widths.stem, widths.low, widths.middle, widths.high
        self.stem = conv(1, stem, 3)  # 48x48, pooled to 24x24
        self.low = conv(stem, low, 3)  # 24x24
        self.middle = conv(low, middle, 3, stride=2)  # 12x12
        self.middle_from_stem = conv(stem, middle, 1)
        self.middle_blocks = nn.Sequential(
            *(Inception(middle, *widths.middle_branches) for _ in range(widths.middle_blocks))
        )
        self.high = conv(middle, high, 3, stride=2)  # 6x6
        self.high_from_low = conv(low, high, 1)
        self.high_from_stem = conv(stem, high, 1)
        self.high_blocks = nn.Sequential(*(Inception(high, *widths.high_branches) for _ in range(widths.high_blocks)))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(high, classes)

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


def hybrid_wide(classes: int = 11) -> HybridLite:
    """hybrid_lite with about twice the channels and two more blocks: its teacher."""
    return HybridLite(classes, widths=WIDE)


@torch.no_grad()
def grow(small: HybridLite, large: HybridLite) -> None:
    """Write a network's weights into a larger one of its kind, so that both predict the same.

    New channels keep random weights, but existing channels get zero weights for them; a new block adds zero at first.
    Training continues from there (after Chen, Goodfellow and Shlens, "Net2Net", 2016).

    Raises:
        ValueError: a stage of the large one is narrower or has fewer blocks.
    """
    for name in ("stem", "low", "middle", "middle_from_stem", "high", "high_from_low", "high_from_stem"):
        _grow_conv(getattr(small, name), getattr(large, name))
    for stage in ("middle_blocks", "high_blocks"):
        before, after = list(getattr(small, stage)), list(getattr(large, stage))
        if len(before) > len(after):
            raise ValueError(f"{stage}: {len(after)} cannot hold {len(before)}")
        for old, new in zip(before, after, strict=False):
            where = _branch_channels(old.widths, new.widths)
            _grow_conv(old.reduce, new.reduce, outputs=where)
            _grow_conv(old.three, new.three)
            _grow_conv(old.five, new.five)
            _grow_conv(old.mix, new.mix, inputs=where)
        for block in after[len(before) :]:
            block.mix[1].weight.zero_()
    known = small.classify.in_features
    large.classify.weight.zero_()
    large.classify.weight[:, :known] = small.classify.weight
    large.classify.bias.copy_(small.classify.bias)


def _branch_channels(old: list[int], new: list[int]) -> Tensor:
    """Positions of an inception block's inner channels (branch after branch) in a wider block."""
    starts = (sum(new[:branch]) for branch in range(len(new)))
    return torch.cat([torch.arange(width) + start for width, start in zip(old, starts, strict=True)])


def _grow_conv(
    old: nn.Sequential, new: nn.Sequential, *, inputs: Tensor | None = None, outputs: Tensor | None = None
) -> None:
    """Write a convolution and its batch norm into wider ones; None: old channels come first."""
    kept, known = old.state_dict(), new.state_dict()  # they share the modules' memory
    weight, wider = kept["0.weight"], known["0.weight"]
    if any(was > now for was, now in zip(weight.shape, wider.shape, strict=True)):
        raise ValueError(f"a convolution of {list(wider.shape)} cannot hold one of {list(weight.shape)}")
    inputs = torch.arange(weight.shape[1]) if inputs is None else inputs
    outputs = torch.arange(weight.shape[0]) if outputs is None else outputs
    wider[outputs] = 0
    wider[outputs[:, None], inputs] = weight
    for name in ("1.weight", "1.bias", "1.running_mean", "1.running_var"):
        known[name][outputs] = kept[name]
