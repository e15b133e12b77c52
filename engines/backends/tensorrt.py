"""The backend `tensorrt`, the only importer of the module `tensorrt`. It runs plans that `edgeemo-export` built.

Without a plan, ONNX Runtime runs while `edgeemo-export` builds one in a child process. Called by `engines.backends`.
"""

from __future__ import annotations

from typing import Any

import tensorrt

from engines.backends import Backend
from engines.backends.cuda import CudaRuntime
from engines.backends.handover import PlanBuild, SwappingBackend
from engines.backends.onnxruntime import OrtBackend
from engines.backends.plans import Device, Plan, Source, find_plan
from engines.backends.tensorrt_runtime import PlanNetwork, PlanRunner, Signature, too_old
from engines.bundle import Bundle, load_bundle
from engines.errors import BackendUnavailable, ModelError


def open_tensorrt(bundle: Bundle, *, threads: int = 1) -> Backend:
    """Open the plan for this GPU; without one, ONNX Runtime until the plan is built.

    Args:
        bundle: at the wanted precision.

    Raises:
        BackendUnavailable: TensorRT is too old, no CUDA, no GPU.
        ModelError, SpecError: as for every backend.
    """
    expect_usable()
    cuda = CudaRuntime()
    device = here(cuda)
    precision = bundle.precision.lower()
    plan, reason = find_plan(bundle, device, precision)
    if plan is not None:
        try:
            return run_plan(plan, bundle, cuda)
        except ModelError as error:
            reason = str(error)

    def prepare() -> Backend:
        built, why = find_plan(bundle, device, precision)
        if built is None:
            raise ModelError(f"the plan that was built cannot be used: {why}")
        return run_plan(built, bundle, cuda)

    modified = bundle.allow_modified
    first = OrtBackend(load_bundle(bundle.folder, allow_modified=modified), threads=threads)
    build = PlanBuild(bundle.folder, precision, allow_modified=modified)
    return SwappingBackend(first, build, prepare, why=reason)


def open_plan(bundle: Bundle) -> PlanRunner:
    """Open the plan for this GPU; there is no fallback.

    Args:
        bundle: at the wanted precision.

    Raises:
        BackendUnavailable: TensorRT is too old, no CUDA, no GPU.
        ModelError: no plan fits (the message has the command that builds one), or as `run_plan`.
    """
    expect_usable()
    cuda = CudaRuntime()
    plan, reason = find_plan(bundle, here(cuda), bundle.precision.lower())
    if plan is None:
        raise ModelError(
            f"{reason}; build it: edgeemo-export --bundle {bundle.folder} "
            f"--{bundle.precision.lower().replace('_', '-')} --backend tensorrt"
        )
    return run_plan(plan, bundle, cuda)


def run_plan(plan: Plan, bundle: Bundle, cuda: CudaRuntime) -> PlanRunner:
    """Load a plan that `find_plan` accepted.

    Raises:
        ModelError, SpecError, CudaError: TensorRT rejects it, or it does not fit its spec.
    """
    description = f"TensorRT {tensorrt.__version__}, {plan.manifest.device.gpu}, {bundle.precision}"
    return PlanRunner(tensorrt, cuda, plan.path.read_bytes(), bundle.spec, description=description)


def open_network_plan(source: Source, signature: Signature) -> PlanNetwork:
    """Open the FP32 plan of a network that finds faces.

    Raises:
        BackendUnavailable: TensorRT is too old, no CUDA, no GPU.
        ModelError, CudaError: no plan fits this GPU, or TensorRT rejects it.
    """
    cuda = CudaRuntime()
    plan, reason = find_plan(source, here(cuda), "fp32")
    if plan is None:
        raise ModelError(reason)
    description = f"TensorRT {tensorrt.__version__}, {plan.manifest.device.gpu}, FP32"
    return PlanNetwork(tensorrt, cuda, plan.path.read_bytes(), signature, description=description)


def here(cuda: CudaRuntime) -> Device:
    """The GPU and TensorRT version of this machine, which plans must match."""
    gpu = cuda.gpu()
    return Device(gpu.name, gpu.capability, gpu.multiprocessors, str(tensorrt.__version__))


def expect_usable() -> None:
    """Raises: BackendUnavailable: TensorRT is too old, or there is no CUDA runtime or GPU; the message says which."""
    if reason := too_old(tensorrt):
        raise BackendUnavailable("tensorrt", hint=reason)
    CudaRuntime()


def module() -> Any:
    """The module `tensorrt`, for the build."""
    return tensorrt
