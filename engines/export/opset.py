"""Rewrite a graph in ONNX opset 17, which every supported runtime and both converters read.

onnx's converter fails for common operators of torch's exporter (Split, ReduceMean with axes as input). Called by
`engines.export.exporter`.
"""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto, helper

from engines.export.graph import constants

OPSET = 17
# reductions whose axes became an input in opset 18
_REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
)
# attributes added after opset 17 -> the value with which an operator behaves as in 17
_NEW = {("Cast", "saturate"): 1, ("QuantizeLinear", "saturate"): 1, ("Reshape", "allowzero"): 0}


def lowered(model: ModelProto) -> ModelProto:
    """The graph in opset 17, or the unchanged model if that fails.

    The outputs are not compared here; the exporter compares every file it writes with the original model.
    """
    version = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if version <= OPSET:
        return model
    made = ModelProto()
    made.CopyFrom(model)
    values = constants(model)
    for node in made.graph.node:
        if node.op_type in _REDUCTIONS and len(node.input) > 1:
            axes = values.get(node.input[1])
            if axes is None:
                return model
            del node.input[1:]
            if axes.size:
                node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes.ravel()]))
        if node.op_type in _REDUCTIONS:
            _drop(node, "noop_with_empty_axes")
        elif node.op_type == "Split" and len(node.input) > 1:
            _drop(node, "num_outputs")
        for attribute in list(node.attribute):
            undilated = (node.op_type, attribute.name) == ("AveragePool", "dilations") and set(attribute.ints) <= {1}
            if undilated or _NEW.get((node.op_type, attribute.name)) == attribute.i:
                _drop(node, attribute.name)
    for item in made.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = OPSET
    used = {name for node in made.graph.node for name in node.input} | {item.name for item in made.graph.output}
    kept = [item for item in made.graph.initializer if item.name in used]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    made.ir_version = min(made.ir_version, 8)
    try:
        onnx.checker.check_model(made, full_check=True)
    except Exception:  # an operator of the graph is newer than opset 17, or changed after it
        return model
    return made


def _drop(node: NodeProto, name: str) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
