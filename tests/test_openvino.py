"""OpenVINO gives the same probabilities as ONNX Runtime, and refuses graphs that do not fit their spec."""

import dataclasses
import threading

import numpy as np
import pytest
from fakes import make_bundle
from small_networks import make_network

pytest.importorskip("openvino", reason="the extra `openvino` is not installed")

from engines import Engine
from engines.backends import open_backend
from engines.bundle import find_bundle
from engines.errors import ModelError, SpecError
from engines.export.graph import parse
from engines.export.half import convert


def inputs(bundle, count):
    spec = bundle.spec
    return np.random.default_rng(0).uniform(0, 255, (count, spec.channels, spec.size, spec.size)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 33])
def test_it_answers_like_onnx_runtime_for_any_number_of_faces(count):
    bundle = find_bundle("hybrid_lite")
    faces = inputs(bundle, count)
    answers = {}
    for name in ("onnx", "openvino"):
        backend = open_backend(name, bundle)
        answers[name] = backend.infer(faces)
        backend.close()
    assert np.abs(answers["onnx"] - answers["openvino"]).max() < 1e-4


def test_no_faces_are_no_call(tmp_path):
    with Engine.open(str(make_bundle(tmp_path / "tiny")), backend="openvino") as engine:
        assert engine.infer([]).shape == (0, 11)
        assert engine.description.startswith("OpenVINO 20")


def test_an_answer_is_not_overwritten_by_the_next_one(tmp_path):
    bundle = find_bundle(str(make_bundle(tmp_path / "tiny")))
    backend = open_backend("openvino", bundle)
    first = backend.infer(np.zeros((1, 1, 16, 16), np.float32))
    kept = first.copy()
    backend.infer(np.full((1, 1, 16, 16), 255, np.float32))
    assert np.array_equal(first, kept)
    backend.close()


def test_an_fp16_file_is_read_whatever_its_tensors_are_called_inside(tmp_path):
    folder = make_network(tmp_path / "small")
    bundle = find_bundle(str(folder))
    half = folder / "half.onnx"
    half.write_bytes(convert(parse(bundle.model.read_bytes()), ["mean", "square", "variance"]).SerializeToString())
    backend = open_backend("openvino", dataclasses.replace(bundle, model=half, precision="FP16"))
    assert backend.infer(inputs(bundle, 3)).shape == (3, 11)
    backend.close()


def test_many_threads_may_use_one_engine(tmp_path):
    backend = open_backend("openvino", find_bundle("hybrid_lite"))
    faces = inputs(find_bundle("hybrid_lite"), 2)
    expected = backend.infer(faces)
    answers = []
    workers = [threading.Thread(target=lambda: answers.append(backend.infer(faces))) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    backend.close()
    assert len(answers) == 6
    assert all(np.array_equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("change", [{"size": 32}, {"labels": ("neutral", "anger")}, {"input": "image"}])
def test_a_spec_that_does_not_fit_is_refused(tmp_path, change):
    folder = make_bundle(tmp_path / "tiny")
    spec = dataclasses.replace(find_bundle(str(folder)).spec, **change)
    (folder / "spec.json").write_text(spec.to_json())
    with pytest.raises(SpecError):
        Engine.open(str(folder), backend="openvino")


def test_a_damaged_file_is_one_line(tmp_path):
    folder = make_bundle(tmp_path / "tiny")
    whole = (folder / "model.onnx").read_bytes()
    # valid protobuf with an unknown operator
    (folder / "model.onnx").write_bytes(whole.replace(b"MatMul", b"MatMux"))
    with pytest.raises(ModelError, match="cannot load") as error:
        Engine.open(str(folder), backend="openvino")
    assert "\n" not in str(error.value)
