"""Untrusted model files: a one-line error, nothing is executed or written."""

import json
import os
import random

import numpy as np
import onnx
import pytest
from fakes import make_bundle
from onnx import TensorProto, helper, numpy_helper

from engines import LABELS, Engine, ModelSpec
from engines.backends.checked import CheckedBackend
from engines.backends.trial import expect_opens
from engines.bundle import find_bundle
from engines.errors import EngineError, ModelError, SpecError
from engines.model_file import LARGEST_FILE, MOST_NODES, read_model, sha256_of
from engines.parity import ExportRecord, ParityRecord


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "tiny")


def listing(folder):
    return sorted((path.name, path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def refused(folder, said, kind=EngineError, backend="onnx"):
    before = listing(folder)
    with pytest.raises(kind, match=said) as error:
        Engine.open(str(folder), backend=backend)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    assert listing(folder) == before


def edited(folder, change):
    model = onnx.load(str(folder / "model.onnx"))
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def test_the_shipped_model_is_let_through():
    assert len(read_model(find_bundle("hybrid_lite").model)) > 100_000


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"PK\x03\x04 zip", b"<html>404</html>", b"\x80\x04 pickle", b"\xff" * 99]
)
def test_what_is_no_model_is_refused(folder, content):
    (folder / "model.onnx").write_bytes(content)
    refused(folder, "cannot load", ModelError)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_are_refused(folder, seed):
    (folder / "model.onnx").write_bytes(random.Random(seed).randbytes(4096))
    refused(folder, "cannot load", ModelError)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_model_is_refused(folder, share):
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: int(len(whole) * share)])
    refused(folder, r"cannot load|not an ONNX model|spec\.json")


def test_a_flipped_byte_never_crashes(folder):
    whole = bytearray((folder / "model.onnx").read_bytes())
    dice = random.Random(1)
    face = np.zeros((16, 16, 1), np.uint8)
    for _ in range(12):
        harmed = bytearray(whole)
        harmed[dice.randrange(len(harmed))] ^= 1 << dice.randrange(8)
        (folder / "model.onnx").write_bytes(bytes(harmed))
        assert "\n" not in complaint(folder, face)


def complaint(folder, face):
    try:
        with Engine.open(str(folder)) as engine:
            engine.infer([face])
    except EngineError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "weights.bin"])
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_weights_in_another_file_are_refused_and_the_file_is_not_read(folder, location, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")

    def outside(model):
        weights = next(item for item in model.graph.initializer if item.name == "weights")
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)

    edited(folder, outside)
    refused(folder, "weights are in another file", ModelError, backend)


def test_external_data_hidden_in_an_attribute_is_refused(folder):
    def outside(model):
        hidden = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [1.0])
        hidden.external_data.add(key="location", value="../secret.bin")
        model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=hidden))

    edited(folder, outside)
    refused(folder, "weights are in another file", ModelError)


def test_a_header_that_announces_two_gigabytes_is_refused_before_anything_is_allocated(folder):
    size = (1 << 31) - 16
    length = bytearray()
    while size:
        length.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
    (folder / "model.onnx").write_bytes(b"\x08\x08" + b"\x3a" + bytes(length) + b"abc")
    refused(folder, "2147483632 bytes announced, 3 present", ModelError)


def test_a_file_of_more_than_a_gigabyte_is_refused_without_being_read(folder):
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)  # a sparse file takes no space
    refused(folder, "larger than 1 GiB", ModelError)


@pytest.mark.parametrize("dimensions", [[1 << 40], [1 << 20, 1 << 20], [-1], [1 << 62, 4]])
def test_a_tensor_that_claims_more_values_than_it_has_bytes_is_refused(folder, dimensions):
    def swollen(model):
        model.graph.initializer[-1].dims[:] = dimensions

    edited(folder, swollen)
    refused(folder, "a tensor claims", ModelError)


def test_a_model_with_functions_of_its_own_is_refused(folder):
    """Each function calls the previous one ten times: 10^9 nodes after expansion."""

    def bomb(model):
        for level in range(9):
            inner = [
                helper.make_node(f"F{level - 1}" if level else "Relu", ["x"], ["y" if row == 9 else f"y{row}"],
                                 domain="com.microsoft" if level else "")
                for row in range(10)
            ]  # fmt: skip
            model.functions.append(
                helper.make_function("com.microsoft", f"F{level}", ["x"], ["y"], inner, [helper.make_opsetid("", 13)])
            )

    edited(folder, bomb)
    refused(folder, "defines functions", ModelError)


