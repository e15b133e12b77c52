"""What a run trains and validates on: faces of all its data sets, without pictures that are held out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32
from engines.spec import ModelSpec
from trainer.config import FitConfig
from trainer.data import Dataset, open_data
from trainer.data.duplicates import also_in, picture_digests
from trainer.data.faces import FaceSet, load_faces
from trainer.errors import DataError
from trainer.parallel import DistContext


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Faces of a run.

    Attributes:
        train: one set per data set; their faces are numbered one set after the other.
        targets: (N, 11) of all training faces.
        kept: (M,) numbers of the training faces that are trained on.
        leaked: how many are left out, because their pictures are also in the validation or test split.
        valid: faces of the validation split.
    """

    train: tuple[FaceSet, ...]
    targets: F32
    kept: npt.NDArray[np.int64]
    leaked: int
    valid: FaceSet


def load_training_data(
    config: FitConfig, spec: ModelSpec, *, cache: Path, dist: DistContext, num_workers: int
) -> TrainingData:
    """Faces, cropped at the largest size of all stages.

    Raises:
        DataError: a data set is not there, does not fill one batch, or has no face to validate on.
    """
    crop_spec = replace(spec, size=max([spec.size, *(size for size, _ in config.sizes)]))
    opened = [open_data(data, "train") for data in (config.data, *config.extra_data)]
    train = [_load(data, crop_spec, cache, dist, num_workers) for data in opened]
    valid = _load(open_data(config.data, "valid"), crop_spec, cache, dist, num_workers)
    leaked = _leaked(config, opened, train, cache, dist)
    kept = np.flatnonzero(~leaked)
    if len(kept) < config.batch:
        raise DataError(f"{len(kept)} faces do not fill one batch of {config.batch}: lower --batch")
    if not valid.scored.any():
        raise DataError("the data set's protocol scores no picture of the validation split: no epoch can be chosen")
    targets = np.concatenate([part.targets for part in train])
    return TrainingData(tuple(train), targets, kept, int(leaked.sum()), valid)


def _load(data: Dataset, spec: ModelSpec, cache: Path, dist: DistContext, num_workers: int) -> FaceSet:
    """One process of each machine crops what is not in the cache yet; the others wait."""
    if dist.local_rank == 0:
        load_faces(data, spec, cache, num_workers=num_workers)
    dist.wait()
    return load_faces(data, spec, cache)


def _leaked(
    config: FitConfig, opened: Sequence[Dataset], train: Sequence[FaceSet], cache: Path, dist: DistContext
) -> npt.NDArray[np.bool_]:
    """(N,) whether a training face's picture is in the validation or test split too."""
    held_out = []
    for split in ("valid", "test"):
        with contextlib.suppress(DataError):
            held_out.append(_digests(open_data(config.data, split), cache, dist))
    forbidden = np.concatenate(held_out)
    leaks = [
        also_in(_digests(data, cache, dist)[part.rows], forbidden) for data, part in zip(opened, train, strict=True)
    ]
    return np.concatenate(leaks)


def _digests(data: Dataset, cache: Path, dist: DistContext) -> npt.NDArray[np.uint64]:
    if dist.local_rank == 0:
        picture_digests(data, cache)
    dist.wait()
    return picture_digests(data, cache)
