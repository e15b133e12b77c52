"""The wheel and the sdist, installed outside the clone; slow, so only with --all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MB = 100  # limit of a file in the public package index

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dist/ built in a copy of the tracked files, so that the clone stays clean."""
    folder = tmp_path_factory.mktemp("build")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(folder / "source")], check=True)
    return folder


def test_packages_are_below_the_limit_and_hold_what_is_shipped(built: Path) -> None:
    (wheel,), (sdist,) = list(built.glob("*.whl")), list(built.glob("*.tar.gz"))
    for package in (wheel, sdist):
        assert package.stat().st_size < LIMIT_MB << 20, package.name
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"edgeemo/demo/demo.mp4", "engines/face_models/NOTICE", "engines/zoo/hybrid_lite/model.onnx"} <= names
    assert "edgeemo/ui/languages/edgeemo_de.ts" in names


def test_an_installed_wheel_runs_the_demo_outside_the_clone(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    programs = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    done = subprocess.run(
        [str(programs / "edgeemo"), "run", "--source", "demo", "--frames", "25"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 25
    assert all(row["faces"] for row in rows)
    asked = subprocess.run(
        [str(programs / "python"), "-c", "from engines.installation import pip_install; print(pip_install('app'))"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=True,
    )  # fmt: skip
    assert asked.stdout == f"pip install '{wheel}[app]'\n"
