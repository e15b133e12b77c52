"""The precision of a run's forward pass if `--precision auto` leaves it to the device. Called by `trainer.train`."""

from __future__ import annotations

import time

import torch
from torch import nn

from trainer.config import Precision

MIN_SPEEDUP = 1.15  # of bf16 over fp32; with bf16 the measured CPUs were 1.7 times faster, or 1.5 to 8 times slower
ROUNDS = 3


def fastest_precision(device: torch.device) -> Precision:
    """bf16 on GPUs that compute in it, fp16 on older ones; on a CPU the faster of bf16 and fp32, measured.

    CPUs without bf16 instructions emulate it. Some CPUs with them are faster in fp32 all the same.
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu":
        return "fp32"
    layers = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3))
    layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    maps = torch.zeros((4, 64, 16, 16)).contiguous(memory_format=torch.channels_last)
    seconds = {True: float("inf"), False: float("inf")}
    for _ in range(ROUNDS + 1):  # interleaved; the first round also prepares the kernels, the fastest counts
        for half in seconds:
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = layers(maps)
            outputs.float().sum().backward()
            seconds[half] = min(seconds[half], time.perf_counter() - began)
    return "bf16" if seconds[True] * MIN_SPEEDUP < seconds[False] else "fp32"
