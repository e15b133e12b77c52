"""The command edgeemo-export: convert a trained network to engines that passed a parity report.

Heavy modules are imported by the step that needs them; printing shipped exports needs neither onnx nor faces.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.bundle import Bundle, find_bundle, load_bundle, user_folder
from engines.errors import BundleNotFound, EdgeemoError, EngineError
from engines.export.plan_command import build, expect_tensorrt, show_plan, tensorrt_usable
from engines.export.shipped import is_accepted, show_accepted
from engines.files import user_path
from engines.installation import pip_install
from engines.layout import FILES, MANIFEST, SPEC, UNTRAINED, cache_folder
from engines.manifest import drop_fp32, write_manifest
from engines.standard import MISTAKE, Parser, perform, told

DONE, FAULT, OUT_OF_BUDGET, INTERRUPTED = 0, 1, 3, 130
UNTRAINED_FACES = 16


MOST_THREADS = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, 3 an engine is out of budget, 4 standard output is incomplete,
    130 interrupted, 1 a bug."""
    return perform("edgeemo-export", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="edgeemo-export: %(message)s")
    try:
        if options.write_manifest is not None:
            return _write_manifest(options.write_manifest)
        if options.drop_fp32 is not None:
            return _drop_fp32(options.drop_fp32)
        if options.detector:
            return _detectors(options)
        return _export(options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("onnx", "onnxconverter_common", "sympy"):
            raise
        print(f"edgeemo-export: {error.name} is not installed: {pip_install('export')}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("edgeemo-export: interrupted; published files are complete", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        said = told(error, EdgeemoError)
        if not said:
            raise
        print(f"edgeemo-export: {said}", file=sys.stderr)
        return MISTAKE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="edgeemo-export",
        description="Convert a trained network to engines that passed a parity report.",
        epilog="Exit codes: 0 done, 2 user error, 3 out of budget (the file is renamed), "
        "4 standard output is not complete, 130 interrupted.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--arch", metavar="NAME", help="bundle by name: your own first, then the shipped ones")
    source.add_argument("--bundle", type=Path, metavar="DIR", help="folder of a bundle")
    source.add_argument("--checkpoint", type=Path, metavar="FILE", help="run folder or best.pt of edgeemo-train")
    source.add_argument("--write-manifest", type=Path, metavar="DIR", help="only write a bundle's manifest.json again")
    source.add_argument(
        "--drop-fp32", type=Path, metavar="DIR", help="remove model.onnx of a bundle with an accepted FP16 or INT8 file"
    )
    source.add_argument(
        "--detector", action="store_true", help="only build the TensorRT plans of the networks that find faces"
    )
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="bundle with random weights, for timing only: --arch names a network of edgeemo-train; the program "
        "refuses to run it (default folder: in the user's cache)",
    )
    parser.add_argument("--fp32", action="store_true", help="compare the FP32 model on another backend")
    parser.add_argument("--fp16", action="store_true", help="half precision (the default)")
    parser.add_argument("--int8", action="store_true", help="8-bit integers; needs --calibration")
    parser.add_argument(
        "--int8-tensorrt", "--int8s", action="store_true", help="8-bit integers for TensorRT: signed, symmetric"
    )
    parser.add_argument("--calibration", metavar="DATA", help="faces that calibrate INT8; forms as for --data")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="faces for the parity report: a folder or zip of pictures, an .npz, or KIND:PATH, for example "
        "ferplus:ferplus.zip (default: those of --calibration, else variations of a shipped portrait)",
    )
    parser.add_argument("--limit", type=_count, default=0, metavar="N", help="use at most N pictures of --data")
    parser.add_argument("--calibration-limit", type=_count, default=512, metavar="N", help="default: 512")
    parser.add_argument(
        "--backend",
        choices=("onnx", "openvino", "tensorrt", "onnx-cuda"),
        help="runtime of the comparison; tensorrt: build a plan (default: onnx, and tensorrt with a GPU)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the bundle's own folder")
    parser.add_argument(
        "--batch", type=_profile, default=(1, 4, 16), metavar="MIN:OPT:MAX", help="faces per call on TensorRT (1:4:16)"
    )
    parser.add_argument("--workspace", type=_count, default=1024, metavar="MIB", help="TensorRT's scratch memory")
    parser.add_argument("--force", action="store_true", help="repeat exports that are accepted already")
    parser.add_argument("--check", action="store_true", help="only check that the export is accepted and loads")
    parser.add_argument("--allow-modified", action="store_true", help="use files that differ from the manifest")
    parser.add_argument("--threads", type=_threads, default=1, metavar="N", help="CPU threads of the comparison")
    parser.add_argument("--progress", choices=("bar", "json"), default="bar", help=argparse.SUPPRESS)
    return parser


