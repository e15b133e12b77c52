"""Training in one process, or in several started by torchrun (PyTorch's DistributedDataParallel).

Called by `trainer.train` and `trainer.training_data`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from engines.preprocess import F32
from engines.terminal import first_line
from trainer.errors import RunError

T = TypeVar("T")
# one process may crop a whole data set while the others wait
TIMEOUT = timedelta(hours=24)


@dataclass(frozen=True)
class DistContext:
    """Rank of this process among the `world` processes that train together; 0 of 1 without torchrun."""

    rank: int
    local_rank: int
    world: int
    device: torch.device

    @classmethod
    def alone(cls) -> DistContext:
        """One process, on the CPU."""
        return cls(0, 0, 1, torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Rank 0: it writes the run folder and prints."""
        return self.rank == 0

    def wait(self) -> None:
        if self.world > 1:
            torch.distributed.barrier()

    def share(self, value: T) -> T:
        """Broadcast the value of rank 0."""
        if self.world == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def mean(self, value: Tensor) -> Tensor:
        if self.world == 1:
            return value
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total / self.world

    def gather(self, part: F32, count: int) -> F32:
        """Gather all `count` rows in order on every process; each process has the rows rank, rank + world, ..."""
        if self.world == 1:
            return part
        parts: list[F32] = [part] * self.world
        torch.distributed.all_gather_object(parts, part)
        whole = np.empty((count, *part.shape[1:]), part.dtype)
        for rank, rows in enumerate(parts):
            whole[rank :: self.world] = rows
        return whole


@contextlib.contextmanager
def joined(device: str) -> Iterator[DistContext]:
    """Join the processes that torchrun started; without torchrun, train in this process alone.

    Raises:
        RunError: the device is not available.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = find_device(device)
    if chosen.type == "cuda" and chosen.index is None and world > 1:
        chosen = torch.device("cuda", local)
    if world == 1:
        yield DistContext(0, 0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield DistContext(rank, local, world, chosen)
        # a rank that exits early crashes its peers
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def find_device(name: str) -> torch.device:
    """The device of that name; "auto": the GPU if there is one, else the CPU.

    Raises:
        RunError: it is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RunError(f"device {name!r} cannot be used ({first_line(error)}); choose --device cpu") from error
    return device


def sync_batchnorm(model: nn.Module, dist: DistContext) -> nn.Module:
    """Make batch norms use the batch of all processes, so that splitting it changes nothing."""
    if dist.world == 1:
        return model
    if dist.device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for name, child in model.named_children():
        if isinstance(child, _BatchNorm):
            norm = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            setattr(model, name, norm)
        else:
            sync_batchnorm(child, dist)
    return model


class SharedBatchNorm(_BatchNorm):
    """Batch norm over the batch of all processes, for the CPU, where PyTorch's SyncBatchNorm does not run.

    Every process must have the same number of rows.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        over = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        exact = x if x.dtype == torch.float64 else x.float()
        mean = _mean_of_all(exact.mean(dim=over))
        centred = exact - mean.view(shape)
        # a second exchange, because the mean square minus the squared mean would lose digits
        variance = _mean_of_all(centred.square().mean(dim=over))
        count = x.numel() / x.shape[1] * torch.distributed.get_world_size()
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            momentum = self.momentum if self.momentum is not None else 0.1
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / max(count - 1, 1), momentum)
        scale = (self.weight * (variance + self.eps).rsqrt()).view(shape)
        normed: Tensor = centred * scale + self.bias.view(shape)
        return normed.to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *slopes: Tensor) -> Tensor:
        return _Sum.forward(ctx, slopes[0])


def _mean_of_all(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total / torch.distributed.get_world_size()


class Logits(nn.Module):
    """A classifier whose `forward` returns logits, because DistributedDataParallel only hooks `forward`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model.logits(images)  # type: ignore[operator]
        return logits


def distributed(model: nn.Module, dist: DistContext) -> nn.Module:
    """Images -> logits; with several processes, their gradients are averaged."""
    logits = Logits(model)
    if dist.world == 1:
        return logits
    # DistributedDataParallel only does this with broadcast_buffers; a start from an engine measures them on each rank
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, 0)
    devices = [dist.device] if dist.device.type == "cuda" else None
    return DistributedDataParallel(logits, device_ids=devices, broadcast_buffers=False)


def gradients_stay_local(network: nn.Module, local: bool) -> contextlib.AbstractContextManager[None]:
    """Skip the exchange of gradients while they are accumulated."""
    if local and isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return contextlib.nullcontext()
