"""manifest.json: checks on loading, refused bundles, and bundles without an FP32 model."""

import json
import logging
import os
import shutil

import numpy as np
import pytest
from fakes import make_bundle
from small_networks import make_network

from engines import Engine
from engines.backends import open_backend
from engines.backends.autoselect import benchmark, best
from engines.bundle import bundle_names, find_bundle, load_bundle
from engines.errors import ModelError
from engines.export.graph import parse
from engines.export.half import convert
from engines.layout import HASHED, ZOO
from engines.manifest import Manifest, drop_fp32, write_manifest
from engines.model_file import sha256_of
from engines.parity import ExportRecord, ParityRecord

KEPT = ["mean", "centre", "square", "variance"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEMO_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_exported(folder, precision="fp16"):
    """A network with an accepted export and a manifest."""
    make_network(folder)
    record = ParityRecord(sha256_of(folder / "model.onnx"))
    content = convert(parse((folder / "model.onnx").read_bytes()), KEPT).SerializeToString()
    path = folder / f"model.{precision}.onnx"
    path.write_bytes(content)
    reports = {"onnx": {"accepted": True}}
    record.with_export(ExportRecord(path.name, precision, sha256_of(path), len(content), reports=reports)).save(folder)
    write_manifest(folder)
    return folder


@pytest.mark.parametrize("name", sorted(path.name for path in ZOO.iterdir()))
def test_every_shipped_bundle_has_a_manifest_of_all_its_files(name):
    folder = ZOO / name
    manifest = Manifest.load(folder)
    assert set(manifest.files) == {name for name in HASHED if (folder / name).is_file()}
    bundle = load_bundle(folder)
    for precision in bundle.precisions():
        bundle.at(precision).read()
    assert bundle.accuracy is not None


@pytest.mark.parametrize("file", ["spec.json", "model.onnx", "model.fp16.onnx", "parity.json"])
def test_an_edited_file_is_refused_in_one_line_and_used_when_that_is_wanted(tmp_path, file, caplog):
    folder = make_exported(tmp_path / "small")
    path = folder / file
    content = path.read_bytes()
    # the size does not change, as after an edit of one digit
    edits = {"spec.json": (b"1.14", b"1.24"), "parity.json": (b'"onnx"', b'"Onnx"')}
    if file in edits:
        path.write_bytes(content.replace(*edits[file]))
    else:
        at = content.index(b"Relu")
        path.write_bytes(content[:at] + b"Tanh" + content[at + 4 :])
    assert len(path.read_bytes()) == len(content)
    backend = "onnx:fp16" if "fp16" in file or file == "parity.json" else "onnx"
    with pytest.raises(ModelError, match=rf"{file} differs from its entry in manifest\.json") as error:
        Engine.open(str(folder), backend=backend)
    assert "\n" not in str(error.value)
    assert f"edgeemo-export --write-manifest {folder}" in str(error.value)
    if file == "parity.json":
        return  # the edit makes the parity report invalid
    with caplog.at_level(logging.WARNING):
        Engine.open(str(folder), backend=backend, allow_modified=True).close()
    assert "used because of allow_modified" in caplog.text


@pytest.mark.parametrize("harm", ["missing", "cut off"])
def test_an_incomplete_bundle_is_refused_before_anything_is_read(tmp_path, harm):
    folder = make_exported(tmp_path / "small")
    path = folder / "model.fp16.onnx"
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=r"model\.fp16\.onnx (is missing|has [\d,]+ bytes)"):
        load_bundle(folder)


def test_a_bundle_without_a_manifest_loads_with_one_warning_that_names_the_command(tmp_path, caplog):
    folder = make_bundle(tmp_path / "tiny")
    with caplog.at_level(logging.WARNING):
        load_bundle(folder)
        load_bundle(folder)
    assert caplog.text.count("has no manifest.json") == 1
    assert f"edgeemo-export --write-manifest {folder}" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"source_sha256": "0", "files": {}}', "matching regex"),
        ('{"source_sha256": "%s", "files": {"../x": {"sha256": "%s", "bytes": 1}}}', "not a file of a bundle"),
        ('{"source_sha256": "%s", "files": {}, "more": 1}', "unknown field `more`"),
        ('{"source_sha256": "%s", "files": {}, "format": 2}', "format"),
        ("[" * 100_000, "nesting|recursion|Expected"),
    ],
)
def test_a_malformed_manifest_is_one_line(tmp_path, content, said):
    folder = make_bundle(tmp_path / "tiny")
    (folder / "manifest.json").write_text(content.replace("%s", "0" * 64))
    with pytest.raises(ModelError, match=said) as error:
        load_bundle(folder)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix's")
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_what_is_no_file_in_place_of_a_manifest_does_not_switch_the_check_off(tmp_path, kind):
    folder = make_bundle(tmp_path / "tiny")
    manifest = folder / "manifest.json"
    manifest.unlink(missing_ok=True)
    {"folder": manifest.mkdir, "pipe": lambda: os.mkfifo(manifest), "dangling link": lambda: manifest.symlink_to("x")}[
        kind
    ]()
    with pytest.raises(ModelError, match=r"manifest\.json is not a valid manifest"):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle_gets_no_manifest(tmp_path):
    with pytest.raises(ModelError, match=r"is not a bundle: it has no spec\.json"):
        write_manifest(tmp_path)
    folder = make_bundle(tmp_path / "tiny")
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match="it has no model"):
        write_manifest(folder)
    assert not (folder / "manifest.json").exists()


