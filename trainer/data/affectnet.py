"""AffectNet (Mollahosseini et al., 2017) with the poster's or the official protocol, in any of its layouts.

`trainer.data.open_data` calls it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.spec import LABELS
from trainer.data.affectnet_layouts import NUMBERING, read_affectnet
from trainer.data.dataset import Dataset
from trainer.errors import DataError, NoSplit

# the poster's split of its 390,969 pictures
POSTER_SPLIT = {"train": 351_874, "valid": 19_542, "test": 19_553}
ABOUT = (
    "AffectNet (Mollahosseini, Hasani, Mahoor, 2017), the manually annotated pictures: photographs from the web, one "
    "label each. Its owners give it to researchers on request; neither pictures nor weights trained on it may be used "
    "commercially without their permission."
)


def open_affectnet(path: Path, split: str, *, classes: int = 11, protocol: str = "poster", seed: int = 0) -> Dataset:
    """Read AffectNet in any layout that `trainer.data.affectnet_layouts` recognises.

    The crop follows the landmarks (`landmarks.detector_boxes`), so that it equals the crop at run time. A row without
    usable landmarks gets AffectNet's own face box, corrected by the median shift and scale between both boxes.

    Args:
        classes: 11, 8 (the expressions) or 7 (without contempt).
        protocol: "poster" mixes all pictures and splits them 90 / 5 / 5 % as the poster did (351,874 / 19,542 / 19,553
            of 390,969), by a seeded shuffle; "official" tests on the validation set and holds out 5 % of
            the training set for validation.

    Raises:
        DataError: the folder is not AffectNet, has no usable row, or lacks the validation set that "official" needs.
    """
    if split not in POSTER_SPLIT:
        raise NoSplit(f"AffectNet has no split {split!r}; choose one of {', '.join(POSTER_SPLIT)}")
    if classes not in (7, 8, 11):
        raise DataError(f"AffectNet has 11, 8 or 7 classes, not {classes}")
    if protocol not in ("poster", "official"):
        raise DataError(f"protocol must be poster or official, not {protocol!r}")
    if seed < 0:
        raise DataError(f"seed must be 0 or more, not {seed}")
    table = read_affectnet(path)
    if protocol == "official" and not table.has_validation:
        raise DataError(f"{path} has no validation set, which protocol=official tests on: use protocol=poster")
    kept = np.flatnonzero(table.labels < classes)
    order = kept[np.random.default_rng(seed).permutation(len(kept))]
    if protocol == "poster":
        chosen = _share(order, split)
    elif split == "test":
        chosen = kept[table.parts[kept] == 1]
    else:
        training = order[table.parts[order] == 0]
        held_out = round(len(training) / 20)
        chosen = training[:held_out] if split == "valid" else training[held_out:]
    if not len(chosen):
        raise NoSplit(f"{path} has no usable row for split {split!r}: {len(table.skipped)} rows were skipped")
    chosen = np.sort(chosen)
    return Dataset(
        name=f"affectnet{classes}-{protocol}",
        split=split,
        images=tuple(table.images[row] for row in chosen),
        targets=np.eye(len(LABELS), dtype=np.float32)[table.labels[chosen]],
        scored=np.ones(len(chosen), bool),
        pictures=table.pictures,
        boxes=table.boxes[chosen],
        keypoints=table.keypoints[chosen],
        classes=NUMBERING[:classes],
        skipped=table.skipped,
        about=ABOUT,
    )


def _share(order: npt.NDArray[np.int64], split: str) -> npt.NDArray[np.int64]:
    """The indices of a split in a shuffled order; its size equals the poster's for the poster's number of pictures."""
    whole = sum(POSTER_SPLIT.values())
    first = round(len(order) * POSTER_SPLIT["train"] / whole)
    second = first + round(len(order) * POSTER_SPLIT["valid"] / whole)
    return {"train": order[:first], "valid": order[first:second], "test": order[second:]}[split]
