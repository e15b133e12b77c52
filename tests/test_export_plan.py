"""Building plans: types, profiles, timing cache, progress, refusal, and the files written."""

import dataclasses
import json

import msgspec
import pytest
from fake_tensorrt import FakeCuda, facts_of, make_api
from fakes import make_bundle

from engines.backends.cuda import Gpu
from engines.backends.plans import Device, PlanManifest, build_folder, find_plan, plan_folders, plan_name
from engines.backends.tensorrt_runtime import Signature
from engines.bundle import find_bundle
from engines.export.errors import ExportError
from engines.export.face_data import portrait
from engines.export.graph import parse
from engines.export.half import convert
from engines.export.plan_builder import PlanOptions, build_plan, fraction
from engines.export.plan_exporter import PlanExporter
from engines.model_file import sha256_of
from engines.parity import ExportRecord, ParityRecord


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEMO_SYSTEM_CACHE", str(tmp_path / "system"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture
def bundle(tmp_path):
    """A bundle at FP16 with an accepted export."""
    folder = make_bundle(tmp_path / "tiny")
    content = convert(parse((folder / "model.onnx").read_bytes()), []).SerializeToString()
    half = folder / "model.fp16.onnx"
    half.write_bytes(content)
    export = ExportRecord(half.name, "fp16", sha256_of(half), len(content), reports={"onnx": {"accepted": True}})
    ParityRecord(sha256_of(folder / "model.onnx"), (export,)).save(folder)
    return find_bundle(str(folder)).at("fp16")


def exporter(bundle, *, version="10.3.0", gpu=None, fails=""):
    cuda = FakeCuda(gpu=gpu)
    lines = []
    data = portrait(bundle.spec, 24)
    api = make_api(version, cuda, fails=fails)
    made = PlanExporter(api, cuda, bundle, data, PlanOptions("fp16"), calls=3, say=lines.append)
    return made, lines


@pytest.mark.parametrize("version", ["10.3.0", "10.16.2", "11.4.0"])
def test_the_types_of_the_file_are_the_precision(bundle, version):
    built = build_plan(
        make_api(version, FakeCuda()), bundle.model.read_bytes(), Signature.of(bundle.spec), PlanOptions("fp16")
    )
    facts = facts_of(built.plan)
    # STRONGLY_TYPED is the second flag before TensorRT 11, and the only one from 11 on
    assert facts["network"] == (1 if version.startswith("11") else 2)
    assert facts["tf32"] is False
    assert 0 < built.half_layers < built.layers


def test_an_fp16_plan_without_a_half_precision_layer_is_refused(bundle):
    model = bundle.model.read_bytes()
    with pytest.raises(ExportError, match=r"compiled \d+ layers and none in half precision: the plan would be FP32"):
        build_plan(make_api("10.3.0", FakeCuda(), widens=True), model, Signature.of(bundle.spec), PlanOptions("fp16"))
    plain = (bundle.folder / "model.onnx").read_bytes()
    assert (
        build_plan(make_api("10.3.0", FakeCuda()), plain, Signature.of(bundle.spec), PlanOptions("fp32")).half_layers
        == 0
    )


def test_profile_and_workspace_are_what_was_asked_for(bundle):
    options = PlanOptions("fp16", batch=(1, 2, 8), workspace=123 << 20)
    facts = facts_of(
        build_plan(make_api("11.4.0", FakeCuda()), bundle.model.read_bytes(), Signature.of(bundle.spec), options).plan
    )
    assert facts["shapes"] == {"faces": [[1, 1, 16, 16], [2, 1, 16, 16], [8, 1, 16, 16]]}
    assert facts["pools"] == [123 << 20]