def test_a_users_incomplete_bundle_never_shadows_the_shipped_one(tmp_path, caplog):
    own = tmp_path / "engines" / "hybrid_lite"
    shutil.copytree(ZOO / "hybrid_lite", own)
    assert find_bundle("hybrid_lite").folder == own
    (own / "model.fp16.onnx").unlink()
    with caplog.at_level(logging.WARNING):
        assert find_bundle("hybrid_lite").folder == ZOO / "hybrid_lite"
    assert "is skipped" in caplog.text
    # as written by an earlier version: the model without exports
    for name in ("manifest.json", "parity.json", "model.int8.onnx", "saliency.onnx"):
        (own / name).unlink()
    assert find_bundle("hybrid_lite").folder == ZOO / "hybrid_lite"
    assert bundle_names().count("hybrid_lite") == 1
    # another model of the same name is the user's choice
    other = make_network(tmp_path / "other")
    for name in ("model.onnx", "spec.json"):
        shutil.copyfile(other / name, own / name)
    assert find_bundle("hybrid_lite").folder == own


def test_without_fp32_the_bundle_runs_at_fp32_from_its_fp16_file(tmp_path):
    folder = make_exported(tmp_path / "small")
    faces = np.random.default_rng(0).uniform(0, 255, (6, 1, 24, 24)).astype(np.float32)
    expected = {}
    for choice in ("onnx", "onnx:fp16"):
        backend = open_backend(choice, load_bundle(folder))
        expected[choice] = backend.infer(faces)
        backend.close()
    source = load_bundle(folder).source_sha256
    drop_fp32(folder)
    bundle = load_bundle(folder)
    assert bundle.source_sha256 == source
    assert bundle.precisions() == ("fp32", "fp16")
    for choice in ("onnx", "onnx:fp32", "openvino:fp32"):
        backend = open_backend(choice, bundle)
        assert backend.description.endswith("FP32 from FP16")
        probabilities = backend.infer(faces)
        backend.close()
        # FP32 arithmetic with weights rounded to FP16
        assert np.abs(probabilities - expected["onnx:fp16"]).max() < 2e-3
        assert np.abs(probabilities - expected["onnx"]).max() < 0.02
    options = {option.choice: option for option in benchmark(bundle)}
    assert options["onnx:fp32"].passed
    assert options["onnx:fp32"].milliseconds > 0
    assert best(options.values()).backend == "onnx"


def test_with_int8_alone_that_is_what_runs_and_fp32_is_refused(tmp_path):
    folder = make_exported(tmp_path / "small", "int8")
    drop_fp32(folder)
    bundle = load_bundle(folder)
    assert bundle.precisions() == ("int8",)
    backend = open_backend("onnx", bundle)
    assert backend.description.endswith("INT8")
    backend.close()
    with pytest.raises(ModelError, match="without an FP16 file to expand; it runs at int8"):
        open_backend("onnx:fp32", bundle)
    assert best(benchmark(bundle)).choice == "onnx:int8"


def test_without_fp32_and_without_a_manifest_nothing_vouches_for_the_file(tmp_path):
    folder = make_exported(tmp_path / "small")
    drop_fp32(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"has no model\.onnx, and no manifest\.json lists"):
        load_bundle(folder)


def test_a_manifest_that_is_written_again_keeps_the_hash_of_the_missing_fp32_model(tmp_path):
    folder = make_exported(tmp_path / "small")
    source = sha256_of(folder / "model.onnx")
    drop_fp32(folder)
    assert write_manifest(folder).source_sha256 == source
    assert json.loads((folder / "manifest.json").read_text())["source_sha256"] == source
