"""INT8: two integer formats, ranges from real faces, the normalisation stays float32."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from small_networks import make_network

from engines.bundle import find_bundle
from engines.export import quantise
from engines.export.compare import compare_probs
from engines.export.errors import ExportError
from engines.export.face_data import portrait
from engines.export.graph import Loaded, parse
from engines.export.quantise import TARGET, to_int8
from engines.model_file import read_model
from engines.preprocess import batch


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    bundle = find_bundle(str(make_network(tmp_path_factory.mktemp("bundles") / "small")))
    return parse(read_model(bundle.model)), bundle.spec


@pytest.fixture(scope="module")
def made(small):
    model, spec = small
    return {signed: to_int8(model, portrait(spec, 96), spec, signed=signed) for signed in (False, True)}


def constants(model):
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def zero_points(model):
    values = constants(model)
    return {
        node.name: values[node.input[2]]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2
    }


@pytest.mark.parametrize("signed", [False, True])
def test_it_answers_nearly_like_the_model_on_faces_it_has_not_seen(small, made, signed):
    model, spec = small
    faces = batch(list(portrait(spec, 200).faces[96:]), spec)
    agreement = compare_probs(Loaded(model, "").infer(faces), Loaded(made[signed].model, "").infer(faces))
    assert agreement.top1 > 0.9
    assert agreement.kl_mean < 4 * TARGET
    assert made[signed].divergence <= TARGET


@pytest.mark.parametrize("signed", [False, True])
def test_weights_have_one_scale_a_channel(made, signed):
    values = constants(made[signed].model)
    scales = [value for name, value in values.items() if name.endswith("w_scale")]
    assert {value.shape for value in scales} >= {(8,)}


def test_the_form_for_tensorrt_is_symmetric_and_keeps_its_biases_float32(made):
    model = made[True].model
    points = zero_points(model)
    assert points
    for point in points.values():
        assert point.dtype == np.int8
        assert not point.any()
    assert not [item for item in model.graph.initializer if item.data_type == TensorProto.INT32]


def test_the_form_for_processors_has_unsigned_activations(made):
    assert {point.dtype for point in zero_points(made[False].model).values()} >= {np.dtype(np.uint8)}


@pytest.mark.parametrize("signed", [False, True])
def test_the_normalisation_stays_float32_and_input_and_output_too(made, signed):
    model = made[signed].model
    assert made[signed].kept["divisor"] == "it belongs to the normalisation"
    by_output = {output: node for node in model.graph.node for output in node.output}
    divisor = next(node for node in model.graph.node if node.name == "divisor")
    assert all(by_output[name].op_type != "DequantizeLinear" for name in divisor.input if name in by_output)
    for port in (model.graph.input[0], model.graph.output[0]):
        assert port.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_a_layer_that_does_not_bear_it_stays_float32(tmp_path):
    """One channel is a thousand times larger than the others of its tensor: 8 bits cannot represent both."""
    folder = make_network(tmp_path / "uneven")
    model = onnx.load(str(folder / "model.onnx"))
    for item in model.graph.initializer:
        value = numpy_helper.to_array(item).copy()
        if item.name == "two_.w" or item.name == "two_.b":
            value[0] *= 3000
        elif item.name == "three.w":
            value[:, 0] /= 3000
        else:
            continue
        item.CopyFrom(numpy_helper.from_array(value, item.name))
    onnx.save(model, str(folder / "model.onnx"))
    bundle = find_bundle(str(folder))
    made = to_int8(parse(read_model(bundle.model)), portrait(bundle.spec, 64), bundle.spec)
    assert made.divergence <= TARGET
    assert [why for name, why in made.kept.items() if name in ("two_", "three") and why.startswith("quantising only")]


def test_percentiles_never_take_more_faces_than_there_is_memory_for(small, monkeypatch):
    """Regression: with layers that stay float32, the final file was made with all faces."""
    model, spec = small
    seen, make = [], quantise._Job.make

    def watched(job, method, faces, excluded):
        seen.append((method, len(faces)))
        return make(job, method, faces, excluded)

    face = batch(list(portrait(spec, 1).faces), spec)
    monkeypatch.setattr(quantise._Job, "make", watched)
    monkeypatch.setattr(
        quantise, "HISTOGRAM_MEMORY", 40 * sum(item.nbytes for item in next(quantise.watch(model, face)).values())
    )
    monkeypatch.setattr(quantise, "TARGET", -1.0)  # so that layers stay float32
    to_int8(model, portrait(spec, 96), spec)
    assert ("MinMax", 72) in seen
    assert {count for method, count in seen if method == "Percentile"} == {40}
    assert seen[-1][0] == "Percentile"


def test_too_few_faces_are_refused(small):
    model, spec = small
    data = portrait(spec, 63)
    with pytest.raises(ExportError, match="63 faces are too few"):
        to_int8(model, data, spec)
    with pytest.raises(ExportError, match="0 faces are too few"):
        to_int8(model, dataclasses.replace(data, faces=data.faces[:0], truth=data.truth[:0]), spec)
