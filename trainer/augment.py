"""Changes that a camera, a lens and a head make, applied to a whole batch at once, on whatever device it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class AugmentConfig:
    """How strong each change is at most, and how often it comes (probabilities)."""

    flip: float = 0.5
    rotate_degrees: float = 15.0
    scale: float = 0.12  # 0.12: 0.88 to 1.12 times
    shift: float = 0.06  # of the side
    brightness: float = 0.2  # of the range 0..255
    contrast: float = 0.3
    gamma: float = 0.3
    noise: float = 6.0  # grey levels
    blur: float = 0.15
    low_resolution: float = 0.15
    occlude: float = 0.3
    occlude_side: float = 0.45  # of the side, at most


def augment(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """(N, C, S, S) float in 0..255 -> the same shape and range; every face is changed in its own way."""
    faces = _move(faces, config, generator)
    faces = _sometimes(faces, _blurred(faces), config.blur, generator)
    faces = _sometimes(faces, _pixelated(faces, generator), config.low_resolution, generator)
    faces = _light(faces, config, generator)
    faces = _occlude(faces, config, generator)
    return faces.clamp(0, 255)


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, device=like.device).uniform_(low, high, generator=generator)


def _sometimes(before: Tensor, after: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen = _uniform((len(before), 1, 1, 1), 0, 1, before, generator) < share
    return torch.where(chosen, after, before)


def _move(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Flip, turn, resize and shift in one resampling; what comes in from outside repeats the border."""
    count = (len(faces),)
    angle = _uniform(count, -1, 1, faces, generator) * math.radians(config.rotate_degrees)
    size = 1 + _uniform(count, -1, 1, faces, generator) * config.scale
    across = _uniform(count, -2, 2, faces, generator) * config.shift
    down = _uniform(count, -2, 2, faces, generator) * config.shift
    mirror = 1 - 2 * (_uniform(count, 0, 1, faces, generator) < config.flip).to(faces.dtype)
    matrix = torch.stack(
        [
            torch.stack([mirror * size * angle.cos(), -mirror * size * angle.sin(), across], dim=1),
            torch.stack([size * angle.sin(), size * angle.cos(), down], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _blurred(faces: Tensor) -> Tensor:
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=faces.device) / 16
    weights = torch.outer(kernel, kernel).expand(faces.shape[1], 1, 5, 5)
    padded = functional.pad(faces, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, weights, groups=faces.shape[1])


def _pixelated(faces: Tensor, generator: torch.Generator) -> Tensor:
    """The batch as a face of 0.4 to 0.75 of its pixels would look, enlarged again."""
    side = faces.shape[-1]
    fewer = int(side * float(_uniform((1,), 0.4, 0.75, faces, generator)))
    small = functional.interpolate(faces, size=(fewer, fewer), mode="area")
    return functional.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)


def _light(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    shape = (len(faces), 1, 1, 1)
    gamma = torch.exp(_uniform(shape, -1, 1, faces, generator) * config.gamma)
    faces = 255 * (faces.clamp(0, 255) / 255).pow(gamma)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    contrast = 1 + _uniform(shape, -1, 1, faces, generator) * config.contrast
    brightness = _uniform(shape, -255, 255, faces, generator) * config.brightness
    strength = _uniform(shape, 0, config.noise, faces, generator)
    noise = torch.empty_like(faces).normal_(generator=generator) * strength
    return ((faces - mean) * contrast + mean + brightness + noise).clamp(0, 255)


def _occlude(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of some faces with an even grey."""
    count, side = len(faces), faces.shape[-1]
    shape = (count, 1, 1, 1)
    position = torch.arange(side, device=faces.device, dtype=faces.dtype)
    covered = _uniform(shape, 0, 1, faces, generator) < config.occlude
    for axis in (position.view(1, 1, side, 1), position.view(1, 1, 1, side)):
        half = _uniform(shape, 0.1, config.occlude_side, faces, generator) * side / 2
        centre = _uniform(shape, 0, side, faces, generator)
        covered = covered & ((axis - centre).abs() < half)
    return torch.where(covered, _uniform(shape, 0, 255, faces, generator), faces)
