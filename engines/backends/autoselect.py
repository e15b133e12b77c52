"""Which runtime and precision is the fastest here, of those that are proven to answer like the model.

Measured once for a machine, a bundle and a set of runtimes, and remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from engines.backends import BACKENDS, Backend, open_backend
from engines.bundle import Bundle
from engines.errors import BackendUnavailable, EngineError, ModelError
from engines.manifest import FILES, Manifest, write_whole
from engines.model_file import sha256_of
from engines.preprocess import F32

log = logging.getLogger(__name__)

CANDIDATES = ("onnx", "openvino", "onnx-cuda", "tensorrt")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt")
WARM_UP, CALLS = 5, 30
# of a probability, on inputs made here: what a healthy runtime stays below, whatever the precision
SANE = {"fp32": 0.005, "fp16": 0.05, "int8": 0.5, "int8s": 0.5}
BETTER = 0.9  # a change is worth it from a tenth less time on


@dataclass(frozen=True)
class Option:
    """One way to run a bundle here.

    Attributes:
        milliseconds: for one face, median; None: not measured or not usable.
        fault: why it is not usable, in one clause; empty when it is.
        proven: it is the model itself, or its parity report passed on this backend.
    """

    backend: str
    precision: str
    milliseconds: float | None = None
    fault: str = ""
    proven: bool = False
    description: str = ""

    @property
    def choice(self) -> str:
        return f"{self.backend}:{self.precision}"


@dataclass
class _Memory:
    """Speeds that were measured before; a file in the user's cache, lost without harm."""

    path: Path
    speeds: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    @classmethod
    def load(cls) -> _Memory:
        root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        path = Path(root).expanduser() / "edgeemo" / "speeds.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = {}
        return cls(path, data if isinstance(data, dict) else {})

    def recall(self, key: str) -> list[Option] | None:
        try:
            return [Option(**item) for item in self.speeds[key]]  # type: ignore[arg-type]
        except (KeyError, TypeError):
            return None

    def keep(self, key: str, options: Iterable[Option]) -> None:
        self.speeds[key] = [asdict(option) for option in options]
        with contextlib.suppress(OSError, ModelError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, (json.dumps(self.speeds, indent=1) + "\n").encode())


def open_auto(bundle: Bundle, *, threads: int = 1) -> Backend:
    """The fastest proven way; on a machine with TensorRT that is TensorRT, by way of ONNX Runtime until it is built.

    Raises:
        ModelError, SpecError: not even the model itself can be run.
    """
    if not backend_fault("tensorrt") and "fp16" in bundle.precisions():
        with contextlib.suppress(EngineError):
            return open_backend("tensorrt:fp16", bundle, threads=threads)
    chosen = best(survey(bundle, threads=threads))
    try:
        return open_backend(chosen.choice, bundle, threads=threads)
    except EngineError as error:
        if chosen.choice == "onnx:fp32":
            raise
        log.warning("%s, chosen by auto, cannot be opened (%s); the model runs on ONNX Runtime", chosen.choice, error)
        return open_backend("onnx:fp32", bundle, threads=threads)


def best(options: Iterable[Option]) -> Option:
    """The fastest of those that are usable and proven; the model itself unless another is clearly faster."""
    usable = [option for option in options if option.proven and not option.fault and option.milliseconds is not None]
    plain = next((option for option in usable if option.choice == "onnx:fp32"), Option("onnx", "fp32", proven=True))
    fastest = min(usable, key=lambda option: option.milliseconds or 0.0, default=plain)
    if plain.milliseconds is not None and (fastest.milliseconds or 0.0) > BETTER * plain.milliseconds:
        return plain
    return fastest


def survey(bundle: Bundle, *, threads: int = 1, again: bool = False) -> list[Option]:
    """Every way to run a bundle here, measured; from memory where nothing has changed.

    Args:
        again: measure even so.
    """
    memory = _Memory.load()
    key = _key(bundle, threads)
    if not again and (known := memory.recall(key)) is not None:
        return known
    options = list(_measured(bundle, threads))
    memory.keep(key, options)
    return options


