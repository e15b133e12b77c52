"""The commands and the switch to TensorRT as on a device: real processes, a stub of the CUDA runtime in C (its
memory is the host's), and the small TensorRT that computes on the CPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import make_ferplus
from small_networks import make_network
from test_export_cli import cut

from engines.backends.cuda import CALLS
from engines.bundle import find_bundle

CUDA = """
#include <stdlib.h>
#include <string.h>
typedef void *P;
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaGetDeviceProperties(char *p, int d) { strcpy(p, "Stub GPU"); return 0; }
int cudaDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : 4; return 0; }
int cudaMalloc(P *p, size_t n) { *p = malloc(n); return *p == 0; }
int cudaMallocHost(P *p, size_t n) { *p = malloc(n); return *p == 0; }
int cudaFree(P p) { free(p); return 0; }
int cudaFreeHost(P p) { free(p); return 0; }
int cudaMemcpyAsync(P to, P from, size_t n, int kind, P s) { memcpy(to, from, n); return 0; }
int cudaStreamCreateWithFlags(P *s, unsigned f) { *s = malloc(1); return 0; }
int cudaStreamDestroy(P s) { free(s); return 0; }
int cudaStreamSynchronize(P s) { return 0; }
int cudaStreamBeginCapture(P s, int m) { return 900; }
int cudaStreamEndCapture(P s, P *g) { return 901; }
int cudaGraphInstantiateWithFlags(P *e, P g, unsigned long long f) { return 1; }
int cudaGraphDestroy(P g) { return 0; }
int cudaGraphExecDestroy(P g) { return 0; }
int cudaGraphLaunch(P g, P s) { return 1; }
const char *cudaGetErrorString(int e) { return e == 900 ? "not permitted" : "stub"; }
"""
TENSORRT = """
from fake_tensorrt import make_api

class _Now:
    def enqueue(self, stream, step):
        step()

globals().update(vars(make_api("10.3.0", _Now())))
"""
SWAP = """
import json, sys
import numpy as np
from engines import Engine

face = np.random.default_rng(0).integers(0, 255, (24, 24, 1), np.uint8)
with Engine.open(sys.argv[1]) as plain, Engine.open(sys.argv[1], backend="tensorrt:fp16") as engine:
    swapping = engine._backend._backend
    first = engine.description
    worst = 0.0
    answers = 0
    while not swapping.join(0.0) if hasattr(swapping, "join") else answers < 3:
        worst = max(worst, float(np.abs(engine.infer([face]) - plain.infer([face])).max()))
        answers += 1
    worst = max(worst, float(np.abs(engine.infer([face] * 20) - plain.infer([face] * 20)).max()))
    print(json.dumps({"first": first, "then": engine.description, "worst": worst, "answers": answers}))
"""


@pytest.fixture
def device(tmp_path):
    """The environment of a process on the simulated device."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler for the stub of the CUDA runtime")
    assert all(f" {call}(" in CUDA or f"*{call}(" in CUDA for call in CALLS)
    source = tmp_path / "cuda.c"
    source.write_text(CUDA)
    libraries = tmp_path / "lib"
    libraries.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(libraries / "libcudart.so.13"), str(source)], check=True)
    package = tmp_path / "python" / "tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(TENSORRT)
    paths = os.pathsep.join([str(package.parent), str(Path(__file__).parent)])
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONPATH": paths,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "EDGEEMO_SYSTEM_CACHE": str(tmp_path / "system"),
    }


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def export(environment, folder, *more):
    return run(environment, "-m", "engines.export.cli", "--bundle", str(folder), "--fp16", *more)


def test_the_plan_is_built_and_used_by_the_next_start(tmp_path, device):
    folder = make_network(tmp_path / "small")
    done = export(device, folder, "--backend", "tensorrt", "--batch", "1:2:8")
    assert done.returncode == 0, done.stderr
    (plan,) = (tmp_path / "system" / "plans").glob("small-*/*.plan")
    assert plan.name.startswith("fp16-stub-gpu-sm87x4-trt10.3.0-")
    assert not (folder / "plans").exists()
    assert f"published: {plan}" in done.stdout
    told = json.loads(run(device, "-c", SWAP, str(folder)).stdout)
    assert told["first"] == told["then"] == "TensorRT 10.3.0, Stub GPU, FP16"
    assert told["worst"] < 0.02


