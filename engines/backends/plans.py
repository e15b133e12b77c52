"""Plans: what TensorRT compiled for one GPU and one version of itself, and how they are told apart.

plans/fp16-orin-sm87-trt10.3.0-0df135df.plan     and .json beside it
plans/sm87-trt10.3.0.timing                      how fast each kernel was: the next build is quicker
"""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import ModelError
from engines.files import atomic_write
from engines.model_file import sha256_of

FORMAT = 1
LARGEST_PLAN = 4 << 30


@dataclass(frozen=True)
class Device:
    """What a plan is compiled for.

    Attributes:
        capability: for example "8.7".
        tensorrt: its version; plans of another one, even of another build of it, are not loaded.
        system: for example "linux-aarch64".
    """

    gpu: str
    capability: str
    tensorrt: str
    system: str = field(default_factory=lambda: f"{platform.system()}-{platform.machine()}".lower())

    @property
    def slug(self) -> str:
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return f"{gpu[:40] or 'gpu'}-{self.short}"

    @property
    def short(self) -> str:
        return f"sm{self.capability.replace('.', '')}-trt{self.tensorrt}"


@dataclass(frozen=True)
class PlanManifest:
    """What lies beside a plan.

    Attributes:
        source_sha256: of model.onnx, which everything came from.
        onnx_sha256: of the typed file that was compiled.
        plan_sha256: of the plan itself.
        batch: faces a call: least, usual, most.
        seconds: how long it took to build.
        report: parity on the device that built it.
    """

    precision: str
    device: Device
    source_sha256: str
    onnx_sha256: str
    plan_sha256: str
    batch: tuple[int, int, int]
    seconds: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.report.get("accepted") is True

    def save(self, path: Path) -> None:
        """Raises: ModelError: the folder cannot be written to."""
        try:
            atomic_write(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")
        except OSError as error:
            raise ModelError(f"cannot write {path}: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: Path) -> PlanManifest:
        """Raises: ModelError: it is missing or malformed."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            unknown = set(data) - {item.name for item in fields(cls)}
            if unknown:
                raise ValueError(f"unknown key {sorted(unknown)[0]}")
            data["device"] = Device(**data["device"])
            least, usual, most = data["batch"]
            data["batch"] = (int(least), int(usual), int(most))
            if not isinstance(data.get("report", {}), dict):
                raise ValueError("report is no object")
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{path} is no manifest of a plan ({error})") from error


@dataclass(frozen=True)
class Plan:
    path: Path
    manifest: PlanManifest


def plans_folder(bundle: Bundle) -> Path:
    """Beside the model, or where that cannot be written to, in the user's cache."""
    own = bundle.folder / "plans"
    if os.access(own if own.is_dir() else bundle.folder, os.W_OK):
        return own
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "edgeemo" / "plans" / bundle.spec.name


def plan_path(bundle: Bundle, device: Device, precision: str) -> Path:
    return plans_folder(bundle) / f"{precision}-{device.slug}-{bundle.source_sha256[:8]}.plan"


def plan_files(bundle: Bundle) -> list[Path]:
    """Every plan of a bundle, for whatever device, oldest name first; none is checked."""
    return sorted(plans_folder(bundle).glob("*.plan"))


def timing_path(bundle: Bundle, device: Device) -> Path:
    return plans_folder(bundle) / f"{device.short}.timing"


def find_plan(bundle: Bundle, device: Device, precision: str) -> tuple[Plan | None, str]:
    """The plan that fits bundle and device, or None and why there is none, in one clause.

    Args:
        bundle: at the precision that shall run: its file is what the plan must have been made from.
    """
    path = plan_path(bundle, device, precision)
    if not path.is_file():
        return None, "none was built for this device"
    try:
        manifest = PlanManifest.load(path.with_suffix(".json"))
        if reason := mismatch(manifest, bundle, device, precision):
            return None, f"{path.name} does not fit: {reason}"
        if path.stat().st_size > LARGEST_PLAN or sha256_of(path) != manifest.plan_sha256:
            return None, f"{path.name} is not the file that its manifest is about"
    except (ModelError, OSError) as error:
        return None, str(error)
    return Plan(path, manifest), ""


def mismatch(manifest: PlanManifest, bundle: Bundle, device: Device, precision: str) -> str:
    """Why a plan must not be loaded here, in one clause; empty when it fits."""
    for name in ("gpu", "capability", "tensorrt", "system"):
        made, here = getattr(manifest.device, name), getattr(device, name)
        if made != here:
            return f"it was built for {name} {made}, this is {here}"
    if manifest.precision != precision:
        return f"it is {manifest.precision}"
    if manifest.source_sha256 != bundle.source_sha256:
        return "it was made from another model.onnx"
    if manifest.onnx_sha256 != sha256_of(bundle.model):
        return f"it was made from another {bundle.model.name}"
    if not manifest.accepted:
        return "it did not pass its parity report"
    return ""
