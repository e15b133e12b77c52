"""Runtimes that execute a model: a table of names, each imported on demand. `engines.engine` calls `open_backend`.

A choice is written BACKEND or BACKEND:PRECISION, for example onnx, openvino:int8, tensorrt:fp16 or auto.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from engines.backends.checked import CheckedBackend
from engines.errors import BackendUnavailable
from engines.installation import pip_install
from engines.layout import PRECISIONS
from engines.preprocess import F32

if TYPE_CHECKING:
    from engines.bundle import Bundle


class Backend(Protocol):
    """One loaded model, ready to run. `description` states what runs, for example "ONNX Runtime, CPU, FP32"."""

    @property
    def description(self) -> str: ...

    def infer(self, faces: F32) -> F32:
        """(N, C, S, S) float32 in 0..255 with N >= 1 -> (N, K) probabilities."""
        ...

    def close(self) -> None: ...


# name -> (module, class or function that takes (bundle, threads), default precision)
BACKENDS = {
    "onnx": ("engines.backends.onnxruntime", "OrtBackend", "fp32"),
    "onnx-cuda": ("engines.backends.onnxruntime", "OrtCudaBackend", "fp32"),
    "openvino": ("engines.backends.openvino", "OpenVinoBackend", "fp32"),
    "tensorrt": ("engines.backends.tensorrt", "open_tensorrt", "fp16"),
    "auto": ("engines.backends.autoselect", "open_auto", "fp32"),
}


_INSTALL = {
    "onnx-cuda": "pip install onnxruntime-gpu in place of onnxruntime",
    "tensorrt": "pip install tensorrt nvidia-cuda-runtime, on a Jetson both come with JetPack",
}


def install_hint(backend: str) -> str:
    """How to install a backend's library."""
    return pip_install("openvino") if backend == "openvino" else _INSTALL.get(backend, pip_install())


def open_backend(choice: str, bundle: Bundle, *, threads: int = 1, exact: bool = False) -> Backend:
    """Load a bundle's model into a runtime.

    Args:
        choice: BACKEND or BACKEND:PRECISION. Without a precision: FP32, on TensorRT FP16.
        exact: run nothing but the choice; by default, ONNX Runtime replaces TensorRT until its plan is built.

    Raises:
        BackendUnavailable: the name is unknown or its library is not installed.
        ModelError, SpecError: the file cannot be loaded or does not fit its spec, its outputs are not probabilities,
            or that precision was not exported. With `exact` also: no plan fits; the message has the command that builds
            one.
    """
    name, precision = parse_choice(choice)
    module, cls, usual = BACKENDS[name]
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise BackendUnavailable(name, hint=f"{install_hint(name)} ({error})") from error
    # without a requested precision, keep that of the bundle if it is not FP32
    if precision or bundle.precision == "FP32":
        bundle = bundle.at(precision or usual)
    plan_only = exact and name == "tensorrt"
    backend: Backend = loaded.open_plan(bundle) if plan_only else getattr(loaded, cls)(bundle, threads=threads)
    return CheckedBackend(backend, bundle.spec)


def parse_choice(choice: str) -> tuple[str, str]:
    """BACKEND[:PRECISION] -> its two parts; the second is "" if it is missing.

    Raises:
        BackendUnavailable: one of them is unknown.
    """
    name, colon, precision = choice.partition(":")
    # int8s is the former name, for one version; the form of INT8 for processors cannot run on TensorRT
    precision = "int8_tensorrt" if precision == "int8s" or choice == "tensorrt:int8" else precision
    if name not in BACKENDS:
        raise BackendUnavailable(name, hint=f"known backends are {', '.join(BACKENDS)}")
    if colon and (precision not in PRECISIONS or name == "auto"):
        known = "none after auto, which chooses the precision" if name == "auto" else ", ".join(PRECISIONS)
        raise BackendUnavailable(choice, hint=f"precisions are {known}")
    return name, precision
