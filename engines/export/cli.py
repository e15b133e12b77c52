"""The command edgeemo-export: from a trained network to engines that passed a parity report.

Heavy modules are imported by the step that needs them: printing what ships takes neither onnx nor faces.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines.bundle import Bundle, find_bundle, load_bundle, user_folder
from engines.errors import BackendUnavailable, BundleNotFound, EngineError
from engines.layout import FILES, MANIFEST
from engines.manifest import drop_fp32, write_manifest
from engines.parity import ParityRecord, summary

if TYPE_CHECKING:
    from engines.export.exporter import Exporter

DONE, FAULT, MISTAKE, OUT_OF_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, 3 an engine is out of budget, 130 interrupted, 1 a fault of ours."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="edgeemo-export: %(message)s")
    try:
        if options.write_manifest is not None:
            return _write_manifest(options.write_manifest)
        if options.drop_fp32 is not None:
            return _drop_fp32(options.drop_fp32)
        return _export(options)
    except EngineError as error:
        print(f"edgeemo-export: {' '.join(str(error).split())}", file=sys.stderr)
        return MISTAKE
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("onnx", "onnxconverter_common", "sympy"):
            raise
        print(f"edgeemo-export: {error.name} is not installed: pip install 'edgeemo[export]'", file=sys.stderr)
        return MISTAKE
    except BrokenPipeError:
        # the reader of standard output has gone; the interpreter would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("edgeemo-export: interrupted; what was published is whole", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeemo-export",
        description="From a trained network to engines that passed a parity report.",
        epilog="Exit codes: 0 done, 2 your mistake, 3 out of budget (the file is set apart), 130 interrupted.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--arch", metavar="NAME", help="a bundle by its name: your own first, then the shipped ones")
    source.add_argument("--bundle", type=Path, metavar="DIR", help="a bundle's folder")
    source.add_argument("--checkpoint", type=Path, metavar="FILE", help="a run folder or best.pt of edgeemo-train")
    source.add_argument("--write-manifest", type=Path, metavar="DIR", help="hash a bundle's files anew, nothing else")
    source.add_argument("--drop-fp32", type=Path, metavar="DIR", help="remove model.onnx; FP16 or INT8 is accepted")
    parser.add_argument("--fp32", action="store_true", help="compare the model itself on another backend")
    parser.add_argument("--fp16", action="store_true", help="half precision (default where nothing is chosen)")
    parser.add_argument("--int8", action="store_true", help="8-bit integers; needs --calibration")
    parser.add_argument("--int8s", action="store_true", help="the same, signed and symmetric: the form for TensorRT")
    parser.add_argument("--calibration", metavar="DATA", help="faces that set the ranges of INT8")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="faces for the parity report: a folder or zip of pictures, an .npz, or KIND:PATH, for example "
        "ferplus:ferplus.zip (default: those of --calibration, else a shipped portrait, varied)",
    )
    parser.add_argument("--limit", type=_count, default=0, metavar="N", help="look at no more pictures of --data")
    parser.add_argument("--calibration-limit", type=_count, default=512, metavar="N", help="default: 512")
    parser.add_argument("--backend", default="onnx", choices=("onnx", "openvino", "tensorrt", "onnx-cuda"))
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the bundle's own folder")
    parser.add_argument(
        "--batch", type=_profile, default=(1, 4, 16), metavar="MIN:OPT:MAX", help="faces a call on TensorRT (1:4:16)"
    )
    parser.add_argument("--workspace", type=_count, default=1024, metavar="MIB", help="TensorRT's scratch memory")
    parser.add_argument("--force", action="store_true", help="make again what was made and accepted before")
    parser.add_argument("--allow-modified", action="store_true", help="use files that differ from the manifest")
    parser.add_argument("--threads", type=_count, default=1, metavar="N", help="CPU threads of the comparison")
    parser.add_argument("--progress", choices=("bar", "json"), default="bar", help=argparse.SUPPRESS)
    return parser


def _export(options: argparse.Namespace) -> int:
    precisions = [name for name in ("fp32", "fp16", "int8", "int8s") if getattr(options, name)] or ["fp16"]
    if options.backend == "tensorrt":
        precisions = list(dict.fromkeys("int8s" if name == "int8" else name for name in precisions))
    integers = any(name.startswith("int8") for name in precisions)
    bundle = _bundle(options)
    if options.backend == "onnx" and not options.force:
        precisions = _show_accepted(bundle, precisions, options)
        if not precisions:
            return DONE
        integers = any(name.startswith("int8") for name in precisions)
    if integers and not options.calibration and not (options.backend == "tensorrt" and _is_there(bundle, "int8s")):
        raise EngineError("INT8 needs faces to calibrate with: add --calibration PATH (see edgeemo-export --help)")
    if options.backend == "tensorrt":
        _expect_tensorrt(bundle, precisions)

    from engines.export.bundle_copy import prepare_output
    from engines.export.exporter import Exporter
    from engines.export.face_data import load_faces

    source = options.data or options.calibration
    data = load_faces(source, bundle.spec, split="valid", limit=options.limit)
    calibration = None
    if options.calibration:
        if options.calibration == source and Path(source).expanduser().exists():
            calibration, data = data.halves(options.calibration_limit)
        else:
            calibration = load_faces(options.calibration, bundle.spec, split="train", limit=options.calibration_limit)
    if integers and not data.labelled:
        raise EngineError(
            f"INT8 is accepted by its accuracy, and no face of {source or 'the portrait'} is labelled: "
            "give --data with labels"
        )
    bundle, output = prepare_output(bundle, options.output)
    exporter = Exporter(bundle, output, data, calibration, threads=options.threads)
    if options.backend == "tensorrt":
        return _plans(exporter, precisions, options)
    outcomes = []
    for precision in precisions:
        outcomes += exporter.run(precision, options.backend)
    rejected = [outcome for outcome in outcomes if not outcome.report.accepted]
    for outcome in outcomes:
        state = "published" if outcome.report.accepted else "OUT OF BUDGET, set apart"
        print(f"{state}: {outcome.path} ({outcome.report.candidate})")
    if options.backend == "onnx" and "fp16" in precisions and not rejected:
        print(
            f"use it: edgeemo --engine {bundle.spec.name} --backend onnx:fp16 (on a CPU it is no faster than FP32)\n"
            f"for TensorRT: copy {output} to the device and run there: "
            f"edgeemo-export --bundle {output.name} --fp16 --backend tensorrt"
        )
    return OUT_OF_BUDGET if rejected else DONE


def _show_accepted(bundle: Bundle, precisions: list[str], options: argparse.Namespace) -> list[str]:
    """Print what is accepted already, with its stored parity.

    Returns:
        The precisions that still have to be made; all of them where own faces are given, which make a new report.

    Raises:
        EngineError: a file is not the accepted one, or some precision is missing and cannot be made from this bundle.
    """
    if options.data or options.calibration or "fp32" in precisions:
        return precisions
    accepted = [name for name in precisions if _is_there(bundle, name)]
    missing = [name for name in precisions if name not in accepted]
    if missing and not bundle.has_fp32:
        from engines.export.errors import missing_fp32

        has = ", ".join(name.upper() for name in bundle.precisions() if name != "fp32")
        raise EngineError(f"{bundle.spec.name} has {has}, no {missing[0].upper()}: {missing_fp32(bundle)}")
    if accepted and any(name.startswith("int8") for name in missing):
        raise EngineError(
            f"{bundle.spec.name} has an accepted {accepted[0].upper()}, but no {missing[0].upper()}: to make it, add "
            f"--calibration PATH with labelled faces; to see the other, leave --{missing[0]} out"
        )
    if accepted and not missing and options.output is not None:
        from engines.export.bundle_copy import copy_bundle

        bundle = copy_bundle(bundle, options.output)
    record = ParityRecord.load(bundle.folder)
    for name in accepted:
        chosen = bundle.at(name)
        chosen.read()
        export = record.of(name) if record is not None else None
        assert export is not None
        print(f"{chosen.model}: {name.upper()} of {bundle.spec.name}, {export.bytes / 1e6:.2f} MB, accepted")
        for line in summary(export):
            print(f"  {line}")
    if accepted and not missing:
        engine = options.arch if options.arch and not options.output else bundle.folder
        print(f"use it: edgeemo --engine {engine} --backend onnx:{accepted[0]}; to make it again: --force")
    return missing


def _write_manifest(folder: Path) -> int:
    manifest = write_manifest(folder)
    # whoever runs it should learn here, not at the next start, that something is wrong
    load_bundle(folder).read()
    print(f"{folder / MANIFEST}: {len(manifest.files)} files, FP32 model {manifest.source_sha256[:16]}...")
    return DONE


def _drop_fp32(folder: Path) -> int:
    drop_fp32(folder)
    bundle = load_bundle(folder)
    bundle.read()
    print(f"{folder}: ships without {FILES['fp32']}; runs at {', '.join(bundle.precisions())}")
    return DONE


def _is_there(bundle: Bundle, precision: str) -> bool:
    try:
        bundle.at(precision)
    except EngineError:
        return False
    return True


def _plans(exporter: Exporter, precisions: list[str], options: argparse.Namespace) -> int:
    """Compile on this device; the typed ONNX file is made first where it is missing."""
    from engines.backends import tensorrt
    from engines.backends.cuda import CudaRuntime
    from engines.bundle import load_bundle
    from engines.export.plan_builder import PlanOptions
    from engines.export.plan_exporter import PlanExporter

    rejected = False
    for precision in precisions:
        made = exporter.publish(precision)
        if made is not None and not made.report.accepted:
            print(f"OUT OF BUDGET, set apart: {made.path}")
            return OUT_OF_BUDGET
        job = PlanExporter(
            tensorrt.module(),
            CudaRuntime(),
            load_bundle(exporter.output).at(precision),
            exporter.data,
            PlanOptions(precision, options.batch, options.workspace << 20),
            threads=options.threads,
        )
        with _progress_shown(options.progress) as progress:
            report, path = job.run(progress)
        print(f"{'published' if report.accepted else 'OUT OF BUDGET, set apart'}: {path}")
        rejected = rejected or not report.accepted
    return OUT_OF_BUDGET if rejected else DONE


@contextmanager
def _progress_shown(kind: str) -> Iterator[Callable[[float, float | None], bool]]:
    """A bar for people, or lines of JSON for the running program that waits for the plan."""
    if kind == "json":

        def tell(done: float, left: float | None) -> bool:
            print(json.dumps({"fraction": round(done, 4), "seconds_left": left and round(left, 1)}), flush=True)
            return True

        yield tell
        return
    from tqdm import tqdm

    with tqdm(total=100, desc="building", unit="%", disable=None, leave=False) as bar:

        def show(done: float, left: float | None) -> bool:
            bar.n = round(done * 100, 1)
            bar.refresh()
            return True

        yield show


def _bundle(options: argparse.Namespace) -> Bundle:
    if options.bundle is not None:
        return find_bundle(os.path.join(options.bundle, ""), allow_modified=options.allow_modified)
    if options.checkpoint is not None:
        return _bundle_of_checkpoint(options)
    name: str = options.arch
    try:
        return find_bundle(name, allow_modified=options.allow_modified)
    except BundleNotFound as error:
        if os.sep in name:
            raise
        raise BundleNotFound(
            f"{error}; to train one: edgeemo-train fit --arch {name} --data KIND:PATH, then edgeemo-train bundle "
            f"runs/{name} --data KIND:PATH --output {user_folder() / name}"
        ) from error


def _bundle_of_checkpoint(options: argparse.Namespace) -> Bundle:
    """Torch belongs to the trainer, so it turns the checkpoint into a bundle, as a program of its own."""
    source = options.data or options.calibration
    if not source or ":" not in source:
        raise EngineError("a checkpoint is calibrated while it is bundled: add --data KIND:PATH, see edgeemo-train")
    checkpoint: Path = options.checkpoint
    if not checkpoint.exists():
        raise EngineError(f"no checkpoint at {checkpoint}")
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent
    folder = options.output or user_folder() / run.resolve().name
    command = [sys.executable, "-m", "trainer.cli", "bundle", str(checkpoint), "--data", source]
    done = subprocess.run([*command, "--output", str(folder)], check=False)
    if done.returncode:
        raise EngineError(f"edgeemo-train could not bundle {checkpoint}: see its line above")
    return find_bundle(os.path.join(folder, ""))


def _expect_tensorrt(bundle: Bundle, precisions: list[str]) -> None:
    try:
        from engines.backends import tensorrt
    except ImportError as error:
        flags = " ".join(f"--{name}" for name in precisions)
        raise BackendUnavailable(
            "tensorrt",
            hint=f"{error}; on a Jetson it comes with JetPack. Here, leave --backend out: that makes the ONNX file; "
            f"then run on the device: edgeemo-export --bundle {bundle.folder.name} {flags} --backend tensorrt",
        ) from error
    tensorrt.expect_usable()


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer")
    return int(text)


def _profile(text: str) -> tuple[int, int, int]:
    parts = text.split(":")
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        least, usual, most = (int(part) for part in parts)
        if 1 <= least <= usual <= most <= 1024:
            return least, usual, most
    raise argparse.ArgumentTypeError(f"{text!r} is not MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX <= 1024")


if __name__ == "__main__":
    sys.exit(main())
