"""Training batches: from memory-mapped faces in an order seeded by the epoch, or streamed from shards.

`trainer.train` asks a source for the batches of an epoch; each process gets its own share.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engines.installation import pip_install
from engines.preprocess import F32, U8
from engines.spec import ModelSpec
from trainer.config import FitConfig
from trainer.data.faces import finished_crop
from trainer.data.loader import Loader
from trainer.data.pictures import decode
from trainer.data.shards import ShardIndex, decode_targets
from trainer.errors import DataError, PictureError
from trainer.parallel import DistContext

SHUFFLED = 4096  # size of a worker's shuffle buffer in faces; shards are shuffled too


class Source(Protocol):
    """Source of the training batches."""

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Faces (B, S, S, C) uint8 and targets (B, 11) on the device, from step `first_step` on."""
        ...


@dataclass
class MappedSource:
    """Faces in arrays; a resumed epoch continues with the next batch."""

    loader: Loader
    kept: np.ndarray
    config: FitConfig
    steps: int
    dist: DistContext

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = _epoch_order(self.config, epoch, len(self.kept), self.steps, self.dist)
        return self.loader.batches(self.kept[order[first_step:]])


def _epoch_order(config: FitConfig, epoch: int, count: int, steps: int, dist: DistContext) -> np.ndarray:
    """(steps, faces of this process) indices below `count`, seeded by the epoch, so a resumed run has the same."""
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    order = torch.randperm(count, generator=generator).numpy()
    return order[: steps * config.batch].reshape(steps, config.batch)[:, dist.rank :: dist.world]


@dataclass
class ShardSource:
    """Faces streamed from shards by WebDataset, which splits the shards over ranks and workers.

    The order of shards is seeded by the epoch. A resumed epoch continues at a shard boundary, so faces of one shard may
    be seen twice or not at all. A rank whose shards have fewer faces than its share repeats them.

    Raises:
        DataError: webdataset is not installed, or there are fewer shards than processes.
    """

    index: ShardIndex
    config: FitConfig
    spec: ModelSpec
    steps: int
    dist: DistContext
    num_workers: int

    def __post_init__(self) -> None:
        shards = len(self.index.shards)
        if shards < self.dist.world:
            raise DataError(f"{shards} shards cannot be shared by {self.dist.world} processes: write smaller ones")
        # every worker needs its own shard, and faces for a batch
        self.num_workers = min(
            self.num_workers, shards // self.dist.world, max(self.index.faces // self.config.batch, 1)
        )
        _library()

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        wds = _library()
        seed = self.config.seed * 100_003 + epoch
        local = self.config.batch // self.dist.world
        workers = max(self.num_workers, 1)
        per_worker = len(self.index.shards) // (self.dist.world * workers)
        shard = self.index.faces / len(self.index.shards)
        done = min(int(first_step * local / workers / shard), per_worker - 1)
        skip = _Skip(done)
        pipeline = wds.DataPipeline(
            wds.SimpleShardList([shard.url for shard in self.index.shards], seed=seed),
            wds.split_by_node,
            wds.split_by_worker,
            skip,
            wds.tarfile_to_samples(),
            wds.shuffle(SHUFFLED, initial=SHUFFLED // 4, rng=random.Random(seed)),
            wds.map(_Decode(self.spec)),
            wds.batched(local, collation_fn=_collate, partial=False),
        ).repeat()
        loader = torch.utils.data.DataLoader(pipeline, batch_size=None, num_workers=self.num_workers)
        left, skipped = self.steps - first_step, done
        # a worker ends early if the shards that it has not skipped do not fill a batch
        while left:
            before = left
            for faces, targets in _read(itertools.islice(loader, left)):
                left -= 1
                yield faces.to(self.dist.device, non_blocking=True), targets.to(self.dist.device, non_blocking=True)
            if left == before and not skipped:
                raise DataError(
                    f"no worker has the {local} faces of a batch in its shards: lower --num-workers or --batch"
                )
            skip.count = skipped = 0


def _read(batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Convert the library's errors.

    Raises:
        DataError: a shard is missing, damaged or cannot be fetched.
    """
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:  # the library raises what its transports raise; a worker's comes with its traceback
            last = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
            raise DataError(
                f"cannot read the shards: {last[-1].removeprefix('trainer.errors.DataError: ')[:300]}"
            ) from error
        if batch is None:
            return
        yield batch


@dataclass
class _Skip:
    """Skip a worker's first shards, once: they were seen before the run was interrupted."""

    count: int

    def __call__(self, shards: Iterable[Any]) -> Iterator[Any]:
        first, self.count = self.count, 0
        return itertools.islice(shards, first, None)


@dataclass(frozen=True)
class _Decode:
    """A WebDataset sample -> face and targets."""

    spec: ModelSpec

    def __call__(self, sample: dict[str, Any]) -> tuple[U8, F32]:
        try:
            face = finished_crop(decode(sample["jpg"], sample["__key__"]), self.spec)
            return face, decode_targets(sample["json"])[0]
        except (PictureError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{sample.get('__url__')}, {sample.get('__key__')} was not written by edgeemo-train data shard: {error}"
            ) from error


def _collate(samples: Sequence[tuple[U8, F32]]) -> tuple[Tensor, Tensor]:
    faces, targets = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(faces)), torch.from_numpy(np.stack(targets))


def _library() -> Any:
    try:
        import webdataset
    except ModuleNotFoundError as error:
        raise DataError(f"reading shards needs webdataset: {pip_install('shards')}") from error
    return webdataset
