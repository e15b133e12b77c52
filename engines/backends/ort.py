"""ONNX Runtime on the CPU: the backend that every machine has."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from engines.bundle import Bundle
from engines.errors import ModelError, SpecError
from engines.preprocess import F32


class OrtBackend:
    """Runs a bundle's ONNX file.

    Raises:
        ModelError: the file is missing, damaged, or no ONNX model.
        SpecError: inputs or outputs of the graph differ from what spec.json says.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # a spinning thread would take a core from the detector
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                str(bundle.model), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own classes, which share no base
            reason = str(error).splitlines()[0][:200]
            raise ModelError(f"cannot load {bundle.model}: {reason}; export or download the bundle again") from error
        self._spec = bundle.spec
        self.description = f"ONNX Runtime {ort.__version__}, CPU, {bundle.precision}"
        self._check_graph()

    def infer(self, faces: F32) -> F32:
        (probabilities,) = self._session.run([self._spec.output], {self._spec.input: faces})
        return np.asarray(probabilities, dtype=np.float32)

    def close(self) -> None:
        del self._session

    def _check_graph(self) -> None:
        spec = self._spec
        inputs = {item.name: item for item in self._session.get_inputs()}
        outputs = {item.name: item for item in self._session.get_outputs()}
        if list(inputs) != [spec.input] or spec.output not in outputs:
            raise SpecError(
                f"spec.json of {spec.name} names input {spec.input!r} and output {spec.output!r}, "
                f"its graph has {', '.join(inputs)} and {', '.join(outputs)}"
            )
        _, *wanted = (None, spec.channels, spec.size, spec.size)
        got = list(inputs[spec.input].shape[1:])
        if got != wanted or inputs[spec.input].type != "tensor(float)":
            raise SpecError(
                f"spec.json of {spec.name} says an input of float32 (N, {', '.join(map(str, wanted))}), "
                f"its graph has {inputs[spec.input].type} (N, {', '.join(map(str, got))})"
            )
        classes = outputs[spec.output].shape[-1]
        if classes != len(spec.labels):
            raise SpecError(
                f"spec.json of {spec.name} lists {len(spec.labels)} labels, its graph has {classes} outputs"
            )