def test_a_model_of_too_many_nodes_is_refused(folder):
    def grow(model):
        for number in range(MOST_NODES):
            model.graph.node.add(op_type="Relu", input=["faces"], output=[f"z{number}"])

    edited(folder, grow)
    refused(folder, "more than 20000 nodes", ModelError)


def test_opening_is_bounded_in_memory(folder):
    """Constants are computed when a model is opened; this one would take 4 TiB."""

    def swell(model):
        shape = helper.make_tensor("shape", TensorProto.INT64, [1], [1 << 40])
        model.graph.initializer.append(shape)
        model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["huge"]))
        model.graph.node.insert(1, helper.make_node("ReduceSum", ["huge"], ["unused"], keepdims=0))
        model.graph.output.add().CopyFrom(helper.make_tensor_value_info("unused", TensorProto.FLOAT, []))

    edited(folder, swell)
    refused(folder, "cannot load", ModelError)


def test_a_model_that_opens_for_ever_is_given_up(tmp_path):
    with pytest.raises(ModelError, match=r"takes more than 0\.01 s"):
        expect_opens(b"x" * 100, tmp_path / "own" / "model.onnx", limit_s=0.01)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (np.full((1, 11), -12.8), "range from -12.8"),
        (np.full((1, 11), 0.5), "sum to 5.5 instead of 1"),
        (np.full((1, 11), np.nan), "range from nan"),
        (np.full((5, 11), 1 / 11), r"the shape \(5, 11\) instead of \(1, 11\)"),
        (np.full((11,), 1 / 11), "the shape"),
    ],
)
def test_outputs_that_are_no_probabilities_are_refused_at_opening(folder, output, said):
    edited(folder, lambda model: returning(model, output.astype(np.float32)))
    refused(folder, said, ModelError)


def test_an_output_that_goes_wrong_later_is_refused_too():
    class Backend:
        description = "a runtime"
        closed = False
        broken = False

        def infer(self, faces):
            return np.full((len(faces), 2), np.inf if self.broken else 0.5, np.float32)

        def close(self):
            self.closed = True

    backend = Backend()
    checked = CheckedBackend(backend, ModelSpec("tiny", labels=LABELS[:2], size=8))
    assert checked.infer(np.zeros((3, 1, 8, 8), np.float32)).shape == (3, 2)
    backend.broken = True
    with pytest.raises(ModelError, match="not probabilities"):
        checked.infer(np.zeros((1, 1, 8, 8), np.float32))
    checked.close()
    assert backend.closed


def returning(model, output):
    """Make a graph return the same array for every input."""
    del model.graph.node[:]
    model.graph.node.add().CopyFrom(
        helper.make_node("Constant", [], ["probabilities"], value=numpy_helper.from_array(output))
    )
    shape = model.graph.output[0].type.tensor_type.shape
    del shape.dim[:]
    for name in ("n", 11)[2 - output.ndim :]:
        dimension = shape.dim.add()
        if isinstance(name, str):
            dimension.dim_param = name
        else:
            dimension.dim_value = name


def test_every_file_of_the_collection_of_hostile_models_is_refused(cases, tmp_path):
    hostile = sorted((cases / "hostile").glob("*.onnx"))
    assert hostile
    for path in hostile:
        bundle = tmp_path / path.stem
        bundle.mkdir()
        (bundle / "model.onnx").write_bytes(path.read_bytes())
        (bundle / "spec.json").write_text((find_bundle("hybrid_lite").folder / "spec.json").read_text())
        refused(bundle, "defines functions|not probabilities|has the shape", ModelError)


@pytest.mark.parametrize("name", ["spec.json", "model.onnx", "manifest.json"])
def test_a_pipe_or_device_in_place_of_a_file_is_refused_and_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, "not a regular file|has no model")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    refused(folder, "not a regular file|has no model")


@pytest.mark.parametrize("operator", ["Loop", "If", "Scan"])
def test_operators_that_run_graphs_of_their_own_are_refused(folder, operator):
    edited(folder, lambda model: model.graph.node.add(op_type=operator, name="own", output=["z"]))
    refused(folder, f"contains the operator {operator}", ModelError)


