from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeemo.config import load_config
from engines import installation

ROOT = Path(__file__).resolve().parents[1]


def test_slow_tests_run_only_with_all() -> None:
    def collected(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", __file__, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True).stdout

    slow = test_on_a_jetson_every_dependency_has_a_wheel.__name__
    assert slow in collected("--all")
    assert slow not in collected()


@pytest.mark.slow
def test_on_a_jetson_every_dependency_has_a_wheel() -> None:
    """Resolves for aarch64, Python 3.10 and the C library of JetPack 5 and 6."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    done = subprocess.run(
        [uv, "pip", "compile", "--quiet", "--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.10",
         "--only-binary", ":all:", "--no-header", "--no-annotate", "--extra", "edge", "pyproject.toml"],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode and re.search(r"error sending request|dns error|timed out|network|Connection", done.stderr):
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert {"onnxruntime", "opencv-contrib-python", "paho-mqtt", "prometheus-client", "uvicorn"} <= names
    assert not names & {"torch", "pyqt6", "onnx", "opencv-python", "mediapipe", "matplotlib"}


def test_the_locked_packages_of_a_device_are_hashed_and_free_of_torch_and_qt() -> None:
    text = (ROOT / "requirements" / "edge.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert "paho-mqtt" in names
    assert not {"torch", "pyqt6"} & set(names)
    assert text.count("--hash=sha256:") >= len(names)


def test_the_configuration_to_start_from_is_valid() -> None:
    config = load_config(ROOT / "docs" / "edge.toml")
    assert [source.name for source in config.sources] == ["desk"]
    assert config.sqlite is not None


def test_the_set_up_for_a_jetson_refuses_another_machine() -> None:
    if Path("/etc/nv_tegra_release").exists():
        pytest.skip("this is a Jetson")
    done = subprocess.run(
        [ROOT / "scripts" / "jetson-setup", "--to", "/nonexistent"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "this is not a Jetson" in done.stderr
    assert not Path("/nonexistent").exists()


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///opt/my%20clones/edgeemo"}, "pip install '/opt/my clones/edgeemo[app]'"),
        (
            {"url": "file:///opt/edgeemo", "dir_info": {"editable": True}},
            "pip install -e '/opt/edgeemo[app]'",
        ),
        (
            {"url": "file:///tmp/edgeemo-0.1.0-py3-none-any.whl"},
            "pip install '/tmp/edgeemo-0.1.0-py3-none-any.whl[app]'",
        ),
        ({"url": "https://example.org/edgeemo.whl"}, "pip install '.[app]' in the clone of edgeemo"),
        (None, "pip install '.[app]' in the clone of edgeemo"),
    ],
)
def test_an_extra_is_installed_from_where_edgeemo_came_from(
    origin: dict[str, object] | None, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "edgeemo-0.1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: edgeemo\nVersion: 0.1.0\n")
    if origin:
        (record / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installation.pip_install("app") == command
    monkeypatch.setattr(installation, "PUBLISHED", True)
    assert installation.pip_install("app") == "pip install 'edgeemo[app]'"
    assert installation.pip_install() == "pip install edgeemo"


def test_no_message_names_a_package_that_is_not_published() -> None:
    for package in ("edgeemo", "engines", "trainer"):
        for file in (ROOT / package).rglob("*.py"):
            assert "pip install 'edgeemo" not in file.read_text(encoding="utf-8"), file
