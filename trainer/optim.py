"""The optimiser, the learning-rate schedule and the moving average of the weights, for `trainer.train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from trainer.config import FitConfig

EmaUpdate = Callable[[Sequence[Tensor], Sequence[Tensor], "Tensor | int"], None]


def build_optimiser(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    """Weight decay applies to weight matrices and kernels only, not to biases and norms."""
    trained = [value for value in model.parameters() if value.requires_grad]
    decayed = [value for value in trained if value.ndim > 1]
    plain = [value for value in trained if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def learning_rate(config: FitConfig, epoch: float) -> float:
    """Linear warm-up, then half a cosine down to 1 % (Loshchilov and Hutter, 2017)."""
    warmup = config.warmup * config.epochs
    if epoch < warmup:
        return config.learning_rate * (epoch + 0.01) / warmup
    done = (epoch - warmup) / max(config.epochs - warmup, 1e-9)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def build_ema(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and buffers."""
    return AveragedModel(model, multi_avg_fn=ema_update(decay), use_buffers=True)


def ema_update(decay: float) -> EmaUpdate:
    """Update rule with a short memory at first: after n updates the decay is at most (1 + n) / (10 + n), as in
    TensorFlow's ExponentialMovingAverage with `num_updates`."""

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        updates = float(count)
        share = 1 - min(decay, (1 + updates) / (10 + updates))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), share)
            else:
                old.copy_(new)  # integer counters of batch norms are not averaged

    return update