def test_operators_of_strangers_are_refused(folder):
    def foreign(model):
        model.graph.node.add(op_type="Steal", name="own", domain="evil.example", output=["z"])
        model.opset_import.append(helper.make_opsetid("evil.example", 1))

    edited(folder, foreign)
    refused(folder, "operators of 'evil.example'", ModelError)


def test_deep_nesting_is_refused(folder):
    content = b"\x08\x08"
    inner = b""
    for _ in range(400):
        # attribute (5) of a node whose graph (6) holds a node (1)
        node = b"\x2a" + _sized(b"\x32" + _sized(inner))
        inner = b"\x0a" + _sized(node)
    (folder / "model.onnx").write_bytes(content + b"\x3a" + _sized(inner))
    refused(folder, "nested too deeply", ModelError)


def _sized(content):
    size, length = len(content), bytearray()
    while True:
        length.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes(length) + content


def test_a_wrong_class_count_is_refused(tmp_path):
    refused(make_bundle(tmp_path / "tiny", outputs=8), r"lists 11 labels, .*8 outputs", SpecError)


def test_a_wrong_input_is_refused(tmp_path):
    folder = make_bundle(tmp_path / "tiny", size=24)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "size": 48}))
    refused(folder, r"says an input of float32 \(N, 1, 48, 48\), its graph has .*24, 24", SpecError)


@pytest.mark.parametrize("kind", ["directory", "link to nowhere", "unreadable"])
def test_a_model_that_is_no_readable_file_is_refused(folder, kind):
    model = folder / "model.onnx"
    model.unlink()
    if kind == "directory":
        model.mkdir()
    elif kind == "link to nowhere":
        model.symlink_to(folder / "gone")
    else:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        model.touch(mode=0o000)
    refused(folder, r"model\.onnx", ModelError)


def manifested(folder, **changes):
    """A bundle with an FP16 file and a manifest that is valid except for the given changes."""
    half = folder / "model.fp16.onnx"
    half.write_bytes((folder / "model.onnx").read_bytes())
    facts = {
        "sha256": sha256_of(half),
        "reports": {"onnx": {"accepted": True}},
        "source": sha256_of(folder / "model.onnx"),
        **changes,
    }
    export = ExportRecord(half.name, "fp16", facts["sha256"], half.stat().st_size, reports=facts["reports"])
    ParityRecord(facts["source"], (export,)).save(folder)


def test_a_right_manifest_is_believed(folder):
    manifested(folder)
    with Engine.open(str(folder), backend="onnx:fp16") as engine:
        assert engine.description.endswith("FP16")
        assert engine.infer([np.zeros((16, 16, 1), np.uint8)]).shape == (1, len(LABELS))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "not the file that its parity report describes"),
        ({"source": "0" * 64}, "made from another model.onnx"),
        ({"reports": {"onnx": {"accepted": False}}}, "did not pass its parity report"),
        ({"reports": {"onnx": {"accepted": "yes"}}}, "did not pass its parity report"),
        ({"reports": {}}, "did not pass its parity report"),
    ],
)
def test_a_manifest_that_lies_is_not_believed(folder, changes, said):
    manifested(folder, **changes)
    refused(folder, said, ModelError, backend="onnx:fp16")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1}',
        '{"format": 1, "source_sha256": 5, "exports": []}',
        '{"format": 1, "source_sha256": "a", "exports": [{"file": "../../x", "precision": "fp16", "sha256": "a"}]}',
        '{"format": 1, "source_sha256": "a", "exports": [{"run": "rm"}]}',
        "[" * 100_000,
    ],
)
def test_a_malformed_manifest_is_one_line_and_the_model_itself_still_runs(folder, content):
    (folder / "parity.json").write_text(content)
    refused(folder, "not a valid parity record", ModelError, backend="onnx:fp16")
    with Engine.open(str(folder)) as engine:
        assert engine.infer([np.zeros((16, 16, 1), np.uint8)]).shape == (1, len(LABELS))


def test_a_precision_that_was_not_exported_says_how_to_get_it(folder):
    refused(folder, r"tiny has no INT8 model; run: edgeemo-export --bundle .* --int8", ModelError, backend="onnx:int8")
