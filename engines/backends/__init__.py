"""Runtimes that can execute a model: a table of names, each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from engines.errors import BackendUnavailable
from engines.preprocess import F32

if TYPE_CHECKING:
    from engines.bundle import Bundle


class Backend(Protocol):
    """One loaded model, ready to run. `description` says what really runs, for example "ONNX Runtime, CPU, FP32"."""

    description: str

    def infer(self, faces: F32) -> F32:
        """(N, C, S, S) float32 in 0..255 with N >= 1 -> (N, K) probabilities."""
        ...

    def close(self) -> None: ...


# name -> (module, class); the class takes (bundle, threads)
BACKENDS = {
    "onnx": ("engines.backends.ort", "OrtBackend"),
}


def open_backend(name: str, bundle: Bundle, *, threads: int = 1) -> Backend:
    """Load a bundle's model into a runtime.

    Raises:
        BackendUnavailable: the name is unknown or its library is not installed.
        ModelError, SpecError: the file cannot be loaded or does not fit its spec.
    """
    if name not in BACKENDS:
        raise BackendUnavailable(name, hint=f"known backends are {', '.join(BACKENDS)}")
    module, cls = BACKENDS[name]
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise BackendUnavailable(name, hint=f"{error}; `edgeemo doctor` says what to install") from error
    backend: Backend = getattr(loaded, cls)(bundle, threads=threads)
    return backend
