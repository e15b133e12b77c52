"""Find pictures that occur twice within a split, or in two splits (leakage).

`fit` leaves out training pictures that are also in the validation or test split, `evaluate` reports accuracy with and
without such pictures, and `edgeemo-train data info` counts both kinds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.files import atomic_path
from engines.preprocess import U8
from trainer.data.dataset import Dataset
from trainer.errors import DataError, PictureError

Digests = npt.NDArray[np.uint64]

UNREADABLE = 0  # the digest of a picture that cannot be read: equal to no other
SIDE = 9  # width of the small picture of a perceptual hash, which has 8 differences per row


def picture_digests(data: Dataset, cache: Path | None = None, *, perceptual: bool = False) -> Digests:
    """A 64-bit digest of each picture's decoded pixels: equal digests are equal pictures.

    Args:
        cache: folder that keeps them; the key includes each picture's size and modification time.
        perceptual: digests that are also equal for rescaled or recompressed copies (difference hash: the signs of the
            brightness differences between neighbours in a picture of 9x8 pixels).

    Returns:
        (N,) uint64; `UNREADABLE` for pictures that cannot be read.

    Raises:
        DataError: the cache cannot be written.
    """
    kind = "perceptual" if perceptual else "pixels"
    path = None if cache is None else cache / f"{data.name}-{data.split}-{kind}-{data.content_key}.npy"
    if path is not None and path.is_file():
        with contextlib.suppress(OSError, ValueError, EOFError):  # damaged: compute them again
            kept: Digests = np.load(path)
            if len(kept) == len(data) and UNREADABLE not in kept:
                return kept
    digest = _perceptual if perceptual else _exact

    def of(row: int) -> int:
        try:
            return digest(data.read(row))
        except PictureError:
            return UNREADABLE

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rows = tqdm(
            pool.map(of, range(len(data))), desc=f"digests of {data.name} {data.split}", total=len(data), disable=None
        )
        found = np.fromiter(rows, np.uint64, len(data))
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as draft:
                np.save(draft, found)
        except OSError as error:
            raise DataError(f"cannot keep digests in {path}: {error.strerror}") from error
    return found


def also_in(digests: Digests, others: Digests) -> npt.NDArray[np.bool_]:
    """(N,) whether each picture also occurs among the others."""
    return np.asarray(np.isin(digests, others) & (digests != UNREADABLE), np.bool_)


@dataclass(frozen=True)
class Duplicates:
    """Repetition in and between splits.

    Attributes:
        within: split -> pictures that repeat an earlier one of the same split.
        across: (split, other) -> pictures of `split` that also occur in `other`.
    """

    within: dict[str, int]
    across: dict[tuple[str, str], int]


def find_duplicates(digests: dict[str, Digests]) -> Duplicates:
    """Count repetition from each split's digests."""
    readable = {split: found[found != UNREADABLE] for split, found in digests.items()}
    within = {split: sum(count - 1 for count in Counter(found.tolist()).values()) for split, found in readable.items()}
    across = {
        (split, other): int(also_in(found, readable[other]).sum())
        for split, found in readable.items()
        for other in readable
        if other != split
    }
    return Duplicates(within, across)


def _exact(image: U8) -> int:
    if image.ndim == 2:  # of FER2013's CSV file; the same picture in a file is decoded to three equal channels
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    content = str(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    return max(1, int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))


def _perceptual(image: U8) -> int:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE - 1), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return max(1, int.from_bytes(np.packbits(bits).tobytes(), "big"))
