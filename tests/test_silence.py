"""No data leave the machine: commands resolve host names and connect only if configured to.

Each command runs under strace, which records the system calls that can reach a network, of all its threads and child
processes. docs/privacy.md says how to repeat it by hand.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edgeemo.capture import DEMO_CLIP
from engines import mediapipe_detector

CALLS = "connect,sendto,sendmsg,sendmmsg,bind"
# addresses of the internet protocols, and the socket of systemd's resolver
OUTSIDE = re.compile(r"sa_family=AF_INET|io\.systemd\.Resolve")
ROOT = Path(__file__).resolve().parents[1]

COMMANDS = {
    "run": "edgeemo run --source demo --frames 6 --sink jsonl:out.jsonl --sink csv:out.csv",
    "run with ONNX": "edgeemo run --config onnx.toml --sink sqlite:out.db --sink video:out.mp4",
    "doctor": "edgeemo doctor",
    "engines": "edgeemo engines",
    "report": "edgeemo report session.jsonl --output page.html",
    "service": "edgeemo service install --print --config service.toml",
    "help": "edgeemo --help",
}
LONG_COMMANDS = {
    "pictures": "edgeemo run --source pictures --sink jsonl:out.jsonl",
    "models": "edgeemo-train models",
    "evaluate": "edgeemo-train evaluate --engine hybrid_lite --data folder:labelled --split all",
    "export": "edgeemo-export --arch hybrid_lite --fp16 --output exported --limit 20",
    "bench": "edgeemo bench --source demo --frames 20",
    "whole demo": "edgeemo run --source demo --sink jsonl:out.jsonl",
    "export INT8": "edgeemo-export --arch hybrid_lite --int8 --calibration many --output exported",
    "fit": "edgeemo-train fit --network baseline64 --data folder:many --epochs 1 --batch 16 --run run",
    "data": "edgeemo-train data info folder:labelled",
}
MODULES = {"edgeemo": "edgeemo.cli", "edgeemo-train": "trainer.cli", "edgeemo-export": "engines.export.cli"}
# the app is ended some time after its detector has started
APP = """
import os, signal, sys, threading, time
from edgeemo.cli import main

def end():
    limit = time.monotonic() + 100
    while "engines.face_detector" not in sys.modules and time.monotonic() < limit:
        time.sleep(0.1)
    time.sleep(SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end, daemon=True).start()
sys.exit(main(["--source", "demo"]))
"""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt: strace)")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the inputs of the commands in this file."""
    (tmp_path / "home").mkdir()
    (tmp_path / "onnx.toml").write_text('source = "demo"\nframes = 4\n[detect]\nruntime = "onnx"\n')
    (tmp_path / "service.toml").write_text('[[sources]]\nname = "door"\nuri = "rtsp://192.0.2.1/stream"\n')
    clip = cv2.VideoCapture(str(DEMO_CLIP))
    for folder in ("pictures", "labelled/happiness", "labelled/neutral"):
        (tmp_path / folder).mkdir(parents=True)
        for row in range(6):
            cv2.imwrite(str(tmp_path / folder / f"{row}.jpg"), clip.read()[1])
    clip.release()
    face = (
        '{"id": 1, "box": [1, 2, 30, 40], "score": 0.9, "emotion": "neutral", "confidence": 0.9, '
        '"probabilities": {"neutral": 0.9, "happiness": 0.1}}'
    )
    lines = [f'{{"frame": {row}, "time": {row / 10}, "origin": "clip", "faces": [{face}]}}' for row in range(20)]
    (tmp_path / "session.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def write_many(place: Path, count: int = 160) -> None:
    """Enough labelled faces for INT8 calibration and a training batch."""
    clip = cv2.VideoCapture(str(DEMO_CLIP))
    for row in range(count):
        folder = place / "many" / ("happiness" if row % 2 else "neutral")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.jpg"), clip.read()[1])
    clip.release()


def traced(place: Path, command: list[str], *, expect: tuple[int, ...] = (0,), seconds: int = 120) -> list[str]:
    """The system calls of a command that use a network."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HOME": str(place / "home"), "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        environment.pop(name, None)
    log = place / "strace.txt"
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={CALLS}", "-o", str(log), *command],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if "ptrace" in done.stderr and done.returncode not in expect:
        pytest.skip(f"strace may not trace here: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode in expect, done.stderr[-2000:]
    return [line for line in log.read_text().splitlines() if OUTSIDE.search(line)]


def python(command: str) -> list[str]:
    program, *arguments = command.split()
    code = f"import sys; sys.argv[0] = {program!r}; from {MODULES[program]} import main; sys.exit(main())"
    return [sys.executable, "-c", code, *arguments]


def expect_no_trace(place: Path) -> None:
    """Expect no files of ONNX Runtime's telemetry (a database in the user's cache) and of OpenVINO's (~/intel)."""
    left = [
        path
        for path in (place / "home").rglob("*")
        if re.search(r"microsoft|onnxruntime|intel", path.name, re.IGNORECASE)
    ]
    assert left == []


