"""edgeemo-train: from pictures to an engine. Torch is imported only by the commands that need it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import EngineError
from engines.installation import pip_install
from engines.layout import cache_folder
from trainer.errors import TrainerError
from trainer.fit_options import add_alias, add_fit_options, fit_config, number, positive, run_folder

if TYPE_CHECKING:
    from trainer.data import Dataset

# imported late, and named to the user when they are missing
OPTIONAL = ("torch", "onnx", "onnxscript", "matplotlib")
DATA_HELP = (
    "ferplus:FOLDER_OR_ZIP, affectnet:FOLDER[,classes=11|8|7][,protocol=poster|official][,seed=N], fer2013:CSV, "
    "rafdb:FOLDER, expw:FOLDER, folder:FOLDER_OR_ZIP[,by=person]"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        command: int = options.run_command(options)
        return command
    except (TrainerError, EngineError) as error:
        # of several processes started by torchrun one speaks
        if os.environ.get("RANK", "0") == "0":
            print(f"edgeemo-train: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        print(f"edgeemo-train: {error.name} is not installed: {pip_install('train')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edgeemo-train: interrupted; the same command continues from the last epoch", file=sys.stderr)
        return 130


def default_cache() -> Path:
    return cache_folder() / "faces"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgeemo-train", description="Train, score and package networks.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    cached = argparse.ArgumentParser(add_help=False)
    cached.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="where face crops are kept")
    _add_workers(cached)
    data = argparse.ArgumentParser(add_help=False, parents=[cached])
    data.add_argument("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
    _add_fit(commands, data)
    _add_evaluate(commands, data)
    _add_robustness(commands)
    _add_bundle(commands, data)
    _add_average(commands)
    random = commands.add_parser("untrained", help="a network with random weights as a bundle, for timing only")
    random.add_argument("network", help="its name, see models")
    random.add_argument("--output", type=Path, required=True, metavar="DIR")
    random.set_defaults(run_command=_untrained)
    _add_saliency(commands, data)
    _add_data(commands, cached)
    shown = commands.add_parser("models", help="the networks: sizes, the poster's accuracy, and ours")
    shown.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are looked for")
    shown.set_defaults(run_command=_models)
    compared = commands.add_parser("table", help="the poster's table beside run folders, as Markdown")
    compared.add_argument("runs", type=Path, nargs="*", default=[Path("runs")], help="run folders, or folders of them")
    compared.set_defaults(run_command=_table)
    return parser


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--num-workers",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that crop faces (default: one per core)",
    )
    add_alias(parser, "--processes", "num_workers", type=positive)


def _add_fit(commands: Any, data: argparse.ArgumentParser) -> None:
    fit = commands.add_parser(
        "fit",
        parents=[data],
        help="train a network; the same command resumes",
        description="Train a network; the same command resumes. Several GPUs: "
        "torchrun --nproc-per-node N -m trainer.cli fit --device cuda ...",
    )
    # torchrun takes --run, wherever it stands, for an abbreviation of its own --run-path
    run_help = "run folder (default: runs/NAME); under torchrun write --run-folder"
    fit.add_argument("--run", "--run-folder", type=Path, metavar="DIR", help=run_help)
    fit.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    fit.add_argument(
        "--save-minutes",
        type=number,
        default=10.0,
        metavar="N",
        help="write last.pt within an epoch too, every N minutes (default: 10); it can be scored like any checkpoint",
    )
    add_fit_options(fit)
    fit.set_defaults(run_command=_fit)


def _add_bundle(commands: Any, data: argparse.ArgumentParser) -> None:
    pack = commands.add_parser("bundle", parents=[data], help="checkpoint -> calibrated ONNX bundle with its card")
    pack.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folder (its best epoch), best.pt, or last.pt (its average); several become an ensemble",
    )
    pack.add_argument("--output", type=Path, required=True, metavar="DIR")
    pack.add_argument("--name", help="the bundle's name (default: its network)")
    pack.add_argument("--extra-data", nargs="+", default=(), metavar="KIND:PATH", help="what else it was trained on")
    add_alias(pack, "--also", "extra_data", nargs="+")
    pack.add_argument(
        "--logit-adjustment",
        type=number,
        default=0.0,
        metavar="X",
        help="favour rare expressions; 0: not, 1: as if all were equally frequent (default: 0)",
    )
    add_alias(pack, "--favour-rare", "logit_adjustment", type=number)
    pack.add_argument(
        "--no-face-margin",
        type=number,
        default=0.0,
        metavar="X",
        help="subtract X from the no_face logit (default: 0)",
    )
    add_alias(pack, "--trust-detector", "no_face_margin", type=number)
    pack.add_argument("--mirror", action="store_true", help="the mean over the face and its mirror image: costs twice")
    pack.add_argument(
        "--without-fp32",
        action="store_true",
        help="ship FP16 and INT8 files that passed their parity report instead of the FP32 model: for large networks",
    )
    pack.set_defaults(run_command=_bundle)


def _add_average(commands: Any) -> None:
    soup = commands.add_parser("average", help="the mean of several trainings' weights, as one checkpoint")
    soup.add_argument("checkpoints", type=Path, nargs="+", metavar="RUN", help="run folders, best.pt or last.pt")
    soup.add_argument("--shares", type=number, nargs="+", metavar="X", help="of each (default: equal)")
    soup.add_argument("--output", type=Path, required=True, metavar="FILE.pt")
    soup.set_defaults(run_command=_average)


def _add_saliency(commands: Any, data: argparse.ArgumentParser) -> None:
    look = commands.add_parser("saliency", parents=[data], help="a page of where a network looks (Grad-CAM)")
    look.add_argument("checkpoint", type=Path, help="run folder or best.pt")
    look.add_argument("--split", default="valid", help="default: valid")
    look.add_argument("--output", type=Path, default=Path("saliency.html"), metavar="HTML")
    look.add_argument("--count", type=positive, default=24, help="correct predictions shown, and as many wrong ones")
    look.set_defaults(run_command=_saliency)


def _add_data(commands: Any, cached: argparse.ArgumentParser) -> None:
    sets = commands.add_parser("data", help="look at a data set, or crop its faces into the cache")
    actions = sets.add_subparsers(required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", parents=[cached], help="crop the faces once; the same command resumes")
    prepare.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    prepare.add_argument(
        "--network", default="hybrid_lite", help="whose input size, colour and geometry (default: hybrid_lite)"
    )
    add_alias(prepare, "--arch", "network")
    prepare.add_argument("--split", action="append", help="may be repeated (default: train and valid)")
    prepare.set_defaults(run_command=_prepare)
    info = actions.add_parser("info", help="pictures per class, duplicates in and across splits, unusable rows")
    info.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    info.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="where digests are kept")
    info.add_argument("--near", action="store_true", help="count rescaled and recompressed copies as duplicates too")
    info.set_defaults(run_command=_info)
    groups = actions.add_parser("groups", help="colour, tone of the skin, light and size of each picture, for --by")
    groups.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    groups.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"))
    groups.add_argument("--output", type=Path, required=True, metavar="CSV")
    groups.set_defaults(run_command=_groups)
    crops = actions.add_parser(
        "crops",
        aliases=["cut"],
        parents=[cached],
        help="crops and labels of a split as one .npz, for edgeemo-export",
    )
    crops.add_argument("data", metavar="KIND:PATH", help=DATA_HELP)
    crops.add_argument("--spec", type=Path, required=True, metavar="JSON", help="spec.json of the model they are for")
    crops.add_argument("--split", default="valid", help="default: valid")
    crops.add_argument("--limit", type=positive, metavar="N", help="that many pictures, evenly spread")
    crops.add_argument("--output", type=Path, required=True, metavar="NPZ")
    crops.set_defaults(run_command=_crops)


def _add_evaluate(commands: Any, data: argparse.ArgumentParser) -> None:
    score = commands.add_parser("evaluate", parents=[data], help="score an engine (needs no torch) or a checkpoint")
    score.add_argument("--engine", required=True, help="name in the zoo, bundle folder, run folder or .pt file")
    score.add_argument("--against", metavar="ENGINE", help="a second one: paired test on the same faces")
    score.add_argument("--backend", default="onnx")
    score.add_argument("--device", default="cpu", help="of checkpoints")
    score.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"))
    score.add_argument("--by", metavar="FILE.csv:COLUMN", help="accuracy of each group; the file has a column image")
    score.add_argument("--predictions", type=Path, metavar="CSV", help="write the probabilities of each picture")
    score.add_argument("--report", type=Path, metavar="DIR", help="write confusion, reliability, risk-coverage")
    score.add_argument("--json", action="store_true")
    score.set_defaults(run_command=_evaluate)


def _add_robustness(commands: Any) -> None:
    hard = commands.add_parser("robustness", help="accuracy under blur, darkness, compression ...; needs no torch")
    hard.add_argument("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
    hard.add_argument("--engine", required=True, help="name in the zoo, bundle folder, run folder or .pt file")
    hard.add_argument("--backend", default="onnx")
    hard.add_argument("--device", default="cpu", help="of checkpoints")
    hard.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"))
    hard.add_argument("--limit", type=positive, metavar="N", help="that many pictures, evenly spread")
    hard.add_argument("--conditions", metavar="KIND,...", help="of blur, dark, jpeg, small, roll, cover, colour")
    hard.add_argument("--seed", type=int, default=0)
    hard.add_argument("--output", type=Path, metavar="DIR", help="write robustness.csv and robustness.png")
    _add_workers(hard)
    hard.set_defaults(run_command=_robustness)


def _fit(options: argparse.Namespace) -> int:
    from trainer.train import fit

    run = run_folder(options)
    best = fit(
        fit_config(options),
        run,
        cache=options.cache,
        device=options.device,
        num_workers=options.num_workers,
        save_minutes=options.save_minutes,
    )
    if os.environ.get("RANK", "0") == "0":
        print(f"best checkpoint: {best}")
        print(f"next: edgeemo-train bundle {run} --data {options.data} --output {run.name}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from trainer import evaluate as scoring

    groups = scoring.read_groups(options.by) if options.by else None

    def score(name: str) -> scoring.Evaluation:
        with scoring.open_model(name, backend=options.backend, device=options.device) as model:
            return scoring.evaluate(
                model, options.data, options.split, cache=options.cache, num_workers=options.num_workers
            )

    evaluation = score(options.engine)
    paired = scoring.compare(evaluation, score(options.against)) if options.against else None
    table = scoring.by_group(evaluation, groups) if groups is not None else None
    if options.predictions is not None:
        scoring.write_predictions(options.predictions, evaluation)
    if options.report is not None:
        scoring.write_report(options.report, evaluation)
    if options.json:
        content = json.loads(scoring.as_json(evaluation))
        if paired is not None:
            content["against"] = {"name": options.against, "difference": paired.difference, **vars(paired)}
        if table is not None:
            content["groups"] = {group: {"faces": faces, "hits": hits} for group, (faces, hits) in table.items()}
        print(json.dumps(content, indent=2))
        return 0
    print(scoring.as_text(evaluation))
    if table is not None:
        print("\n" + scoring.groups_as_text(table))
    if paired is not None:
        print("\n" + scoring.paired_as_text(options.engine, options.against, paired))
    return 0


def _robustness(options: argparse.Namespace) -> int:
    from trainer import robustness
    from trainer.conditions import choose
    from trainer.evaluate import open_model

    conditions = choose(options.conditions)
    with open_model(options.engine, backend=options.backend, device=options.device) as model:
        table = robustness.measure(
            model,
            options.data,
            options.split,
            conditions,
            limit=options.limit,
            seed=options.seed,
            num_workers=options.num_workers,
        )
    print(robustness.as_text(table))
    if options.output is not None:
        robustness.write_report(options.output, table)
        print(f"written: {options.output}")
    return 0


def _bundle(options: argparse.Namespace) -> int:
    from trainer.export import make_bundle
    from trainer.runs import find_checkpoint

    scores = make_bundle(
        [find_checkpoint(path) for path in options.checkpoints],
        options.data,
        options.output,
        name=options.name,
        cache=options.cache,
        extra_data=options.extra_data,
        logit_adjustment=options.logit_adjustment,
        mirror=options.mirror,
        no_face_margin=options.no_face_margin,
        without_fp32=options.without_fp32,
    ).scores
    print(f"{options.output}: {scores.accuracy:.2%} on valid, calibration error {scores.calibration_error:.4f}")
    return 0


def _untrained(options: argparse.Namespace) -> int:
    from trainer.export import write_untrained

    write_untrained(options.network, options.output)
    print(f"{options.output}: {options.network} with random weights, for timing only")
    return 0


def _average(options: argparse.Namespace) -> int:
    from trainer.average import average

    print(average(options.checkpoints, options.output, options.shares))
    return 0


def _saliency(options: argparse.Namespace) -> int:
    from trainer.data import open_data
    from trainer.data.faces import load_faces
    from trainer.runs import find_checkpoint, load_checkpoint
    from trainer.saliency import write_page

    _, model = load_checkpoint(find_checkpoint(options.checkpoint))
    spec = model.spec
    data = open_data(options.data, options.split)
    faces = load_faces(data, spec, options.cache, num_workers=options.num_workers)
    write_page(model, spec, data, faces, options.output, count=options.count)
    print(f"written: {options.output}")
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
            print(f"{split}: {error}")
    if not found:
        return 2
    print(f"{'':12}" + "".join(f"{split:>10}" for split in found))
    print(f"{'pictures':12}" + "".join(f"{len(data):10,}" for data in found.values()))
    print(f"{'scored':12}" + "".join(f"{int(data.scored.sum()):10,}" for data in found.values()))
    for column, label in enumerate(LABELS):
        shares = [int((data.targets.argmax(axis=1) == column).sum()) for data in found.values()]
        print(f"{label:12}" + "".join(f"{share:10,}" for share in shares))
    _print_duplicates(found, options.cache, near=options.near)
    last = next(iter(found.values()))
    if last.skipped:
        print(f"skipped: {len(last.skipped)} rows")
        for reason, count in by_reason(last.skipped).most_common(5):
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
    from trainer.groups import write_groups

    counts = write_groups(options.data, options.split, options.output)
    print(f"{options.output}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 0


def _models(options: argparse.Namespace) -> int:
    from engines.bundle import ZOO
    from trainer.config import poster_accuracy
    from trainer.models import ARCHITECTURES, build
    from trainer.models.cost import count_parameters, multiply_adds
    from trainer.table import measured

    print(f"{'name':12} {'input':>10} {'parameters':>12} {'multiply-adds':>14} {'poster':>8}   ours")
    for name, entry in ARCHITECTURES.items():
        model = build(name)
        parameters = count_parameters(model)
        size = f"{entry.spec.size}x{entry.spec.size}x{entry.spec.channels}"
        poster = poster_accuracy(name)
        printed = "-" if poster is None else f"{poster:.1%}"
        operations = multiply_adds(model, entry.spec) / 1e6
        ours = measured(name, options.runs, ZOO)
        print(f"{name:12} {size:>10} {parameters:12,} {operations:12,.1f} M {printed:>8}   {ours}")
    return 0


def _table(options: argparse.Namespace) -> int:
    from trainer.table import find_runs, load_result, table

    print(table(load_result(run) for run in find_runs(options.runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
