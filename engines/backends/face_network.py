"""Run the face detectors' networks: pictures -> regressors and logits. Called by `engines.face_detector`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from engines.backends import install_hint
from engines.backends.tensorrt_runtime import PlanNetwork, Signature
from engines.errors import BackendUnavailable, EngineError, ModelError
from engines.installation import pip_install
from engines.model_file import read_model, sha256_of
from engines.preprocess import F32, U8
from engines.terminal import first_line

log = logging.getLogger(__name__)

COORDINATES = 16  # columns of a regressor
OUTPUTS = ("regressors", "logits")


@dataclass(frozen=True)
class FaceModel:
    """The ONNX file of a network, the side of its square input in pixels, and the number of anchors in that input.

    It is also what a TensorRT plan is compiled from, see `engines.backends.plans.Source`.
    """

    model: Path
    input_px: int
    anchors: int

    @property
    def name(self) -> str:
        return self.model.stem

    @property
    def folder(self) -> Path:
        return self.model.parent

    @property
    def source_sha256(self) -> str:
        return sha256_of(self.model)

    @property
    def signature(self) -> Signature:
        shapes = ((self.anchors, COORDINATES), (self.anchors,))
        row = (self.input_px, self.input_px, 3)
        return Signature("image", row, dict(zip(OUTPUTS, shapes, strict=True)), np.uint8)


class FaceNetwork(Protocol):
    """One loaded network. `description` names the runtime, for example "ONNX Runtime 1.32.0, CPU"."""

    description: str

    def run(self, pictures: U8) -> tuple[F32, F32]:
        """(N, S, S, 3) RGB -> regressors (N, A, 16) and logits (N, A)."""
        ...

    def close(self) -> None: ...


class OrtFaceNetwork:
    """ONNX Runtime, on the CPU or with CUDA."""

    def __init__(self, path: Path, *, threads: int = 1, cuda: bool = False) -> None:
        import onnxruntime as ort

        provider = "CUDAExecutionProvider" if cuda else "CPUExecutionProvider"
        if provider not in ort.get_available_providers():
            raise BackendUnavailable("onnx-cuda", hint=install_hint("onnx-cuda"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # a spinning thread would take a core from the pipeline
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [provider] if not cuda else [provider, "CPUExecutionProvider"]
        try:
            self._session = ort.InferenceSession(
                read_model(path), sess_options=options, providers=providers, enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises its own classes, which share no base
            raise _broken(path, error) from error
        if provider not in self._session.get_providers():
            raise BackendUnavailable("onnx-cuda", hint="check that its CUDA and cuDNN libraries are installed")
        self.description = f"ONNX Runtime {ort.__version__}, {'CUDA' if cuda else 'CPU'}"

    def run(self, pictures: U8) -> tuple[F32, F32]:
        regressors, logits = self._session.run(list(OUTPUTS), {"image": pictures})
        return np.asarray(regressors, np.float32), np.asarray(logits, np.float32)

    def close(self) -> None:
        del self._session


class OpenVinoFaceNetwork:
    """OpenVINO on the CPU."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        try:
            import openvino as ov
        except ImportError as error:
            raise BackendUnavailable("openvino", hint=pip_install("openvino")) from error
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # by default it computes in bfloat16 if the processor supports it
        }
        core = ov.Core()
        try:
            compiled = core.compile_model(core.read_model(read_model(path)), "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError and its own classes
            raise _broken(path, error) from error
        self._request = compiled.create_infer_request()
        self.description = f"OpenVINO {ov.get_version().split('-')[0]}, CPU"

    def run(self, pictures: U8) -> tuple[F32, F32]:
        self._request.infer({"image": pictures}, share_inputs=True)
        # the tensors are overwritten by the next call
        regressors, logits = (np.array(self._request.get_tensor(name).data, np.float32) for name in OUTPUTS)
        return regressors, logits

    def close(self) -> None:
        del self._request


class TensorRtFaceNetwork:
    """TensorRT for pictures of the network's own size; tiles, which have other sizes, run in ONNX Runtime."""

    def __init__(self, plan: PlanNetwork, tiles: OrtFaceNetwork, model: FaceModel) -> None:
        self._plan, self._tiles, self._row = plan, tiles, model.signature.row
        self.description = plan.description

    def run(self, pictures: U8) -> tuple[F32, F32]:
        if pictures.shape[1:] != self._row:
            return self._tiles.run(pictures)
        regressors, logits = self._plan.run(pictures)
        return regressors, logits

    def close(self) -> None:
        self._plan.close()
        self._tiles.close()


def tensorrt_backend() -> ModuleType:
    """The module `engines.backends.tensorrt`.

    Raises:
        BackendUnavailable: TensorRT is not installed or too old, or there is no GPU.
    """
    try:
        from engines.backends import tensorrt
    except ImportError as error:
        raise BackendUnavailable("tensorrt", hint=f"{install_hint('tensorrt')} ({error})") from error
    tensorrt.expect_usable()
    return tensorrt


def _open_tensorrt(model: FaceModel, threads: int) -> FaceNetwork:
    """The plan for this GPU; without one, ONNX Runtime with a warning."""
    backend = tensorrt_backend()
    cpu = OrtFaceNetwork(model.model, threads=threads)
    try:
        return TensorRtFaceNetwork(backend.open_network_plan(model, model.signature), cpu, model)
    except EngineError as error:
        log.warning("%s runs on the CPU: %s; build its plan: edgeemo-export --detector", model.name, error)
        cpu.description += " (no TensorRT plan)"
        return cpu


def open_network(backend: str, model: FaceModel, *, threads: int = 1) -> FaceNetwork:
    """Load a network into a runtime.

    Raises:
        BackendUnavailable: the runtime is unknown or not installed.
        ModelError: the file is missing or cannot be loaded.
    """
    if backend not in BACKENDS:
        raise BackendUnavailable(backend, hint=f"faces can be detected with {', '.join(BACKENDS)}")
    return BACKENDS[backend](model, threads)


BACKENDS: dict[str, Callable[[FaceModel, int], FaceNetwork]] = {
    "onnx": lambda model, threads: OrtFaceNetwork(model.model, threads=threads),
    "onnx-cuda": lambda model, threads: OrtFaceNetwork(model.model, threads=threads, cuda=True),
    "openvino": lambda model, threads: OpenVinoFaceNetwork(model.model, threads=threads),
    "tensorrt": _open_tensorrt,
}


def _broken(path: Path, error: Exception) -> ModelError:
    return ModelError(f"cannot load {path}: {first_line(error)}; reinstall edgeemo")
