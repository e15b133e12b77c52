"""A small convolutional network as a bundle, with features that are difficult to export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines import LABELS, ModelSpec


def make_network(folder: Path, *, size: int = 24, blow_up: float = 1.0, seed: int = 0) -> Path:
    """Normalisation inside the graph, three convolutions, pooling, a linear layer, softmax.

    Args:
        blow_up: factor by which the second convolution's output is multiplied, and divided afterwards.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    weights: list[TensorProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(source: str, name: str, inputs: int, outputs: int, scale: float = 1.0) -> list[onnx.NodeProto]:
        spread = np.sqrt(2 / (inputs * 9)) * scale
        constant(f"{name}.w", random.normal(0, spread, (outputs, inputs, 3, 3)).astype(np.float32))
        constant(f"{name}.b", random.normal(0, 0.1 * scale, outputs).astype(np.float32))
        return [
            helper.make_node("Conv", [source, f"{name}.w", f"{name}.b"], [f"{name}.out"], name, pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"{name}.out"], [f"{name}.relu"], f"{name}.relu"),
        ]

    axes = constant("axes", np.array([1, 2, 3], np.int64))
    spatial = constant("spatial", np.array([2, 3], np.int64))
    constant("two", np.float32(2))
    constant("eight", np.float32(8))
    constant("shrink", np.float32(1 / blow_up))
    constant("fc.w", random.normal(0, 1.2, (8, len(LABELS))).astype(np.float32))
    constant("fc.b", random.normal(0, 0.1, len(LABELS)).astype(np.float32))
    nodes = [
        helper.make_node("ReduceMean", ["faces", axes], ["mean"], "mean"),
        helper.make_node("Sub", ["faces", "mean"], ["centred"], "centre"),
        helper.make_node("Pow", ["centred", "two"], ["squares"], "square"),
        helper.make_node("ReduceMean", ["squares", axes], ["variance"], "variance"),
        helper.make_node("Sqrt", ["variance"], ["deviation"], "deviation"),
        helper.make_node("Add", ["deviation", "eight"], ["divisor"], "divisor"),
        helper.make_node("Div", ["centred", "divisor"], ["normal"], "normal"),
        *conv("normal", "one", 1, 8),
        *conv("one.relu", "two_", 8, 8, blow_up),
        helper.make_node("Mul", ["two_.relu", "shrink"], ["calm"], "calm"),
        *conv("calm", "three", 8, 8),
        helper.make_node("Add", ["three.relu", "one.relu"], ["joined"], "join"),
        helper.make_node("ReduceMean", ["joined", spatial], ["pooled"], "pool", keepdims=0),
        helper.make_node("Gemm", ["pooled", "fc.w", "fc.b"], ["logits"], "fc"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 1, size, size])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(LABELS)])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(folder / "model.onnx"))
    spec = ModelSpec(folder.name, size=size)
    (folder / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    (folder / "CARD.md").write_text("# small\n", encoding="utf-8")
    return folder