def options_of(bundle: Bundle) -> list[Option]:
    """Every way to run a bundle that its files and the installed runtimes allow, not measured yet."""
    try:
        manifest = Manifest.load(bundle.folder)
    except ModelError:
        manifest = None
    found = []
    for backend in CANDIDATES:
        fault = backend_fault(backend)
        for precision in bundle.precisions():
            if (backend == "tensorrt") != (precision == "int8s") and precision in ("int8", "int8s"):
                continue
            export = manifest.of(precision) if manifest is not None else None
            proven = precision == "fp32" or (export is not None and export.accepted_on(backend))
            found.append(Option(backend, precision, fault=fault, proven=proven))
    return found


@cache
def backend_fault(name: str) -> str:
    """Why a backend cannot be used on this machine, in one clause; empty when it can."""
    try:
        module = import_module(BACKENDS[name][0])
        if name.startswith("onnx"):
            return str(module.missing_provider(name))
        if name == "tensorrt":
            module.expect_usable()
    except ImportError as error:
        return f"{error.name or error} is not installed"
    except BackendUnavailable as error:
        return str(error).partition("is not available: ")[2] or str(error)
    return ""


def _measured(bundle: Bundle, threads: int) -> Iterable[Option]:
    inputs = _inputs(bundle)
    expected: F32 | None = None
    for option in options_of(bundle):
        # a plan is built when somebody asks for it, not to find out how fast it would be
        if option.fault or option.backend == "tensorrt":
            yield option
            continue
        try:
            backend = open_backend(option.choice, bundle, threads=threads)
        except EngineError as error:
            yield replace(option, fault=str(error))
            continue
        try:
            answered = backend.infer(inputs)
            if expected is None and option.choice == "onnx:fp32":
                expected = answered
            fault = _insane(expected, answered, SANE[option.precision])
            milliseconds = None if fault else _speed(backend, inputs[:1])
            yield replace(option, milliseconds=milliseconds, fault=fault, description=backend.description)
        finally:
            backend.close()


def _insane(expected: F32 | None, answered: F32, limit: float) -> str:
    if not np.isfinite(answered).all():
        return "it gives values that are no numbers on this machine"
    if expected is not None and float(np.abs(expected - answered).max()) > limit:
        return f"on this machine a probability differs by {float(np.abs(expected - answered).max()):.2g}"
    return ""


def _speed(backend: Backend, one: F32) -> float:
    taken = []
    for call in range(WARM_UP + CALLS):
        began = perf_counter()
        backend.infer(one)
        if call >= WARM_UP:
            taken.append((perf_counter() - began) * 1e3)
    return round(median(taken), 3)


def _inputs(bundle: Bundle) -> F32:
    """Eight inputs: even, halved, and blurred noise at several brightnesses."""
    spec = bundle.spec
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (8, spec.channels, 4, 4))
    step = -(-spec.size // 4)
    faces = coarse.repeat(step, axis=2).repeat(step, axis=3)[:, :, : spec.size, : spec.size]
    faces[0], faces[1] = 0, 255
    return np.ascontiguousarray(faces, np.float32)


def _key(bundle: Bundle, threads: int) -> str:
    """What a measured speed depends on."""
    runtimes = []
    for name in RUNTIMES:
        with contextlib.suppress(PackageNotFoundError):
            runtimes.append(f"{name} {version(name)}")
    files = [
        f"{precision} {sha256_of(bundle.folder / FILES[precision])}"
        for precision in bundle.precisions()
        if (bundle.folder / FILES[precision]).is_file()
    ]
    facts = [_processor(), str(threads), *runtimes, *files, _reports(bundle)]
    return f"{bundle.spec.name}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"


def _reports(bundle: Bundle) -> str:
    path = bundle.folder / "parity.json"
    return sha256_of(path) if path.is_file() else ""


def _processor() -> str:
    name = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line for line in lines if line.startswith(("model name", "flags"))), "")
    return f"{platform.machine()} {os.cpu_count()} {name}"
