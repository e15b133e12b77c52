"""The command edgeemo-export: published, rejected and refused exports, and the remaining files."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing

import numpy as np
import onnx
import pytest
from fakes import make_bundle
from small_networks import make_network

from engines import Engine, EngineError
from engines.backends import open_backend
from engines.backends.autoselect import backend_fault
from engines.bundle import find_bundle
from engines.errors import BackendUnavailable, ModelError
from engines.export.cli import main
from engines.export.face_data import portrait
from engines.installation import pip_install
from engines.parity import ParityRecord
from engines.preprocess import batch


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEMO_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_network(tmp_path / "engines" / "small")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The network of `mine` after an FP16 export."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEEMO_ENGINES", str(place / "engines"))
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        folder = make_network(place / "engines" / "small")
        assert main(["--arch", "small", "--fp16"]) == 0
    return folder


@pytest.fixture
def with_fp16(mine, exported):
    return shutil.copytree(exported, mine, dirs_exist_ok=True)


def cut(path, bundle, count=150):
    """Faces labelled with the model's own predictions, if these are expressions."""
    data = portrait(bundle.spec, count)
    with closing(open_backend("onnx", bundle)) as model:
        answers = model.infer(batch(list(data.faces), bundle.spec)).argmax(axis=1)
    np.savez(path, faces=data.faces, truth=np.where(answers < 8, answers, -1))
    return str(path)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_fp16_is_the_default_and_is_published_with_its_report(mine, capsys):
    assert main(["--arch", "small"]) == 0
    assert "model.fp16.onnx" in names(mine)
    manifest = ParityRecord.load(mine)
    export = manifest.of("fp16")
    assert export.accepted
    assert set(export.reports) == {"onnx", "emulated"}
    assert "square" in export.kept_float32
    out = capsys.readouterr().out
    assert "within budget" in out
    assert f"for TensorRT: copy {mine} to the device and run there: edgeemo-export --bundle small --fp16" in out
    assert "FP16 arithmetic emulated" in (mine / "parity.fp16.onnx.txt").read_text()
    with closing(open_backend("onnx:fp16", find_bundle("small"))) as backend:
        assert backend.description.endswith("FP16")


def test_int8_in_both_forms_is_published_when_it_keeps_the_accuracy(mine, tmp_path, capsys):
    data = cut(tmp_path / "faces.npz", find_bundle("small"), 260)
    code = main(["--arch", "small", "--int8", "--int8s", "--calibration", data, "--calibration-limit", "128"])
    out = capsys.readouterr().out
    # the labels are the model's predictions, so every disagreement lowers accuracy: the export may pass or fail
    manifest = ParityRecord.load(mine)
    published = [name for name in ("int8", "int8_tensorrt") if manifest is not None and manifest.of(name)]
    assert code == (0 if len(published) == 2 else 3)
    assert out.count("accuracy drop") == 2
    for name in published:
        assert f"model.{name}.onnx" in names(mine)


def test_what_is_out_of_budget_is_set_apart_and_named_so(mine, tmp_path, capsys):
    bundle = find_bundle("small")
    data = cut(tmp_path / "faces.npz", bundle)
    # ranges measured on nearly uniform pictures clip the values of a face
    calibration = str(tmp_path / "even.npz")
    np.savez(calibration, faces=np.random.default_rng(0).integers(0, 2, (96, 24, 24, 1)).astype(np.uint8))
    assert main(["--bundle", str(mine), "--int8", "--calibration", calibration, "--data", data]) == 3
    assert "OUT OF BUDGET" in capsys.readouterr().out
    assert "rejected/model.int8.out-of-budget.onnx" in names(mine)
    assert "OUT OF BUDGET" in (mine / "rejected" / "parity.int8.txt").read_text()
    assert "model.int8.onnx" not in names(mine)
    assert ParityRecord.load(mine) is None
    assert find_bundle("small").precisions() == ("fp32",)


def test_another_output_becomes_a_bundle_of_its_own(mine, tmp_path):
    before = names(mine)
    assert main(["--arch", "small", "--fp16", "--output", str(tmp_path / "made" / "here")]) == 0
    assert names(mine) == before
    made = find_bundle(str(tmp_path / "made" / "here"))
    assert made.card.is_file()
    assert made.precisions() == ("fp32", "fp16")


