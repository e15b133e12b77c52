"""Build a plan on the device from a typed ONNX file, compare it, and publish it into a plan cache.

It needs no onnx package and does not change the bundle. `edgeemo-export --backend tensorrt` runs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from engines.backends.cuda import Cuda
from engines.backends.onnxruntime import OrtBackend
from engines.backends.plans import Device, PlanManifest, Source, build_folder, plan_name, timing_path
from engines.backends.tensorrt_runtime import PlanRunner, Signature
from engines.bundle import Bundle, load_bundle
from engines.errors import ModelError
from engines.export.compare import LATENCY_CALLS, Report, as_text, compare
from engines.export.face_data import FaceData
from engines.export.plan_builder import Built, PlanOptions, Progress, build_plan
from engines.export.stress import stress_inputs
from engines.files import atomic_write
from engines.model_file import sha256_of

log = logging.getLogger(__name__)


class Verdict(Protocol):
    """The result of a comparison."""

    @property
    def accepted(self) -> bool: ...
    def to_mapping(self) -> dict[str, Any]: ...


VerdictT = TypeVar("VerdictT", bound=Verdict)


@dataclass(frozen=True, eq=False)
class Workshop:
    """Builds plans on this device.

    Args:
        api: TensorRT's module.
    """

    api: Any
    cuda: Cuda
    say: Callable[[str], None] = print

    @property
    def device(self) -> Device:
        gpu = self.cuda.gpu()
        return Device(gpu.name, gpu.capability, gpu.multiprocessors, str(self.api.__version__))

    def make(
        self,
        source: Source,
        content: bytes,
        inputs: Signature,
        options: PlanOptions,
        compare: Callable[[Built, Device], VerdictT],
        progress: Progress | None = None,
    ) -> tuple[VerdictT, Path]:
        """Build and compare; a plan that is out of budget is saved under another name.

        Args:
            content: of the ONNX file.

        Raises:
            EngineError: nothing was published.
        """
        device = self.device
        path = build_folder(source) / plan_name(source, device, options.precision)
        timing = timing_path(source, device)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"cannot write to {path.parent}: {error.strerror or error}; set XDG_CACHE_HOME to a folder of yours"
            ) from error
        before = timing.read_bytes() if timing.is_file() else b""
        self.say(f"building {path.name} for {device.gpu}")
        built = build_plan(self.api, content, inputs, replace(options, timing=before), progress)
        if built.timing:
            atomic_write(timing, built.timing)
        report = compare(built, device)
        self.say(f"  {built.half_layers} of {built.layers} layers in half precision, built in {built.seconds:.0f} s")
        if not report.accepted:
            path = path.with_name(path.name.replace(".plan", ".out-of-budget.plan"))
        atomic_write(path, built.plan)
        manifest = PlanManifest(
            precision=options.precision,
            device=device,
            source_sha256=source.source_sha256,
            onnx_sha256=sha256_of(source.model),
            plan_sha256=sha256_of(path),
            batch=options.batch,
            seconds=round(built.seconds, 1),
            layers=built.layers,
            half_layers=built.half_layers,
            report=report.to_mapping(),
        )
        # write the manifest last: a plan without it is ignored
        manifest.save(path.with_suffix(".json"))
        if report.accepted:
            self._sweep(path, options.precision)
        return report, path

    def _sweep(self, kept: Path, precision: str) -> None:
        """Remove older plans of this GPU and precision from this cache; nothing will load them."""
        for manifest_path in sorted(kept.parent.glob(f"{precision}-*.json")):
            plan = manifest_path.with_suffix(".plan")
            if plan == kept or ".out-of-budget" in plan.name:
                continue
            try:
                manifest = PlanManifest.load(manifest_path)
            except ModelError:
                continue
            here = self.device
            if (manifest.device.gpu, manifest.device.multiprocessors) == (here.gpu, here.multiprocessors):
                log.info("%s is superseded; removing it", plan.name)
                for old in (plan, manifest_path):
                    if old.is_file():
                        os.unlink(old)


@dataclass(frozen=True, eq=False)
class PlanExporter:
    """Makes the plan of a bundle at the wanted precision.

    Args:
        api: TensorRT's module.
        calls: number of latency measurements.
    """

    api: Any
    cuda: Cuda
    bundle: Bundle
    data: FaceData
    options: PlanOptions
    threads: int = 1
    calls: int = LATENCY_CALLS
    say: Callable[[str], None] = print

    @property
    def device(self) -> Device:
        return Workshop(self.api, self.cuda).device

    def run(self, progress: Progress | None = None) -> tuple[Report, Path]:
        """Build and compare; a plan that is out of budget is saved under another name.

        Raises:
            EngineError: nothing was published.
        """
        workshop = Workshop(self.api, self.cuda, self.say)
        inputs = Signature.of(self.bundle.spec)
        return workshop.make(self.bundle, self.bundle.read(), inputs, self.options, self._compare, progress)

    def _compare(self, built: Built, device: Device) -> Report:
        spec = self.bundle.spec
        description = f"TensorRT {device.tensorrt}, {device.gpu}, {self.bundle.precision}"
        source = load_bundle(self.bundle.folder, allow_modified=self.bundle.allow_modified)
        with ExitStack() as stack:
            reference = stack.enter_context(closing(OrtBackend(source, threads=self.threads)))
            runner = PlanRunner(self.api, self.cuda, built.plan, spec, description=description)
            candidate = stack.enter_context(closing(runner))
            report = compare(
                reference,
                candidate,
                spec=spec,
                precision=self.options.precision,
                data=self.data,
                stress=list(stress_inputs(spec).values()),
                sizes=(source.model.stat().st_size, len(built.plan)),
                calls=self.calls,
            )
        self.say(as_text(report))
        return report
