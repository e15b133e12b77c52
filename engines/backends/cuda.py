"""The calls of the CUDA runtime that TensorRT needs, through ctypes: JetPack has the library, but no Python binding.

Called by `engines.backends.tensorrt`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.backends import install_hint
from engines.errors import BackendUnavailable, EngineError

# TensorRT 10.3 and later need CUDA 12 or 13; the system's library is tried before those of NVIDIA's pip packages
LIBRARIES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so", "/usr/local/cuda/lib64/libcudart.so")
PACKAGED = "nvidia/*/lib/libcudart.so.*"
WINDOWS_LIBRARIES = ("cudart64_13.dll", "cudart64_12.dll")
WINDOWS_PACKAGED = "nvidia/*/bin/**/cudart64_*.dll"
TO_DEVICE, TO_HOST = 1, 2
NON_BLOCKING = 1
CAPTURE_THREAD_LOCAL = 1
MULTIPROCESSORS, CAPABILITY_MAJOR, CAPABILITY_MINOR = 16, 75, 76  # of cudaDeviceAttr
INSUFFICIENT_DRIVER = 35  # cudaErrorInsufficientDriver: this library needs a newer driver
LARGEST_PROPERTIES = 8192  # size of the buffer for cudaDeviceProp, which has about 1,000 bytes and begins with the name
CALLS = (
    "cudaDeviceGetAttribute",
    "cudaFree",
    "cudaFreeHost",
    "cudaGetDeviceCount",
    "cudaGetDeviceProperties",
    "cudaGetErrorString",
    "cudaGraphDestroy",
    "cudaGraphExecDestroy",
    "cudaGraphInstantiateWithFlags",
    "cudaGraphLaunch",
    "cudaMalloc",
    "cudaMallocHost",
    "cudaMemcpyAsync",
    "cudaStreamBeginCapture",
    "cudaStreamCreateWithFlags",
    "cudaStreamDestroy",
    "cudaStreamEndCapture",
    "cudaStreamSynchronize",
)


class CudaError(EngineError):
    pass


@dataclass(frozen=True)
class Gpu:
    """Attributes: capability: for example "8.7". multiprocessors: 8 on an Orin Nano, 16 on an AGX Orin."""

    name: str
    capability: str
    multiprocessors: int


class Cuda(Protocol):
    """Addresses, streams and graphs are integers, as in the C interface; every call may raise `CudaError`."""

    def gpu(self) -> Gpu: ...
    def allocate(self, size: int) -> int: ...
    def free(self, address: int) -> None: ...
    def allocate_pinned(self, size: int) -> int: ...
    def free_pinned(self, address: int) -> None: ...
    def stream(self) -> int: ...
    def close_stream(self, stream: int) -> None: ...
    def wait(self, stream: int) -> None: ...
    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None: ...
    def begin_capture(self, stream: int) -> None: ...
    def end_capture(self, stream: int) -> int:
        """The recorded graph, ready to launch."""
        ...

    def launch(self, graph: int, stream: int) -> None: ...
    def close_graph(self, graph: int) -> None: ...


class CudaRuntime:
    """libcudart.

    Raises:
        BackendUnavailable: there is no such library, or no GPU.
    """

    def __init__(self, libraries: Sequence[str] | None = None) -> None:
        self._library = _usable(library_names() if libraries is None else libraries)

    def gpu(self) -> Gpu:
        properties = ctypes.create_string_buffer(LARGEST_PROPERTIES)
        self._call("cudaGetDeviceProperties", properties, ctypes.c_int(0))
        major, minor, count = (self._attribute(one) for one in (CAPABILITY_MAJOR, CAPABILITY_MINOR, MULTIPROCESSORS))
        return Gpu(properties.value.decode("utf-8", errors="replace") or "GPU", f"{major}.{minor}", count)

    def _attribute(self, attribute: int) -> int:
        value = ctypes.c_int()
        self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
        return value.value

    def allocate(self, size: int) -> int:
        return self._pointer("cudaMalloc", ctypes.c_size_t(size))

    def free(self, address: int) -> None:
        self._call("cudaFree", ctypes.c_void_p(address))

    def allocate_pinned(self, size: int) -> int:
        return self._pointer("cudaMallocHost", ctypes.c_size_t(size))

    def free_pinned(self, address: int) -> None:
        self._call("cudaFreeHost", ctypes.c_void_p(address))

    def stream(self) -> int:
        return self._pointer("cudaStreamCreateWithFlags", ctypes.c_uint(NON_BLOCKING))

    def close_stream(self, stream: int) -> None:
        self._call("cudaStreamDestroy", ctypes.c_void_p(stream))

    def wait(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(target),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )

    def begin_capture(self, stream: int) -> None:
        self._call("cudaStreamBeginCapture", ctypes.c_void_p(stream), ctypes.c_int(CAPTURE_THREAD_LOCAL))

    def end_capture(self, stream: int) -> int:
        recorded = ctypes.c_void_p()
        self._call("cudaStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(recorded))
        try:
            return self._pointer("cudaGraphInstantiateWithFlags", recorded, ctypes.c_ulonglong(0))
        finally:
            self._call("cudaGraphDestroy", recorded)

    def launch(self, graph: int, stream: int) -> None:
        self._call("cudaGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def close_graph(self, graph: int) -> None:
        self._call("cudaGraphExecDestroy", ctypes.c_void_p(graph))

    def _pointer(self, name: str, *arguments: Any) -> int:
        made = ctypes.c_void_p()
        self._call(name, ctypes.byref(made), *arguments)
        return int(made.value or 0)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise CudaError(f"{name} failed: {_reason(self._library, code)}; use --backend onnx")


def as_array(address: int, shape: tuple[int, ...], kind: type[np.generic] = np.float32) -> Any:
    """Memory at an address, float32 unless told otherwise, as an array that does not own it."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address)).view(kind).reshape(shape)


def _usable(libraries: Sequence[str]) -> Any:
    """The first library that finds a GPU; libraries too new for the driver are skipped."""
    fault = f"{install_hint('tensorrt')} (the CUDA runtime, libcudart, is not installed)"
    for name in libraries:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        missing = next((call for call in CALLS if not hasattr(library, call)), "")
        if missing:
            fault = f"{name} has no {missing}: its CUDA is too old or too new"
            continue
        for call in CALLS:
            getattr(library, call).restype = ctypes.c_int
        library.cudaGetErrorString.restype = ctypes.c_char_p
        count = ctypes.c_int()
        code = library.cudaGetDeviceCount(ctypes.byref(count))
        if not code and count.value:
            return library
        fault = f"no NVIDIA GPU can be used ({_reason(library, code) if code else 'none was found'})"
        if code != INSUFFICIENT_DRIVER:
            break
    raise BackendUnavailable("tensorrt", hint=fault)


def library_names(platform: str = sys.platform, folders: Sequence[str] | None = None) -> list[str]:
    """Candidates for the CUDA runtime: the system's library first, then that of NVIDIA's pip packages.

    TensorRT 11's package needs the latter and does not load it.

    Args:
        folders: site-packages folders; None: those of this Python.
    """
    windows = platform == "win32"
    found = {
        str(path)
        for folder in (sys.path if folders is None else folders)
        for path in Path(folder or ".").glob(WINDOWS_PACKAGED if windows else PACKAGED)
        if path.is_file()
    }
    return [*(WINDOWS_LIBRARIES if windows else LIBRARIES), *sorted(found, reverse=True)]


def _reason(library: Any, code: int) -> str:
    text = library.cudaGetErrorString(ctypes.c_int(code))
    return text.decode("utf-8", errors="replace") if text else f"error {code}"
