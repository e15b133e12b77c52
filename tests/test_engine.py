import dataclasses
import os
import shutil
import threading

import numpy as np
import onnx
import pytest
from fakes import FakeBackend, grey, make_bundle

from engines import LABELS, Engine, ModelSpec
from engines.backends import open_backend
from engines.bundle import find_bundle
from engines.errors import BackendUnavailable, ModelError, SpecError
from engines.manifest import write_manifest


def faces(count):
    boxes = np.tile(np.array([10, 10, 40, 40], np.float32), (count, 1))
    keypoints = np.tile(
        np.array([[18, 20], [32, 20], [25, 27], [25, 33], [11, 24], [39, 24]], np.float32), (count, 1, 1)
    )
    return boxes, keypoints


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_face_of_a_picture_goes_through_the_backend_in_one_call(count):
    backend = FakeBackend(np.full(len(LABELS), 1 / len(LABELS), np.float32))
    engine = Engine(ModelSpec("x", size=16), backend)
    assert engine.classify(np.zeros((60, 80, 3), np.uint8), *faces(count)).shape == (count, len(LABELS))
    assert backend.calls == ([count] if count else [])


def test_leaving_the_block_closes_the_backend():
    backend = FakeBackend(np.zeros(len(LABELS), np.float32))
    with Engine(ModelSpec("x"), backend):
        assert not backend.closed
    assert backend.closed


def test_a_closed_engine_may_be_closed_again_and_says_so_when_it_is_used(tmp_path):
    with Engine.open(str(make_bundle(tmp_path / "tiny"))) as engine:
        engine.close()
        with pytest.raises(ModelError, match="the engine tiny is closed; open it again"):
            engine.infer([grey(16, 0)])


def test_a_real_graph_runs_and_says_what_it_runs_on(tmp_path):
    with Engine.open(str(make_bundle(tmp_path / "tiny"))) as engine:
        out = engine.infer([grey(16, 0), grey(16, 255)])
        assert out.shape == (2, 11)
        assert out.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert not np.allclose(out[0], out[1])
        assert "ONNX Runtime" in engine.description


def test_the_shipped_engine_knows_the_same_face_in_any_batch():
    random = np.random.default_rng(3)
    with Engine.open("hybrid_lite") as engine:
        shape = (engine.spec.size, engine.spec.size, engine.spec.channels)
        crops = [random.integers(0, 255, shape, np.uint8) for _ in range(7)]
        together = engine.infer(crops)
        alone = np.concatenate([engine.infer([face]) for face in crops])
    assert np.abs(together - alone).max() < 1e-5


def test_many_threads_may_use_one_engine():
    with Engine.open("hybrid_lite") as engine:
        face = grey(engine.spec.size, 90)
        expected = engine.infer([face])
        out = []
        workers = [threading.Thread(target=lambda: out.append(engine.infer([face]))) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=10)
    assert len(out) == 8
    assert all(np.array_equal(one, expected) for one in out)


@pytest.mark.parametrize("content", [b"", b"not onnx", os.urandom(4096), b"\x08\x08" * 5000])
def test_a_file_that_is_no_model_is_one_clear_line(tmp_path, content):
    folder = make_bundle(tmp_path / "tiny")
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot load .*model\.onnx") as error:
        Engine.open(str(folder))
    assert "\n" not in str(error.value)


def test_a_truncated_model_is_refused(tmp_path):
    folder = make_bundle(tmp_path / "tiny")
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((ModelError, SpecError)):
        Engine.open(str(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 32}, "input of float32"),
        ({"colour": "rgb"}, "input of float32"),
        ({"input": "image"}, "names input 'image'"),
        ({"output": "scores"}, "output 'scores'"),
        ({"labels": LABELS[:8]}, "lists 8 labels"),
    ],
)
def test_a_spec_that_does_not_fit_its_graph_is_refused(tmp_path, change, said):
    folder = make_bundle(tmp_path / "tiny")
    spec = dataclasses.replace(find_bundle(str(folder)).spec, **change)
    (folder / "spec.json").write_text(spec.to_json())
    with pytest.raises(SpecError, match=said):
        Engine.open(str(folder))


def test_an_unknown_backend_lists_the_known_ones(tmp_path):
    with pytest.raises(BackendUnavailable, match="known backends are onnx"):
        open_backend("tpu", find_bundle(str(make_bundle(tmp_path / "tiny"))))


def test_the_fingerprint_changes_with_the_files_that_determine_the_outputs(tmp_path):
    def fingerprint(folder, **options):
        with Engine.open(str(folder), **options) as engine:
            return engine.fingerprint

    folder = make_bundle(tmp_path / "tiny")
    first = fingerprint(folder)
    write_manifest(folder)
    assert fingerprint(folder) == first
    assert fingerprint(shutil.copytree(folder, tmp_path / "copy" / "tiny")) == first
    model = onnx.load(str(folder / "model.onnx"))
    model.graph.initializer[1].float_data[0] *= 2
    onnx.save(model, str(folder / "model.onnx"))
    modified = fingerprint(folder, allow_modified=True)
    assert modified != first
    write_manifest(folder)
    assert fingerprint(folder) == modified
    spec = ModelSpec.load(folder / "spec.json")
    (folder / "spec.json").write_text(dataclasses.replace(spec, temperature=2.0).to_json())
    write_manifest(folder)
    assert fingerprint(folder) not in (first, modified)