def test_without_a_plan_onnx_runtime_serves_until_a_process_of_its_own_has_built_it(tmp_path, device):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    done = run(device, "-c", SWAP, str(folder))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["first"].startswith("ONNX Runtime")
    assert "TensorRT is being built" in told["first"]
    assert told["then"] == "TensorRT 10.3.0, Stub GPU, FP16"
    assert told["answers"] > 0
    assert told["worst"] < 0.02
    assert len(list((tmp_path / "system" / "plans").glob("small-*/*.plan"))) == 1


def test_an_engine_that_was_edited_on_purpose_gets_its_plan_too(tmp_path, device):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    (folder / "spec.json").write_text((folder / "spec.json").read_text().replace("0.08", "0.09"))
    allowed = SWAP.replace("sys.argv[1]", "sys.argv[1], allow_modified=True")
    done = run(device, "-c", allowed, str(folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["then"] == "TensorRT 10.3.0, Stub GPU, FP16"
    assert run(device, "-c", SWAP, str(folder)).returncode == 1


def test_one_command_makes_the_fp16_file_and_where_a_gpu_is_the_plan_too(tmp_path, device):
    folder = make_network(tmp_path / "small")
    done = export(device, folder)
    assert done.returncode == 0, done.stderr
    (plan,) = (tmp_path / "system" / "plans").glob("small-*/*.plan")
    assert f"published: {folder / 'model.fp16.onnx'}" in done.stdout
    assert f"published: {plan}" in done.stdout
    assert done.stdout.count("within budget") == 3  # as shipped, emulated, and the plan itself
    assert "layers in half precision" in done.stdout
    # the second call makes nothing
    built = plan.stat().st_mtime_ns
    shown = export(device, folder)
    assert shown.returncode == 0
    assert f"{folder / 'model.fp16.onnx'}: FP16 of small" in shown.stdout
    assert f"{plan}: accepted on this device" in shown.stdout
    assert plan.stat().st_mtime_ns == built
    assert export(device, folder, "--backend", "tensorrt", "--check").returncode == 0
    plan.unlink()
    missing = export(device, folder, "--backend", "tensorrt", "--check")
    assert missing.returncode == 2
    assert "no plan was built for this device; build it: edgeemo-export --bundle" in missing.stderr


def test_an_int8_plan_is_built_from_its_file_and_labelled_faces_alone(tmp_path, device):
    folder = make_network(tmp_path / "small")
    faces = cut(tmp_path / "faces.npz", find_bundle(str(folder)))
    command = ("-m", "engines.export.cli", "--bundle", str(folder), "--int8", "--backend", "tensorrt")
    made = run(device, *command, "--calibration", faces)
    assert made.returncode == 0, made.stderr
    (plan,) = (tmp_path / "system" / "plans").glob("small-*/int8_tensorrt-*.plan")
    plan.unlink()
    again = run(device, *command, "--data", faces)
    assert again.returncode == 0, again.stderr
    assert f"published: {plan}" in again.stdout


def test_a_plan_of_another_version_is_built_again_not_loaded(tmp_path, device):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "tensorrt").returncode == 0
    (plan,) = (tmp_path / "system" / "plans").glob("small-*/*.plan")
    plan.write_bytes(b"PLAN harmed")
    told = json.loads(run(device, "-c", SWAP, str(folder)).stdout)
    assert told["first"].startswith("ONNX Runtime")
    assert told["then"].startswith("TensorRT 10.3.0")
    assert plan.read_bytes() != b"PLAN harmed"


OPTIONS = """
import json, sys
from engines.backends.autoselect import benchmark
from engines.bundle import find_bundle

options = benchmark(find_bundle(sys.argv[1]))
print(json.dumps([[one.choice, one.milliseconds, one.passed, one.fault] for one in options]))
"""


def test_auto_measures_a_plan_and_never_takes_tensorrt_without_one(tmp_path, device):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    options = {one[0]: one[1:] for one in json.loads(run(device, "-c", OPTIONS, str(folder)).stdout)}
    milliseconds, _, fault = options["tensorrt:fp16"]
    assert milliseconds is None
    assert f"build it: edgeemo-export --bundle {folder} --fp16 --backend tensorrt" in fault
    told = json.loads(run(device, "-c", SWAP.replace("tensorrt:fp16", "auto"), str(folder)).stdout)
    assert told["first"].startswith(("ONNX Runtime", "OpenVINO"))
    # a plan that was built since is noticed and measured
    assert export(device, folder, "--backend", "tensorrt").returncode == 0
    options = {one[0]: one[1:] for one in json.loads(run(device, "-c", OPTIONS, str(folder)).stdout)}
    milliseconds, passed, fault = options["tensorrt:fp16"]
    assert milliseconds > 0
    assert passed
    assert fault == ""


DETECT = """
import json, logging
import cv2
from engines.export.face_data import PORTRAIT
from engines.face_detector import FaceDetector

logging.basicConfig(format="%(message)s")
picture = cv2.imread(str(PORTRAIT))
opened = [FaceDetector("short_range", runtime="onnx", backend=name) for name in ("onnx", "tensorrt")]
found = [[each.tolist() for each in (*detector.detect(picture), *detector.search(picture, 0.5))] for detector in opened]
print(json.dumps({"same": found[0] == found[1], "faces": len(found[1][0]), "description": opened[1].description}))
"""


def test_faces_are_detected_with_plans_and_on_the_cpu_without(tmp_path, device):
    without = run(device, "-c", DETECT)
    told = json.loads(without.stdout)
    assert told["same"]
    assert told["description"].endswith(", CPU (no TensorRT plan)")
    assert "no plan was built for this device; build its plan: edgeemo-export --detector" in without.stderr
    done = run(device, "-m", "engines.export.cli", "--detector")
    assert done.returncode == 0, done.stderr
    plans = sorted((tmp_path / "system" / "plans").glob("face_detection_*/*.plan"))
    assert len(plans) == 2
    assert done.stdout.count("published: ") == 2
    told = json.loads(run(device, "-c", DETECT).stdout)
    assert told == {"same": True, "faces": 1, "description": "TensorRT 10.3.0, Stub GPU, FP32"}
    again = run(device, "-m", "engines.export.cli", "--detector")
    assert again.stdout.count("accepted on this device") == 2
    assert "building" not in again.stdout


def test_tensorrt_is_scored_or_the_command_that_builds_its_plan_is_named(tmp_path, device):
    """Regression: without a plan, ONNX Runtime was scored, and a build began."""
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    data = f"ferplus:{make_ferplus(tmp_path / 'set', 'FER2013Valid', 12)}"
    wanted = ("--engine", str(folder), "--data", data, "--backend", "tensorrt")
    for command in ("evaluate", "robustness"):
        refused = run(device, "-m", "trainer.cli", command, *wanted)
        assert refused.returncode == 2
        assert f"build it: edgeemo-export --bundle {folder} --fp16 --backend tensorrt" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert export(device, folder, "--backend", "tensorrt").returncode == 0
    scored = run(device, "-m", "trainer.cli", "evaluate", *wanted)
    assert scored.returncode == 0, scored.stderr
    assert "accuracy" in scored.stdout


def test_a_batch_and_a_benchmark_run_nothing_but_the_chosen_backend(tmp_path, device, demo_clip):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    chosen = ["--engine", str(folder), "--backend", "tensorrt"]
    bench = ["-m", "edgeemo", "bench", "--source", "demo", "--frames", "12", "--json", *chosen]
    batch = ["-m", "edgeemo", "batch", str(demo_clip), "--output", str(tmp_path / "dataset"), *chosen]
    for command in (bench, batch):
        done = run(device, *command)
        assert done.returncode == 2, done.stderr
        assert f"no plan was built for this device; build it: edgeemo-export --bundle {folder} --fp16" in done.stderr
    assert not (tmp_path / "dataset").exists()
    assert export(device, folder, "--backend", "tensorrt").returncode == 0
    assert json.loads(run(device, *bench).stdout)["engine"].startswith("small, TensorRT 10.3.0, Stub GPU, FP16")


def test_saliency_starts_no_second_build(tmp_path, device):
    folder = make_network(tmp_path / "small")
    assert export(device, folder, "--backend", "onnx").returncode == 0
    opened = """
import sys
from contextlib import ExitStack
from edgeemo.config import Config
from edgeemo.ui import saliency_overlay

opened = []
saliency_overlay.occlusion = lambda engine, face, column: opened.append(engine.description)
with ExitStack() as stack:
    saliency_overlay._open(Config(engine=sys.argv[1], backend="tensorrt"), stack)[1](None, 0)
print(opened)
"""
    done = run(device | {"QT_QPA_PLATFORM": "offscreen"}, "-c", opened, str(folder))
    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime" in done.stdout
    assert "being built" not in done.stdout
