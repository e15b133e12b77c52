"""Augmentation of whole batches on their device: pose, light, noise, occlusion; mixup, cutmix and non-faces.

`trainer.train` calls it in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.spec import LABELS
from trainer.config import AugmentConfig


def augment(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """(N, C, S, S) float in 0..255 -> the same shape and range; every face gets its own random changes."""
    if config.rotate_degrees or config.scale or config.shift:
        faces = _move(faces, config, generator)
    elif config.flip:
        faces = _sometimes(faces, faces.flip(3), config.flip, generator)
    if config.blur:
        faces = _sometimes(faces, _blurred(faces), config.blur, generator)
    if config.low_resolution:
        faces = _sometimes(faces, _pixelated(faces, generator), config.low_resolution, generator)
    if config.dim:
        faces = _sometimes(
            faces, faces * _uniform((len(faces), 1, 1, 1), 0.12, 0.5, faces, generator), config.dim, generator
        )
    if config.brightness or config.contrast or config.gamma or config.noise:
        faces = _light(faces, config, generator)
    if faces.shape[1] == 3 and (config.saturation or config.hue_degrees):
        faces = _colour(faces, config, generator)
    if config.occlude:
        faces = _occlude(faces, config, generator)
    return faces.clamp(0, 255)


def make_non_faces(faces: Tensor, targets: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace the first faces by images that a detector takes for faces; their target becomes `no_face`.

    Each is one of four kinds, equally likely: the face's tiles in random order, smooth noise, a blank head of the
    face's brightness, or a drawing (spots and bars at the places of eyes, mouth, lamps or holes).

    Args:
        faces: (N, C, S, S) in 0..255, in random order.
        targets: (N, 11).
        share: share of the faces to replace; a fractional number of faces is rounded up or down at random.
    """
    count = int(share * len(faces) + float(_uniform((1,), 0, 1, faces, generator))) if share > 0 else 0
    if not count:
        return faces, targets
    some = faces[:count]
    tiles = 2 if float(_uniform((1,), 0, 1, faces, generator)) < 0.3 else 4
    makers: tuple[Callable[..., Tensor], ...] = (partial(_shuffled, tiles=tiles), _clouds, _blank_heads, _drawings)
    kind = torch.randint(len(makers), (count, 1, 1, 1), generator=generator, device=faces.device)
    made = some
    for number, make in enumerate(makers):
        made = torch.where(kind == number, make(some, generator=generator), made)
    nothing = torch.zeros_like(targets[:count])
    nothing[:, LABELS.index("no_face")] = 1
    return torch.cat([made, faces[count:]]), torch.cat([nothing, targets[count:]])


