"""An FP16 graph expanded to FP32 without the onnx package has the same values, for every form of storage."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.layout import ZOO
from engines.model_file import check_model
from engines.widen import widen


def run(content, faces):
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: faces})[0]


def test_the_shipped_fp16_file_computes_the_same_and_holds_no_fp16_any_more():
    content = (ZOO / "hybrid_lite" / "model.fp16.onnx").read_bytes()
    made = widen(content)
    check_model(made)
    model = onnx.load_model_from_string(made)
    onnx.checker.check_model(model, full_check=True)
    before = onnx.load_model_from_string(content)
    assert TensorProto.FLOAT16 in {item.data_type for item in before.graph.initializer}
    assert TensorProto.FLOAT16 not in {item.data_type for item in model.graph.initializer}
    faces = np.random.default_rng(0).uniform(0, 255, (5, 1, 48, 48)).astype(np.float32)
    assert np.abs(run(made, faces) - run(content, faces)).max() < 2e-3
    plain = (ZOO / "hybrid_lite" / "model.onnx").read_bytes()
    assert np.abs(run(made, faces) - run(plain, faces)).max() < 2e-3


@pytest.mark.parametrize("form", ["raw", "integers", "constant"])
def test_every_form_of_storing_fp16_values_is_expanded_exactly(form):
    values = np.array([1.5, -0.25, 65504, 6e-8, -0.0], np.float16)
    if form == "integers":
        tensor = helper.make_tensor("w", TensorProto.FLOAT16, [5], values)
        assert len(tensor.int32_data) == 5
    else:
        tensor = numpy_helper.from_array(values, "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Add", ["half", "w"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT),
    ]
    weights = [tensor]
    if form == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
        weights = []
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5])],
        weights,
        value_info=[helper.make_tensor_value_info("sum", TensorProto.FLOAT16, [5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = widen(model.SerializeToString())
    onnx.checker.check_model(onnx.load_model_from_string(made), full_check=True)
    assert np.array_equal(run(made, np.zeros(5, np.float32)), values.astype(np.float32))


def test_what_has_no_fp16_stays_as_it_is():
    content = (ZOO / "baseline64" / "model.onnx").read_bytes()
    faces = np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 64)).astype(np.float32)
    assert np.array_equal(run(widen(content), faces), run(content, faces))
