"""Fuzzers for bundles and the command line; a traceback, two lines of output or a hang is a failure.

For a long run: EDGEEMO_FUZZ_EXAMPLES=100000 pytest tests/test_fuzz.py --timeout 0
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from fakes import make_bundle

from edgeemo.cli import main
from engines.bundle import load_bundle
from engines.errors import EngineError
from engines.export.cli import main as export
from engines.manifest import write_manifest
from engines.model_file import DamagedModel, check_model
from engines.parity import ParityRecord

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

FUZZ = settings(
    max_examples=int(os.environ.get("EDGEEMO_FUZZ_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
FILES = ("spec.json", "manifest.json", "parity.json", "model.onnx", "CARD.md")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    ParityRecord("0" * 64).save(folder)
    write_manifest(folder)
    return folder


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just(10**400) | st.just("../x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, object]:
    """A file of a bundle and a damage: truncate or change bytes, set a key of its JSON, replace or remove it."""
    name = draw(st.sampled_from(FILES))
    ways = ["bytes", "cut", "replace", "remove", "folder"] + (["key"] * 5 if name.endswith(".json") else [])
    way = draw(st.sampled_from(ways))
    change = {
        "bytes": st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=6),
        "cut": st.floats(0, 1),
        "replace": st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
        "remove": st.none(),
        "folder": st.none(),
        "key": st.tuples(st.integers(0, 99), json_values),
    }
    return name, (way, draw(change[way]))


def apply(folder: Path, name: str, way: str, change: object) -> None:
    path = folder / name
    data = bytearray(path.read_bytes()) if path.is_file() else bytearray()
    if way == "bytes" and data:
        for place, value in change:  # type: ignore[attr-defined]
            data[place % len(data)] ^= value
    elif way == "cut":
        del data[int(len(data) * change) :]  # type: ignore[operator]
    elif way == "replace":
        data = bytearray(change)  # type: ignore[call-overload]
    elif way == "key" and data:
        parsed = json.loads(data)
        number, value = change  # type: ignore[misc]
        if isinstance(parsed, dict) and parsed:
            parsed[sorted(parsed)[number % len(parsed)]] = value
        data = bytearray(json.dumps(parsed).encode())
    if way in ("remove", "folder"):
        path.unlink(missing_ok=True)
        if way == "folder":
            path.mkdir()
        return
    path.write_bytes(data)


@FUZZ
@given(st.lists(damages(), min_size=1, max_size=2, unique_by=lambda damage: damage[0]), st.booleans())
def test_a_damaged_bundle_is_taken_or_one_line(
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[str, tuple[str, object]]],
    modified: bool,
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "tiny"
    shutil.copytree(bundle, folder)
    for name, (way, change) in changes:
        apply(folder, name, way, change)
    said = ""
    try:
        found = load_bundle(folder, allow_modified=modified)
        for what in (found.read, found.precisions, found.sizes, lambda: found.accuracy, lambda: found.saliency):
            with contextlib.suppress(EngineError):
                what()
    except EngineError as error:
        said = str(error)
    finally:
        shutil.rmtree(folder.parent)
    assert "\n" not in said
    assert len(said) < 1500


@FUZZ
@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=8))
def test_a_damaged_model_is_walked_through_or_refused(
    bundle: Path, noise: bytes, places: list[tuple[int, int]]
) -> None:
    data = bytearray((bundle / "model.onnx").read_bytes())
    for place, value in places:
        data[place % len(data)] ^= value
    for content in (bytes(data), bytes(data[:200]) + noise, noise):
        with contextlib.suppress(EngineError, DamagedModel):
            check_model(content)


# no combination of these words runs for long, opens the window or installs a service
OPTIONS = [
    "--source", "--sink", "--engine", "--backend", "--frames", "--config", "--threads", "--quiet", "--verbose",
    "--json", "--output", "--overwrite", "--every", "--shard", "--workers", "--split-minutes", "--dry-run", "--bom",
    "--help", "--version", "-v", "-", "--",
]  # fmt: skip
VALUES = [
    "1/0", "1/1", "-1", "1e400", "nan", "jsonl:", "jsonl:-", "csv:x/y/z.csv", "sqlite:-", "video:a", "mqtt://",
    "mqtt://a:b/c", "web:x:1", "metrics:1.2.3.4.5:9", "lsl:", "no/such.mp4", "rtsp://", "csi://x", "file://",
    "http://[", "~nobody-of-this-name/x", "\udcff",
]  # fmt: skip
EXPORT = [
    "--arch", "--bundle", "--checkpoint", "--write-manifest", "--drop-fp32", "--fp16", "--int8", "--untrained",
    "--threads", "--output", "--backend",
]  # fmt: skip
WORDS = st.sampled_from([*OPTIONS, *VALUES, "", "9" * 30, "rtsp://a b/", "\0", "a\nb", "n" * 300])
COMMANDS = st.sampled_from(
    [["run", "--source", "no/such.mp4"], ["report"], ["engines"], ["batch"], ["service", "status"]]
)


@FUZZ
@given(COMMANDS, st.lists(WORDS | st.text(max_size=20), max_size=6))
def test_any_command_line_is_one_line_or_done(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], more: list[str]
) -> None:
    arguments = [*command, *more]
    if "--source" in more or "--config" in more:
        arguments = [each for each in arguments if each not in ("demo", "0", "1")]  # the demo clip and cameras
    code, said = run(main, arguments, tmp_path_factory)
    assert code in (0, 1 if command[0] == "service" else 0, 2, 3, 4), (arguments, said)
    assert "bug in edgeemo" not in said, arguments
    if sum(each in ("-v", "--verbose") for each in arguments) > 1:
        return  # the whole command line is valid
    assert "Traceback" not in said, arguments
    if code == 2:
        assert len(said.strip().splitlines()) == 1, (arguments, said)
        assert len(said) < 3000


@FUZZ
@given(st.lists(st.sampled_from(EXPORT) | WORDS, max_size=5))
def test_any_command_line_of_the_export_is_refused_or_done(
    tmp_path_factory: pytest.TempPathFactory, arguments: list[str]
) -> None:
    code, said = run(export, arguments, tmp_path_factory)
    assert code in (0, 2), (arguments, said)
    assert "Traceback" not in said, arguments


def run(command: object, arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    folder = tmp_path_factory.mktemp("line")
    before = os.getcwd()
    os.chdir(folder)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = command(arguments)  # type: ignore[operator]
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
    return code, said.getvalue()
