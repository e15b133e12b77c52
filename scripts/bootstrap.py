#!/usr/bin/env python3
"""Set up an environment and start the app (`run`) or all checks (`test`). Called by scripts/run and scripts/test.

    python scripts/bootstrap.py run [ARGUMENTS OF edgeemo]
    python scripts/bootstrap.py test [ARGUMENTS OF pytest]
    python scripts/bootstrap.py packages LIBRARY=PACKAGE...     install missing system libraries (Linux)

Needs only Python 3.10 or later. The shell scripts only find a Python, because Windows has no bash. If everything is
installed already, nothing is changed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
LOCKS = ROOT / "requirements"
OLDEST, NEWEST = (3, 10), (3, 14)
WINDOWS = sys.platform == "win32"

# The C library that the wheels of the newest locked PyQt6 need; requirements/qt67.txt is for older systems.
QT_GLIBC = {"x86_64": (2, 34), "aarch64": (2, 39)}
# What OpenCV, ONNX Runtime and NumPy need.
OLDEST_GLIBC = (2, 28)

MOST_TEST_PROCESSES = 4  # each loads torch, Qt and an engine

TORCH = "torch==2.13.0"  # not locked: which build is right depends on the machine

# what the wheels of mediapipe, OpenCV and Qt expect from a Linux system: LIBRARY=PACKAGE
WINDOW_LIBRARIES = (
    "libEGL.so.1=libegl1",
    "libGL.so.1=libgl1",
    "libGLESv2.so.2=libgles2",
    "libglib-2.0.so.0=libglib2.0-0",
    "libdbus-1.so.3=libdbus-1-3",
    "libfontconfig.so.1=libfontconfig1",
    "libxkbcommon-x11.so.0=libxkbcommon-x11-0",
    "libxcb-cursor.so.0=libxcb-cursor0",
    "libxcb-icccm.so.4=libxcb-icccm4",
    "libxcb-image.so.0=libxcb-image0",
    "libxcb-keysyms.so.1=libxcb-keysyms1",
    "libxcb-randr.so.0=libxcb-randr0",
    "libxcb-render-util.so.0=libxcb-render-util0",
    "libxcb-shape.so.0=libxcb-shape0",
    "libxcb-xkb.so.1=libxcb-xkb1",
    "libX11-xcb.so.1=libx11-xcb1",
    "libxcb-util.so.1=libxcb-util1",
    "libSM.so.6=libsm6",
    "libXext.so.6=libxext6",
)
TEST_COMMANDS = ("Xvfb=xvfb", "ffmpeg=ffmpeg", "mosquitto=mosquitto", "chromium=chromium", "strace=strace")
# PyGObject and an RTSP server, for the tests of streams and CSI cameras
GSTREAMER = (
    "python3-gi",
    "gir1.2-gst-plugins-base-1.0",
    "gir1.2-gst-rtsp-server-1.0",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-libav",
    "gstreamer1.0-plugins-ugly",
)


class Refused(Exception):
    """Something that the user has to do first; the message says what."""


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in ("run", "test", "packages"):
        print(__doc__, file=sys.stderr)
        return 2
    os.chdir(ROOT)
    os.environ.setdefault("HOME", str(ENVIRONMENT / "home"))
    command, rest = arguments[0], list(arguments[1:])
    try:
        if command == "packages":
            install_packages(missing_libraries(rest))
            return 0
        return run(rest) if command == "run" else test(rest)
    except Refused as refused:
        say(str(refused))
        return 2
    except subprocess.CalledProcessError as error:
        say(f"this command failed with exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
        return 1


def run(arguments: list[str]) -> int:
    install_packages([*missing_libraries(WINDOW_LIBRARIES), *missing_font()])
    make_environment("app")
    return replace_process([str(program("edgeemo")), *arguments])


def test(arguments: list[str]) -> int:
    install_packages([*missing_libraries(WINDOW_LIBRARIES), *missing_font(), *missing_commands(TEST_COMMANDS)])
    want_gstreamer()
    make_environment("test", TORCH)
    python = str(program("python"))
    for check in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
    ):
        subprocess.run([python, "-m", *check], check=True)
    check_types(python)
    subprocess.run([str(program("lint-imports"))], check=True)
    parallel = side_by_side(arguments)
    if parallel:  # the processes use all cores already; threads of torch and OpenBLAS would only compete
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    return replace_process([python, "-m", "pytest", *parallel, *arguments])


def side_by_side(arguments: Sequence[str]) -> list[str]:
    """Options of pytest-xdist if all tests are run: each process takes whole test files, in the order of collection.

    One process more than cores, because many tests wait for brokers, servers and other processes.
    """
    if any(argument != "--all" for argument in arguments):
        return []
    return [
        "-n",
        str(min((os.cpu_count() or 1) + 1, MOST_TEST_PROCESSES)),
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
    ]


def check_types(python: str) -> None:
    """mypy for this system and, at the same time, for the two others, to find names that exist only on some systems.

    Each has a separate cache, because a cache is valid for one platform.
    """
    commands = [[python, "-m", "mypy"]]
    for system in ("win32", "darwin"):
        commands.append([*commands[0], "--platform", system, "--cache-dir", f".mypy_cache/{system}"])
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in commands]
    outputs = [process.communicate()[0] for process in running]
    for command, process, output in zip(commands, running, outputs, strict=True):
        print(output.decode(errors="replace"), end="", flush=True)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)


def say(text: str) -> None:
    print(f"edgeemo: {text}", file=sys.stderr, flush=True)


# ---- system packages (Linux)


def missing_libraries(pairs: Iterable[str]) -> list[str]:
    """Packages of those LIBRARY=PACKAGE pairs whose library the loader does not find."""
    if not sys.platform.startswith("linux"):
        return []
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    loader = shutil.which("ldconfig", path=path)
    known = subprocess.run([loader, "-p"], capture_output=True, text=True, check=False).stdout if loader else ""
    return [package for library, package in _split(pairs) if f"{library} " not in known]


def missing_commands(pairs: Iterable[str]) -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    return [package for command, package in _split(pairs) if shutil.which(command) is None]


def missing_font() -> list[str]:
    """The package of a font if the machine has none, because Qt would draw boxes instead of letters."""
    if not sys.platform.startswith("linux"):
        return []
    folders = ["/usr/share/fonts", "/usr/local/share/fonts", str(Path.home() / ".fonts")]
    there = any(
        name.lower().endswith((".ttf", ".otf"))
        for folder in folders
        for _, _, names in os.walk(folder)
        for name in names
    )
    return [] if there else ["fonts-dejavu-core"]


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages as root; else say what to install."""
    if not packages:
        return
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing system packages: {' '.join(packages)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], stdout=subprocess.DEVNULL, env=quiet, check=True)
        return
    if shutil.which("apt-get"):
        raise Refused(
            "some system packages are missing. Run this, then try again:\n"
            f"    sudo apt-get install {' '.join(packages)}"
        )
    raise Refused(
        "some system libraries are missing. Install what your distribution calls these Debian packages, then try "
        f"again:\n    {' '.join(packages)}"
    )


