"""TensorRT plans: models compiled for one GPU and one TensorRT version; where they are stored, and which one fits.

hybrid_lite-153123d6/fp16-orin-sm87x8-trt10.3.0-ec7b6385.plan     and .json beside it
hybrid_lite-153123d6/sm87x8-trt10.3.0.timing                      kernel timings, which speed up the next build

A folder is named after the bundle and its FP32 model, a plan after the ONNX file that it was built from. `find_plan`
searches the bundle's `plans` folder, then the machine's cache, which root fills at installation, then the user's cache.
The bundle itself is never copied. The backend `tensorrt` and `edgeemo-export` use this module.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from engines.errors import ModelError
from engines.files import sha256_of_file
from engines.json_record import load_record, save_record
from engines.layout import cache_folder
from engines.model_file import sha256_of

LARGEST_PLAN = 4 << 30


class Source(Protocol):
    """What a plan is compiled from: a bundle at one precision, or a network that finds faces.

    Attributes:
        folder: may have a folder `plans`.
        model: the ONNX file that is compiled.
        source_sha256: of the FP32 model.
    """

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def model(self) -> Path: ...
    @property
    def source_sha256(self) -> str: ...


@dataclass(frozen=True)
class Device:
    """The target that a plan is compiled for.

    Attributes:
        capability: for example "8.7".
        multiprocessors: distinguishes modules of the same name: every Orin is named "Orin".
        tensorrt: version; plans of another version, even another build of it, are not loaded.
        system: for example "linux-aarch64".
    """

    gpu: str
    capability: str
    multiprocessors: int
    tensorrt: str
    system: str = field(default_factory=lambda: f"{platform.system()}-{platform.machine()}".lower())

    @property
    def slug(self) -> str:
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return f"{gpu[:40] or 'gpu'}-{self.short}"

    @property
    def short(self) -> str:
        return f"sm{self.capability.replace('.', '')}x{self.multiprocessors}-trt{self.tensorrt}"


class PlanManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest beside a plan.

    Attributes:
        source_sha256: of the FP32 model.
        onnx_sha256: of the typed file that was compiled.
        plan_sha256: of the plan itself.
        batch: faces per call: minimum, typical, maximum.
        seconds: duration of the build.
        half_layers: number of `layers` in half precision.
        report: parity on the device that built it.
    """

    precision: str
    device: Device
    source_sha256: str
    onnx_sha256: str
    plan_sha256: str
    batch: tuple[int, int, int]
    seconds: float = 0.0
    layers: int = 0
    half_layers: int = 0
    report: dict[str, Any] = {}
    format: Literal[2] = 2

    @property
    def accepted(self) -> bool:
        return self.report.get("accepted") is True

    def save(self, path: Path) -> None:
        """Raises: ModelError: the folder cannot be written to."""
        save_record(path, self, durable=False)

    @classmethod
    def load(cls, path: Path) -> PlanManifest:
        """Raises: ModelError: it is missing or malformed."""
        return load_record(path, cls, name="manifest of a plan")


@dataclass(frozen=True)
class Plan:
    path: Path
    manifest: PlanManifest


def system_cache() -> Path:
    """Folder of the machine's plans, written by root at installation; $EDGEEMO_SYSTEM_CACHE overrides it."""
    return Path(os.environ.get("EDGEEMO_SYSTEM_CACHE") or "/var/cache/edgeemo") / "plans"


def user_cache() -> Path:
    return cache_folder() / "plans"


def plan_folders(source: Source) -> list[Path]:
    """Folders that are searched for a source's plans, in order."""
    name = f"{source.name}-{source.source_sha256[:8]}"
    return [source.folder / "plans", system_cache() / name, user_cache() / name]


def build_folder(source: Source) -> Path:
    """Folder for a new plan: the machine's cache for root, else the user's cache."""
    _, system, user = plan_folders(source)
    return system if sys.platform != "win32" and os.geteuid() == 0 else user


def plan_name(source: Source, device: Device, precision: str) -> str:
    """The file name of a plan.

    Args:
        source: at the wanted precision; the plan is compiled from its file.
    """
    return f"{precision}-{device.slug}-{sha256_of(source.model)[:8]}.plan"


def timing_path(source: Source, device: Device) -> Path:
    return build_folder(source) / f"{device.short}.timing"


def plan_files(source: Source) -> list[Path]:
    """Every plan of a source, for any device, unchecked."""
    return [path for folder in plan_folders(source) for path in sorted(folder.glob("*.plan"))]


def find_plan(source: Source, device: Device, precision: str) -> tuple[Plan | None, str]:
    """The plan that fits source and device, or None and the reason, in one clause.

    Args:
        source: at the wanted precision.
    """
    name = plan_name(source, device, precision)
    reasons = []
    for folder in plan_folders(source):
        if (folder / name).is_file():
            plan, reason = _checked(folder / name, source, device, precision)
            if plan is not None:
                return plan, ""
            reasons.append(reason)
    return None, reasons[0] if reasons else "no plan was built for this device"


def _checked(path: Path, source: Source, device: Device, precision: str) -> tuple[Plan | None, str]:
    try:
        manifest = PlanManifest.load(path.with_suffix(".json"))
        if reason := mismatch(manifest, source, device, precision):
            return None, f"{path} does not fit: {reason}"
        if path.stat().st_size > LARGEST_PLAN or sha256_of_file(path) != manifest.plan_sha256:
            return None, f"{path} is not the file that its manifest describes"
    except (ModelError, OSError) as error:
        return None, str(error)
    return Plan(path, manifest), ""


def mismatch(manifest: PlanManifest, source: Source, device: Device, precision: str) -> str:
    """Why a plan must not be loaded here, in one clause; empty if it fits."""
    for name in ("gpu", "capability", "multiprocessors", "tensorrt", "system"):
        made, here = getattr(manifest.device, name), getattr(device, name)
        if made != here:
            return f"it was built for {name} {made}, this is {here}"
    if manifest.precision != precision:
        return f"it is {manifest.precision}"
    if manifest.source_sha256 != source.source_sha256:
        return "it was made from another FP32 model"
    if manifest.onnx_sha256 != sha256_of(source.model):
        return f"it was made from another {source.model.name}"
    if not manifest.accepted:
        return "it did not pass its parity report"
    return ""
