"""OpenVINO, Intel's runtime, on x86 processors. Called by `engines.backends`."""

from __future__ import annotations

import threading

import numpy as np
import openvino as ov

from engines.backends.onnxruntime import check_graph
from engines.backends.trial import expect_opens
from engines.bundle import Bundle
from engines.errors import ModelError
from engines.preprocess import F32


class OpenVinoBackend:
    """Runs a bundle's ONNX file with OpenVINO on the CPU.

    Raises:
        ModelError: the file is missing, damaged, or not readable by OpenVINO.
        SpecError: inputs or outputs of the graph differ from spec.json.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        content = bundle.read()
        expect_opens(content, bundle.model)
        core = ov.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # by default it computes in bfloat16 if the processor supports it
        }
        try:
            model = core.read_model(content)
            compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError and its own classes
            reason = " ".join(str(error).split())[-200:]
            raise ModelError(f"OpenVINO cannot load {bundle.model}: {reason}; use --backend onnx") from error
        check_graph(
            bundle.spec,
            # a merged tensor has several names
            {_name(port, bundle.spec.input): _described(port) for port in compiled.inputs},
            {_name(port, bundle.spec.output): _described(port) for port in compiled.outputs},
        )
        self._request = compiled.create_infer_request()
        self._input, self._output = bundle.spec.input, bundle.spec.output
        # a request runs one inference at a time
        self._lock = threading.Lock()
        version = ov.get_version().split("-")[0]
        self.description = f"OpenVINO {version}, CPU, {bundle.precision_name}"

    def infer(self, faces: F32) -> F32:
        with self._lock:
            self._request.infer({self._input: faces}, share_inputs=True)
            # the tensor is overwritten by the next call
            return np.array(self._request.get_tensor(self._output).data, dtype=np.float32)

    def close(self) -> None:
        del self._request


def _name(port: ov.ConstOutput, wanted: str) -> str:
    return wanted if wanted in port.get_names() else str(port.any_name)


def _described(port: ov.ConstOutput) -> tuple[str, list[int | str]]:
    """Type and shape in ONNX Runtime's terms, for `check_graph`."""
    kind = "tensor(float)" if port.get_element_type() == ov.Type.f32 else f"tensor({port.get_element_type()})"
    shape = [size.get_length() if size.is_static else "n" for size in port.get_partial_shape()]
    return kind, shape