@needs_strace
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_reaches_for_no_network(place: Path, name: str) -> None:
    assert traced(place, python(COMMANDS[name])) == []
    expect_no_trace(place)


@needs_strace
@pytest.mark.parametrize("seconds", [1.5, pytest.param(90, marks=pytest.mark.slow)])
def test_the_app_reaches_for_no_network(place: Path, seconds: float) -> None:
    pytest.importorskip("PyQt6")
    code = APP.replace("SECONDS", str(seconds))
    assert traced(place, [sys.executable, "-c", code], expect=(130,), seconds=240) == []
    expect_no_trace(place)


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("name", LONG_COMMANDS)
def test_a_long_command_reaches_for_no_network(place: Path, name: str) -> None:
    if "many" in LONG_COMMANDS[name]:
        write_many(place)
    assert traced(place, python(LONG_COMMANDS[name]), seconds=900) == []
    expect_no_trace(place)


@needs_strace
def test_a_look_up_would_be_seen(place: Path) -> None:
    code = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('test.invalid', 443)"
    assert traced(place, [sys.executable, "-c", code])


@needs_strace
def test_mediapipe_is_silent_only_because_its_look_ups_are_blocked(place: Path) -> None:
    """If this fails after an upgrade, MediaPipe may send data in another way: investigate before a change."""
    if mediapipe_detector.not_silent():
        pytest.skip(mediapipe_detector.not_silent())
    code = (
        "import numpy as np, time\n"
        "from engines import mediapipe_detector as m\n"
        "from engines.face_detector import model_path\n"
        "if FREE: m.block_look_ups = lambda: True\n"
        "detector = m.MediaPipeModel(model_path('short_range', 'mediapipe'), min_score=0.5)\n"
        "detector.detect(np.zeros((90, 160, 3), np.uint8))\n"
        "detector.close()\n"
        "time.sleep(1)\n"
    )
    free, blocked = (traced(place, [sys.executable, "-c", code.replace("FREE", word)]) for word in ("True", "False"))
    assert free
    assert blocked == []


def test_other_code_in_the_process_keeps_its_look_ups() -> None:
    if mediapipe_detector.not_silent():
        pytest.skip(mediapipe_detector.not_silent())
    code = (
        "import os, socket\n"
        "from engines.face_detector import FaceDetector\n"
        "FaceDetector(runtime='mediapipe').close()\n"
        "assert socket.getaddrinfo('localhost', 80)\n"
        "assert os.environ['https_proxy'] == 'http://192.0.2.7:3128'\n"
    )
    environment = {**os.environ, "https_proxy": "http://192.0.2.7:3128", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=120, check=True)


def test_onnx_runtime_is_told_before_it_is_imported() -> None:
    """Any of the three packages may be imported first, with any environment."""
    code = "import os, MODULE; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "PYTHONPATH": str(ROOT)}
    for module in ("engines.backends.onnxruntime", "engines.backends.face_network", "engines.export.graph"):
        command = [sys.executable, "-c", code.replace("MODULE", module)]
        subprocess.run(command, env=environment, timeout=60, check=True)