def _export(options: argparse.Namespace) -> int:
    chosen = [name for name in ("fp32", "fp16", "int8", "int8_tensorrt") if getattr(options, name)] or ["fp16"]
    if options.backend == "tensorrt":
        chosen = list(dict.fromkeys("int8_tensorrt" if name == "int8" else name for name in chosen))
    bundle = _bundle(options)
    if options.backend == "tensorrt":
        expect_tensorrt(bundle, chosen)
    # the user's own faces require a new report
    fresh = (not options.check and (options.force or options.data or options.calibration)) or "fp32" in chosen
    if options.backend == "tensorrt":
        to_make = [name for name in chosen if not is_accepted(bundle, name)]
    elif fresh or options.backend not in (None, "onnx"):
        to_make = chosen
    else:
        to_make = show_accepted(bundle, chosen, None if options.check else options.output)
    if options.check:
        return _check(bundle, chosen, to_make, options)
    faces: _Faces | None = None
    if to_make:
        faces = _Faces(options, bundle, to_make)
        bundle, code = _make(bundle, to_make, options, faces)
        if code != DONE:
            return code
    elif options.backend != "tensorrt" and not bundle.untrained:
        engine = options.arch if options.arch and not options.output else options.output or bundle.folder
        print(f"use it: edgeemo --engine {engine} --backend onnx:{chosen[0]}; to make it again: --force")
    if bundle.untrained:
        print(f"random weights, for timing only: scripts/bench-engines {bundle.folder}")
    if options.backend == "tensorrt":
        return _plans(bundle, chosen, options, faces)
    if options.backend is None and "fp16" in chosen and options.output is None and tensorrt_usable():
        return _plans(bundle, ["fp16"], options, faces)
    return DONE


class _Faces:
    """Faces for the report and for calibration, loaded on first use. A plan's file was calibrated when it was made."""

    def __init__(
        self, options: argparse.Namespace, bundle: Bundle, precisions: list[str], *, calibrates: bool = True
    ) -> None:
        integers = any(name.startswith("int8") for name in precisions)
        if integers and calibrates and not options.calibration:
            raise EngineError("INT8 needs faces to calibrate with: add --calibration PATH (see edgeemo-export --help)")
        from engines.export.face_data import load_faces, portrait

        source = options.data or options.calibration
        if bundle.untrained and not source:
            # few faces are enough to show that the file runs; DenseNet's emulation takes a second per face
            self.data = portrait(bundle.spec, UNTRAINED_FACES)
        else:
            self.data = load_faces(source, bundle.spec, split="valid", limit=options.limit)
        self.calibration = None
        if options.calibration:
            count = options.calibration_limit
            if options.calibration == source and user_path(source).exists():
                self.calibration, self.data = self.data.halves(count)
            else:
                self.calibration = load_faces(options.calibration, bundle.spec, split="train", limit=count)
        if integers and not self.data.labelled:
            raise EngineError(
                f"INT8 is accepted by its accuracy, but no face of {source or 'the portrait'} is labelled: "
                "give --data with labels"
            )


def _make(bundle: Bundle, precisions: list[str], options: argparse.Namespace, faces: _Faces) -> tuple[Bundle, int]:
    """Make ONNX files and compare them; returns the bundle in its output folder and the exit code."""
    from engines.export.bundle_copy import prepare_output
    from engines.export.exporter import Exporter

    # a plan is compiled from a file that was checked on ONNX Runtime
    backend = "onnx" if options.backend in (None, "tensorrt") else options.backend
    bundle, output = prepare_output(bundle, options.output)
    exporter = Exporter(bundle, output, faces.data, faces.calibration, threads=options.threads)
    outcomes = []
    for precision in precisions:
        outcomes += exporter.run(precision, backend)
    rejected = [outcome for outcome in outcomes if not outcome.report.accepted]
    for outcome in outcomes:
        state = "published" if outcome.report.accepted else "OUT OF BUDGET, renamed"
        print(f"{state}: {outcome.path} ({outcome.report.candidate})")
    shows_use = backend == "onnx" and "fp16" in precisions and options.backend is None
    if shows_use and not rejected and not bundle.untrained:
        print(
            f"use it: edgeemo --engine {bundle.spec.name} --backend onnx:fp16 (on a CPU it is no faster than FP32)\n"
            f"for TensorRT: copy {output} to the device and run there: "
            f"edgeemo-export --bundle {output.name} --fp16 --backend tensorrt"
        )
    return load_bundle(output), OUT_OF_BUDGET if rejected else DONE


