"""The command `edgeemo doctor`: check this machine and say how to fix each fault. Called by `commands` and the app."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Literal

from edgeemo.config import Config
from edgeemo.errors import EdgeemoError
from engines.installation import pip_install

Status = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        status: "ok", "fault" (edgeemo cannot run) or "warning" (something optional is missing).
        fix: what to do; empty if nothing.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


def examine(config: Config) -> Iterator[Check]:
    """Run every check; none of them raises."""
    for name, check in CHECKS.items():
        try:
            yield check(config)
        except Exception as error:  # a failing check is also a finding
            yield Check(name, "fault", f"{type(error).__name__}: {error}", _reinstall())


def display_fault(environment: Mapping[str, str]) -> str:
    """Why no window can be opened, in one clause; empty if it can.

    This must be checked first, because Qt ends the process if it finds no display. Only cheap checks are made.
    """
    if environment.get("QT_QPA_PLATFORM") or not sys.platform.startswith("linux"):
        return ""
    wayland, x11 = environment.get("WAYLAND_DISPLAY"), environment.get("DISPLAY")
    if not wayland and not x11:
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
    if wayland:
        place = Path(environment.get("XDG_RUNTIME_DIR", "/")) / wayland
        if place.exists():
            return ""
        if not x11:
            return f"the display {wayland} cannot be reached ({place} does not exist)"
    if not _x11_answers(str(x11)):
        return f"the display {x11} cannot be reached"
    try:
        ctypes.CDLL("libxcb-cursor.so.0")
    except OSError:
        return "Qt needs the library libxcb-cursor0 (on Debian and Ubuntu: sudo apt install libxcb-cursor0)"
    return ""


def qt_fault() -> str:
    """Why PyQt6 cannot be used, in one clause; empty if it can."""
    if importlib.util.find_spec("PyQt6") is None:
        return f"PyQt6 is not installed ({pip_install('app')})"
    return ""


def _reinstall() -> str:
    return f"reinstall edgeemo in a fresh environment: {pip_install()}"


def _x11_answers(display: str) -> bool:
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not number.isdigit() or sys.platform == "win32":
        return False
    if host in ("", "unix"):
        for address in (f"\0/tmp/.X11-unix/X{number}", f"/tmp/.X11-unix/X{number}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1)
                if probe.connect_ex(address) == 0:
                    return True
        return False
    try:
        socket.create_connection((host, 6000 + int(number)), timeout=2).close()
    except OSError:
        return False
    return True


def _python(config: Config) -> Check:
    # an older Python cannot import this file
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages(config: Config) -> Check:
    found, missing = [], []
    for name, module in (("numpy", "numpy"), ("opencv", "cv2"), ("onnxruntime", "onnxruntime")):
        try:
            # import engines before onnxruntime: engines disables onnxruntime's telemetry
            importlib.import_module("engines")
            loaded = importlib.import_module(module)
        except ImportError as error:
            missing.append(f"{name} ({error})")
        else:
            found.append(f"{name} {getattr(loaded, '__version__', '?')}")
    if missing:
        return Check("packages", "fault", f"cannot import {', '.join(missing)}", _reinstall())
    return Check("packages", "ok", ", ".join(found))


def _opencv(config: Config) -> Check:
    wheels = sorted(
        name
        for item in metadata.distributions()
        if (name := (item.metadata["Name"] or "").lower()).startswith("opencv-")
    )
    if len(wheels) > 1:
        return Check(
            "opencv",
            "warning",
            f"{' and '.join(wheels)} overwrite each other's files",
            f"pip uninstall -y {' '.join(wheels)} && pip install opencv-contrib-python",
        )
    return Check("opencv", "ok", wheels[0] if wheels else "not from a wheel")


def _detector(config: Config) -> Check:
    from engines import EngineError
    from engines.face_detector import FaceDetector, resolve_runtime

    try:
        _, reason = resolve_runtime(config.detect.runtime)
        detector = FaceDetector(runtime=config.detect.runtime, backend=config.detect.backend)
        detector.close()
    except EngineError as error:
        return Check("detector", "fault", str(error), _reinstall())
    return Check("detector", "ok", f"{detector.description} ({reason})")


def _engine(config: Config) -> Check:
    import numpy as np

    from engines import Engine, EngineError

    try:
        with Engine.open(
            config.engine, backend=config.backend, threads=config.threads, allow_modified=config.allow_modified
        ) as engine:
            face = np.full((engine.spec.size, engine.spec.size, engine.spec.channels), 127, np.uint8)
            taken = []
            for _ in range(20):
                began = perf_counter()
                engine.infer([face])
                taken.append((perf_counter() - began) * 1e3)
            detail = f"{config.engine}: {engine.description}, {statistics.median(taken):.1f} ms per face"
    except EngineError as error:
        return Check("engine", "fault", str(error), "see edgeemo engines for the available ones")
    return Check("engine", "ok", detail)


def _main_job(config: Config) -> Check:
    from edgeemo.run.open import open_runner
    from engines import EngineError

    try:
        with open_runner(replace(config, source="demo", sources=(), sinks=(), frames=25)) as runner:
            counters = runner.run()
    except (EdgeemoError, EngineError) as error:
        return Check("main job", "fault", str(error), "fix the faults above first")
    if not counters.faces:
        return Check("main job", "fault", f"no face found in {counters.frames} frames of the demo clip", _reinstall())
    each = sum(counters.timings.values())
    return Check(
        "main job", "ok", f"{counters.faces} faces in {counters.frames} frames of the demo clip, {each:.1f} ms each"
    )


def _cameras(config: Config) -> Check:
    from edgeemo.capture import list_cameras

    cameras = list_cameras()
    if not cameras:
        return Check(
            "cameras", "warning", "none found", "plug one in, or use a file, a stream or the demo clip as source"
        )
    linux = sys.platform == "linux"  # other systems have no device files
    closed = [camera.device for camera in cameras if linux and not os.access(camera.device, os.R_OK | os.W_OK)]
    if closed:
        return Check(
            "cameras",
            "warning",
            f"no permission for {', '.join(closed)}",
            "sudo usermod -aG video $USER, then log in again",
        )
    return Check("cameras", "ok", ", ".join(f"{camera.name} ({camera.uri})" for camera in cameras))


def _decoders(config: Config) -> Check:
    from edgeemo.capture.ffmpeg import MISSING
    from edgeemo.capture.hardware_video import CODECS, element_for

    if MISSING:
        return Check("decoders", "warning", MISSING, "cameras and pictures work without it")
    found = {name: element_for(name) or "FFmpeg, on the CPU" for name in CODECS}
    return Check("decoders", "ok", f"H.264: {found['h264']}; H.265: {found['hevc']}; others: FFmpeg, on the CPU")


def _lab_streaming(config: Config) -> Check:
    if importlib.util.find_spec("pylsl") is None:
        return Check("lab streaming", "ok", f"not installed; only lsl: needs it ({pip_install('lsl')})")
    from edgeemo.system.lsl import library_fault

    if fault := library_fault():
        return Check("lab streaming", "warning", fault, "install it, and name its file in PYLSL_LIB if it is not found")
    return Check("lab streaming", "ok", f"pylsl {metadata.version('pylsl')}")


def _window(config: Config) -> Check:
    fault = qt_fault()
    if fault:
        return Check("window", "warning", fault, "only the app needs it; edgeemo run works without")
    fault = display_fault(os.environ)
    if fault:
        return Check("window", "warning", fault, "only the app needs it; edgeemo run works without")
    return Check("window", "ok", f"PyQt6 {metadata.version('PyQt6')}, display found")


def _accelerator(config: Config) -> Check:
    from engines.backends.autoselect import backend_fault

    jetson = jetson_release()
    parts = [f"Jetson ({jetson})" if jetson else "", _gpu()]
    faults = {name: backend_fault(name) for name in ("tensorrt", "onnx-cuda")}
    parts += [f"{name}: {fault or 'can be used'}" for name, fault in faults.items()]
    detail = "; ".join(part for part in parts if part)
    if jetson and faults["tensorrt"]:
        return Check("accelerator", "warning", detail, "JetPack 6.2 or later with TensorRT 10.3: docs/jetson.md")
    if _gpu_wheel() and jetson:
        fix = "pip uninstall onnxruntime-gpu && pip install --force-reinstall onnxruntime"
        return Check("accelerator", "warning", f"{detail}; onnxruntime-gpu cannot run on a Jetson", fix)
    return Check("accelerator", "ok", detail)


def jetson_release(file: Path = Path("/etc/nv_tegra_release")) -> str:
    """Jetson Linux and its revision, for example "R36 (release), REVISION: 4.3"; empty elsewhere."""
    if not file.is_file():
        return ""
    return ",".join(file.read_text(errors="replace").split(",")[:2]).strip("# \n")


def _gpu_wheel() -> bool:
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "no NVIDIA GPU found"
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "nvidia-smi does not answer"
    return answer.stdout.strip().replace("\n", "; ") if answer.returncode == 0 else "no NVIDIA GPU found"


CHECKS: dict[str, Callable[[Config], Check]] = {
    "python": _python,
    "packages": _packages,
    "opencv": _opencv,
    "detector": _detector,
    "engine": _engine,
    "main job": _main_job,
    "cameras": _cameras,
    "decoders": _decoders,
    "lab streaming": _lab_streaming,
    "window": _window,
    "accelerator": _accelerator,
}
