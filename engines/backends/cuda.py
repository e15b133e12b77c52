"""The few calls of the CUDA runtime that TensorRT needs, through ctypes: JetPack brings the library, but no binding."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engines.errors import BackendUnavailable, EngineError
from engines.preprocess import F32

LIBRARIES = (
    "libcudart.so.13",
    "libcudart.so.12",
    "libcudart.so.11.0",
    "libcudart.so",
    "/usr/local/cuda/lib64/libcudart.so",
)
TO_DEVICE, TO_HOST = 1, 2
NON_BLOCKING = 1
CAPTURE_THREAD_LOCAL = 1
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # of cudaDeviceAttr
LARGEST_PROPERTIES = 8192  # bytes; cudaDeviceProp has about 1,000 and begins with the name
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
    """Attributes: capability: for example "8.7"."""

    name: str
    capability: str


class Cuda(Protocol):
    """Addresses, streams and graphs are whole numbers, as in the C interface; every call may raise `CudaError`."""

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
        """What was recorded, ready to launch."""
        ...

    def launch(self, graph: int, stream: int) -> None: ...
    def close_graph(self, graph: int) -> None: ...


class CudaRuntime:
    """libcudart.

    Raises:
        BackendUnavailable: there is no such library, or no GPU.
    """

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        self._library = _load(libraries)
        count = ctypes.c_int()
        code = self._library.cudaGetDeviceCount(ctypes.byref(count))
        if code or not count.value:
            reason = self._reason(code) if code else "there is none"
            raise BackendUnavailable("tensorrt", hint=f"no NVIDIA GPU can be used ({reason})")

    def gpu(self) -> Gpu:
        properties = ctypes.create_string_buffer(LARGEST_PROPERTIES)
        self._call("cudaGetDeviceProperties", properties, ctypes.c_int(0))
        parts = []
        for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
            value = ctypes.c_int()
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
            parts.append(str(value.value))
        return Gpu(properties.value.decode("utf-8", errors="replace") or "GPU", ".".join(parts))

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
            raise CudaError(f"{name} failed: {self._reason(code)}; use --backend onnx")

    def _reason(self, code: int) -> str:
        text = self._library.cudaGetErrorString(ctypes.c_int(code))
        return text.decode("utf-8", errors="replace") if text else f"error {code}"


def as_array(address: int, shape: tuple[int, ...]) -> F32:
    """Float32 memory at an address, as an array that does not own it."""
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)


def _load(libraries: Sequence[str]) -> Any:
    for name in libraries:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        for call in CALLS:
            function = getattr(library, call, None)
            if function is None:
                raise BackendUnavailable("tensorrt", hint=f"{name} has no {call}: its CUDA is too old or too new")
            function.restype = ctypes.c_int
        library.cudaGetErrorString.restype = ctypes.c_char_p
        return library
    raise BackendUnavailable("tensorrt", hint="the CUDA runtime (libcudart) is not installed; JetPack brings it")
