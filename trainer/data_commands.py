"""`edgeemo-train data`: inspect a data set, crop its faces, export the crops. `trainer.cli` calls it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.layout import cache_folder
from engines.terminal import one_line
from trainer.fit_options import add_alias, positive
from trainer.outputs import check_output

if TYPE_CHECKING:
    from trainer.data import Dataset

DATA_HELP = (
    "ferplus:FOLDER_OR_ZIP, affectnet:FOLDER[,classes=11|8|7][,protocol=poster|official][,seed=N], fer2013:CSV, "
    "rafdb:FOLDER, expw:FOLDER, folder:FOLDER_OR_ZIP[,by=person], wds:FOLDER_OR_PATTERN[,valid=FOLDER]"
)


def default_cache() -> Path:
    return cache_folder() / "faces"


def add_data_commands(commands: Any, cached: argparse.ArgumentParser) -> None:
    sets = commands.add_parser("data", help="inspect a data set, crop its faces, export the crops")
    actions = sets.add_subparsers(required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", parents=[cached], help="crop the faces once; the same command resumes")
    prepare.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    prepare.add_argument(
        "--network",
        default="hybrid_lite",
        help="network whose input size, colour and geometry are used (default: hybrid_lite)",
    )
    add_alias(prepare, "--arch", "network")
    prepare.add_argument("--split", action="append", help="repeatable (default: train and valid)")
    prepare.set_defaults(run_command=_prepare, resumes=True)
    _add_shard(actions, cached)
    info = actions.add_parser("info", help="pictures per class, duplicates in and across splits, unusable rows")
    info.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    info.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="folder of cached digests")
    info.add_argument("--near", action="store_true", help="count rescaled and recompressed copies as duplicates too")
    info.set_defaults(run_command=_info)
    groups = actions.add_parser(
        "groups", help="write colour, skin tone, light and size of each picture, for evaluate --by"
    )
    groups.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    groups.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"), help="which split")
    groups.add_argument("--output", type=Path, required=True, metavar="CSV")
    groups.set_defaults(run_command=_groups)
    crops = actions.add_parser(
        "crops",
        aliases=["cut"],
        parents=[cached],
        help="write crops and labels of a split as one .npz, for edgeemo-export",
    )
    crops.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    crops.add_argument("--spec", type=Path, required=True, metavar="JSON", help="spec.json of the model")
    crops.add_argument("--split", default="valid", help="which split")
    crops.add_argument("--limit", type=positive, metavar="N", help="use N pictures, evenly spread")
    crops.add_argument("--output", type=Path, required=True, metavar="NPZ")
    crops.set_defaults(run_command=_crops)


def _add_shard(actions: Any, cached: argparse.ArgumentParser) -> None:
    shard = actions.add_parser("shard", parents=[cached], help="write face crops as tar files, for --data wds:")
    shard.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    shard.add_argument(
        "--network", default="hybrid_lite", help="network whose input size, colour and geometry are used"
    )
    shard.add_argument("--size", type=positive, metavar="PX", help="size of the faces (default: the network's)")
    shard.add_argument("--split", action="append", help="repeatable (default: train and valid)")
    shard.add_argument("--faces", type=positive, default=10_000, metavar="N", help="per tar file")
    shard.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the tar files")
    shard.set_defaults(run_command=_shard)


def _shard(options: argparse.Namespace) -> int:
    from trainer.data import open_data
    from trainer.data.faces import load_faces
    from trainer.data.shards import write_shards
    from trainer.models import architecture

    spec = architecture(options.network).spec
    spec = replace(spec, size=options.size or spec.size)
    for split in options.split or ("train", "valid"):
        data = open_data(options.data, split)
        faces = load_faces(data, spec, options.cache, num_workers=options.num_workers)
        index = write_shards(data, faces, spec, options.output, per_shard=options.faces)
        print(f"{split}: {index.faces:,} faces of {spec.size} px in {len(index.shards)} shards in {options.output}")
    return 0


def _prepare(options: argparse.Namespace) -> int:
    from trainer.data import open_data
    from trainer.data.faces import by_reason, cache_folder, load_faces, skipped_pictures, write_skipped
    from trainer.models import architecture

    spec = architecture(options.network).spec
    for split in options.split or ("train", "valid"):
        data = open_data(options.data, split)
        faces = load_faces(data, spec, options.cache, num_workers=options.num_workers)
        folder = cache_folder(data, spec, options.cache)
        skipped = skipped_pictures(data, folder)
        print(f"{split}: {len(faces)} faces of {spec.size}x{spec.size} in {folder}, {len(skipped)} skipped")
        if faces.whole_pictures:
            print(f"    {faces.whole_pictures} of them are whole pictures: the detector finds no face in a tight crop")
        for reason, count in by_reason(skipped).most_common(5):
            print(f"    {count} x {reason}")
        if skipped:
            write_skipped(folder / "report.csv", skipped)
            print(f"    each of them: {folder / 'report.csv'}")
    return 0


def _crops(options: argparse.Namespace) -> int:
    from engines.spec import ModelSpec
    from trainer.data import open_data
    from trainer.data.faces import save_crops

    check_output(options.output, "crops", [options.data, options.spec])
    count = save_crops(
        open_data(options.data, options.split),
        ModelSpec.load(options.spec),
        options.output,
        limit=options.limit,
        cache=options.cache,
        num_workers=options.num_workers,
    )
    print(f"{count} faces in {options.output}")
    return 0


def _info(options: argparse.Namespace) -> int:
    from engines.spec import LABELS
    from trainer.data import open_data
    from trainer.data.faces import by_reason
    from trainer.errors import DataError

    found = {}
    for split in ("train", "valid", "test"):
        try:
            found[split] = open_data(options.data, split)
        except DataError as error:
            print(f"{split}: {one_line(error)}")
    if not found:
        return 2
    print(f"{'':12}" + "".join(f"{split:>10}" for split in found))
    print(f"{'pictures':12}" + "".join(f"{len(data):10,}" for data in found.values()))
    print(f"{'scored':12}" + "".join(f"{int(data.scored.sum()):10,}" for data in found.values()))
    for column, label in enumerate(LABELS):
        shares = [int((data.targets.argmax(axis=1) == column).sum()) for data in found.values()]
        print(f"{label:12}" + "".join(f"{share:10,}" for share in shares))
    _print_duplicates(found, options.cache, near=options.near)
    # some readers list the unusable rows of all splits with each of them
    skipped = dict.fromkeys(item for data in found.values() for item in data.skipped)
    if skipped:
        print(f"skipped: {len(skipped)} rows")
        for reason, count in by_reason(skipped).most_common(5):
            print(f"    {count} x {reason}")
    return 0


def _print_duplicates(found: dict[str, Dataset], cache: Path, *, near: bool) -> None:
    from trainer.data.duplicates import find_duplicates, picture_digests

    kind = "near-identical" if near else "identical"
    digests = {split: picture_digests(data, cache, perceptual=near) for split, data in found.items()}
    duplicates = find_duplicates(digests)
    for split, count in duplicates.within.items():
        if count:
            print(f"duplicates: {count:,} pictures of {split} are {kind} to an earlier one of {split}")
    for (split, other), count in duplicates.across.items():
        if count:
            print(f"leakage: {count:,} pictures of {split} are {kind} to pictures of {other}")


def _groups(options: argparse.Namespace) -> int:
    from trainer.picture_groups import write_groups

    check_output(options.output, "groups", [options.data])
    counts = write_groups(options.data, options.split, options.output)
    print(f"{options.output}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 0
