"""The networks of the face detectors as TensorRT plans, in a small TensorRT that computes on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_tensorrt import FakeCuda, facts_of, make_api

from engines.backends.face_network import FaceModel, OrtFaceNetwork, TensorRtFaceNetwork, open_network
from engines.backends.plans import find_plan
from engines.backends.tensorrt_runtime import PlanNetwork, Signature
from engines.errors import BackendUnavailable, ModelError
from engines.export.detector_plans import Difference, build_detector, difference, portraits
from engines.export.face_data import PORTRAIT
from engines.export.plan_builder import PlanOptions, build_plan
from engines.export.plan_exporter import Workshop
from engines.face_detector import ANCHORS, NAMES, BlazeFace, Range, face_model

MODELS: tuple[Range, ...] = tuple(NAMES)


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEEMO_SYSTEM_CACHE", str(tmp_path / "system"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> FaceModel:
    return face_model(request.param)


def plan_of(model: FaceModel, version: str, cuda: FakeCuda) -> bytes:
    return build_plan(
        make_api(version, cuda), model.model.read_bytes(), model.signature, PlanOptions("fp32", (1, 1, 1))
    ).plan


@pytest.fixture
def network(model: FaceModel) -> Iterator[TensorRtFaceNetwork]:
    cuda = FakeCuda()
    plan = PlanNetwork(
        make_api("10.3.0", cuda), cuda, plan_of(model, "10.3.0", cuda), model.signature, description="fake"
    )
    opened = TensorRtFaceNetwork(plan, OrtFaceNetwork(model.model), model)
    yield opened
    opened.close()
    assert not cuda.live


def test_a_plan_finds_the_same_faces_as_onnx_runtime(model: FaceModel, network: TensorRtFaceNetwork) -> None:
    assert difference(OrtFaceNetwork(model.model), network, model.input_px) == Difference(0.0, 0.0)
    assert network.description == "fake"


def test_the_answer_of_a_plan_is_not_overwritten_by_the_next(model: FaceModel, network: TensorRtFaceNetwork) -> None:
    one, other = portraits(model.input_px)[:2]
    first = network.run(one[None])
    kept = [values.copy() for values in first]
    network.run(other[None])
    for values, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(values, before)


def test_tiles_of_other_sizes_run_in_onnx_runtime(model: FaceModel, network: TensorRtFaceNetwork) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (1, 160, 288, 3), np.uint8)
    for ours, theirs in zip(network.run(tile), OrtFaceNetwork(model.model).run(tile), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0"])
def test_a_plan_is_built_once_for_a_device_and_compared(model: FaceModel, version: str) -> None:
    cuda = FakeCuda()
    api = make_api(version, cuda)
    lines: list[str] = []
    for _ in range(2):
        assert build_detector(api, cuda, model, force=False, progress="json", say=lines.append)
    assert not cuda.live
    plan, reason = find_plan(model, Workshop(api, cuda).device, "fp32")
    assert plan is not None, reason
    side = model.input_px
    assert facts_of(plan.path.read_bytes())["shapes"] == {"image": [[1, side, side, 3]] * 3}
    assert plan.manifest.report == {"accepted": True, "score": 0.0, "pixels": 0.0}
    assert lines[0].startswith(f"building fp32-orin-sm87x8-trt{version}-")
    assert lines[-2:] == [f"published: {plan.path}", f"{plan.path}: accepted on this device"]


def test_a_plan_that_differs_is_not_loaded() -> None:
    assert Difference(0.01, 0.5).accepted
    assert not Difference(0.02, 0.1).accepted
    assert not Difference(0.001, 0.6).accepted


def test_a_plan_of_another_network_is_refused(model: FaceModel) -> None:
    cuda = FakeCuda()
    other = Signature("image", model.signature.row, {"logits": (model.anchors,)}, np.uint8)
    with pytest.raises(ModelError, match="does not have the inputs and outputs image, logits; build it again"):
        PlanNetwork(make_api("10.3.0", cuda), cuda, plan_of(model, "10.3.0", cuda), other, description="")
    assert not cuda.live


def test_the_detector_finds_the_portrait_with_a_plan(network: TensorRtFaceNetwork, model: FaceModel) -> None:
    anchors = next(ANCHORS[name] for name in MODELS if face_model(name) == model)
    image = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    found = BlazeFace(network, anchors, min_score=0.5).detect(image)
    expected = BlazeFace(OrtFaceNetwork(model.model), anchors, min_score=0.5).detect(image)
    assert len(found[0]) == 1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(bool(find_spec("tensorrt")), reason="TensorRT is installed")
def test_without_tensorrt_the_message_says_how_to_install_it(
    model: FaceModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(BackendUnavailable, match="tensorrt"):
        open_network("tensorrt", model)
    assert not caplog.records