def _plans(bundle: Bundle, precisions: list[str], options: argparse.Namespace, faces: _Faces | None) -> int:
    """Compile plans for this device into a plan cache; an existing plan that fits is shown."""
    passed = True
    for precision in precisions:
        chosen = bundle.at(precision)
        if not (options.force or options.data) and show_plan(chosen):
            continue
        from engines.export.plan_builder import PlanOptions

        faces = faces or _Faces(options, bundle, [] if precision == "fp16" else precisions, calibrates=False)
        wanted = PlanOptions(precision, options.batch, options.workspace << 20)
        built = build(chosen, faces.data, wanted, threads=options.threads, progress=options.progress, say=print)
        passed = passed and built
    return DONE if passed else OUT_OF_BUDGET


def _detectors(options: argparse.Namespace) -> int:
    from engines.export.detector_plans import build_detectors

    return DONE if build_detectors(force=options.force, progress=options.progress) else OUT_OF_BUDGET


def _check(bundle: Bundle, precisions: list[str], missing: list[str], options: argparse.Namespace) -> int:
    """Check that all requested exports exist and load; make nothing."""
    if missing:
        raise EngineError(f"{bundle.spec.name} has no accepted {missing[0].upper()}")
    if options.backend == "tensorrt":
        from engines.backends.tensorrt import open_plan

        for precision in precisions:
            open_plan(bundle.at(precision)).close()
            show_plan(bundle.at(precision))
    return DONE


def _write_manifest(folder: Path) -> int:
    manifest = write_manifest(folder)
    # report errors here, not only at the next start
    load_bundle(folder).read()
    print(f"{folder / MANIFEST}: {len(manifest.files)} files, FP32 model {manifest.source_sha256[:16]}...")
    return DONE


def _drop_fp32(folder: Path) -> int:
    drop_fp32(folder)
    bundle = load_bundle(folder)
    bundle.read()
    print(f"{folder}: ships without {FILES['fp32']}; runs at {', '.join(bundle.precisions())}")
    return DONE


def _bundle(options: argparse.Namespace) -> Bundle:
    if options.untrained and options.arch is None:
        raise EngineError("--untrained needs --arch with the name of a network: edgeemo-train models lists them")
    if options.bundle is not None:
        return find_bundle(os.path.join(options.bundle, ""), allow_modified=options.allow_modified)
    if options.checkpoint is not None:
        return _bundle_of_checkpoint(options)
    if options.untrained:
        return _untrained_bundle(options)
    name: str = options.arch
    try:
        return find_bundle(name, allow_modified=options.allow_modified)
    except BundleNotFound as error:
        if os.sep in name:
            raise
        raise BundleNotFound(
            f"{error}. To train it: {pip_install('train')}, edgeemo-train fit --network {name} --data KIND:PATH, "
            f"edgeemo-train bundle runs/{name} --data KIND:PATH --output {user_folder() / name}"
        ) from error


def _bundle_of_checkpoint(options: argparse.Namespace) -> Bundle:
    """Make a bundle of a checkpoint with edgeemo-train in a child process, because only the trainer imports torch."""
    source = options.data or options.calibration
    if not source or ":" not in source:
        raise EngineError("a checkpoint has to be calibrated: add --data KIND:PATH, see edgeemo-train bundle --help")
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


def _untrained_bundle(options: argparse.Namespace) -> Bundle:
    """A network with random weights, made by edgeemo-train in a child process and reused by later calls.

    Its folder is in the cache, outside the engine folders, and `Engine.open` refuses it.
    """
    folder: Path = options.output or cache_folder() / "untrained" / options.arch
    options.output = None  # the bundle is already in this folder
    if options.force or not (folder / UNTRAINED).is_file():
        if (folder / SPEC).is_file() and not (folder / UNTRAINED).is_file():
            raise EngineError(f"{folder} holds a trained engine; choose another --output")
        command = [sys.executable, "-m", "trainer.cli", "untrained", options.arch, "--output", str(folder)]
        if subprocess.run(command, check=False).returncode:
            raise EngineError(f"edgeemo-train could not make {options.arch}: see its line above")
    return load_bundle(folder)


def _threads(text: str) -> int:
    number = _count(text) if len(text) < 4 else 0
    if not 1 <= number <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"threads must be between 1 and {MOST_THREADS}")
    return number


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