def test_a_timing_cache_of_another_version_is_left_aside(bundle):
    api = make_api("10.3.0", FakeCuda())
    built = build_plan(
        api,
        bundle.model.read_bytes(),
        Signature.of(bundle.spec),
        PlanOptions("fp16", timing=b"8.6.1 timing of another device"),
    )
    assert built.timing == b"10.3.0 timing"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("8.6.1", "8.6.1 is too old: 10.3"),
        ("10.0.1", "too old"),
        ("10.3.0", "cannot read the model: cannot parse"),
    ],
)
def test_what_tensorrt_cannot_do_is_one_line(bundle, version, said):
    with pytest.raises(ExportError, match=said) as error:
        build_plan(make_api(version, FakeCuda()), b"\x3a\xffabc", Signature.of(bundle.spec), PlanOptions("fp16"))
    assert "\n" not in str(error.value)


def test_progress_grows_tells_the_time_left_and_can_stop_the_build(bundle):
    told = []

    def progress(done, left):
        told.append((done, left))
        return True

    api = make_api("10.3.0", FakeCuda())
    build_plan(api, bundle.model.read_bytes(), Signature.of(bundle.spec), PlanOptions("fp16"), progress)
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(1 / 8)
    assert shares[-1] == pytest.approx(0.999)
    assert all(left is not None and left >= 0 for _, left in told)
    with pytest.raises(ExportError, match="was stopped"):
        build_plan(
            api, bundle.model.read_bytes(), Signature.of(bundle.spec), PlanOptions("fp16"), lambda done, left: False
        )


def test_nested_phases_are_one_share():
    assert fraction({}) == 0
    assert fraction({"a": (None, 4, 1)}) == pytest.approx(0.25)
    assert fraction({"a": (None, 4, 1), "b": ("a", 2, 1)}) == pytest.approx(0.375)
    # a phase whose parent was never announced, and a phase that is its own parent
    assert fraction({"b": ("gone", 2, 1)}) == pytest.approx(0.5)
    assert 0 <= fraction({"a": ("a", 2, 1)}) <= 1


def test_a_built_plan_is_named_manifested_compared_and_found_again(bundle):
    before = sorted(file.name for file in bundle.folder.iterdir())
    made, lines = exporter(bundle)
    report, path = made.run()
    assert report.accepted
    assert path.name.startswith("fp16-orin-sm87x8-trt10.3.0-")
    # the cache folder is named after bundle and model; the bundle does not change
    assert path.parent == build_folder(bundle)
    assert path.parent.name == f"tiny-{bundle.source_sha256[:8]}"
    assert sorted(file.name for file in bundle.folder.iterdir()) == before
    assert any("within budget" in line for line in lines)
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["device"]["capability"] == "8.7"
    assert manifest["batch"] == [1, 4, 16]
    assert manifest["report"]["faces"]["count"] == 24
    found, reason = find_plan(bundle, made.device, "fp16")
    assert found is not None
    assert found.path == path
    assert reason == ""
    assert (path.parent / "sm87x8-trt10.3.0.timing").read_bytes() == b"10.3.0 timing"


def test_no_plan_of_another_gpu_version_or_model_is_loaded(bundle):
    made, _ = exporter(bundle)
    _, path = made.run()
    device = made.device
    for change in ({"gpu": "Xavier"}, {"capability": "7.2"}, {"multiprocessors": 16}, {"tensorrt": "10.7.0"}):
        assert find_plan(bundle, dataclasses.replace(device, **change), "fp16")[0] is None
    # renamed to look like a plan of this device
    other = dataclasses.replace(device, tensorrt="10.7.0")
    renamed = path.with_name(plan_name(bundle, other, "fp16"))
    renamed.write_bytes(path.read_bytes())
    renamed.with_suffix(".json").write_text(path.with_suffix(".json").read_text())
    plan, reason = find_plan(bundle, other, "fp16")
    assert plan is None
    assert "built for tensorrt 10.3.0, this is 10.7.0" in reason


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path, manifest: path.write_bytes(b"PLAN other"), "not the file that its manifest describes"),
        (lambda path, manifest: manifest.write_text("{"), "not a valid manifest of a plan"),
        (lambda path, manifest: manifest.write_text('{"format": 2, "extra": 2}'), "unknown field `extra`"),
        (lambda path, manifest: manifest.unlink(), "not a valid manifest of a plan"),
        (lambda path, manifest: path.unlink(), "no plan was built"),
    ],
)
def test_a_harmed_plan_is_not_loaded(bundle, harm, said):
    made, _ = exporter(bundle)
    _, path = made.run()
    harm(path, path.with_suffix(".json"))
    plan, reason = find_plan(bundle, made.device, "fp16")
    assert plan is None
    assert said in reason


