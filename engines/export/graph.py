"""Parse an ONNX graph and read its values while it runs. Called by `half`, `quantise`, `emulate` and `exporter`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference
from tqdm import tqdm

from engines.export.errors import ExportError
from engines.preprocess import F32
from engines.terminal import first_line

PROBE_PIXELS = 8 * 64 * 64  # input pixels per run of `watch`, which keeps every tensor of the graph in memory
AnyArray = npt.NDArray[np.generic]


def parse(content: bytes) -> ModelProto:
    """Bytes that `read_model` accepted -> a checked model with unique node names.

    Raises:
        ExportError: onnx finds it inconsistent.
    """
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise classes without a common base
        raise ExportError(f"the model is not valid ONNX: {first_line(error)}") from error
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        taken.add(node.name)
    return model


def producers(model: ModelProto) -> dict[str, NodeProto]:
    """Tensor -> the node that makes it."""
    return {output: node for node in model.graph.node for output in node.output if output}


def constants(model: ModelProto) -> dict[str, AnyArray]:
    """Initialisers and the outputs of Constant nodes."""
    found: dict[str, AnyArray] = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def watch(model: ModelProto, inputs: F32) -> Iterator[dict[str, AnyArray]]:
    """Run in float32 without fusions, and yield every floating-point tensor of the graph for a few inputs at a time."""
    watched = ModelProto()
    watched.CopyFrom(model)
    kinds = {
        item.name: item.type.tensor_type.elem_type for item in shape_inference.infer_shapes(model).graph.value_info
    }
    outputs = {item.name for item in watched.graph.output}
    names = [name for name in producers(model) if kinds.get(name) == TensorProto.FLOAT and name not in outputs]
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (source,) = (item.name for item in session.get_inputs())
    wanted = [item.name for item in session.get_outputs()]
    size = max(PROBE_PIXELS // max(inputs.shape[2] * inputs.shape[3], 1), 1)
    for start in tqdm(range(0, len(inputs), size), desc="measuring values", disable=None, leave=False):
        chunk = inputs[start : start + size]
        yield {source: chunk, **dict(zip(wanted, session.run(wanted, {source: chunk}), strict=True))}


class Loaded:
    """A model in memory with the interface of `compare.Runnable`."""

    def __init__(self, model: ModelProto, description: str, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.description = description

    def infer(self, faces: F32) -> F32:
        return np.asarray(self._session.run(None, {self._input: faces})[0], np.float32)


def predict(model: ModelProto, inputs: F32, batch: int = 16) -> F32:
    """(N, K) probabilities of the reference model.

    Raises:
        ExportError: some are NaN or infinite.
    """
    loaded = Loaded(model, "")
    answered = np.concatenate([loaded.infer(inputs[row : row + batch]) for row in range(0, len(inputs), batch)])
    if not np.isfinite(answered).all():
        raise ExportError("the model itself returns NaN or infinity, so nothing can be compared with it")
    return answered


def try_predict(model: ModelProto, inputs: F32, batch: int = 16) -> F32 | None:
    """(N, K) probabilities of a converted graph; None if it fails or returns NaN or infinity."""
    try:
        loaded = Loaded(model, "")
        answered = np.concatenate([loaded.infer(inputs[row : row + batch]) for row in range(0, len(inputs), batch)])
    except Exception:  # the graph of one trial may be one that the runtime refuses
        return None
    return answered if np.isfinite(answered).all() else None


def layers(model: ModelProto, kinds: Sequence[str]) -> list[str]:
    """Names of the nodes of these operator types."""
    return [node.name for node in model.graph.node if node.op_type in kinds]
