"""Exported files have opset 17, which TensorRT 8.5 reads, with bit-identical probabilities."""

import numpy as np
import onnx
import pytest
from fakes import make_bundle
from onnx import TensorProto, helper
from small_networks import make_network

from engines.bundle import find_bundle
from engines.export.graph import Loaded, parse
from engines.export.opset import lowered
from engines.model_file import read_model


def opset(model):
    return model.opset_import[0].version


def test_reductions_with_axes_as_input_get_them_as_attribute(tmp_path):
    model = parse((make_network(tmp_path / "small") / "model.onnx").read_bytes())
    made = lowered(model)
    assert (opset(model), opset(made)) == (18, 17)
    assert {item.name for item in made.graph.initializer}.isdisjoint({"axes", "spatial"})
    faces = np.random.default_rng(0).uniform(0, 255, (4, 1, 24, 24)).astype(np.float32)
    assert np.array_equal(Loaded(model, "").infer(faces), Loaded(made, "").infer(faces))


def test_the_shipped_network_is_lowered_and_answers_the_same():
    bundle = find_bundle("hybrid_lite")
    model = parse(read_model(bundle.model))
    made = lowered(model)
    assert opset(made) == 17
    size = bundle.spec.size
    faces = np.random.default_rng(0).uniform(0, 255, (3, bundle.spec.channels, size, size)).astype(np.float32)
    assert np.array_equal(Loaded(model, "").infer(faces), Loaded(made, "").infer(faces))


def test_what_is_old_enough_is_left_alone(tmp_path):
    model = parse((make_bundle(tmp_path / "tiny") / "model.onnx").read_bytes())
    assert lowered(model) is model


@pytest.mark.parametrize("operator", ["Gelu", "Split"])
def test_what_17_cannot_say_stays_as_it_is(operator):
    value = helper.make_tensor_value_info
    more = {"axis": 1, "num_outputs": 2} if operator == "Split" else {}
    outputs = ["y", "z"] if operator == "Split" else ["y"]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], outputs, **more)],
        "new",
        [value("x", TensorProto.FLOAT, ["n", 4])],
        [value(name, TensorProto.FLOAT, ["n", 4 // len(outputs)]) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    assert lowered(model) is model
