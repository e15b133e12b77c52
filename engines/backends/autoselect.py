"""The backend `auto`: the fastest runtime and precision on this machine among those that passed parity.

Measurements are cached per machine, bundle and set of runtimes. Called by `engines.backends`; `edgeemo engines` lists
the measurements.
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

from engines.backends import BACKENDS, Backend, install_hint, open_backend
from engines.backends.plans import plan_files
from engines.bundle import Bundle
from engines.errors import BackendUnavailable, EngineError, ModelError
from engines.files import atomic_write, read_file, sha256_of_file
from engines.layout import FILES, MANIFEST, PARITY, cache_folder
from engines.parity import ParityRecord
from engines.preprocess import F32

log = logging.getLogger(__name__)

CANDIDATES = ("onnx", "openvino", "onnx-cuda", "tensorrt")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt")
WARM_UP, CALLS, FEWEST_CALLS = 5, 30, 4
CALLS_S = 0.6  # time limit for one measurement
# largest difference of a probability from FP32 on synthetic inputs; a runtime with a larger one is not used
MAX_PROB_DIFF = {"fp32": 0.005, "fp16": 0.05, "int8": 0.5, "int8_tensorrt": 0.5}
MIN_SPEEDUP = 1 / 0.9  # minimum speed-up over FP32 on ONNX Runtime for which another option is chosen


@dataclass(frozen=True)
class Option:
    """One runtime and precision for a bundle on this machine.

    Attributes:
        milliseconds: per face, median of calls with one face; None: not measured or not usable.
        fault: why it is not usable, in one clause; empty if usable.
        passed: it is the FP32 model itself, or its parity report passed on this backend.
    """

    backend: str
    precision: str
    milliseconds: float | None = None
    fault: str = ""
    passed: bool = False
    description: str = ""

    @property
    def choice(self) -> str:
        return f"{self.backend}:{self.precision}"


@dataclass
class _Memory:
    """Cached speeds: a file in the user's cache, which may be deleted at any time."""

    path: Path
    speeds: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    @classmethod
    def load(cls) -> _Memory:
        path = cache_folder() / "speeds.json"
        try:
            data = json.loads(read_file(path))
        except (OSError, ValueError, RecursionError):
            data = {}
        return cls(path, data if isinstance(data, dict) else {})

    def recall(self, key: str) -> list[Option] | None:
        try:
            return [Option(**item) for item in self.speeds[key]]  # type: ignore[arg-type]
        except (KeyError, TypeError):
            return None

    def keep(self, key: str, options: Iterable[Option]) -> None:
        self.speeds[key] = [asdict(option) for option in options]
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps(self.speeds, indent=1) + "\n")


def open_auto(bundle: Bundle, *, threads: int = 1) -> Backend:
    """Open the fastest option that passed parity.

    Raises:
        ModelError, SpecError: not even FP32 on ONNX Runtime runs.
    """
    chosen = best(benchmark(bundle, threads=threads))
    try:
        return open_backend(chosen.choice, bundle, threads=threads)
    except EngineError as error:
        if chosen.choice in ("onnx:fp32", f"onnx:{bundle.precision.lower()}"):
            raise
        log.warning("%s, chosen by auto, cannot be opened (%s); ONNX Runtime is used instead", chosen.choice, error)
        return open_backend("onnx", bundle, threads=threads)


def best(options: Iterable[Option]) -> Option:
    """The fastest option that is usable and passed parity; FP32 on ONNX Runtime unless another is `MIN_SPEEDUP` faster.

    Without measurements, it is the first option on ONNX Runtime that passed parity.
    """
    options = list(options)
    usable = [option for option in options if option.passed and not option.fault and option.milliseconds is not None]
    plain = next((option for option in usable if option.choice == "onnx:fp32"), None)
    fastest = min(usable, key=lambda option: option.milliseconds or 0.0, default=None)
    if fastest is None:
        first = (option for option in options if option.backend == "onnx" and option.passed)
        return next(first, Option("onnx", "fp32", passed=True))
    if plain is not None and (plain.milliseconds or 0.0) < MIN_SPEEDUP * (fastest.milliseconds or 0.0):
        return plain
    return fastest


def benchmark(bundle: Bundle, *, threads: int = 1, force: bool = False) -> list[Option]:
    """Every option of a bundle on this machine with its speed; cached while nothing has changed.

    Args:
        force: measure again.
    """
    memory = _Memory.load()
    key = _key(bundle, threads)
    if not force and (known := memory.recall(key)) is not None:
        return known
    options = list(_measured(bundle, threads))
    memory.keep(key, options)
    return options


def remembered(bundle: Bundle, *, threads: int = 1) -> list[Option]:
    """The cached measurements of a bundle on this machine; empty if there are none."""
    return _Memory.load().recall(_key(bundle, threads)) or []


