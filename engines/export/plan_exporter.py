"""Build a plan on the device from the bundle's typed ONNX file, compare it, and publish it into a plan cache.

It needs no onnx package and does not change the bundle. `edgeemo-export --backend tensorrt` runs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.backends.cuda import Cuda
from engines.backends.onnxruntime import OrtBackend
from engines.backends.plans import Device, PlanManifest, build_folder, plan_name, timing_path
from engines.backends.tensorrt_runtime import PlanRunner
from engines.bundle import Bundle, load_bundle
from engines.errors import ModelError
from engines.export.compare import LATENCY_CALLS, Report, as_text, compare
from engines.export.face_data import FaceData
from engines.export.plan_builder import Built, PlanOptions, Progress, build_plan
from engines.export.stress import stress_inputs
from engines.files import atomic_write
from engines.model_file import sha256_of

log = logging.getLogger(__name__)


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
        gpu = self.cuda.gpu()
        return Device(gpu.name, gpu.capability, gpu.multiprocessors, str(self.api.__version__))

    def run(self, progress: Progress | None = None) -> tuple[Report, Path]:
        """Build and compare; a plan that is out of budget is saved under another name.

        Raises:
            EngineError: nothing was published.
        """
        device, precision = self.device, self.options.precision
        path = build_folder(self.bundle) / plan_name(self.bundle, device, precision)
        timing = timing_path(self.bundle, device)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"cannot write to {path.parent}: {error.strerror or error}; set XDG_CACHE_HOME to a folder of yours"
            ) from error
        before = timing.read_bytes() if timing.is_file() else b""
        self.say(f"building {path.name} for {device.gpu}")
        built = build_plan(
            self.api, self.bundle.read(), self.bundle.spec, replace(self.options, timing=before), progress
        )
        if built.timing:
            atomic_write(timing, built.timing)
        report = self._compare(built, device)
        self.say(as_text(report))
        self.say(f"  {built.half_layers} of {built.layers} layers in half precision, built in {built.seconds:.0f} s")
        if not report.accepted:
            path = path.with_name(path.name.replace(".plan", ".out-of-budget.plan"))
        atomic_write(path, built.plan)
        manifest = PlanManifest(
            precision=precision,
            device=device,
            source_sha256=self.bundle.source_sha256,
            onnx_sha256=sha256_of(self.bundle.model),
            plan_sha256=sha256_of(path),
            batch=self.options.batch,
            seconds=round(built.seconds, 1),
            layers=built.layers,
            half_layers=built.half_layers,
            report=report.to_mapping(),
        )
        # write the manifest last: a plan without it is ignored
        manifest.save(path.with_suffix(".json"))
        if report.accepted:
            self._sweep(path)
        return report, path

    def _compare(self, built: Built, device: Device) -> Report:
        spec = self.bundle.spec
        description = f"TensorRT {device.tensorrt}, {device.gpu}, {self.bundle.precision}"
        source = load_bundle(self.bundle.folder)
        with ExitStack() as stack:
            reference = stack.enter_context(closing(OrtBackend(source, threads=self.threads)))
            runner = PlanRunner(self.api, self.cuda, built.plan, spec, description=description)
            candidate = stack.enter_context(closing(runner))
            return compare(
                reference,
                candidate,
                spec=spec,
                precision=self.options.precision,
                data=self.data,
                stress=list(stress_inputs(spec).values()),
                sizes=(source.model.stat().st_size, len(built.plan)),
                calls=self.calls,
            )

    def _sweep(self, kept: Path) -> None:
        """Remove older plans of this GPU and precision from this cache; nothing will load them."""
        for manifest_path in sorted(kept.parent.glob(f"{self.options.precision}-*.json")):
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
