"""scripts/gpu-run on the CPU, with one network, few faces and small sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import make_ferplus

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "gpu-run"


def run(root, output, *more):
    command = [sys.executable, str(SCRIPT), "--data", f"ferplus:{root}", "--output", str(output), "--device", "cpu"]
    command += ["--network", "resnet128", "--size", "32", "--batch", "16", "--calls", "2", "--faces", "64", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])}
    return subprocess.run(command, capture_output=True, text=True, timeout=220, env=environment, check=False)


@pytest.fixture
def stopped(tmp_path):
    """The data and output of a call whose time was up at once."""
    root = make_ferplus(make_ferplus(tmp_path / "set", "FER2013Train", 32), "FER2013Valid", 16, seed=1)
    first = run(root, tmp_path / "runs", "--epochs", "1", "--minutes", "0")
    assert first.returncode == 3, first.stderr
    assert "0 of 1" in first.stdout
    return root, tmp_path / "runs"


def test_it_stops_when_the_time_is_up(stopped):
    _, output = stopped
    assert "0 of 1" in (output / "report.md").read_text()


@pytest.mark.slow
def test_the_same_command_finishes(stopped):
    root, output = stopped
    second = run(root, output, "--epochs", "1", "--minutes", "10")
    assert second.returncode == 0, second.stderr
    report = (output / "report.md").read_text()
    assert "| resnet128 | 9,691,115 | 1 of 1 | " in report
    assert "loader ahead" in report
    assert json.loads((output / "latency.json").read_text())["resnet128"]["8 faces, ms"] > 0


def test_a_mistake_is_exit_code_2(tmp_path):
    done = run(tmp_path / "nothing", tmp_path / "runs")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