def options_of(bundle: Bundle) -> list[Option]:
    """Every option that a bundle's files and the installed runtimes allow, without measuring."""
    try:
        record = ParityRecord.load(bundle.folder)
    except ModelError:
        record = None
    found = []
    for backend in CANDIDATES:
        fault = backend_fault(backend)
        for precision in bundle.precisions():
            if (backend == "tensorrt") != (precision == "int8_tensorrt") and precision in ("int8", "int8_tensorrt"):
                continue
            # without an FP32 file, FP32 uses the weights of the FP16 file: on a CPU the results are the same, so the
            # parity report of FP16 decides
            judged = "fp16" if precision == "fp32" and not bundle.has_fp32 else precision
            export = record.of(judged) if record is not None else None
            if export is not None and backend in export.reports:
                passed = export.accepted_on(backend)
            else:
                passed = judged == "fp32"
            found.append(Option(backend, precision, fault=fault, passed=passed))
    return found


@cache
def backend_fault(name: str) -> str:
    """Why a backend cannot be used on this machine, in one clause; empty if it can."""
    try:
        module = import_module(BACKENDS[name][0])
        if name.startswith("onnx"):
            return str(module.missing_provider(name))
        if name == "tensorrt":
            module.expect_usable()
    except ImportError as error:
        return f"{install_hint(name)} ({error.name or error} is not installed)"
    except BackendUnavailable as error:
        return str(error).partition("is not available: ")[2] or str(error)
    return ""


def _measured(bundle: Bundle, threads: int) -> Iterable[Option]:
    inputs = _inputs(bundle)
    expected: F32 | None = None
    for option in options_of(bundle):
        if option.fault:
            yield option
            continue
        try:
            backend = _open(option, bundle, threads)
        except EngineError as error:
            yield replace(option, fault=str(error))
            continue
        # a plan is only found if its own parity report, made on this GPU, was accepted
        option = replace(option, passed=option.passed or option.backend == "tensorrt", description=backend.description)
        try:
            probabilities = backend.infer(inputs)
            if expected is None and option.choice == "onnx:fp32":
                expected = probabilities
            fault = _implausible(expected, probabilities, MAX_PROB_DIFF[option.precision])
            yield replace(option, milliseconds=None if fault else _speed(backend, inputs[:1]), fault=fault)
        except EngineError as error:
            yield replace(option, fault=str(error))
        finally:
            backend.close()


def _open(option: Option, bundle: Bundle, threads: int) -> Backend:
    if option.backend == "tensorrt":
        # measure only an existing plan: plans are built when TensorRT is requested
        opened: Backend = import_module(BACKENDS["tensorrt"][0]).open_plan(bundle.at(option.precision))
        return opened
    return open_backend(option.choice, bundle, threads=threads)


def _implausible(expected: F32 | None, probabilities: F32, limit: float) -> str:
    if not np.isfinite(probabilities).all():
        return "it computes NaN or infinity on this machine"
    if expected is not None and float(np.abs(expected - probabilities).max()) > limit:
        return f"on this machine a probability differs by {float(np.abs(expected - probabilities).max()):.2g}"
    return ""


def _speed(backend: Backend, one: F32) -> float:
    """Median milliseconds per face; slow networks get fewer calls."""
    began = perf_counter()
    backend.infer(one)
    calls = int(np.clip(CALLS_S / max(perf_counter() - began, 1e-9), FEWEST_CALLS, WARM_UP + CALLS))
    taken = []
    for _ in range(calls):
        began = perf_counter()
        backend.infer(one)
        taken.append((perf_counter() - began) * 1e3)
    return round(median(taken[min(WARM_UP, calls // 4) :]), 3)


def _inputs(bundle: Bundle) -> F32:
    """(8, C, S, S) inputs: one black, one white, six of 4 x 4 blocks with random values per channel."""
    spec = bundle.spec
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (8, spec.channels, 4, 4))
    step = -(-spec.size // 4)
    faces = coarse.repeat(step, axis=2).repeat(step, axis=3)[:, :, : spec.size, : spec.size]
    faces[0], faces[1] = 0, 255
    return np.ascontiguousarray(faces, np.float32)


def _key(bundle: Bundle, threads: int) -> str:
    """Cache key of the measurements: runtimes, files, threads and machine."""
    runtimes = []
    for name in RUNTIMES:
        with contextlib.suppress(PackageNotFoundError):
            runtimes.append(f"{name} {version(name)}")
    # the manifest identifies the files, because opened files are checked against it
    names = [MANIFEST] if bundle.manifest is not None else [*FILES.values(), PARITY]
    files = [f"{name} {sha256_of_file(bundle.folder / name)}" for name in names if (bundle.folder / name).is_file()]
    plans = [path.name for path in plan_files(bundle)]
    facts = [_processor(), str(threads), *runtimes, *files, *plans]
    return f"{bundle.spec.name}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"


def _processor() -> str:
    name = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line for line in lines if line.startswith(("model name", "flags"))), "")
    return f"{platform.machine()} {os.cpu_count()} {name}"
