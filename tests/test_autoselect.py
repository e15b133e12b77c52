"""The backend `auto`: it selects the fastest option that passed parity, also if runtimes are missing."""

import json

import numpy as np
import pytest
from small_networks import make_network

from engines.backends import autoselect, open_backend, parse_choice
from engines.backends.autoselect import Option, benchmark, best, options_of
from engines.backends.onnxruntime import missing_provider
from engines.bundle import find_bundle
from engines.errors import BackendUnavailable, ModelError
from engines.export.graph import parse
from engines.export.half import convert
from engines.model_file import sha256_of
from engines.parity import ExportRecord, ParityRecord


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = make_network(tmp_path / "small")
    half = folder / "model.fp16.onnx"
    half.write_bytes(
        convert(
            parse((folder / "model.onnx").read_bytes()), ["mean", "centre", "square", "variance"]
        ).SerializeToString()
    )
    export = ExportRecord(half.name, "fp16", sha256_of(half), half.stat().st_size, reports={"onnx": {"accepted": True}})
    ParityRecord(sha256_of(folder / "model.onnx"), (export,)).save(folder)
    return find_bundle(str(folder))


def option(choice, milliseconds, **more):
    return Option(*choice.split(":"), milliseconds=milliseconds, **{"passed": True, **more})


def test_the_fastest_proven_way_is_chosen():
    ways = [option("onnx:fp32", 2.0), option("onnx:int8", 0.9), option("openvino:fp32", 1.2)]
    assert best(ways).choice == "onnx:int8"


def test_what_is_not_proven_or_not_usable_is_never_chosen():
    ways = [
        option("onnx:fp32", 2.0),
        option("onnx:int8", 0.1, passed=False),
        option("openvino:fp32", 0.2, fault="a probability differs"),
        option("tensorrt:fp16", None),
    ]
    assert best(ways).choice == "onnx:fp32"


def test_a_tenth_faster_is_not_worth_another_precision():
    assert best([option("onnx:fp32", 2.0), option("onnx:fp16", 1.9)]).choice == "onnx:fp32"


def test_without_any_measurement_it_is_the_model_itself():
    assert best([]).choice == "onnx:fp32"


def test_every_way_is_listed_with_the_reason_why_not(bundle):
    ways = {way.choice: way for way in options_of(bundle)}
    assert ways["onnx:fp32"].passed
    assert ways["onnx:fp32"].fault == ""
    assert ways["onnx:fp16"].passed
    # a report accepted on ONNX Runtime is not valid for OpenVINO
    assert not ways["openvino:fp16"].passed
    assert "install onnxruntime-gpu" in ways["onnx-cuda:fp32"].fault or not ways["onnx-cuda:fp32"].fault


def test_fp32_that_did_not_pass_on_a_runtime_is_not_chosen_there(bundle):
    path = bundle.folder / "model.onnx"
    reports = {"openvino": {"accepted": False}}
    export = ExportRecord(path.name, "fp32", sha256_of(path), path.stat().st_size, reports=reports)
    ParityRecord.about(bundle.folder, bundle.source_sha256).with_export(export).save(bundle.folder)
    ways = {way.choice: way for way in options_of(bundle)}
    assert ways["onnx:fp32"].passed
    assert not ways["openvino:fp32"].passed


def test_speeds_are_measured_once_and_remembered(bundle):
    first = benchmark(bundle)
    measured = {way.choice: way.milliseconds for way in first}
    assert measured["onnx:fp32"] > 0
    assert measured["onnx:fp16"] > 0
    assert benchmark(bundle) == first
    assert {way.choice for way in benchmark(bundle, force=True)} == set(measured)


def test_another_file_is_measured_anew(bundle, tmp_path):
    benchmark(bundle)
    cache = tmp_path / "cache" / "edgeemo" / "speeds.json"
    assert len(json.loads(cache.read_text())) == 1
    other = make_network(tmp_path / "other", seed=3)
    (bundle.folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    benchmark(find_bundle(str(bundle.folder)))
    assert len(json.loads(cache.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "{broken"])
def test_a_damaged_memory_is_measured_over(bundle, tmp_path, content):
    cache = tmp_path / "cache" / "edgeemo" / "speeds.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    assert benchmark(bundle)


def test_auto_opens_what_it_chose_and_says_which(bundle):
    backend = open_backend("auto", bundle)
    assert backend.infer(np.zeros((2, 1, 24, 24), np.float32)).shape == (2, 11)
    assert "ONNX Runtime" in backend.description or "OpenVINO" in backend.description
    backend.close()


def test_auto_falls_back_to_the_model_where_its_choice_was_harmed_since(bundle, monkeypatch, tmp_path):
    memory = autoselect._Memory.load()
    memory.keep(autoselect._key(bundle, 1), [option("onnx:fp32", 2.0), option("onnx:fp16", 0.1)])
    bundle.model.with_name("model.fp16.onnx").write_bytes(b"harmed")
    memory.keep(autoselect._key(bundle, 1), [option("onnx:fp32", 2.0), option("onnx:fp16", 0.1)])
    backend = open_backend("auto", bundle)
    assert backend.description.endswith("FP32")
    backend.close()


def test_auto_does_not_hide_that_the_model_itself_is_broken(bundle):
    bundle.model.write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot load"):
        open_backend("auto", bundle)


def test_a_choice_is_a_backend_and_perhaps_a_precision():
    assert parse_choice("onnx") == ("onnx", "")
    assert parse_choice("openvino:int8") == ("openvino", "int8")
    assert parse_choice("tensorrt:int8s") == parse_choice("tensorrt:int8") == ("tensorrt", "int8_tensorrt")
    for wrong in ("onnx:", "onnx:fp8", "auto:fp16"):
        with pytest.raises(BackendUnavailable, match="precisions are"):
            parse_choice(wrong)
    with pytest.raises(BackendUnavailable, match="known backends are onnx"):
        parse_choice("tpu:fp16")


@pytest.mark.parametrize("name", ["onnx-cuda", "tensorrt"])
def test_asked_for_and_not_there_is_an_error_with_the_reason(bundle, name):
    if not autoselect.backend_fault(name):
        pytest.skip(f"{name} can be used on this machine")
    with pytest.raises(BackendUnavailable, match=f"backend '{name}' is not available: ") as error:
        open_backend(name, bundle)
    assert "\n" not in str(error.value)


def test_on_a_jetson_the_gpu_build_of_onnx_runtime_is_never_a_choice(monkeypatch, tmp_path):
    release = tmp_path / "nv_tegra_release"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "no kernels" not in missing_provider("onnx-cuda", jetson=release)
    release.write_text("# R36 (release), REVISION: 4.3")
    assert "has no kernels for a Jetson's GPU; use tensorrt" in missing_provider("onnx-cuda", jetson=release)
    assert missing_provider("onnx", jetson=release) == ""
