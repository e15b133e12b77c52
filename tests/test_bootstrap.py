"""The packages that the set-up installs, and its messages if it cannot."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "bootstrap.py"


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("machine", "glibc", "qt"),
    [
        ("x86_64", (2, 31), "qt67"),
        ("x86_64", (2, 34), "qt"),
        ("aarch64", (2, 35), "qt67"),
        ("aarch64", (2, 38), "qt67"),
        ("aarch64", (2, 39), "qt"),
        ("AMD64", None, "qt"),
        ("arm64", None, "qt"),
    ],
)
def test_an_older_c_library_gets_the_older_qt(
    bootstrap: ModuleType, machine: str, glibc: tuple[int, int] | None, qt: str
) -> None:
    assert [path.stem for path in bootstrap.locks("app", machine, glibc)] == ["app", qt]
    assert [path.stem for path in bootstrap.locks("edge", machine, glibc)] == ["edge"]


def test_locks_hold_versions_and_hashes_and_nothing_else() -> None:
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert [file.stem for file in files] == ["app", "edge", "qt", "qt67", "test"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, file
        for block in re.split(r"\n(?! )", text.strip()):
            first, *hashes = block.splitlines()
            assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==\S+( ; .+)? \\", first), f"{file}: {first}"
            assert hashes, f"{file}: {first}"
            assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), first


def test_qt_is_only_in_its_own_locks() -> None:
    for name, there in (("app", False), ("edge", False), ("test", False), ("qt", True), ("qt67", True)):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        assert ("pyqt6==" in text) is there, name
    assert re.search(r"^pyqt6==6\.7\.", (ROOT / "requirements" / "qt67.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_a_library_that_is_missing_names_its_package(bootstrap: ModuleType) -> None:
    if not sys.platform.startswith("linux"):
        assert bootstrap.missing_libraries(["libnothing.so.1=nothing"]) == []
        return
    assert bootstrap.missing_libraries(["libc.so.6=libc6", "libnothing.so.1=nothing"]) == ["nothing"]
    assert bootstrap.missing_commands(["sh=dash", "no-such-command=nothing"]) == ["nothing"]


def test_without_root_the_command_to_type_is_printed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.Refused, match="sudo apt-get install libegl1 libgl1"):
        bootstrap.install_packages(["libegl1", "libgl1"])
    (tmp_path / "apt-get").unlink()
    with pytest.raises(bootstrap.Refused, match="what your distribution calls"):
        bootstrap.install_packages(["libegl1"])


def test_another_python_is_refused_in_one_line(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "NEWEST", (3, 9))
    with pytest.raises(bootstrap.Refused, match=r"Python 3\.10 to 3\.9 is needed; this is"):
        bootstrap.make_environment("app")


def test_an_unknown_task_is_the_users_mistake() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "fly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scripts/bootstrap.py run" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "alone"), [([], False), (["--all"], False), (["-k", "x"], True), (["a.py"], True)]
)
def test_a_run_of_everything_uses_every_core(bootstrap: ModuleType, arguments: list[str], alone: bool) -> None:
    assert (bootstrap.side_by_side(arguments) == []) is alone
