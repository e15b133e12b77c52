"""TensorRT as an installed device runs it: the package is root's and read-only, the service is another user's.

Real processes; the CUDA runtime is a stub, TensorRT a small one that computes on the CPU. The unprivileged user may
read everything (the tests' Python may lie in a closed home folder) and write nothing that is not his.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from test_trt_end_to_end import CUDA

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
# the pretended TensorRT needs onnx; what is tested must do without, as the extra `edge` has none
TENSORRT = """
from fake_tensorrt import make_api

class _Now:
    def enqueue(self, stream, step):
        step()

globals().update(vars(make_api("10.3.0", _Now())))
"""
SITE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the pretended TensorRT imports ONNX Runtime before engines does
import tensorrt
sys.modules["onnx"] = sys.modules["onnxconverter_common"] = sys.modules["torch"] = None
"""
RUN = """
import json, sys
import numpy as np
from engines import Engine, find_bundle

face = np.random.default_rng(0).integers(0, 255, (48, 48, 1), np.uint8)
with Engine.open("hybrid_lite", backend="tensorrt") as engine:
    first = engine.description
    if hasattr(engine._backend, "join"):
        engine._backend.join(100)
    probabilities = engine.infer([face])
    then = engine.description
with Engine.open("hybrid_lite") as plain:
    difference = float(np.abs(plain.infer([face]) - probabilities).max())
folder = str(find_bundle("hybrid_lite").folder)
print(json.dumps({"first": first, "then": then, "difference": difference, "folder": folder}))
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("cc") is None,
    reason="needs root to drop privileges from, setpriv and a C compiler",
)


@pytest.fixture
def device():
    """A folder that everybody may enter, with an installed package and the libraries of a device."""
    base = Path(tempfile.mkdtemp(prefix="edgeemo-device-"))
    base.chmod(0o755)
    site = base / "site"
    shutil.copytree(
        ROOT / "engines", site / "engines", ignore=shutil.ignore_patterns("__pycache__", "baseline*", "res*")
    )
    (site / "tensorrt").mkdir()
    (site / "tensorrt" / "__init__.py").write_text(TENSORRT)
    (site / "sitecustomize.py").write_text(SITE)
    shutil.copyfile(ROOT / "tests" / "fake_tensorrt.py", site / "fake_tensorrt.py")
    (base / "lib").mkdir()
    (base / "cuda.c").write_text(CUDA)
    library = str(base / "lib" / "libcudart.so.12")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(base / "cuda.c")], check=True)
    home = base / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    yield base
    shutil.rmtree(base)


def run(device, *arguments, user=0):
    home = device / ("root" if user == 0 else "home")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(device / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(device / "lib"),
        "EDGEEMO_SYSTEM_CACHE": str(device / "cache"),
        "HOME": str(home),
    }
    command = [sys.executable, *arguments]
    if user:
        capability = "-all,+dac_read_search"
        command = [
            *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
            *(f"--inh-caps={capability}", f"--ambient-caps={capability}", f"--bounding-set={capability}"),
            *command,
        ]
    return subprocess.run(
        command, env=environment, cwd=device, capture_output=True, text=True, timeout=240, check=False
    )


EXPORT = ("-m", "engines.export.cli", "--arch", "hybrid_lite", "--fp16", "--backend", "tensorrt")


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_root_builds_at_installation_and_the_services_user_runs_the_plan_at_once(device):
    before = listing(device / "site")
    built = run(device, *EXPORT)
    assert built.returncode == 0, built.stderr
    (plan,) = (device / "cache" / "plans").glob("hybrid_lite-*/*.plan")
    assert f"published: {plan}" in built.stdout
    checked = run(device, *EXPORT, "--check", user=NOBODY)
    assert checked.returncode == 0, checked.stderr
    assert f"{plan}: accepted on this device" in checked.stdout
    done = run(device, "-c", RUN, user=NOBODY)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["first"] == told["then"] == "TensorRT 10.3.0, Stub GPU, FP16"
    assert told["difference"] < 0.02
    assert told["folder"] == str(device / "site" / "engines" / "zoo" / "hybrid_lite")
    assert listing(device / "site") == before
    assert listing(device / "home") == []


def test_without_roots_plan_the_user_gets_one_in_his_own_cache_and_every_later_start_uses_it(device):
    missing = run(device, *EXPORT, "--check", user=NOBODY)
    assert missing.returncode == 2
    assert "no plan was built for this device; build it: edgeemo-export" in missing.stderr
    for start in range(2):
        done = run(device, "-c", RUN, user=NOBODY)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["first"].startswith("TensorRT" if start else "ONNX Runtime")
        assert told["then"] == "TensorRT 10.3.0, Stub GPU, FP16"
        # the bundle is the shipped one: no copy of it stands in front
        assert told["folder"] == str(device / "site" / "engines" / "zoo" / "hybrid_lite")
    (plan,) = (device / "home" / ".cache" / "edgeemo" / "plans").glob("hybrid_lite-*/*.plan")
    assert plan.stat().st_uid == NOBODY
    assert not (device / "home" / ".local").exists()
    assert not (device / "cache").exists()
