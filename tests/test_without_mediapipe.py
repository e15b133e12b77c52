"""A headless installation runs without MediaPipe and does not import it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import BackendUnavailable
from engines.face_detector import FaceDetector, resolve_runtime
from trainer.data.faces import cache_folder

HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mediapipe":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv = ["edgeemo", *sys.argv[1:]]
"""


def without_mediapipe(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDDEN + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_runs_headless(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code = "from edgeemo.cli import main; sys.exit(main())"
    done = without_mediapipe(code, "run", "--source", "demo", "--frames", "6", "--sink", f"jsonl:{out}")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 6
    assert all(len(line["faces"]) == 1 for line in lines)


def test_doctor_says_what_runs_in_its_place() -> None:
    code = "from edgeemo.doctor import CHECKS; from edgeemo.config import Config; print(CHECKS['detector'](Config()))"
    done = without_mediapipe(code)
    assert "status='ok'" in done.stdout, done.stderr
    assert "ONNX Runtime" in done.stdout
    assert "MediaPipe is not installed" in done.stdout


def test_asked_for_by_name_it_is_one_clear_line(tmp_path: Path) -> None:
    config = tmp_path / "edgeemo.toml"
    config.write_text('source = "demo"\n[detect]\nruntime = "mediapipe"\n')
    done = without_mediapipe("from edgeemo.cli import main; sys.exit(main())", "run", "--config", str(config))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("edgeemo: ")
    assert "[app]'" in done.stderr


def test_nothing_headless_imports_it_while_onnx_is_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "edgeemo.toml"
    config.write_text('source = "demo"\nframes = 3\n[detect]\nruntime = "onnx"\n')
    code = "import sys; from edgeemo.cli import main; main(); print('mediapipe' in sys.modules, 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, "run", "--config", str(config), "--sink", f"jsonl:{tmp_path / 'o.jsonl'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_untested_version_is_used_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.mediapipe_detector.version", lambda: "9.9.9")
    runtime, reason = resolve_runtime()
    assert runtime == "onnx"
    assert "9.9.9" in reason
    assert "not tested" in reason
    assert resolve_runtime("mediapipe")[0] == "mediapipe"
    monkeypatch.setattr("engines.mediapipe_detector.version", lambda: "")
    with pytest.raises(BackendUnavailable, match=r"\[app\]"):
        FaceDetector(runtime="mediapipe")


def test_cut_faces_of_another_runtime_are_not_used_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from engines.spec import ModelSpec
    from trainer.data import open_data

    (tmp_path / "pictures" / "happiness").mkdir(parents=True)
    for row in range(12):
        name = tmp_path / "pictures" / "happiness" / f"{row}.png"
        cv2.imwrite(str(name), np.full((40, 40, 3), 20 * row, np.uint8))
    data = open_data(f"folder:{tmp_path / 'pictures'}", "train")
    folders = set()
    for version in ("", "1.2.2"):
        monkeypatch.setattr(
            "engines.mediapipe_detector.not_silent", lambda version=version: "" if version else "missing"
        )
        folders.add(cache_folder(data, ModelSpec("test", size=48), tmp_path))
    assert len(folders) == 2
