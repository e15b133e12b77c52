"""FP16: the nodes that stay float32 are found by measurement; input and output stay float32."""

import numpy as np
import onnx
import onnx.reference
import onnxruntime as ort
import pytest
from small_networks import make_network

from engines.bundle import find_bundle
from engines.export.emulate import LARGEST, emulate_half
from engines.export.errors import ExportError
from engines.export.face_data import portrait
from engines.export.graph import Loaded, parse
from engines.export.half import TARGET, convert, overflowing, to_half
from engines.export.stress import stress_inputs
from engines.model_file import read_model
from engines.preprocess import batch


def load(folder):
    bundle = find_bundle(str(folder))
    data = portrait(bundle.spec, 24)
    probes = batch([*data.faces, *stress_inputs(bundle.spec).values()], bundle.spec)
    return parse(read_model(bundle.model)), probes


def answers(model, probes):
    return Loaded(model, "").infer(probes)


def test_input_and_output_stay_float32_and_the_weights_are_half_as_large(tmp_path):
    model, probes = load(make_network(tmp_path / "small"))
    half = to_half(model, probes).model
    assert half.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert half.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    kinds = {item.name: item.data_type for item in half.graph.initializer}
    assert {kinds[name] for name in ("one.w", "three.w", "fc.w")} == {onnx.TensorProto.FLOAT16}


def test_the_squares_of_grey_levels_stay_float32_and_the_network_does_not(tmp_path):
    model, probes = load(make_network(tmp_path / "small"))
    made = to_half(model, probes)
    assert made.kept["square"].startswith("a value reaches 6")
    assert made.kept["mean"].startswith("it sums up to ")
    assert made.kept["centre"] == "between float32 nodes"
    assert not set(made.kept) & {"one", "two_", "three", "fc", "softmax"}
    assert made.difference <= TARGET
    emulated = answers(emulate_half(made.model), probes)
    assert np.abs(answers(model, probes) - emulated).max() == pytest.approx(made.difference, abs=1e-6)


def test_a_layer_that_would_overflow_stays_float32(tmp_path):
    model, probes = load(make_network(tmp_path / "hot", blow_up=30_000.0))
    made = to_half(model, probes)
    assert made.kept["two_"].startswith("a value reaches")
    assert "one" not in made.kept
    assert np.isfinite(answers(emulate_half(made.model), probes)).all()
    unguarded = answers(emulate_half(convert(model, [])), probes)
    assert not np.isfinite(unguarded).all()
    assert made.difference <= TARGET


def test_a_layer_that_only_loses_too_much_is_found_by_comparing(tmp_path):
    """Its values are in range, but cancel: a bias of 4,000 is added and subtracted again."""
    folder = make_network(tmp_path / "cancelling")
    model = onnx.load(str(folder / "model.onnx"))
    for name, value in (("far", 4000.0), ("back", -4000.0)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(value), name))
    nodes = list(model.graph.node)
    place = next(row for row, node in enumerate(nodes) if node.name == "fc")
    nodes[place].input[0] = "again"
    nodes[place:place] = [
        onnx.helper.make_node("Add", ["pooled", "far"], ["away"], "away"),
        onnx.helper.make_node("Add", ["away", "back"], ["again"], "again"),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(folder / "model.onnx"))
    model, probes = load(folder)
    assert not {"away", "again"} & set(overflowing(model, probes))
    made = to_half(model, probes)
    assert {"away", "again"} & {name for name, why in made.kept.items() if why.startswith("alone it changes")}
    assert made.difference <= TARGET


def test_the_shipped_networks_normalisation_is_found(tmp_path):
    bundle = find_bundle("hybrid_lite")
    model = parse(read_model(bundle.model))
    probes = batch(list(stress_inputs(bundle.spec).values()), bundle.spec)
    kept = overflowing(model, probes)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert {kinds[name] for name in kept} >= {"ReduceMean"}
    assert not {kinds[name] for name in kept} & {"Conv", "Gemm"}
    assert np.finfo(np.float16).max == LARGEST


def test_the_emulated_rounding_is_that_of_fp16_to_the_bit():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(0, size, 20_000) for size in (1e-8, 1e-6, 1e-4, 1, 100, 3e4, 1e6)])
    values = np.concatenate([values, [0.0, 65504, 65519.9, 65520, -65520, 1e30, 2**-24, 2**-25]]).astype(np.float32)
    value = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["half"], to=onnx.TensorProto.FLOAT16),
        onnx.helper.make_node("Cast", ["half"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    ends = [value(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "casts", ends[:1], ends[1:])
    casts = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(emulate_half(casts).SerializeToString(), providers=["CPUExecutionProvider"])
    (rounded,) = session.run(None, {"x": values})
    with np.errstate(over="ignore"):
        assert np.array_equal(rounded, values.astype(np.float16).astype(np.float32))


def test_the_emulation_agrees_with_onnxs_own_reference(tmp_path):
    model, probes = load(make_network(tmp_path / "small", size=12))
    half = convert(model, ["mean", "centre", "square", "variance"])
    (expected,) = onnx.reference.ReferenceEvaluator(half).run(None, {"faces": probes[:6]})
    assert np.abs(answers(emulate_half(half), probes[:6]) - expected).max() < 2e-3


@pytest.mark.parametrize("kept", [["softmax"], ["softmax", "fc"], ["mean", "centre"], [], ["one"]])
def test_whatever_is_kept_the_ends_are_float32_and_the_graph_is_valid(tmp_path, kept):
    """The converter casts the output to FP16 if the last node is kept."""
    model, probes = load(make_network(tmp_path / "small"))
    half = convert(model, kept)
    for port in (half.graph.input[0], half.graph.output[0]):
        assert port.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [item.name for item in half.graph.output] == ["probabilities"]
    assert np.abs(answers(model, probes) - answers(half, probes)).max() < 0.01


def test_a_model_that_gives_no_numbers_is_not_converted(tmp_path):
    model, probes = load(make_network(tmp_path / "small"))
    bias = next(item for item in model.graph.initializer if item.name == "fc.b")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(11, np.nan, np.float32), "fc.b"))
    with pytest.raises(ExportError, match="nothing can be compared with it"):
        to_half(model, probes)