def want_gstreamer() -> None:
    """Install PyGObject and an RTSP server if possible; else their tests are skipped with a message."""
    there = any(Path("/usr/lib").glob("*/girepository-1.0/GstRtspServer-1.0.typelib"))
    if there or not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    try:
        install_packages(GSTREAMER)
    except subprocess.CalledProcessError:
        say("no GStreamer: its tests will be skipped")


def _split(pairs: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, package) for name, _, package in (pair.partition("=") for pair in pairs)]


# ---- the Python environment


def locks(name: str, machine: str, glibc: tuple[int, int] | None) -> list[Path]:
    """The lock files of an environment.

    Args:
        name: app, edge or test.
        machine: as `platform.machine()` gives it.
        glibc: version of the C library; None on other systems than Linux.
    """
    files = [LOCKS / f"{name}.txt"]
    if name != "edge":
        old = glibc is not None and glibc < QT_GLIBC.get(machine, (0, 0))
        files.append(LOCKS / ("qt67.txt" if old else "qt.txt"))
    return files


def glibc_version() -> tuple[int, int] | None:
    """The version of the GNU C library; None on other systems than Linux.

    Raises:
        Refused: this Linux has another C library, or one that is too old for the packages.
    """
    if not sys.platform.startswith("linux"):
        return None
    name, version = platform.libc_ver()
    parts = version.split(".")
    if name != "glibc" or len(parts) < 2:
        raise Refused("this Linux has no GNU C library (glibc), for which the packages are made")
    found = (int(parts[0]), int(parts[1]))
    if found < OLDEST_GLIBC:
        raise Refused(f"glibc {version} is too old: {OLDEST_GLIBC[0]}.{OLDEST_GLIBC[1]} or later is needed")
    return found


def make_environment(name: str, *unlocked: str) -> None:
    """Make an environment in .venv with the locked packages, the unlocked packages, and this checkout (editable)."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Refused(f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed; this is {platform.python_version()}")
    files = locks(name, platform.machine(), glibc_version())
    stamp = ENVIRONMENT / f"{name}.installed"
    wanted = "".join(file.read_text(encoding="utf-8") for file in [*files, ROOT / "pyproject.toml"]) + " ".join(
        unlocked
    )
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    if not program("pip").exists():
        say("making an environment in .venv")
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        create_environment()
    say("installing packages (a few minutes the first time)")
    pip = [str(program("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", *(part for file in files for part in ("-r", str(file)))], check=True)
    for package in unlocked:
        subprocess.run([*pip, package], check=True)
    subprocess.run([*pip, "--no-deps", "-e", "."], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def create_environment() -> None:
    make = [sys.executable, "-m", "venv", str(ENVIRONMENT)]
    if subprocess.run(make, capture_output=True, check=False).returncode == 0:
        return
    if shutil.which("apt-get"):  # Debian's Python comes without venv
        version = f"python3.{sys.version_info[1]}-venv"
        known = subprocess.run(["apt-cache", "show", version], capture_output=True, check=False).returncode == 0
        install_packages([version if known else "python3-venv"])
    subprocess.run(make, check=True)


def program(name: str) -> Path:
    """A program of the environment."""
    return ENVIRONMENT / "Scripts" / f"{name}.exe" if WINDOWS else ENVIRONMENT / "bin" / name


def replace_process(command: list[str]) -> int:
    """Replace this process with the command, so that signals reach it; Windows cannot do this, so wait there."""
    if WINDOWS:
        return subprocess.run(command, check=False).returncode
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
