"""TensorRT on a device: the package belongs to root and is read-only, the service runs as another user.

Real processes; the CUDA runtime is a stub, and a small TensorRT computes on the CPU. The unprivileged user may
read everything (the tests' Python may be in a private home folder), but write only the user's own files.
"""

import importlib
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
# the fake TensorRT needs onnx, but the tested code must work without it: the extra `edge` does not install it
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
    backend = engine._backend._backend  # inside the one that checks probabilities
    if type(backend).__name__ == "SwappingBackend":
        assert backend.join(100)
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
    """A folder that every user may enter, with an installed package and the libraries of a device."""
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
        # the bundle is the shipped one, not a copy in the user's folder
        assert told["folder"] == str(device / "site" / "engines" / "zoo" / "hybrid_lite")
    (plan,) = (device / "home" / ".cache" / "edgeemo" / "plans").glob("hybrid_lite-*/*.plan")
    assert plan.stat().st_uid == NOBODY
    assert not (device / "home" / ".local").exists()
    assert not (device / "cache").exists()


@pytest.mark.slow
def test_jetson_setup_installs_builds_the_plan_and_tries_it_as_the_services_user(device):
    """Installs into a temporary root, with the real packages and the system's Python, which every user may run."""
    system = "/usr/bin/python3"
    if subprocess.run([system, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        pytest.skip("the system's Python has no venv")
    version = subprocess.run(
        [system, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    if version.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip("the pretended TensorRT needs the onnx of these tests, which is for another Python")
    # the packages that the fake TensorRT needs, but not edgeemo itself
    shutil.rmtree(device / "site" / "engines")
    for name in ("onnx", "ml_dtypes", "google"):
        (folder,) = importlib.import_module(name).__path__[:1]
        shutil.copytree(folder, device / "site" / name)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHON": system,
        "PYTHONPATH": str(device / "site"),
        "LD_LIBRARY_PATH": str(device / "lib"),
        "EDGEEMO_SYSTEM_CACHE": str(device / "cache"),
        "HOME": str(device / "root"),
    }
    command = [str(ROOT / "scripts" / "jetson-setup"), "--anyway", "--user", "nobody", "--to", str(device / "opt")]
    done = subprocess.run(
        [*command, "--config", str(device / "edge.toml")],
        env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (plan,) = (device / "cache" / "plans").glob("hybrid_lite-*/*.plan")
    assert f"{plan}: accepted on this device" in done.stdout
    assert "the user nobody can run it" in done.stderr
    assert (device / "edge.toml").is_file()
    doctor = subprocess.run(
        [device / "opt" / "bin" / "edgeemo", "doctor"],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "tensorrt: can be used" in doctor.stdout


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("# R35 (release), REVISION: 4.1", "JetPack 5 or older) has Python 3.8 and TensorRT 8: not supported"),
        ("# R32 (release), REVISION: 7.1", "not supported. Install JetPack 6.2"),
        (None, "this is not a Jetson"),
    ],
)
def test_jetson_setup_refuses_what_cannot_work_and_says_why(tmp_path, release, said):
    file = tmp_path / "nv_tegra_release"
    if release is not None:
        file.write_text(f"{release}, GCID: 1\n")
    environment = {**os.environ, "TEGRA_RELEASE": str(file)}
    command = [str(ROOT / "scripts" / "jetson-setup"), "--to", str(tmp_path / "opt")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "opt").exists()
