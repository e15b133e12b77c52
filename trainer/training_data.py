"""Training and validation faces of a run, from all its data sets, without leaked pictures.

Called by `trainer.train`, `trainer.estimate` and `trainer.out_of_fold`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.preprocess import F32
from engines.spec import ModelSpec
from trainer.config import FitConfig
from trainer.data import Dataset, open_data, parse_data
from trainer.data.dataset import crop_key
from trainer.data.duplicates import UNREADABLE, also_in, picture_digests
from trainer.data.faces import FaceSet, is_cached, load_faces
from trainer.data.folders import person_digest
from trainer.data.shards import ShardIndex, shard_index
from trainer.errors import DataError, NoSplit, RunError
from trainer.parallel import DistContext
from trainer.runs import require_space


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Faces of a run.

    Attributes:
        train: one set per data set and split; indices run through the sets in order.
        targets: (N, 11) class probabilities of all faces in `train`; for streamed faces their mean, (1, 11).
        kept: (M,) indices of the faces to train on.
        leaked: number of faces left out because their pictures are also in the validation or test split.
        valid: validation faces, or None.
        shards: source of streamed faces, instead of `train` and `kept`.
        fingerprint: hash of the pictures (of streamed faces: names and counts of the shards) and labels; "" for a
            sample of a run's data.
    """

    train: tuple[FaceSet, ...]
    targets: F32
    kept: npt.NDArray[np.int64]
    leaked: int
    valid: FaceSet | None
    shards: ShardIndex | None = None
    fingerprint: str = ""

    @property
    def count(self) -> int:
        """Number of training faces."""
        return len(self.kept) if self.shards is None else self.shards.faces


def load_training_data(
    config: FitConfig, spec: ModelSpec, *, cache: Path, dist: DistContext, num_workers: int
) -> TrainingData:
    """Load the faces, cropped at the largest size of all stages.

    Raises:
        DataError: a data set is missing, does not fill one batch, or has no face to validate on, or its test split
            cannot be read, so that leaked pictures cannot be found.
        RunError: the disk has no room for the faces.
    """
    crops = crop_spec(config, spec)
    if config.data.startswith("wds:"):
        return _streamed(config, crops, cache=cache, dist=dist, num_workers=num_workers)
    together = config.train_on_all or bool(config.folds)
    train, valid = (open_data(config.data, split) for split in ("train", "valid"))
    sources = [train, *([valid] if together else []), *(open_data(data, "train") for data in config.extra_data)]
    wanted = sources if together else [*sources, valid]
    missing = sum(len(data) for data in wanted if not is_cached(data, crops, cache))
    require_space(cache, missing * crops.size**2 * crops.channels, f"the cache of {missing:,} faces")
    loaded = [_load(data, crops, cache, dist, num_workers) for data in wanted]
    parts = loaded[: len(sources)]
    digests = np.concatenate(
        [_digests(data, cache, dist)[part.rows] for data, part in zip(sources, parts, strict=True)]
    )
    held = np.zeros(len(digests), bool)
    valid_faces = None if together else loaded[-1]
    if config.folds:
        held = _held_out(config, sources, parts, cache, dist)
        valid_faces = _selected(parts[:2], held[: len(parts[0]) + len(parts[1])])
    valid_digests = digests[held] if together else _digests(valid, cache, dist)
    leaked = ~held & also_in(digests, np.concatenate([valid_digests, _test_digests(config, cache, dist)]))
    kept = np.flatnonzero(~held & ~leaked)
    _expect_batch(len(kept), config, int(leaked.sum()))
    if valid_faces is not None and not valid_faces.scored.any():
        raise DataError("the data set's protocol scores no picture of the validation split, so no epoch can be chosen")
    targets = np.concatenate([part.targets for part in parts])
    judged = [valid_digests, *([] if valid_faces is None else [valid_faces.targets, valid_faces.scored])]
    fingerprint = _fingerprint(digests[kept], targets[kept], *judged)
    return TrainingData(tuple(parts), targets, kept, int(leaked.sum()), valid_faces, fingerprint=fingerprint)


def _expect_batch(faces: int, config: FitConfig, leaked: int = 0) -> None:
    """Raises: DataError: the training faces do not fill one batch."""
    if not faces:
        raise DataError(f"no training face is left: {leaked} pictures are also in the validation or test split")
    if faces < config.batch:
        raise DataError(
            f"{faces} training faces do not fill one batch of {config.batch}: choose --batch {faces} or less"
        )


def _fingerprint(*facts: npt.NDArray[Any] | str) -> str:
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(fact.encode() if isinstance(fact, str) else f"{fact.shape}".encode() + fact.tobytes())
    return digest.hexdigest()[:16]


