"""Face crops in WebDataset shards (tar files): for more faces than fit on one disk, or remote storage.

`edgeemo-train data shard` writes them. With `--data wds:...`, `trainer.stream` streams the training split, and the
other splits are read like any data set. No torch.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.files import atomic_path, atomic_write, user_path
from engines.installation import pip_install
from engines.preprocess import F32, U8
from engines.spec import LABELS, ModelSpec
from trainer.data.dataset import Dataset, crop_key
from trainer.data.faces import FaceSet
from trainer.data.pictures import MISSING, decode, file_identity
from trainer.errors import DataError, NoSplit, PictureError

INDEX = "index.json"
QUALITY = 95  # of the JPEG crops


@dataclass(frozen=True)
class Shard:
    """A tar file and its number of faces."""

    url: str
    faces: int


@dataclass(frozen=True)
class ShardIndex:
    """The entry of one split in index.json.

    Attributes:
        targets: mean target over `LABELS` (the shares of the classes).
        size, colour, crop: of the faces, as in `ModelSpec`.
    """

    shards: tuple[Shard, ...]
    targets: tuple[float, ...]
    classes: tuple[str, ...]
    about: str
    size: int
    colour: str
    crop: Mapping[str, Any]

    @property
    def faces(self) -> int:
        return sum(shard.faces for shard in self.shards)


def write_shards(
    data: Dataset, faces: FaceSet, spec: ModelSpec, folder: Path, *, per_shard: int = 10_000, seed: int = 0
) -> ShardIndex:
    """Write the faces of a split into `SPLIT-000000.tar` ... and describe them in index.json.

    Each shard is a random sample of the split. Readers shuffle the shards and a buffer of a few thousand faces, which
    is then enough to mix the whole split.

    Raises:
        DataError: the folder cannot be written, or holds shards of faces with another size, colour or crop.
    """
    index = _read_index_file(folder / INDEX) if (folder / INDEX).is_file() else {"splits": {}}
    if not isinstance(index, dict) or not isinstance(index.get("splits"), dict):
        raise DataError(f"{folder / INDEX} is not an index of shards: choose another --output")
    made_of = {"size": spec.size, "colour": spec.colour, "crop": asdict(spec.crop)}
    if index.get("faces", made_of) != json.loads(json.dumps(made_of)) and index["splits"]:
        raise DataError(f"{folder} holds faces of another size, colour or crop: choose another --output")
    order = np.random.default_rng(seed).permutation(len(faces))
    shards = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if index["splits"].pop(data.split, None) is not None:
            # a killed process must not leave a mixture of old and new shards that is listed
            atomic_write(folder / INDEX, json.dumps(index, indent=1) + "\n")
        for number, start in enumerate(range(0, len(faces), per_shard)):
            rows = np.sort(order[start : start + per_shard])
            name = f"{data.split}-{number:06d}.tar"
            with atomic_path(folder / name) as draft, tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as archive:
                for row in np.random.default_rng(seed + number).permutation(rows):
                    _add(archive, int(row), faces, spec)
            shards.append([name, len(rows)])
        index["faces"] = made_of
        index["splits"][data.split] = {
            "shards": shards,
            "targets": [float(share) for share in faces.targets.mean(axis=0)],
            "classes": list(faces.classes),
            "about": data.about,
        }
        atomic_write(folder / INDEX, json.dumps(index, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"cannot write shards into {folder}: {error.strerror or error}") from error
    return _index(index, str(folder) + "/", data.split, None)


def _add(archive: tarfile.TarFile, row: int, faces: FaceSet, spec: ModelSpec) -> None:
    face = np.asarray(faces.faces[row])
    picture = face[:, :, 0] if spec.channels == 1 else cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    targets = [round(float(value), 6) for value in faces.targets[row]]
    about = json.dumps({"targets": targets, "scored": bool(faces.scored[row])}).encode()
    for kind, content in (("jpg", encoded), ("json", about)):
        member = tarfile.TarInfo(f"{row:09d}.{kind}")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def decode_targets(encoded: bytes) -> tuple[F32, bool]:
    """The label of a crop: (11,) targets, and whether the protocol scores it.

    Raises:
        ValueError, KeyError, TypeError: it was not written by `write_shards`.
    """
    about = json.loads(encoded)
    targets = np.asarray(about["targets"], np.float32)
    if targets.shape != (len(LABELS),):
        raise ValueError(f"{len(targets)} targets instead of {len(LABELS)}")
    return targets, bool(about["scored"])


def open_shards(where: str, split: str, valid: str = "") -> Dataset:
    """One split of local shards as a data set with random access.

    Args:
        valid: local folder with the other splits, if the training shards at `where` are remote.

    Raises:
        DataError: there are no such shards, or they are remote.
    """
    if valid and split != "train":
        where = valid
    index = shard_index(where, split)
    if any("://" in shard.url for shard in index.shards):
        raise NoSplit(
            f"{where} is not on this machine: it can be streamed for training only; "
            "name local shards of the other splits with ,valid=FOLDER"
        )
    names, targets, scored = [], [], []
    for shard in index.shards:
        for member, (target, counts) in _labels(Path(shard.url), file_identity(Path(shard.url))):
            names.append(f"{shard.url}#{member}")
            targets.append(target)
            scored.append(counts)
    if not names:
        raise NoSplit(f"{where} has no face of split {split!r}")
    return Dataset(
        name="wds",
        split=split,
        images=tuple(names),
        targets=np.stack(targets),
        scored=np.asarray(scored, bool),
        pictures=ShardPictures(),
        cropped=crop_key(index.colour, index.crop),
        classes=index.classes,
        about=index.about,
    )


def shard_index(where: str, split: str) -> ShardIndex:
    """Read the entry of a split in index.json, which is in the folder of the shards.

    Args:
        where: path or URL of that folder, or a pattern of its tar files such as `shards/train-{000000..000999}.tar`.

    Raises:
        DataError: index.json is missing, or lacks the split or a shard.
    """
    place, named = where, None
    if where.endswith(".tar") or "{" in where:
        try:
            import braceexpand
        except ModuleNotFoundError as error:
            raise DataError(f"reading shards needs webdataset: {pip_install('shards')}") from error
        named = [url.rpartition("/")[2] for url in braceexpand.braceexpand(where)]
        place = where.rpartition("/")[0] or "."
    content = _read_remote(f"{place}/{INDEX}") if "://" in place else _read_index_file(user_path(place) / INDEX)
    root = place if "://" in place else str(user_path(place))
    return _index(content, f"{root}/", split, named)


def _index(content: dict[str, Any], root: str, split: str, named: Sequence[str] | None) -> ShardIndex:
    try:
        about, made_of = content["splits"], content["faces"]
        if split not in about:
            raise NoSplit(f"{root}{INDEX} has no split {split!r}; it has: {', '.join(about) or 'none'}")
        found = {str(name): int(count) for name, count in about[split]["shards"]}
        if named is not None and split == "train":
            unknown = [name for name in named if name not in found]
            if unknown:
                raise DataError(f"{root}{INDEX} does not list {unknown[0]} in split train")
            found = {name: found[name] for name in named}
        return ShardIndex(
            tuple(Shard(root + name, count) for name, count in found.items()),
            tuple(float(share) for share in about[split]["targets"]),
            tuple(about[split]["classes"]),
            str(about[split]["about"]),
            int(made_of["size"]),
            str(made_of["colour"]),
            dict(made_of["crop"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{root}{INDEX} is damaged: {error!r}") from error


def _read_index_file(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"no {INDEX} in {path.parent}: expected shards written by edgeemo-train data shard") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return content


def _read_remote(url: str) -> dict[str, Any]:
    try:
        import webdataset
    except ModuleNotFoundError as error:
        raise DataError(f"reading shards needs webdataset: {pip_install('shards')}") from error
    try:
        with webdataset.gopen(url) as stream:
            content: dict[str, Any] = json.loads(stream.read())
    except Exception as error:  # the library raises what its transports raise
        raise DataError(f"cannot read {url}: {str(error)[:160]}") from error
    return content


@dataclass(frozen=True)
class ShardPictures:
    """Crops in local shards, named `SHARD.tar#MEMBER`."""

    def __call__(self, name: str) -> U8:
        path, _, member = name.rpartition("#")
        try:
            start, size = _members(Path(path), file_identity(Path(path)))[f"{member}.jpg"]
            with open(path, "rb") as file:
                file.seek(start)
                return decode(file.read(size), name)
        except KeyError as error:
            raise PictureError(name, "missing file") from error
        except (OSError, tarfile.TarError) as error:
            raise PictureError(name, f"unreadable file ({error})") from error

    def identity(self, name: str) -> str:
        path = name.rpartition("#")[0]
        return file_identity(Path(path)) if path else MISSING


@lru_cache(maxsize=64)
def _members(path: Path, identity: str) -> dict[str, tuple[int, int]]:
    """Member -> offset and number of its bytes."""
    with tarfile.open(path) as archive:
        return {member.name: (member.offset_data, member.size) for member in archive}


def _labels(path: Path, identity: str) -> Iterator[tuple[str, tuple[F32, bool]]]:
    try:
        members = _members(path, identity)
        with path.open("rb") as file:
            for name, (start, size) in members.items():
                stem, _, kind = name.rpartition(".")
                if kind == "json":
                    file.seek(start)
                    yield stem, decode_targets(file.read(size))
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"cannot read the shard {path}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} has labels that edgeemo-train data shard did not write: {error!r}") from error
