"""The names of TensorRT and CUDA that the code uses exist in the real libraries.

TensorRT's own Python bindings are downloaded and loaded over three stub libraries, which define the nine C symbols
that they need. This checks names and numbers of arguments, not behaviour.
"""

from __future__ import annotations

import ast
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fake_tensorrt import FakeCuda, make_api

from engines.backends import cuda as cuda_module
from engines.backends import tensorrt_runtime
from engines.backends.cuda import CALLS, CudaRuntime
from engines.errors import BackendUnavailable
from engines.export import plan_builder as builder_module

BINDINGS = {
    "10.3": "tensorrt-cu12-bindings==10.3.0",  # JetPack 6.2
    "10.16": "tensorrt-cu13-bindings>=10.16,<11",  # JetPack 7.2
    "11": "tensorrt-cu13-bindings>=11,<12",
}
STUBS = {
    "nvinfer": (
        "createInferBuilder_INTERNAL",
        "createInferRuntime_INTERNAL",
        "createInferRefitter_INTERNAL",
        "getBuilderPluginRegistry",
        "getPluginRegistry",
    ),
    "nvinfer_plugin": ("initLibNvInferPlugins",),
    "nvonnxparser": ("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
}
DUMP = """
import inspect, json, sys
import tensorrt_bindings as trt
def members(kind):
    return {name: (getattr(kind, name).__doc__ or "") if callable(getattr(kind, name)) else ""
            for name in dir(kind) if not name.startswith("_") or name == "__init__"}
found = {name: members(kind) for name, kind in vars(trt).items() if inspect.isclass(kind)}
json.dump({"version": trt.__version__, "classes": found}, sys.stdout)
"""
# name of a variable in the code -> name of its class in TensorRT
VARIABLES = {
    "builder": "Builder",
    "cache": "ITimingCache",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
}
RETURNS = {("OnnxParser", "get_error"): "ParserError"}


@pytest.fixture(scope="module")
def downloads(request):
    return request.config.cache.mkdir("bindings")


def fetched(requirement: str, folder: Path) -> Path:
    """An unpacked wheel, cached between runs."""
    target = folder / re.sub(r"[^a-z0-9.]+", "-", requirement)
    if not (target / "whole").is_file():
        shutil.rmtree(target, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        try:
            done = subprocess.run(
                [*command, "--dest", str(target), requirement], capture_output=True, timeout=120, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{requirement} could not be downloaded in time")
        if done.returncode:
            pytest.skip(f"{requirement} cannot be downloaded here (no network, or no wheel for this Python)")
        (wheel,) = target.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        (target / "whole").touch()
    return target


@pytest.fixture(scope="module", params=sorted(BINDINGS))
def real(request, downloads, tmp_path_factory):
    """Classes and members of the real bindings, with their docstrings."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler for the stub libraries")
    wheel = fetched(BINDINGS[request.param], downloads)
    stubs = tmp_path_factory.mktemp("stubs")
    major = request.param.split(".")[0]
    for library, symbols in STUBS.items():
        source = stubs / f"{library}.c"
        source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols))
        target = stubs / f"lib{library}.so.{major}"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stubs), "PYTHONPATH": str(wheel)}
    done = subprocess.run(
        [sys.executable, "-c", DUMP], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


class _Uses(ast.NodeVisitor):
    """Every attribute of TensorRT's module and of its objects, with the arguments where it is called."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, int | None, str]] = []
        self._functions: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self._note(node.func, len(node.args) + len(node.keywords))
            self.visit(node.func.value)
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self.visit(argument)
        else:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note(node, None)
        self.generic_visit(node)

    def _note(self, node: ast.Attribute, arguments: int | None) -> None:
        owner = self._class_of(node.value)
        if owner is not None:
            self.found.append((owner, node.attr, arguments, self._functions[-1] if self._functions else ""))

    def _class_of(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return "" if node.id == "api" else VARIABLES.get(node.id)
        if isinstance(node, ast.Attribute):
            outer = self._class_of(node.value)
            return node.attr if outer == "" else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return RETURNS.get((self._class_of(node.func.value) or "", node.func.attr))
        return None


def uses() -> list[tuple[str, str, int | None, str]]:
    found = _Uses()
    for module in (tensorrt_runtime, builder_module):
        found.visit(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")))
    return found.found


def argument_counts(docstring: str) -> list[range]:
    """How many arguments each overload takes without self, from the signatures that pybind11 writes."""
    counts = []
    for signature in re.findall(r"^(?:\d+\. )?\w+\((self:.*)\) ->", docstring, flags=re.MULTILINE):
        depth, parts, start = 0, [], 0
        for place, letter in enumerate(signature):
            depth += (letter in "[(<") - (letter in "])>")
            if letter == "," and depth == 0:
                parts.append(signature[start:place])
                start = place + 1
        parts.append(signature[start:])
        optional = sum("=" in part for part in parts)
        counts.append(range(len(parts) - 1 - optional, len(parts)))
    return counts


def test_signatures_are_read_from_docstrings():
    one = "parse(self: trt.OnnxParser, model: typing_extensions.Buffer, path: str = None) -> bool\n\n text"
    assert argument_counts(one) == [range(1, 3)]
    two = (
        "f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: a, b: dict[str, int]) -> None\n\n2. f(self: a) -> None"
    )
    assert argument_counts(two) == [range(1, 2), range(0, 1)]
    assert argument_counts("no signature") == []


def test_the_scan_finds_what_the_code_uses():
    found = {(owner, name) for owner, name, *_ in uses()}
    assert {
        ("", "Builder"),
        ("Builder", "build_serialized_network"),
        ("IExecutionContext", "execute_async_v3"),
    } <= found
    assert {
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("ParserError", "desc"),
        ("EngineInspector", "get_engine_information"),
        ("ProfilingVerbosity", "DETAILED"),
    } <= found
    assert len(found) > 45


def test_nothing_of_the_weakly_typed_generation_is_used():
    names = {name for _, name, *_ in uses()}
    assert not names & {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS", "EXPLICIT_BATCH", "precision", "set_flag"}


def test_every_name_the_code_uses_exists_and_takes_those_arguments(real):
    missing, wrong = [], []
    for owner, name, arguments, function in uses():
        if owner == "":
            if name not in real["classes"] and name != "__version__":
                missing.append(name)
            continue
        members = real["classes"].get(owner, {})
        if name not in members:
            missing.append(f"{owner}.{name} in {function}")
        elif arguments is not None and name != "__init__":
            counts = argument_counts(members[name])
            if counts and not any(arguments in count for count in counts):
                wrong.append(f"{owner}.{name} with {arguments} arguments in {function}: {members[name][:200]}")
    assert not missing
    assert not wrong


def test_the_fake_has_no_name_that_the_real_one_lacks(real):
    api = make_api(real["version"], FakeCuda())
    extra = []
    for name, kind in vars(api).items():
        if not isinstance(kind, type):
            continue
        members = real["classes"].get(name)
        if members is None:
            extra.append(name)
            continue
        own = {item for item in vars(kind) if not item.startswith("_")}
        own -= {"name", "value"}
        extra += [f"{name}.{item}" for item in own if item not in members]
    assert not extra


def test_the_fakes_methods_take_as_many_arguments_as_the_real_ones(real):
    api = make_api(real["version"], FakeCuda())
    wrong = []
    for name, kind in vars(api).items():
        if not isinstance(kind, type):
            continue
        for item, value in vars(kind).items():
            if item.startswith("_") or not hasattr(value, "__code__"):
                continue
            counts = argument_counts(real["classes"][name].get(item, ""))
            taken = value.__code__.co_argcount - 1
            if counts and not any(taken in count for count in counts):
                wrong.append(f"{name}.{item} takes {taken}, the real one {counts}")
    assert not wrong


@pytest.mark.parametrize("requirement", ["nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime>=13"])
def test_the_cuda_runtime_has_every_call_and_without_a_gpu_says_so(downloads, requirement):
    wheel = fetched(requirement, downloads)
    libraries = sorted(str(path) for path in wheel.rglob("libcudart.so*"))
    if not libraries:
        pytest.skip(f"{requirement} holds no libcudart for this system")
    library = ctypes.CDLL(libraries[0])
    assert [call for call in CALLS if not hasattr(library, call)] == []
    assert re.fullmatch(r"\d+\.\d|backend 'tensorrt' is not available: no NVIDIA GPU can be used.*", answer(libraries))


def answer(libraries: list[str]) -> str:
    """The compute capability of the GPU, or why there is none."""
    try:
        return CudaRuntime(libraries).gpu().capability
    except BackendUnavailable as error:
        return str(error)


def test_every_cuda_call_of_the_code_is_in_the_list():
    text = Path(str(cuda_module.__file__)).read_text(encoding="utf-8")
    assert set(re.findall(r'"(cuda[A-Z]\w+)"|_library\.(cuda\w+)', text)) >= {(call, "") for call in CALLS}
    used = {one or two for one, two in re.findall(r'"(cuda[A-Z]\w+)"|_library\.(cuda\w+)', text)}
    assert used == set(CALLS)
