"""Count parameters and multiply-adds per face. Called by the card and by `edgeemo-train models`."""

from __future__ import annotations

import torch

from engines.spec import ModelSpec
from trainer.models import Classifier


def count_parameters(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def multiply_adds(model: Classifier, spec: ModelSpec) -> int:
    """Multiply-adds of the convolutions and linear layers for one face of the spec's size."""
    total = 0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output.numel() * weight[0].numel()

    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, spec.channels, spec.size, spec.size))
    finally:
        for hook in hooks:
            hook.remove()
    return total
