"""Convert in a scratch folder, compare the file with FP32, then publish or rename it.

`edgeemo-export` and `edgeemo-train bundle` run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from engines.backends import Backend, open_backend
from engines.bundle import Bundle
from engines.errors import ModelError
from engines.export.compare import LATENCY_CALLS, Report, as_text, compare
from engines.export.errors import ExportError, missing_fp32
from engines.export.face_data import FaceData
from engines.export.stress import stress_inputs
from engines.files import atomic_write, replace_file, scratch_folder
from engines.layout import FILES
from engines.manifest import write_manifest
from engines.model_file import sha256_of
from engines.parity import EMULATED, ExportRecord, ParityRecord
from engines.preprocess import batch

if TYPE_CHECKING:
    from onnx import ModelProto

PROBE_FACES = 256
EMULATED_FACES, FEWEST_EMULATED = 1024, 48  # the emulation takes about ten times as long as the graph
EMULATION_S = 120  # time limit of the emulation; a large network gets fewer faces
REJECTED = "rejected"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """Result of one precision on one backend.

    Attributes:
        path: of the published file, or of the renamed rejected one.
    """

    report: Report
    path: Path


@dataclass(frozen=True, eq=False)
class Exporter:
    """Exports one bundle.

    Args:
        bundle: the model, at FP32.
        output: an existing folder for the bundle with its exports.
        data: faces for the parity report.
        calibration: faces for INT8, disjoint from `data`.
    """

    bundle: Bundle
    output: Path
    data: FaceData
    calibration: FaceData | None = None
    threads: int = 1
    calls: int = LATENCY_CALLS
    say: Say = print

    def run(self, precision: str, backend: str = "onnx") -> list[Outcome]:
        """Make the file of a precision, unless it exists, and compare it on a backend.

        A file is first compared on ONNX Runtime, and on another backend only if it passed.

        Raises:
            EngineError: nothing was written.
        """
        if not self.bundle.has_fp32:
            raise ExportError(missing_fp32(self.bundle))
        outcomes = []
        if precision != "fp32":
            outcomes.append(self._convert(precision))
            if not outcomes[0].report.accepted:
                return outcomes
        if backend != "onnx" or precision == "fp32":
            outcomes.append(self._judge_on(backend, precision))
        return outcomes

    def _convert(self, precision: str) -> Outcome:
        # imported here, because a device that only builds plans has no onnx
        from engines.export.graph import parse
        from engines.export.half import to_half
        from engines.export.opset import lowered
        from engines.export.quantise import to_int8

        model = lowered(parse(self.bundle.read()))
        self.say(f"converting {self.bundle.spec.name} to {precision.upper()}")
        if precision == "fp16":
            stress = list(stress_inputs(self.bundle.spec).values())
            faces = (self.calibration or self.data).spread(PROBE_FACES).faces
            made = to_half(model, batch([*faces, *stress], self.bundle.spec))
            kept, made_by, converted = made.kept, made.made_by, made.model
        else:
            if self.calibration is None:
                raise ExportError("INT8 needs faces to calibrate with: add --calibration PATH")
            quantised = to_int8(model, self.calibration, self.bundle.spec, signed=precision == "int8_tensorrt")
            kept, made_by, converted = quantised.kept, quantised.made_by, quantised.model
        with scratch(self.output) as folder:
            path = folder / FILES[precision]
            path.write_bytes(converted.SerializeToString())
            report = self._compare("onnx", precision, path)
            reports = {"onnx": report}
            if precision == "fp16":
                reports[EMULATED] = self._compare_emulated(converted, path)
            export = ExportRecord(
                file=FILES[precision],
                precision=precision,
                sha256=sha256_of(path),
                bytes=path.stat().st_size,
                made_by=made_by,
                kept_float32=kept,
                reports={name: one.to_mapping() for name, one in reports.items()},
            )
            for name, why in kept.items():
                self.say(f"  {name} stays float32: {why}")
            for one in reports.values():
                self.say(as_text(one))
            worst = next((one for one in reports.values() if not one.accepted), report)
            return Outcome(worst, self._publish(path, export, reports))

    def _judge_on(self, backend: str, precision: str) -> Outcome:
        path = self.output / FILES[precision]
        report = self._compare(backend, precision, path)
        self.say(as_text(report))
        export = ExportRecord(
            FILES[precision], precision, sha256_of(path), path.stat().st_size, reports={backend: report.to_mapping()}
        )
        record = self._known()
        before = record.of(precision)
        if before is not None and before.sha256 == export.sha256:
            export = msgspec.structs.replace(export, made_by=before.made_by, kept_float32=before.kept_float32)
        self._record(record.with_export(export), backend, precision, as_text(report) + "\n")
        return Outcome(report, path)

    def _compare(self, backend: str, precision: str, path: Path) -> Report:
        # without the manifest: it does not list this file, or lists an older one of the same name
        candidate = replace(self.bundle, model=path, precision=precision.upper(), manifest=None, expanded=False)
        with ExitStack() as stack:
            reference = stack.enter_context(closing(open_backend("onnx", self.bundle, threads=self.threads)))
            opened = stack.enter_context(closing(_open(backend, candidate, self.threads)))
            return compare(
                reference,
                opened,
                spec=self.bundle.spec,
                precision=precision,
                data=self.data,
                stress=list(stress_inputs(self.bundle.spec).values()),
                sizes=(self.bundle.model.stat().st_size, path.stat().st_size),
                calls=self.calls,
            )

    def _compare_emulated(self, model: ModelProto, path: Path) -> Report:
        """Compare with emulated FP16 arithmetic, because ONNX Runtime computes FP16 graphs in float32 on a CPU."""
        from engines.export.emulate import emulate_half
        from engines.export.graph import Loaded

        emulated = Loaded(emulate_half(model), "the same file, FP16 arithmetic emulated")
        began = perf_counter()
        emulated.infer(batch(list(self.data.faces[:2]), self.bundle.spec))
        count = int(np.clip(EMULATION_S / max((perf_counter() - began) / 2, 1e-9), FEWEST_EMULATED, EMULATED_FACES))
        with closing(open_backend("onnx", self.bundle, threads=self.threads)) as reference:
            return compare(
                reference,
                emulated,
                spec=self.bundle.spec,
                precision="fp16",
                data=self.data.spread(count),
                stress=list(stress_inputs(self.bundle.spec).values()),
                sizes=(self.bundle.model.stat().st_size, path.stat().st_size),
                calls=0,
            )

    def _publish(self, path: Path, export: ExportRecord, reports: dict[str, Report]) -> Path:
        text = "\n".join(as_text(report) for report in reports.values()) + "\n"
        if all(report.accepted for report in reports.values()):
            target = self.output / export.file
            replace_file(path, target)
            self._record(self._known().with_export(export), "onnx", export.precision, text)
            return target
        apart = self.output / REJECTED
        apart.mkdir(exist_ok=True)
        target = apart / path.name.replace(".onnx", ".out-of-budget.onnx")
        replace_file(path, target)
        (apart / f"parity.{export.precision}.txt").write_text(text, encoding="utf-8")
        return target

    def _known(self) -> ParityRecord:
        """The folder's parity record, if it is of this model."""
        source = self.bundle.source_sha256
        try:
            return ParityRecord.about(self.output, source)
        except ModelError:
            return ParityRecord(source)

    def _record(self, record: ParityRecord, backend: str, precision: str, text: str) -> None:
        record.save(self.output)
        write_manifest(self.output, source_sha256=self.bundle.source_sha256)
        atomic_write(self.output / f"parity.{precision}.{backend}.txt", text)


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """A temporary folder on the output's disk, so that publishing is a rename."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(output, ".export-"))
        except OSError as error:
            raise ModelError(f"cannot write to {output}: {error.strerror or error}; choose another --output") from error
        yield folder


def _open(backend: str, candidate: Bundle, threads: int) -> Backend:
    """Open a candidate directly: it has no report yet, which `Bundle.at` requires."""
    opened = open_backend(backend, candidate, threads=threads)
    dry = np.zeros((1, candidate.spec.channels, candidate.spec.size, candidate.spec.size), np.float32)
    try:
        opened.infer(dry)
    except Exception as error:
        opened.close()
        raise ExportError(f"{backend} cannot run the {candidate.precision} model: {str(error)[:200]}") from error
    return opened