def test_a_plan_that_did_not_pass_or_is_of_another_onnx_file_is_not_loaded(bundle):
    made, _ = exporter(bundle)
    _, path = made.run()
    manifest = PlanManifest.load(path.with_suffix(".json"))
    msgspec.structs.replace(manifest, report={"accepted": False}).save(path.with_suffix(".json"))
    assert "did not pass its parity report" in find_plan(bundle, made.device, "fp16")[1]
    msgspec.structs.replace(manifest, onnx_sha256="0" * 64).save(path.with_suffix(".json"))
    assert "another model.fp16.onnx" in find_plan(bundle, made.device, "fp16")[1]


def test_a_plan_out_of_budget_is_set_apart_and_never_found(bundle):
    # a graph with other weights simulates a compiler whose plans compute wrong values
    wrong = make_bundle(bundle.folder.parent / "wrong", not_a_number=True)
    content = convert(parse((wrong / "model.onnx").read_bytes()), []).SerializeToString()
    bundle.model.write_bytes(content)
    made, lines = exporter(dataclasses.replace(bundle, allow_modified=True))
    report, path = made.run()
    assert not report.accepted
    assert path.name.endswith(".out-of-budget.plan")
    assert "NaN or infinity" in lines[-2]
    assert find_plan(bundle, made.device, "fp16")[0] is None


def test_a_compiler_that_gives_up_leaves_nothing_behind(bundle):
    made, _ = exporter(bundle, fails="Error Code 10:\n could not find any implementation")
    with pytest.raises(ExportError, match="cannot compile the model: Error Code 10: could not find"):
        made.run()
    assert not list(build_folder(bundle).glob("*"))


def test_a_newer_plan_of_the_same_gpu_replaces_the_older_one(bundle):
    _, old = exporter(bundle, version="10.3.0")[0].run()
    _, other = exporter(bundle, version="10.3.0", gpu=Gpu("Orin", "8.7", 16))[0].run()
    _, new = exporter(bundle, version="10.7.0")[0].run()
    assert not old.exists()
    assert not old.with_suffix(".json").exists()
    assert other.exists()
    assert new.exists()


def test_the_second_build_begins_with_the_timings_of_the_first(bundle):
    made, _ = exporter(bundle)
    made.run()
    timing = build_folder(bundle) / "sm87x8-trt10.3.0.timing"
    timing.write_bytes(b"10.3.0 timing, more of it")
    made.run()
    assert timing.read_bytes() == b"10.3.0 timing"


def test_a_device_is_named_for_files():
    device = Device("NVIDIA Jetson Orin Nano (8GB)", "8.7", 8, "10.3.0", "linux-aarch64")
    assert device.slug == "nvidia-jetson-orin-nano-8gb-sm87x8-trt10.3.0"
    assert Device("", "8.7", 8, "10.3.0").slug.startswith("gpu-sm87")


def test_a_plan_is_looked_for_in_the_bundle_then_the_machines_cache_then_the_users(bundle):
    made, _ = exporter(bundle)
    _, built = made.run()
    own, system, user = plan_folders(bundle)
    assert built.parent == system
    files = [built, built.with_suffix(".json")]
    for folder in (user, own):
        folder.mkdir(parents=True)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
    assert find_plan(bundle, made.device, "fp16")[0].path.parent == own
    # a plan that does not fit is skipped, and the next one is used
    (own / built.name).write_bytes(b"PLAN harmed")
    assert find_plan(bundle, made.device, "fp16")[0].path.parent == system
    for file in files:
        file.unlink()
    assert find_plan(bundle, made.device, "fp16")[0].path.parent == user
    (user / built.name).write_bytes(b"PLAN harmed")
    assert "is not the file that its manifest describes" in find_plan(bundle, made.device, "fp16")[1]