def _streamed(config: FitConfig, crops: ModelSpec, *, cache: Path, dist: DistContext, num_workers: int) -> TrainingData:
    """Stream the training faces from shards; validation faces are cached as usual."""
    if config.train_on_all or config.folds or config.extra_data:
        raise RunError("faces in shards are streamed; --all, --folds and --extra-data need a data set that is not wds:")
    index = shard_index(parse_data(config.data)[1], "train")
    _expect_batch(index.faces, config)
    if crop_key(index.colour, index.crop) != crop_key(crops.colour, asdict(crops.crop)):
        raise DataError(
            f"the shards ({index.colour}) have another colour or crop geometry than {crops.name} ({crops.colour}): "
            f"write them with edgeemo-train data shard --network {config.arch}"
        )
    valid = _load(open_data(config.data, "valid"), crops, cache, dist, num_workers)
    if not valid.scored.any():
        raise DataError("the data set's protocol scores no picture of the validation split, so no epoch can be chosen")
    shards = json.dumps([(PurePosixPath(shard.url).name, shard.faces) for shard in index.shards])
    targets = np.array([index.targets], np.float32)
    fingerprint = _fingerprint(shards, targets, valid.targets, valid.scored)
    return TrainingData((), targets, np.zeros(0, np.int64), 0, valid, index, fingerprint)


def crop_spec(config: FitConfig, spec: ModelSpec) -> ModelSpec:
    """The spec with the largest input size of a run; its faces are cached at this size."""
    return replace(spec, size=max([spec.size, *(size for size, _ in config.sizes)]))


def out_of_fold_faces(config: FitConfig, spec: ModelSpec, *, cache: Path) -> FaceSet:
    """The faces that a run of `--folds` did not train on.

    Raises:
        DataError: the data is missing.
    """
    sources = [open_data(config.data, split) for split in ("train", "valid")]
    parts = [load_faces(data, spec, cache) for data in sources]
    return _selected(parts, _held_out(config, sources, parts, cache, DistContext.alone()))


def fold_numbers(digests: npt.NDArray[np.uint64], folds: int) -> npt.NDArray[np.int64]:
    """(N,) fold of each picture, from 0. Pictures with equal digests get the same fold.

    A picture's fold does not depend on the other pictures. The fold of an unreadable picture (`UNREADABLE`) comes from
    its position.
    """
    lone = digests == UNREADABLE
    keys = np.where(lone, np.arange(len(digests), dtype=np.uint64), digests)
    # perceptual digests are not evenly distributed, so they are mixed as in SplitMix64 (Steele et al., 2014)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((keys ^ (keys >> np.uint64(31))) % np.uint64(folds), np.int64)


def _held_out(
    config: FitConfig, sources: Sequence[Dataset], parts: Sequence[FaceSet], cache: Path, dist: DistContext
) -> npt.NDArray[np.bool_]:
    """(N,) whether a face is in the run's fold; only the first two sets (train and validation split) have folds.

    The pictures of a person are in one fold if the data set's splits keep persons apart.
    """
    by_person = parse_data(config.data)[2].get("by") == "person"
    digests = [
        np.array([person_digest(data.images[row]) for row in part.rows], np.uint64)
        if by_person
        else _digests(data, cache, dist, perceptual=True)[part.rows]
        for data, part in zip(sources[:2], parts[:2], strict=True)
    ]
    held = fold_numbers(np.concatenate(digests), config.folds) == config.fold - 1
    if not held.any():
        raise DataError(f"fold {config.fold} of {config.folds} is empty: choose fewer folds")
    return np.concatenate([held, np.zeros(sum(map(len, parts[2:])), bool)])


def _selected(parts: Sequence[FaceSet], chosen: npt.NDArray[np.bool_]) -> FaceSet:
    """Join chosen faces of several sets in memory; `rows` are indices through the sets in order."""
    rows = np.flatnonzero(chosen)
    splits = np.split(chosen, np.cumsum([len(part) for part in parts])[:-1])
    return FaceSet(
        np.concatenate([part.faces[mask] for part, mask in zip(parts, splits, strict=True)]),
        rows,
        np.concatenate([part.targets for part in parts])[rows],
        np.concatenate([part.scored for part in parts])[rows],
        parts[0].classes,
    )


def _load(data: Dataset, spec: ModelSpec, cache: Path, dist: DistContext, num_workers: int) -> FaceSet:
    """Load faces; one process per machine crops those not in the cache while the others wait."""
    if dist.local_rank == 0:
        load_faces(data, spec, cache, num_workers=num_workers)
    dist.wait()
    return load_faces(data, spec, cache)


def _test_digests(config: FitConfig, cache: Path, dist: DistContext) -> npt.NDArray[np.uint64]:
    try:
        test = open_data(config.data, "test")
    except NoSplit:
        return np.zeros(0, np.uint64)
    return _digests(test, cache, dist)


def _digests(data: Dataset, cache: Path, dist: DistContext, *, perceptual: bool = False) -> npt.NDArray[np.uint64]:
    if dist.local_rank == 0:
        picture_digests(data, cache, perceptual=perceptual)
    dist.wait()
    return picture_digests(data, cache, perceptual=perceptual)
