"""ONNX Runtime: the default backend, on the CPU and, with its GPU build, on NVIDIA GPUs.

Called by `engines.backends` and `engines.saliency`.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from engines.backends import install_hint
from engines.backends.trial import expect_opens
from engines.bundle import Bundle
from engines.errors import BackendUnavailable, ModelError, SpecError
from engines.model_file import read_model
from engines.preprocess import F32
from engines.spec import ModelSpec
from engines.terminal import first_line

# backend -> (execution provider, its name in descriptions)
PROVIDERS = {
    "onnx": ("CPUExecutionProvider", "CPU"),
    "onnx-cuda": ("CUDAExecutionProvider", "CUDA"),
}


class OrtBackend:
    """Runs a bundle's ONNX file.

    Args:
        provider: one of `PROVIDERS`.

    Raises:
        ModelError: the file is missing, damaged, or not an ONNX model.
        SpecError: inputs or outputs of the graph differ from spec.json.
        BackendUnavailable: this build of ONNX Runtime lacks the provider, or the provider does not start.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, provider: str = "onnx") -> None:
        wanted, place = PROVIDERS[provider]
        if reason := missing_provider(provider):
            raise BackendUnavailable(provider, hint=reason)
        self._session = _open(bundle.read(), bundle.model, threads, _providers(provider))
        if wanted not in self._session.get_providers():
            # onnxruntime falls back to the CPU with only a log line
            raise BackendUnavailable(
                provider, hint=f"{wanted} did not start: check that its CUDA and cuDNN libraries are installed"
            )
        self._spec = bundle.spec
        self.description = f"ONNX Runtime {ort.__version__}, {place}, {bundle.precision_name}"
        check_graph(
            self._spec,
            {item.name: (item.type, list(item.shape)) for item in self._session.get_inputs()},
            {item.name: (item.type, list(item.shape)) for item in self._session.get_outputs()},
        )

    def infer(self, faces: F32) -> F32:
        try:
            (probabilities,) = self._session.run([self._spec.output], {self._spec.input: faces})
        except Exception as error:
            # onnxruntime's errors share no base class; some errors in a graph show only when it runs
            raise ModelError(f"{self._spec.name} cannot be run on {len(faces)} faces: {first_line(error)}") from error
        return np.asarray(probabilities, dtype=np.float32)

    def close(self) -> None:
        del self._session


class OrtMaps:
    """Runs a bundle's saliency.onnx on the CPU, whichever backend runs its model.

    Raises:
        ModelError: the file is damaged or not an ONNX model.
        SpecError: its input differs from the model's, or it does not return one map per class.
    """

    def __init__(self, path: Path, spec: ModelSpec, *, threads: int = 1) -> None:
        self._session = _open(read_model(path), path, threads, ["CPUExecutionProvider"])
        self._spec = spec
        inputs = {item.name: (item.type, list(item.shape)) for item in self._session.get_inputs()}
        outputs = self._session.get_outputs()
        expected = ("tensor(float)", [spec.channels, spec.size, spec.size])
        fits = [(kind, shape[1:]) for kind, shape in inputs.values()] == [expected] and list(inputs) == [spec.input]
        if not fits or len(outputs) != 1 or outputs[0].type != "tensor(float)":
            raise SpecError(f"inputs or outputs of {path} are not those of class-activation maps for {spec.name}")
        self._output = outputs[0].name

    def infer(self, faces: F32) -> F32:
        """(N, C, S, S) float32 in 0..255 with N >= 1 -> (N, K, h, w) class-activation maps."""
        try:
            (maps,) = self._session.run([self._output], {self._spec.input: faces})
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"the maps of {self._spec.name} cannot be computed: {first_line(error)}") from error
        if maps.ndim != 4 or maps.shape[:2] != (len(faces), len(self._spec.labels)) or 0 in maps.shape:
            raise SpecError(f"the maps of {self._spec.name} have the shape {maps.shape}; make the bundle again")
        return np.asarray(maps, dtype=np.float32)

    def close(self) -> None:
        del self._session


class OrtCudaBackend(OrtBackend):
    """ONNX Runtime with CUDA. If CUDA is missing it raises an error and does not fall back to the CPU."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads, provider="onnx-cuda")


def missing_provider(backend: str, *, jetson: Path = Path("/etc/nv_tegra_release")) -> str:
    """Why one of `PROVIDERS` cannot be used, in one clause; empty if it can be tried."""
    if backend == "onnx-cuda" and platform.machine() == "aarch64" and jetson.exists():
        # onnxruntime-gpu 1.29 to 1.31 installs on a Jetson, but has no kernels for sm_87 and sm_110
        return "onnxruntime-gpu has no kernels for a Jetson's GPU; use tensorrt"
    there = ort.get_available_providers()
    if PROVIDERS[backend][0] in there:
        return ""
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in there)
    return f"{install_hint(backend)} (this build of ONNX Runtime has only {names})"


def check_graph(
    spec: ModelSpec, inputs: dict[str, tuple[str, list[Any]]], outputs: dict[str, tuple[str, list[Any]]]
) -> None:
    """Compare the inputs and outputs of a graph with a spec. Both dicts map a name to (type, shape).

    Raises:
        SpecError: they differ; the message says how.
    """
    if list(inputs) != [spec.input] or spec.output not in outputs:
        raise SpecError(
            f"spec.json of {spec.name} names input {spec.input!r} and output {spec.output!r}, "
            f"its graph has {', '.join(inputs)} and {', '.join(outputs)}"
        )
    wanted = [spec.channels, spec.size, spec.size]
    kind, shape = inputs[spec.input]
    if shape[1:] != wanted or kind != "tensor(float)":
        raise SpecError(
            f"spec.json of {spec.name} says an input of float32 (N, {', '.join(map(str, wanted))}), "
            f"its graph has {kind} (N, {', '.join(map(str, shape[1:]))})"
        )
    kind, shape = outputs[spec.output]
    if not shape or shape[-1] != len(spec.labels) or kind != "tensor(float)":
        raise SpecError(
            f"spec.json of {spec.name} lists {len(spec.labels)} labels, "
            f"its graph has {shape[-1] if shape else 0} outputs of {kind}"
        )


def _open(content: bytes, path: Path, threads: int, providers: list[Any]) -> Any:
    expect_opens(content, path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # a spinning thread would take a core from the detector
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # the bytes that were checked, not the path: the file may have changed since
        return ort.InferenceSession(content, sess_options=options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(f"cannot load {path}: {first_line(error)}; export or download the bundle again") from error


def _providers(backend: str) -> list[str]:
    return ["CPUExecutionProvider"] if backend == "onnx" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
