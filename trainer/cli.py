"""edgeemo-train: from pictures to an engine. Torch is imported only by the commands that need it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.errors import EdgeemoError
from engines.installation import pip_install
from engines.standard import MISTAKE, Parser, perform, told
from trainer.config import SAFETENSORS, FitConfig, is_checkpoint
from trainer.data_commands import DATA_HELP, add_data_commands, default_cache
from trainer.errors import RunError, TrainerError
from trainer.fit_options import add_alias, add_fit_options, fit_config, number, positive, run_folder, seed
from trainer.outputs import check_output

# imported on demand; an error names the missing one
OPTIONAL = ("torch", "onnx", "onnxscript", "matplotlib", "safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, 4 standard output is not complete, 130 interrupted."""
    return perform("edgeemo-train", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        command: int = options.run_command(options)
        return command
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        print(f"edgeemo-train: {error.name} is not installed: {pip_install('train')}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        resumes = "; the same command continues" if options.resumes and not getattr(options, "dry_run", False) else ""
        print(f"edgeemo-train: interrupted{resumes}", file=sys.stderr)
        return 130
    except Exception as error:
        said = told(error, TrainerError, EdgeemoError)
        if not said:
            raise
        # of the processes started by torchrun only rank 0 prints
        if os.environ.get("RANK", "0") == "0":
            print(f"edgeemo-train: {said}", file=sys.stderr)
        return MISTAKE


class _DefaultsShown(argparse.HelpFormatter):
    """Append the default to the help of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        given = action.default not in (None, argparse.SUPPRESS, False) and action.default != ()
        if action.help and action.option_strings and given and "(default" not in action.help:
            return f"{action.help} (default: %(default)s)"
        return action.help


class _Parser(Parser):
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": _DefaultsShown} | keywords)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="edgeemo-train", description="Train, score and package networks.")
    parser.set_defaults(resumes=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    cached = argparse.ArgumentParser(add_help=False)
    cached.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="where face crops are kept")
    _add_workers(cached)
    data = argparse.ArgumentParser(add_help=False, parents=[cached])
    data.add_argument("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
    _add_fit(commands, cached)
    _add_evaluate(commands, data)
    _add_robustness(commands)
    _add_bundle(commands, data)
    _add_average(commands)
    random = commands.add_parser("untrained", help="bundle a network with random weights, for timing only")
    random.add_argument("network", help="a network, see edgeemo-train models")
    random.add_argument("--output", type=Path, required=True, metavar="DIR")
    random.set_defaults(run_command=_untrained)
    _add_weights(commands)
    _add_saliency(commands, data)
    add_data_commands(commands, cached)
    shown = commands.add_parser("models", help="list the networks: size, the poster's accuracy, ours")
    shown.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs")
    shown.set_defaults(run_command=_models)
    compared = commands.add_parser("table", help="compare run folders with the poster's table, as Markdown")
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


def _add_fit(commands: Any, cached: argparse.ArgumentParser) -> None:
    fit = commands.add_parser(
        "fit",
        parents=[cached],
        help="train a network; the same command resumes",
        description="Train a network; the same command resumes. Several GPUs: "
        "torchrun --nproc-per-node N -m trainer.cli fit ...",
    )
    # torchrun interprets --run anywhere as an abbreviation of its --run-path
    run_help = "run folder (default: runs/NAME); under torchrun write --run-folder"
    fit.add_argument("--run", "--run-folder", type=Path, metavar="DIR", help=run_help)
    fit.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 ...; auto: the GPU if there is one")
    fit.add_argument(
        "--save-minutes",
        type=number,
        default=10.0,
        metavar="N",
        help="also write last.pt every N minutes within an epoch; it can be scored like any checkpoint",
    )
    fit.add_argument(
        "--log",
        nargs="+",
        default=["tensorboard"],
        metavar="NAME",
        help="loggers of each epoch's figures: tensorboard, mlflow, wandb",
    )
    fit.add_argument(
        "--dry-run",
        action="store_true",
        help="only estimate faces, steps, hours (from 20 measured steps), memory and disk; no run folder is written",
    )
    add_fit_options(fit, DATA_HELP)
    fit.set_defaults(run_command=_fit, resumes=True)


def _add_bundle(commands: Any, data: argparse.ArgumentParser) -> None:
    pack = commands.add_parser(
        "bundle", parents=[data], help="make a calibrated ONNX bundle of a checkpoint, with its card"
    )
    pack.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folder (its best epoch), best.pt, or last.pt (moving average); several make an ensemble",
    )
    pack.add_argument("--output", type=Path, required=True, metavar="DIR")
    pack.add_argument("--name", help="the bundle's name (default: its network)")
    pack.add_argument(
        "--extra-data", nargs="+", default=(), metavar="KIND:PATH", help="further data sets it was trained on"
    )
    add_alias(pack, "--also", "extra_data", nargs="+")
    pack.add_argument(
        "--logit-adjustment",
        type=number,
        default=0.0,
        metavar="X",
        help="favour rare expressions; 0: off, 1: as if all were equally frequent (default: 0)",
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
    pack.add_argument(
        "--mirror", action="store_true", help="average over the face and its mirror image, at twice the cost"
    )
    pack.add_argument(
        "--without-fp32",
        action="store_true",
        help="ship the FP16 and INT8 files that passed parity instead of the FP32 model, for large networks",
    )
    pack.add_argument("--int8-only", action="store_true", help="as --without-fp32, and without the FP16 file")
    pack.add_argument(
        "--out-of-fold",
        type=Path,
        nargs="+",
        default=(),
        metavar="RUN",
        help="for a RUN of fit --all or an ensemble of folds: runs of fit --folds, for temperature and accuracy",
    )
    pack.set_defaults(run_command=_bundle)


def _add_average(commands: Any) -> None:
    soup = commands.add_parser("average", help="average the weights of several trainings into one checkpoint")
    soup.add_argument("checkpoints", type=Path, nargs="+", metavar="RUN", help="run folders, best.pt or last.pt")
    soup.add_argument("--shares", type=number, nargs="+", metavar="X", help="weight of each RUN (default: equal)")
    soup.add_argument("--output", type=Path, required=True, metavar="FILE.pt")
    soup.set_defaults(run_command=_average)


def _add_weights(commands: Any) -> None:
    wanted = commands.add_parser(
        "weights", help="write a checkpoint's weights as safetensors; it can be scored and bundled like a run"
    )
    wanted.add_argument("checkpoint", type=Path, metavar="RUN", help="run folder, best.pt or last.pt (moving average)")
    wanted.add_argument("--output", type=Path, required=True, metavar="FILE.safetensors", help="the file")
    wanted.set_defaults(run_command=_weights)


def _add_saliency(commands: Any, data: argparse.ArgumentParser) -> None:
    look = commands.add_parser(
        "saliency", parents=[data], help="write a page that shows where a network looks (Grad-CAM)"
    )
    look.add_argument("checkpoint", type=Path, help="run folder or best.pt")
    look.add_argument("--split", default="valid", help="which split")
    look.add_argument("--output", type=Path, default=Path("saliency.html"), metavar="HTML", help="the page")
    look.add_argument("--count", type=positive, default=24, help="number of correct and of wrong predictions")
    look.set_defaults(run_command=_saliency)


def _add_evaluate(commands: Any, data: argparse.ArgumentParser) -> None:
    score = commands.add_parser("evaluate", parents=[data], help="score an engine (needs no torch) or a checkpoint")
    score.add_argument("--engine", required=True, help="name in the zoo, bundle folder, run folder or .pt file")
    score.add_argument("--against", metavar="ENGINE", help="a second engine: paired test on the same faces")
    score.add_argument("--backend", default="onnx", help="of engines")
    score.add_argument("--device", default="auto", help="of checkpoints, as for fit")
    score.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"), help="which split")
    score.add_argument("--by", metavar="FILE.csv:COLUMN", help="accuracy per group; the file also has a column image")
    score.add_argument("--predictions", type=Path, metavar="CSV", help="write the probabilities of each picture")
    score.add_argument("--report", type=Path, metavar="DIR", help="write confusion, reliability, risk-coverage")
    score.add_argument("--json", action="store_true")
    score.set_defaults(run_command=_evaluate)


def _add_robustness(commands: Any) -> None:
    hard = commands.add_parser(
        "robustness", help="measure accuracy under blur, darkness, compression ...; needs no torch"
    )
    hard.add_argument("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
    hard.add_argument("--engine", required=True, help="name in the zoo, bundle folder, run folder or .pt file")
    hard.add_argument("--backend", default="onnx", help="of engines")
    hard.add_argument("--device", default="auto", help="of checkpoints, as for fit")
    hard.add_argument("--split", default="valid", choices=("train", "valid", "test", "all"), help="which split")
    hard.add_argument("--limit", type=positive, metavar="N", help="use N pictures, evenly spread")
    hard.add_argument(
        "--conditions",
        metavar="KIND,...",
        help="conditions among blur, dark, jpeg, small, roll, cover, colour (default: all)",
    )
    hard.add_argument("--seed", type=seed, default=0, help="seed of the random changes")
    hard.add_argument("--output", type=Path, metavar="DIR", help="write robustness.csv and robustness.png")
    _add_workers(hard)
    hard.set_defaults(run_command=_robustness)


def _fit(options: argparse.Namespace) -> int:
    from trainer.train import fit

    config = fit_config(options)
    run = run_folder(options, config)
    if options.dry_run:
        from trainer.estimate import as_text, estimate

        found = estimate(config, run, cache=options.cache, device=options.device, num_workers=options.num_workers)
        print(as_text(found))
        return 0
    best = fit(
        config,
        run,
        cache=options.cache,
        device=options.device,
        num_workers=options.num_workers,
        save_minutes=options.save_minutes,
        loggers=options.log,
    )
    if os.environ.get("RANK", "0") == "0":
        print(f"best checkpoint: {best}")
        if not config.folds:  # a run of one fold is for --out-of-fold
            more = f" --extra-data {' '.join(config.extra_data)}" if config.extra_data else ""
            more += " --out-of-fold FOLD_RUN..." if config.train_on_all else ""
            print(f"next: edgeemo-train bundle {run} --data {config.data} --output {run.name}{more}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from trainer import evaluate as scoring

    if options.predictions is not None:
        check_output(options.predictions, "predictions", [options.data, (options.by or "").rpartition(":")[0]])
    if options.report is not None:
        check_output(options.report / "scores.json", "scores", [options.engine])
        check_output(options.report / "predictions.csv", "predictions", [options.data])
    _check_models(options, options.engine, options.against)
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


def _check_models(options: argparse.Namespace, *models: str | None) -> None:
    """Refuse a --backend or --device that no model would use; warn of models that were trained on the scored faces.

    Raises:
        RunError: there is no engine for --backend, or no checkpoint for --device.
    """
    from trainer.lineage import trained_on_validation

    names = [name for name in models if name]
    kinds = {is_checkpoint(Path(name)) for name in names}
    if options.backend != "onnx" and False not in kinds:
        raise RunError(
            f"--backend {options.backend} is for engines, but {options.engine} is a checkpoint, which runs in PyTorch: "
            "make an engine with edgeemo-train bundle, or omit --backend"
        )
    if options.device not in ("auto", "cpu") and True not in kinds:
        raise RunError(
            f"--device {options.device} is for checkpoints, but {options.engine} is an engine: "
            "choose its runtime with --backend, for example onnx-cuda"
        )
    for name in names if options.split in ("valid", "all") else ():
        if trained_on_validation(name, FitConfig(data=options.data)):
            print(f"edgeemo-train: warning: {name} was trained on faces of this split", file=sys.stderr)


def _robustness(options: argparse.Namespace) -> int:
    from trainer import robustness
    from trainer.conditions import choose
    from trainer.evaluate import open_model

    conditions = choose(options.conditions)
    _check_models(options, options.engine)
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
        int8_only=options.int8_only,
        out_of_fold=options.out_of_fold,
    ).scores
    split = "out-of-fold faces" if options.out_of_fold else "valid"
    print(f"{options.output}: {scores.accuracy:.2%} on {split}, calibration error {scores.calibration_error:.4f}")
    return 0


def _untrained(options: argparse.Namespace) -> int:
    from trainer.export import write_untrained

    write_untrained(options.network, options.output)
    print(f"{options.output}: {options.network} with random weights, for timing only")
    return 0


def _average(options: argparse.Namespace) -> int:
    from trainer.average import average

    check_output(options.output, "checkpoint", options.checkpoints)
    print(average(options.checkpoints, options.output, options.shares))
    return 0


def _weights(options: argparse.Namespace) -> int:
    from trainer.card import training_summary
    from trainer.runs import find_checkpoint, load_checkpoint, save_weights

    if options.output.suffix != SAFETENSORS:
        raise RunError(f"--output must end in {SAFETENSORS}, not {options.output.name}")
    path = find_checkpoint(options.checkpoint)
    check_output(options.output, "weights", [path])
    arch, model = load_checkpoint(path)
    save_weights(model, arch, training_summary(path), options.output)
    print(options.output)
    return 0


def _saliency(options: argparse.Namespace) -> int:
    from trainer.data import open_data
    from trainer.data.faces import load_faces
    from trainer.runs import find_checkpoint, load_checkpoint
    from trainer.saliency_page import write_page

    check_output(options.output, "page", [options.checkpoint, options.data])
    _, model = load_checkpoint(find_checkpoint(options.checkpoint))
    spec = model.spec
    data = open_data(options.data, options.split)
    faces = load_faces(data, spec, options.cache, num_workers=options.num_workers)
    write_page(model, spec, data, faces, options.output, count=options.count)
    print(f"written: {options.output}")
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
    from trainer.runs import read_metrics, trains_on_all
    from trainer.table import find_runs, load_result, table

    scored = [run for run in find_runs(options.runs) if not trains_on_all(run)]
    finished = [run for run in scored if read_metrics(run)] or scored
    print(table(load_result(run) for run in finished))
    if begun := [str(run) for run in scored if run not in finished]:
        print(f"edgeemo-train: left out, without a finished epoch: {', '.join(begun)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
