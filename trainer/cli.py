"""edgeemo-train: fit, evaluate, bundle, data, models. Torch is imported only by the commands that need it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.errors import EngineError
from trainer.errors import TrainerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        command: int = options.run_command(options)
        return command
    except (TrainerError, EngineError) as error:
        print(f"edgeemo-train: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxscript"):
            raise
        print(f"edgeemo-train: {error.name} is not installed: pip install 'edgeemo[train]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edgeemo-train: interrupted; the same command continues from the last epoch", file=sys.stderr)
        return 130


def default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "edgeemo" / "faces"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgeemo-train", description="Train, score and package networks.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", required=True, metavar="KIND:PATH", help="for example ferplus:data/ferplus.zip")
    data.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="where cut faces are kept")

    fit = commands.add_parser("fit", parents=[data], help="train a network; the same command resumes")
    fit.add_argument("--arch", required=True, help="see edgeemo-train models")
    fit.add_argument("--run", type=Path, metavar="DIR", help="run folder (default: runs/ARCH)")
    fit.add_argument("--epochs", type=_positive)
    fit.add_argument("--batch", type=_positive)
    fit.add_argument("--learning-rate", type=float)
    fit.add_argument("--mixup", type=float, help="strength of mixup, 0 for none")
    fit.add_argument("--seed", type=int)
    fit.add_argument("--bf16", action=argparse.BooleanOptionalAction, help="mixed precision (default: on)")
    fit.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    fit.set_defaults(run_command=_fit)

    score = commands.add_parser("evaluate", parents=[data], help="score an engine; needs no torch")
    score.add_argument("--engine", required=True, help="name in the zoo or path of a bundle")
    score.add_argument("--backend", default="onnx")
    score.add_argument("--split", default="valid", choices=("train", "valid", "test"))
    score.add_argument("--predictions", type=Path, metavar="CSV", help="write the probabilities of each picture")
    score.add_argument("--json", action="store_true")
    score.set_defaults(run_command=_evaluate)

    pack = commands.add_parser("bundle", parents=[data], help="checkpoint -> calibrated ONNX bundle with its card")
    pack.add_argument("checkpoint", type=Path, help="run folder or best.pt")
    pack.add_argument("--output", type=Path, required=True, metavar="DIR")
    pack.add_argument("--name", help="the bundle's name (default: its architecture)")
    pack.set_defaults(run_command=_bundle)

    prepare = commands.add_parser("data", parents=[data], help="cut a data set's faces into the cache")
    prepare.add_argument("--arch", default="hybrid_lite", help="whose input size and geometry")
    prepare.add_argument("--split", default="train", choices=("train", "valid", "test"))
    prepare.set_defaults(run_command=_data)

    cut = commands.add_parser("cut", parents=[data], help="a split's faces and truths as one .npz, for edgeemo-export")
    cut.add_argument("--spec", type=Path, required=True, metavar="JSON", help="spec.json of the model they are for")
    cut.add_argument("--split", default="valid", choices=("train", "valid", "test"))
    cut.add_argument("--limit", type=_positive, metavar="N", help="that many pictures, evenly spread")
    cut.add_argument("--output", type=Path, required=True, metavar="NPZ")
    cut.set_defaults(run_command=_cut)

    commands.add_parser("models", help="the networks and their sizes").set_defaults(run_command=_models)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {value}")
    return value


def _fit(options: argparse.Namespace) -> int:
    from trainer.train import FitConfig, fit

    chosen = {
        key: getattr(options, key)
        for key in ("arch", "data", "epochs", "batch", "learning_rate", "mixup", "seed", "bf16")
        if getattr(options, key) is not None
    }
    run = options.run or Path("runs") / options.arch
    best = fit(FitConfig(**chosen), run, cache=options.cache, device=options.device)
    print(f"best checkpoint: {best}")
    print(f"next: edgeemo-train bundle {run} --data {options.data} --output {options.arch}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from engines.engine import Engine
    from trainer.evaluate import as_json, as_text, evaluate, write_predictions

    with Engine.open(options.engine, backend=options.backend, threads=os.cpu_count() or 1) as engine:
        evaluation = evaluate(engine, options.data, options.split, cache=options.cache)
    if options.predictions is not None:
        write_predictions(options.predictions, evaluation)
    print(as_json(evaluation) if options.json else as_text(evaluation))
    return 0


def _bundle(options: argparse.Namespace) -> int:
    from trainer.bundle import make_bundle

    checkpoint = options.checkpoint / "best.pt" if options.checkpoint.is_dir() else options.checkpoint
    scores = make_bundle(checkpoint, options.data, options.output, name=options.name, cache=options.cache)
    print(f"{options.output}: {scores.accuracy:.2%} on valid, calibration error {scores.calibration_error:.4f}")
    return 0


def _data(options: argparse.Namespace) -> int:
    from trainer.data import open_data
    from trainer.data.faces import load_faces
    from trainer.models import architecture

    faces = load_faces(open_data(options.data, options.split), architecture(options.arch).spec, options.cache)
    print(f"{len(faces)} faces in {options.cache}")
    return 0


def _cut(options: argparse.Namespace) -> int:
    from engines.spec import ModelSpec
    from trainer.data import open_data
    from trainer.data.faces import save_cut

    data = open_data(options.data, options.split)
    count = save_cut(data, ModelSpec.load(options.spec), options.output, limit=options.limit, cache=options.cache)
    print(f"{count} faces in {options.output}")
    return 0


def _models(_: argparse.Namespace) -> int:
    from trainer.bundle import multiply_adds
    from trainer.models import ARCHITECTURES, build
    from trainer.recipes import poster_accuracy

    print(f"{'name':12} {'input':>10} {'parameters':>12} {'multiply-adds':>14} {'poster':>8}")
    for name, entry in ARCHITECTURES.items():
        model = build(name)
        parameters = sum(value.numel() for value in model.parameters())
        size = f"{entry.spec.size}x{entry.spec.size}x{entry.spec.channels}"
        poster = poster_accuracy(name)
        printed = "-" if poster is None else f"{poster:.1%}"
        operations = multiply_adds(model, entry.spec) / 1e6
        print(f"{name:12} {size:>10} {parameters:12,} {operations:12,.1f} M {printed:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
