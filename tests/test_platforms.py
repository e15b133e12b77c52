"""Rules of Windows and macOS, simulated on Linux by fakes of their documented behaviour."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import pytest

import edgeemo.system.unit as unit
from edgeemo.capture.desktop_cameras import advice, ask_permission, found, open_capture
from edgeemo.errors import ServiceError, SourceError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.output import TextOutput
from edgeemo.system.file_url import path_of_source, path_of_url
from edgeemo.system.process import peak_memory_mb, return_free_memory, usable_cpus
from engines.backends.cuda import library_names
from engines.files import atomic_write, can_write, replace_file

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the fake looks into /proc")


def test_every_module_can_be_imported_without_what_windows_lacks() -> None:
    """Windows lacks resource, pwd, grp, fcntl and other modules."""
    program = """
        import importlib, pkgutil, sys

        def names():
            for package in ("engines", "edgeemo"):
                yield package
                for module in pkgutil.walk_packages([package], package + "."):
                    if ".ui" not in module.name and "__main__" not in module.name:
                        yield module.name

        modules = list(names())
        for name in modules:  # first with everything there: the packages below are those of this system
            try:
                importlib.import_module(name)
            except ImportError as error:
                if (error.name or "").partition(".")[0] in ("engines", "edgeemo"):
                    raise
        for name in [name for name in sys.modules if name.partition(".")[0] in ("engines", "edgeemo")]:
            del sys.modules[name]
        for name in ("resource", "pwd", "grp", "fcntl", "termios", "pty", "syslog"):
            sys.modules[name] = None
        sys.platform = "win32"
        for name in modules:
            try:
                importlib.import_module(name)
            except ImportError as error:
                if error.name in ("resource", "pwd", "grp", "fcntl", "termios", "pty", "syslog"):
                    raise
        print(len(modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 60


def open_files() -> set[str]:
    there = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            there.add(os.readlink(link))
        except OSError:
            continue
    return there


@pytest.fixture
def windows_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates Windows, which neither renames nor replaces an open file."""
    real = os.replace

    def replace(source: str | Path, target: str | Path) -> None:
        if open_files() & {os.path.realpath(source), os.path.realpath(target)}:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


@LINUX
@pytest.mark.usefixtures("windows_rename")
def test_rotation_renames_no_open_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    context = SinkContext(("neutral",), draw=lambda result: result.frame.image, lasting=True)
    output = TextOutput(str(path), "jsonl", context, rotate_bytes=20, keep=2)
    for number in range(6):
        output.write(f"line {number} of six\n")
    output.close()
    kept = "".join(p.read_text() for p in (tmp_path / "results.jsonl.2", tmp_path / "results.jsonl.1", path))
    assert kept == "".join(f"line {number} of six\n" for number in (3, 4, 5))


@LINUX
@pytest.mark.usefixtures("windows_rename")
def test_an_atomic_write_renames_no_open_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    atomic_write(path, "one")
    atomic_write(path, "two")
    assert path.read_text() == "two"


@LINUX
@pytest.mark.usefixtures("windows_rename")
def test_a_target_that_stays_open_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("one")
    with path.open(), pytest.raises(PermissionError):
        atomic_write(path, "two")
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]
    assert path.read_text() == "one"


def test_a_target_that_is_open_for_a_moment_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals = os.replace, iter([PermissionError(13, "in use")] * 3)

    def replace(source: Path, target: Path) -> None:
        for refusal in refusals:
            raise refusal
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    replace_file(source, target, retries=5)
    assert target.read_text() == "new"


def test_whether_a_folder_can_be_written_to_is_tried(tmp_path: Path) -> None:
    assert can_write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not can_write(tmp_path / "missing")
    (tmp_path / "file").touch()
    assert not can_write(tmp_path / "file")


@pytest.mark.parametrize(
    ("url", "windows", "path"),
    [
        ("file:///C:/clips/a.mp4", True, r"C:\clips\a.mp4"),
        ("file:///c:/my%20clips/%C3%A4.mp4", True, "c:\\my clips\\\u00e4.mp4"),
        ("file://localhost/D:/a.mp4", True, r"D:\a.mp4"),
        ("file://server/share/a.mp4", True, r"\\server\share\a.mp4"),
        ("file:///clips/a%20b.mp4", False, "/clips/a b.mp4"),
        ("file:///C:/clips/a.mp4", False, "/C:/clips/a.mp4"),
        ("file:///clips/a.mkv#stream=1", False, "/clips/a.mkv"),
    ],
)
def test_a_file_url_means_the_systems_own_path(url: str, windows: bool, path: str) -> None:
    assert path_of_url(url, windows=windows) == path


def test_the_path_of_a_source_has_no_number_of_a_stream(tmp_path: Path) -> None:
    assert path_of_source("/clips/a.mkv#stream=1") == "/clips/a.mkv"
    (tmp_path / "a.mkv#stream=1").touch()  # a name of a file
    assert path_of_source(f"{tmp_path}/a.mkv#stream=1") == f"{tmp_path}/a.mkv#stream=1"
    assert path_of_source("rtsp://cam/#stream=1x") == "rtsp://cam/#stream=1x"


@dataclass
class FakeCapture:
    """A fake cv2.VideoCapture; `opens` has each (index, interface) that delivers pictures."""

    opens: set[tuple[int, int]]
    tried: list[tuple[int, int]] = field(default_factory=list)
    released: int = 0

    def __call__(self, index: int, api: int, options: Sequence[int]) -> FakeCapture:
        self.tried.append((index, api))
        return self

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return self.tried[-1] in self.opens

    def release(self) -> None:
        self.released += 1


@dataclass(frozen=True)
class FakeInfo:
    """A fake entry of cv2_enumerate_cameras."""

    index: int
    name: str


def test_windows_falls_back_to_directshow() -> None:
    only_directshow = FakeCapture({(1, cv2.CAP_DSHOW)})
    assert open_capture(1, [], platform="win32", capture=only_directshow) is only_directshow
    assert only_directshow.tried == [(1, cv2.CAP_MSMF), (1, cv2.CAP_DSHOW)]
    assert only_directshow.released == 1
    nothing = FakeCapture(set())
    assert open_capture(1, [], platform="win32", capture=nothing) is None
    assert nothing.released == 2


def test_cameras_are_listed_with_the_numbers_of_one_interface() -> None:
    rows = {
        cv2.CAP_MSMF: [FakeInfo(0, "Integrated Camera"), FakeInfo(1, "")],
        cv2.CAP_DSHOW: [FakeInfo(0, "Virtual Camera"), FakeInfo(1, "Integrated Camera")],
        cv2.CAP_AVFOUNDATION: [],
    }
    assert found("win32", rows.__getitem__) == [(0, "Integrated Camera"), (1, "camera 1")]
    assert found("win32", lambda api: rows[api] if api == cv2.CAP_DSHOW else [])[0] == (0, "Virtual Camera")
    assert found("darwin", rows.__getitem__) == []


def test_macos_is_asked_for_the_camera_from_the_main_thread_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.capture.desktop_cameras._asked", False)
    refused, allowed = FakeCapture(set()), FakeCapture({(0, cv2.CAP_AVFOUNDATION)})
    ask_permission("darwin", capture=refused, on_main_thread=False)
    assert refused.tried == []
    with pytest.raises(SourceError, match="Privacy & Security > Camera"):
        ask_permission("darwin", capture=refused, on_main_thread=True)
    for _ in range(2):
        ask_permission("darwin", capture=allowed, on_main_thread=True)
    assert allowed.tried == [(0, cv2.CAP_AVFOUNDATION)]
    ask_permission("win32", capture=FakeCapture(set()), on_main_thread=True)


@pytest.mark.parametrize(("platform", "word"), [("win32", "Task Scheduler"), ("darwin", "LaunchAgent")])
def test_service_says_what_to_use_where_there_is_no_systemd(
    platform: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit.sys, "platform", platform)
    with pytest.raises(ServiceError, match=word):
        unit.state("edgeemo")
    assert "group video" not in advice(platform)


def test_memory_and_processors_of_this_process_are_known() -> None:
    assert peak_memory_mb() > 20
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("platform", "first", "files"),
    [
        (
            "win32",
            "cudart64_13.dll",
            ["nvidia/cuda_runtime/bin/cudart64_12.dll", "nvidia/cu13/bin/x86_64/cudart64_13.dll"],
        ),
        ("linux", "libcudart.so.13", ["nvidia/cuda_runtime/lib/libcudart.so.12", "nvidia/cu13/lib/libcudart.so.13"]),
    ],
)
def test_the_cuda_runtime_is_looked_for_under_the_systems_own_names(
    tmp_path: Path, platform: str, first: str, files: list[str]
) -> None:
    """The paths are those in NVIDIA's wheels 12.9.79 and 13.5.37."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    names = library_names(platform, [str(tmp_path)])
    assert names[0] == first
    assert names[-2:] == sorted((str(tmp_path / name) for name in files), reverse=True)
    assert not any(name.endswith(".so") for name in names) or platform == "linux"


@LINUX
def test_free_pages_between_live_objects_are_returned() -> None:
    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    objects = [bytes(3000) for _ in range(20_000)]
    kept = objects[::500]
    del objects
    before = resident_mb()
    return_free_memory()
    if platform.libc_ver()[0] == "glibc":
        assert resident_mb() < before - 30
    assert len(kept) == 40