def test_a_second_export_keeps_what_the_first_one_reported(with_fp16, capsys):
    assert main(["--arch", "small", "--fp32"]) == 0
    manifest = ParityRecord.load(with_fp16)
    assert {item.precision for item in manifest.exports} == {"fp16", "fp32"}
    assert main(["--arch", "small", "--fp16"]) == 0
    assert ParityRecord.load(with_fp16).of("fp16").sha256 == manifest.of("fp16").sha256


def test_exports_of_a_model_that_was_replaced_are_not_used(with_fp16, tmp_path):
    other = make_network(tmp_path / "other", seed=1)
    (with_fp16 / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match=rf"--write-manifest {with_fp16}"):
        find_bundle("small").read()
    assert main(["--write-manifest", str(with_fp16)]) == 0
    find_bundle("small").read()
    with pytest.raises(ModelError, match=r"made from another model\.onnx"):
        find_bundle("small").at("fp16")


APP_INSTALL = """
import sys
sys.modules["onnx"] = sys.modules["onnxconverter_common"] = sys.modules["torch"] = None
from engines.export.cli import main
sys.exit(main(sys.argv[1:]))
"""


def in_an_app_install(*arguments):
    """The command in an installation without the extra `export`."""
    command = [sys.executable, "-c", APP_INSTALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_accepted_is_shown_and_not_made_again(with_fp16, capsys):
    made = (with_fp16 / "model.fp16.onnx").stat().st_mtime_ns
    capsys.readouterr()
    shown = in_an_app_install("--arch", "small", "--fp16")
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert shown.stdout.startswith(f"{with_fp16 / 'model.fp16.onnx'}: FP16 of small")
    assert "same top class 100.00%" in shown.stdout
    assert "FP16 arithmetic emulated: accepted" in shown.stdout
    forced = in_an_app_install("--arch", "small", "--fp16", "--force")
    assert forced.returncode == 2
    assert forced.stderr == f"edgeemo-export: onnx is not installed: {pip_install('export')}\n"
    assert (with_fp16 / "model.fp16.onnx").stat().st_mtime_ns == made
    assert main(["--arch", "small", "--fp16", "--force"]) == 0
    assert (with_fp16 / "model.fp16.onnx").stat().st_mtime_ns > made


def test_an_accepted_file_that_was_harmed_is_not_shown_as_accepted(with_fp16, capsys):
    content = bytearray((with_fp16 / "model.fp16.onnx").read_bytes())
    content[-200] ^= 1
    (with_fp16 / "model.fp16.onnx").write_bytes(bytes(content))
    assert main(["--arch", "small", "--fp16"]) == 2
    assert "differs from its entry in manifest.json" in capsys.readouterr().err


def test_one_precision_of_two_is_one_clear_line(with_fp16, capsys):
    before = names(with_fp16)
    capsys.readouterr()
    assert main(["--arch", "small", "--fp16", "--int8"]) == 2
    said = capsys.readouterr().err
    assert "small has an accepted FP16, but no INT8: to make it, add --calibration PATH" in said
    assert said.count("\n") == 1
    assert names(with_fp16) == before


def test_an_accepted_export_travels_with_its_report_to_another_output(with_fp16, tmp_path, capsys):
    assert main(["--arch", "small", "--fp16", "--output", str(tmp_path / "made")]) == 0
    assert str(tmp_path / "made" / "model.fp16.onnx") in capsys.readouterr().out
    made = find_bundle(str(tmp_path / "made"))
    assert made.at("fp16").read() == (with_fp16 / "model.fp16.onnx").read_bytes()
    assert made.manifest is not None


def test_a_check_makes_and_copies_nothing_whatever_else_is_asked_for(with_fp16, tmp_path, capsys):
    more = ["--force", "--data", "nowhere", "--output", str(tmp_path / "made")]
    assert main(["--arch", "small", "--fp16", "--check", *more]) == 0
    assert f"{with_fp16 / 'model.fp16.onnx'}: FP16 of small" in capsys.readouterr().out
    assert not (tmp_path / "made").exists()
    assert main(["--arch", "small", "--int8", "--check", *more]) == 2
    assert "small has no accepted INT8" in capsys.readouterr().err


@pytest.fixture
def without_fp32(with_fp16, capsys):
    """A bundle as a large network ships: the FP16 file, its report and the hash of the FP32 model."""
    assert main(["--drop-fp32", str(with_fp16)]) == 0
    assert "ships without model.onnx; runs at fp32, fp16" in capsys.readouterr().out
    assert "model.onnx" not in names(with_fp16)
    return with_fp16


def test_a_bundle_without_fp32_shows_its_fp16_and_says_what_more_would_need(without_fp32, tmp_path, capsys):
    assert main(["--arch", "small", "--fp16"]) == 0
    assert f"{without_fp32 / 'model.fp16.onnx'}: FP16 of small" in capsys.readouterr().out
    for arguments, said in (
        (["--fp16", "--force"], "ships without the FP32 model, which this export needs"),
        (["--fp32"], "ships without the FP32 model, which this export needs"),
        (["--int8"], "small has FP16, no INT8: small ships without the FP32 model"),
        (["--int8", "--fp16", "--output", str(tmp_path / "made")], "small has FP16, no INT8"),
    ):
        assert main(["--arch", "small", *arguments]) == 2
        captured = capsys.readouterr().err
        assert said in captured
        assert "edgeemo-train fit --network small" in captured
        assert captured.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_the_fp32_model_that_is_put_back_is_taken_and_another_one_is_not(without_fp32, tmp_path, capsys):
    other = make_network(tmp_path / "other", seed=1)
    (without_fp32 / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    assert main(["--arch", "small", "--fp16", "--force"]) == 2
    assert "is not the model that manifest.json names" in capsys.readouterr().err
    same = make_network(tmp_path / "same" / "small")
    (without_fp32 / "model.onnx").write_bytes((same / "model.onnx").read_bytes())
    assert main(["--arch", "small", "--fp16", "--force"]) == 0


def test_a_copy_without_fp32_replaces_another_bundle_as_a_whole(without_fp32, tmp_path):
    other = make_network(tmp_path / "other", seed=1)
    for name in ("UNTRAINED.txt", "scores.json"):
        (other / name).write_text("of the other one")
    assert main(["--arch", "small", "--fp16", "--output", str(other)]) == 0
    assert not {"model.onnx", "UNTRAINED.txt", "scores.json"} & set(names(other))
    assert find_bundle(str(other)).read() == find_bundle(str(without_fp32)).read()


def test_fp32_is_not_dropped_where_nothing_else_was_accepted(mine, capsys):
    assert main(["--drop-fp32", str(mine)]) == 2
    assert "has no accepted FP16 or INT8 file" in capsys.readouterr().err
    assert "model.onnx" in names(mine)
    # a report of the FP32 file itself is none of another file
    assert main(["--arch", "small", "--fp32"]) == 0
    assert main(["--drop-fp32", str(mine)]) == 2
    assert "model.onnx" in names(mine)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--arch", "resnet50"],
            r"^edgeemo-export: no engine named 'resnet50'; there are: .* edgeemo-train fit --network resnet50",
        ),
        (["--bundle", "nowhere"], "no engine folder at nowhere"),
        (["--bundle", "nowhere", "--untrained"], "--untrained needs --arch"),
        (["--arch", "small", "--untrained"], "edgeemo-train could not make small"),
        (["--arch", "small", "--int8"], "add --calibration"),
        (["--arch", "small", "--data", "nowhere"], "no faces at nowhere"),
        (["--arch", "small", "--int8", "--calibration", "nowhere"], "no faces at nowhere"),
        (["--checkpoint", "best.pt"], "add --data KIND:PATH"),
        (["--checkpoint", "best.pt", "--data", "ferplus:x"], r"no checkpoint at best\.pt"),
        (["--arch", "small", "--output", "/proc/nowhere"], "choose another --output"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(mine, capsys, arguments, said):
    before = names(mine.parent)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("edgeemo-export: ")
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 800
    assert re.search(said, captured.err)
    assert names(mine.parent) == before


def test_int8_is_not_judged_without_labels(mine, tmp_path, capsys):
    np.savez(tmp_path / "plain.npz", faces=portrait(find_bundle("small").spec, 80).faces)
    assert main(["--arch", "small", "--int8", "--calibration", str(tmp_path / "plain.npz")]) == 2
    assert "no face of" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_without_tensorrt_it_says_what_to_run_on_the_device(mine, capsys):
    assert main(["--arch", "small", "--fp16", "--backend", "tensorrt"]) == 2
    said = capsys.readouterr().err
    assert "No module named 'tensorrt'" in said
    assert "run on the device: edgeemo-export --bundle small --fp16 --backend tensorrt" in said


@pytest.mark.parametrize("text", ["4", "1:2", "0:1:2", "4:2:8", "1:2:9999", "a:b:c", "1:2:3:4"])
def test_a_profile_that_makes_no_sense_is_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--arch", "small", "--batch", text])
    assert ended.value.code == 2
    assert "is not MIN:OPT:MAX" in capsys.readouterr().err


@pytest.mark.parametrize("harm", ["truncated", "external", "wrong classes"])
def test_a_hostile_model_is_not_exported_and_nothing_is_written(mine, capsys, harm):
    model = mine / "model.onnx"
    if harm == "truncated":
        model.write_bytes(model.read_bytes()[:1000])
    elif harm == "external":
        loaded = onnx.load(str(model))
        loaded.graph.initializer[-1].data_location = onnx.TensorProto.EXTERNAL
        loaded.graph.initializer[-1].external_data.add(key="location", value="../../secret")
        model.write_bytes(loaded.SerializeToString())
    else:
        spec = json.loads((mine / "spec.json").read_text())
        (mine / "spec.json").write_text(json.dumps({**spec, "labels": spec["labels"][:8]}))
    before = names(mine)
    assert main(["--arch", "small", "--fp16"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert names(mine) == before


def test_a_model_that_gives_no_numbers_is_not_exported(tmp_path, capsys):
    folder = make_bundle(tmp_path / "nan", not_a_number=True)
    assert main(["--bundle", str(folder), "--fp16"]) == 2
    assert "nothing can be compared with it" in capsys.readouterr().err
    assert names(folder) == ["model.onnx", "spec.json"]
    assert sorted(os.listdir(folder)) == ["model.onnx", "spec.json"]


def test_random_weights_are_exported_for_timing_into_a_folder_that_nothing_runs(mine, tmp_path, capfd):
    pytest.importorskip("torch")
    assert main(["--arch", "baseline64", "--untrained", "--fp16"]) == 0
    out = capfd.readouterr().out
    folder = tmp_path / "cache" / "edgeemo" / "untrained" / "baseline64"
    assert "latency of the candidate, one face" in out
    assert f"random weights, for timing only: scripts/bench-engines {folder}" in out
    assert "use it" not in out
    assert {"UNTRAINED.txt", "CARD.md", "model.onnx", "model.fp16.onnx", "parity.json"} <= set(names(folder))
    # it is not found by name, and its path is refused
    assert find_bundle("baseline64").folder != folder
    shutil.copytree(folder, mine.parent / "copied")
    for opened in (str(folder), "copied"):
        with pytest.raises(EngineError, match="has random weights, for timing only"):
            Engine.open(opened)
    # the second call uses the file of the first
    before = (folder / "model.onnx").stat().st_mtime_ns
    assert main(["--arch", "baseline64", "--untrained", "--fp16"]) == 0
    assert (folder / "model.onnx").stat().st_mtime_ns == before
    # it is never written over a trained engine
    assert main(["--arch", "baseline64", "--untrained", "--output", str(mine)]) == 2
    assert "holds a trained engine" in capfd.readouterr().err


def test_the_hint_for_a_backend_that_is_not_there_starts_with_what_installs_it(mine, capsys):
    pytest.importorskip("onnxruntime")
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed")
    assert main(["--arch", "small", "--fp16", "--backend", "tensorrt"]) == 2
    assert "is not available: pip install tensorrt" in capsys.readouterr().err
    for backend in ("tensorrt", "onnx-cuda"):
        if not backend_fault(backend):
            continue
        with pytest.raises(BackendUnavailable, match="is not available: pip install "):
            open_backend(backend, find_bundle("small"))
        assert backend_fault(backend).startswith("pip install ")