def mix(
    faces: Tensor, targets: Tensor, mixup: float, cutmix: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each face with another one, or paste a rectangle of another one into it; targets are mixed alike.

    `mixup` and `cutmix` are the parameters of their Beta distributions (Zhang et al., 2018; Yun et al., 2019), 0 for
    off; with both on, each batch gets one of them at random.
    """
    if mixup <= 0 and cutmix <= 0:
        return faces, targets
    cut = cutmix > 0 and (mixup <= 0 or float(_uniform((1,), 0, 1, faces, generator)) < 0.5)
    strength = cutmix if cut else mixup
    # Beta(a, a) from NumPy, seeded by the generator: torch's Beta takes no generator
    seed = int(torch.randint(2**31, (1,), generator=generator, device=faces.device))
    random = np.random.default_rng(seed)
    share = float(random.beta(strength, strength))
    other = torch.randperm(len(faces), generator=generator, device=faces.device)
    if cut:
        side = faces.shape[-1]
        half = math.sqrt(1 - share) * side / 2
        x, y = random.uniform(0, side, 2)
        x1, x2 = (round(min(max(value, 0), side)) for value in (x - half, x + half))
        y1, y2 = (round(min(max(value, 0), side)) for value in (y - half, y + half))
        blended = faces.clone()
        blended[:, :, y1:y2, x1:x2] = faces[other, :, y1:y2, x1:x2]
        share = 1 - (x2 - x1) * (y2 - y1) / side**2
    else:
        blended = share * faces + (1 - share) * faces[other]
    return blended, share * targets + (1 - share) * targets[other]


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, device=like.device).uniform_(low, high, generator=generator)


def _sometimes(before: Tensor, after: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen = _uniform((len(before), 1, 1, 1), 0, 1, before, generator) < share
    return torch.where(chosen, after, before)


def _move(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Flip, rotate, scale and shift in one resampling; pixels from outside repeat the border."""
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


def _shuffled(faces: Tensor, tiles: int, generator: torch.Generator) -> Tensor:
    """Shuffle the tiles * tiles parts of each face; rows and columns left over by the division stay in place."""
    count, channels, side, _ = faces.shape
    small = side // tiles
    whole = small * tiles
    parts = faces[:, :, :whole, :whole].reshape(count, channels, tiles, small, tiles, small)
    parts = parts.permute(0, 2, 4, 1, 3, 5).reshape(count, tiles * tiles, channels, small, small)
    order = _uniform((count, tiles * tiles), 0, 1, faces, generator).argsort(dim=1)
    parts = parts[torch.arange(count, device=faces.device).view(-1, 1), order]
    parts = parts.reshape(count, tiles, tiles, channels, small, small).permute(0, 3, 1, 4, 2, 5)
    made = faces.clone()
    made[:, :, :whole, :whole] = parts.reshape(count, channels, whole, whole)
    return made


def _clouds(faces: Tensor, generator: torch.Generator) -> Tensor:
    cells = int(torch.randint(2, 12, (1,), generator=generator, device=faces.device))
    noise = torch.empty((len(faces), 1, cells, cells), device=faces.device).normal_(generator=generator)
    noise = functional.interpolate(noise, size=faces.shape[-2:], mode="bilinear", align_corners=False)
    mean, deviation = faces.mean(dim=(2, 3), keepdim=True), faces.std(dim=(2, 3), keepdim=True)
    return (mean + noise * deviation.clamp_min(10)).clamp(0, 255)


def _blank_heads(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Ovals without a face in them, lit from one side, on a plain background."""
    count, _, side, _ = faces.shape
    shape = (count, 1, 1, 1)
    position = torch.linspace(-1, 1, side, device=faces.device, dtype=faces.dtype)
    x = position.view(1, 1, 1, side) - _uniform(shape, -0.15, 0.15, faces, generator)
    y = position.view(1, 1, side, 1) - _uniform(shape, -0.15, 0.15, faces, generator)
    wide, high = _uniform(shape, 0.5, 1.1, faces, generator), _uniform(shape, 0.8, 1.4, faces, generator)
    distance = (x / wide) ** 2 + (y / high) ** 2
    inside = ((1 - distance) * _uniform(shape, 2, 12, faces, generator)).sigmoid()
    light = x * _uniform(shape, -1, 1, faces, generator) + y * _uniform(shape, -1, 1, faces, generator)
    mean, deviation = faces.mean(dim=(1, 2, 3), keepdim=True), faces.std(dim=(1, 2, 3), keepdim=True).clamp_min(10)
    head = mean + deviation * (_uniform(shape, -1, 1, faces, generator) + 0.7 * light)
    around = mean + deviation * _uniform(shape, -2, 2, faces, generator)
    return (around + inside * (head - around)).clamp(0, 255).expand(faces.shape)


def _drawings(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Blank heads, or plain patches, with one or two mirrored pairs and up to two single spots or bars on them."""
    count, _, side, _ = faces.shape
    shape = (count, 1, 1, 1)

    def drawn(low: float, high: float) -> Tensor:
        return _uniform(shape, low, high, faces, generator)

    made = _blank_heads(faces, generator)[:, :1]
    mean, deviation = made.mean(dim=(2, 3), keepdim=True), made.std(dim=(2, 3), keepdim=True).clamp_min(15)
    made = torch.where(drawn(0, 1) < 0.3, mean, made)
    position = torch.linspace(-1, 1, side, device=faces.device, dtype=faces.dtype)
    middle = drawn(-0.15, 0.15)
    x, y = position.view(1, 1, 1, side) - middle, position.view(1, 1, side, 1)
    top = drawn(-0.9, 0.1)
    # probability, distance from the middle, height, half the width, half the height
    spots = (
        (0.9, (0.2, 0.6), top + drawn(0.0, 0.4), (0.05, 0.4), (0.03, 0.2)),  # eyes, lamps, windows
        (0.3, (0.2, 0.8), top + drawn(0.3, 1.4), (0.05, 0.3), (0.03, 0.2)),
        (0.7, (0.0, 0.0), top + drawn(0.5, 1.4), (0.1, 0.6), (0.02, 0.2)),  # a mouth, a grill
        (0.3, (0.0, 0.0), top + drawn(0.0, 0.4), (0.3, 0.8), (0.05, 0.25)),  # a shadow or glasses
        (0.4, (0.0, 0.0), top - drawn(0.1, 0.5), (0.4, 1.2), (0.1, 0.5)),  # a cap
    )
    for often, apart, height, wide, high in spots:
        distance = (((x.abs() - drawn(*apart)) / drawn(*wide)) ** 2 + ((y - height) / drawn(*high)) ** 2).sqrt()
        inside = ((1 - distance) * drawn(2, 15)).sigmoid() * (drawn(0, 1) < often)
        # mostly darker than the surroundings
        level = made.mean(dim=(2, 3), keepdim=True) + deviation * torch.where(drawn(0, 1) < 0.8, -1, 1) * drawn(0.7, 3)
        made = made + inside * (level - made)
    return made.clamp(0, 255).expand(faces.shape)


def _blurred(faces: Tensor) -> Tensor:
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=faces.device) / 16
    weights = torch.outer(kernel, kernel).expand(faces.shape[1], 1, 5, 5)
    padded = functional.pad(faces, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, weights, groups=faces.shape[1])


def _pixelated(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Downscale the batch to 0.4 to 0.75 of its size and enlarge it again."""
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


def _colour(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change hue and saturation in YIQ (Foley et al.); the brightness stays."""
    count = (len(faces),)
    angle = _uniform(count, -1, 1, faces, generator) * math.radians(config.hue_degrees)
    stretch = 1 + _uniform(count, -1, 1, faces, generator) * config.saturation
    to_yiq = faces.new_tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = torch.zeros((len(faces), 3, 3), device=faces.device, dtype=faces.dtype)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = stretch * angle.cos()
    turn[:, 1, 2] = -stretch * angle.sin()
    turn[:, 2, 1] = stretch * angle.sin()
    matrix = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    return torch.einsum("nij,njhw->nihw", matrix, faces).clamp(0, 255)


def _occlude(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of some faces with a uniform grey."""
    count, side = len(faces), faces.shape[-1]
    shape = (count, 1, 1, 1)
    position = torch.arange(side, device=faces.device, dtype=faces.dtype)
    covered = _uniform(shape, 0, 1, faces, generator) < config.occlude
    for axis in (position.view(1, 1, side, 1), position.view(1, 1, 1, side)):
        half = _uniform(shape, 0.1, config.occlude_side, faces, generator) * side / 2
        centre = _uniform(shape, 0, side, faces, generator)
        covered = covered & ((axis - centre).abs() < half)
    return torch.where(covered, _uniform(shape, 0, 255, faces, generator), faces)
