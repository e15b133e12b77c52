"""Emulate half precision on a CPU. Called by `engines.export.exporter` and `engines.export.half`.

ONNX Runtime's CPU kernels compute FP16 graphs in float32 and drop the casts in between, so errors of FP16 do not show:
with catastrophic cancellation the error was 4e-5 instead of 0.05. Here a float32 copy of the graph rounds the result of
every FP16 node to FP16's eleven bits, subnormals and infinity, with arithmetic that no optimiser removes. Sums inside a
node stay float32; GPU kernels that accumulate in FP16 lose more, so the parity report of a plan is made on the device.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

LARGEST = 65504.0
SMALLEST_NORMAL = 2.0**-14
_CONSTANTS = {
    "split": 8193.0,  # 2**13 + 1: x*s - (x*s - x) keeps the upper 24 - 13 bits (Veltkamp, 1968)
    "largest": LARGEST,
    "blow": 1e38,
    "normal": SMALLEST_NORMAL,
    "step": 0.75,  # adding it rounds to multiples of 2**-24, FP16's smallest number
}
_PREFIX = "half_rounding/"


def emulate_half(model: ModelProto) -> ModelProto:
    """A float32 model that computes what `model` (FP16, with float32 input and output) computes on FP16 hardware."""
    inferred = shape_inference.infer_shapes(model).graph
    half = {
        item.name
        for item in (*inferred.value_info, *inferred.output)
        if item.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    made = ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    del graph.value_info[:]
    for item in graph.initializer:
        _widen(item)
    nodes: list[NodeProto] = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen(attribute.t)
        target = next((item.i for item in node.attribute if item.name == "to"), 0) if node.op_type == "Cast" else 0
        copy = NodeProto()
        copy.CopyFrom(node)
        if target in (TensorProto.FLOAT16, TensorProto.FLOAT):
            # a cast from float32 does nothing; the rounding added after it emulates FP16
            copy = helper.make_node("Cast", node.input, node.output, node.name, to=TensorProto.FLOAT)
        rounded = [name for name in node.output if name in half] if node.op_type != "Constant" else []
        for row, name in enumerate(copy.output):
            if name in rounded:
                copy.output[row] = f"{_PREFIX}{name}/exact"
        nodes.append(copy)
        for name in rounded:
            nodes += _rounding(f"{_PREFIX}{name}/exact", name)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, np.float32), f"{_PREFIX}{name}") for name, value in _CONSTANTS.items()
    )
    return made


def _rounding(source: str, target: str) -> list[NodeProto]:
    def step(kind: str, inputs: list[str], output: str) -> NodeProto:
        return helper.make_node(kind, inputs, [output], f"{_PREFIX}{target}/{kind}/{output.rpartition('/')[2]}")

    split, largest, blow, normal, tiny = (f"{_PREFIX}{name}" for name in _CONSTANTS)
    place = f"{_PREFIX}{target}"
    return [
        step("Mul", [source, split], f"{place}/raised"),
        step("Sub", [f"{place}/raised", source], f"{place}/rest"),
        step("Sub", [f"{place}/raised", f"{place}/rest"], f"{place}/upper"),
        step("Abs", [f"{place}/upper"], f"{place}/size"),
        step("Greater", [f"{place}/size", largest], f"{place}/overflows"),
        step("Mul", [f"{place}/upper", blow], f"{place}/infinite"),
        step("Where", [f"{place}/overflows", f"{place}/infinite", f"{place}/upper"], f"{place}/bounded"),
        step("Abs", [source], f"{place}/before"),
        step("Less", [f"{place}/before", normal], f"{place}/subnormal"),
        step("Add", [source, tiny], f"{place}/stepped"),
        step("Sub", [f"{place}/stepped", tiny], f"{place}/small"),
        step("Where", [f"{place}/subnormal", f"{place}/small", f"{place}/bounded"], target),
    ]


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
