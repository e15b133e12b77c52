"""The command `edgeemo doctor --device-report`: measure a device for the developers, as a JSON file and a page.

It contains versions, parity and latency of the engines on every available runtime, an end-to-end run on the demo clip,
temperatures and clocks, and cameras. Host name, user name, home folder and serial numbers are removed.
"""

from __future__ import annotations

import getpass
import html
import json
import os
import platform
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from edgeemo.config import Config
from edgeemo.doctor import examine, jetson_release
from edgeemo.errors import EdgeemoError
from edgeemo.run.open import open_runner
from edgeemo.system.outputs import check_output
from edgeemo.system.process import machine_memory_mb
from edgeemo.system.unit import has_csi
from engines.backends import open_backend
from engines.backends.autoselect import backend_fault
from engines.bundle import Bundle, bundle_names, find_bundle
from engines.errors import EngineError
from engines.export.compare import compare_probs
from engines.export.face_data import portrait
from engines.export.plan_builder import PlanOptions
from engines.export.plan_command import build, show_plan
from engines.files import atomic_write
from engines.preprocess import batch

FORMAT = 1
ENGINES = ("hybrid_lite", "hybrid")
CHOICES = ("onnx:fp32", "onnx:fp16", "onnx:int8", "openvino:fp32", "openvino:int8", "onnx-cuda:fp32", "tensorrt:fp16")
PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "opencv-contrib-python", "tensorrt", "PyQt6")
FACES = (1, 2, 4, 8)
PATH_S = 60.0
CALLS_S, MOST_CALLS = 1.5, 100  # limits per engine, runtime and number of faces
SAMPLE_S = 2.0

Say = Callable[[str], None]


def write_report(config: Config, path: Path, *, path_s: float = PATH_S, say: Say = print) -> tuple[Path, Path]:
    """Measure and write PATH.json and PATH.html; takes about four minutes, longer if a TensorRT plan is built.

    Args:
        path: with or without one of the two suffixes.
        path_s: duration of the end-to-end run in seconds.

    Returns:
        The JSON file and the page.

    Raises:
        EdgeemoError: they cannot be written.
    """
    stem = path.with_suffix("") if path.suffix in (".json", ".html") else path
    files = stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.html")
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            check_output(file, "device report")
        # check before minutes of work
        atomic_write(files[0], "{}\n")
    except OSError as error:
        raise EdgeemoError(f"cannot write {files[0]}: {error.strerror or error}; choose another path") from error
    report = without_person(measure(config, path_s=path_s, say=say))
    atomic_write(files[0], json.dumps(report, indent=2) + "\n")
    atomic_write(files[1], page(report))
    return files


def measure(config: Config, *, path_s: float, say: Say) -> dict[str, Any]:
    """Measure every part; a part that fails is reported with its error and the others continue."""
    began = monotonic()
    sensors: dict[str, Any] = {}
    with _sampled(sensors):
        parts: dict[str, Callable[[], Any]] = {
            "machine": machine,
            "checks": lambda: [asdict(check) for check in examine(config)],
            "engines": lambda: [engine(name, say) for name in ENGINES if name in bundle_names()],
            "path": lambda: whole_path(config, path_s),
            "cameras": cameras,
        }
        report: dict[str, Any] = {"format": FORMAT}
        for name, part in parts.items():
            say(f"{name} ...")
            try:
                report[name] = part()
            except Exception as error:  # the report should contain every failure on the device
                report[name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    return {**report, "sensors": sensors, "seconds": round(monotonic() - began, 1)}


def machine() -> dict[str, Any]:
    model = Path("/proc/device-tree/model")
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found: dict[str, Any] = {
        "model": model.read_text(errors="replace").strip("\0\n ") if model.is_file() else platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_mb": machine_memory_mb(),
        "system": _release(),
        "kernel": platform.release(),
        "jetson": jetson_release(),
        "python": platform.python_version(),
        "packages": versions,
        "backends": {name: backend_fault(name) or "usable" for name in ("onnx-cuda", "openvino", "tensorrt")},
    }
    if not backend_fault("tensorrt"):
        from engines.backends.cuda import CudaRuntime
        from engines.backends.tensorrt import here

        found["gpu"] = asdict(here(CudaRuntime()))
    return found


def engine(name: str, say: Say) -> dict[str, Any]:
    """Parity with FP32 on ONNX Runtime and milliseconds per call, on every available runtime and precision."""
    bundle = find_bundle(name)
    data = portrait(bundle.spec, 64)
    faces = batch(list(data.faces), bundle.spec)
    rows: list[dict[str, Any]] = []
    if not backend_fault("tensorrt"):
        chosen = bundle.at("fp16")
        if not show_plan(chosen):
            say(f"building the plan of {name}: takes minutes, once")
            build(chosen, data, PlanOptions("fp16"), threads=1, progress="bar", say=say)
    with closing(open_backend("onnx", bundle)) as reference:
        expected = np.concatenate([reference.infer(faces[row : row + 8]) for row in range(0, len(faces), 8)])
    for choice in CHOICES:
        if backend_fault(choice.partition(":")[0]) or choice.partition(":")[2] not in bundle.precisions():
            continue
        rows.append({"choice": choice, **_one(bundle, choice, faces, expected)})
        say(f"  {name} {choice}: {_summary(rows[-1])}")
    return {"name": name, "size": bundle.spec.size, "data": data.name, "rows": rows}


def _one(bundle: Bundle, choice: str, faces: Any, expected: Any) -> dict[str, Any]:
    try:
        with closing(open_backend(choice, bundle, exact=True)) as backend:
            given = np.concatenate([backend.infer(faces[row : row + 8]) for row in range(0, len(faces), 8)])
            parity = compare_probs(expected, given)
            return {
                "runs": backend.description,
                "same_top_class": round(parity.top1, 4),
                "largest_difference": float(f"{parity.largest:.3g}"),
                "ms": {count: _latency(backend.infer, faces[:count]) for count in FACES},
            }
    except EngineError as error:
        return {"error": str(error)}


def _latency(infer: Callable[[Any], Any], faces: Any) -> dict[str, float]:
    """p50 and p95 in milliseconds of calls with these faces."""
    for _ in range(3):
        infer(faces)
    taken: list[float] = []
    until = perf_counter() + CALLS_S
    while len(taken) < 5 or (len(taken) < MOST_CALLS and perf_counter() < until):
        began = perf_counter()
        infer(faces)
        taken.append((perf_counter() - began) * 1e3)
    p50, p95 = np.percentile(taken, [50, 95]).tolist()
    return {"p50": round(p50, 3), "p95": round(p95, 3)}


def whole_path(config: Config, seconds: float) -> dict[str, Any]:
    """Run the demo clip end to end at full speed with the configured engine."""
    looped = replace(config.capture, loop=True, paced=False)
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    with open_runner(replace(config, source="demo", sources=(), sinks=(), frames=0, capture=looped)) as runner:
        timer.start()
        began = perf_counter()
        counters = runner.run(stop)
        taken = perf_counter() - began
        timer.cancel()
        return {
            "engine": runner.engine_description,
            "seconds": round(taken, 1),
            "frames": counters.frames,
            "faces": counters.faces,
            "fps": round(counters.frames / taken, 1),
            "ms": {stage: round(value, 2) for stage, value in counters.timings.items()},
        }


def cameras() -> list[dict[str, Any]]:
    """Each camera, and whether it delivers frames."""
    from edgeemo.capture import list_cameras

    found = []
    for camera in list_cameras():
        found.append({"name": camera.name, **_frames_of(camera.uri)})
    if has_csi():
        found.append({"name": "csi://0", **_frames_of("csi://0")})
    return found


def _frames_of(uri: str, count: int = 30) -> dict[str, Any]:
    try:
        with open_runner(replace(Config(), source=uri, sinks=(), frames=count)) as runner:
            began = perf_counter()
            counters = runner.run()
            return {"frames": counters.frames, "fps": round(counters.frames / (perf_counter() - began), 1)}
    except (EdgeemoError, EngineError) as error:
        return {"error": str(error)}


@contextmanager
def _sampled(into: dict[str, Any]) -> Iterator[None]:
    """Record the highest temperatures and clocks while the block runs."""
    done = threading.Event()

    def work() -> None:
        while True:
            for name, value in _sensors():
                into[name] = max(into.get(name, 0.0), value)
            if done.wait(SAMPLE_S):
                return

    thread = threading.Thread(target=work, name="edgeemo-sensors", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(SAMPLE_S)


def _sensors() -> Iterator[tuple[str, float]]:
    for zone in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        try:
            yield f"{(zone / 'type').read_text().strip()} C", int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
    for file in sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")):
        try:
            yield f"{file.parent.parent.name} MHz", int(file.read_text()) / 1000
        except (OSError, ValueError):
            continue
    # devfreq names a Jetson's GPU 17000000.gpu or gpu-gpc-0
    for file in sorted(Path("/sys/class/devfreq").glob("*gpu*/cur_freq")):
        try:
            yield f"{file.parent.name} MHz", int(file.read_text()) / 1e6
        except (OSError, ValueError):
            continue


def without_person(value: Any) -> Any:
    """Remove home folder, host name and user name from all texts of a value."""
    words = {str(Path.home()): "~", socket.gethostname(): "HOST"}
    try:
        words[getpass.getuser()] = "USER"
    except (OSError, KeyError):
        words.pop("", None)

    def clean(text: str) -> str:
        for word, instead in words.items():
            if len(word) > 1:
                text = re.sub(rf"(?<![\w]){re.escape(word)}(?![\w])", instead, text)
        return re.sub(r"/home/[^/\s'\"]+", "~", text)

    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: without_person(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_person(item) for item in value]
    return value


def page(report: dict[str, Any]) -> str:
    """The report as one HTML page without scripts or links."""
    parts = ["<h1>edgeemo device report</h1>", f"<p>Measured in {report['seconds']} s.</p>"]
    for name in ("machine", "path", "sensors"):
        rows = [(key, value) for key, value in report[name].items() if value not in ("", {})]
        parts += [f"<h2>{name}</h2>", _table(rows) if rows else "<p>none found</p>"]
    for one in report["engines"] if isinstance(report["engines"], list) else []:
        parts.append(f"<h2>{html.escape(one['name'])}, {one['size']} px</h2><p>{html.escape(one['data'])}</p>")
        head = ["runs", "same top class", "largest difference", *(f"ms with {count}: p50 / p95" for count in FACES)]
        lines = []
        for row in one["rows"]:
            if "error" in row:
                lines.append([row["choice"], row["error"]])
                continue
            times = [f"{ms['p50']} / {ms['p95']}" for ms in row["ms"].values()]
            lines.append([row["runs"], f"{row['same_top_class']:.2%}", row["largest_difference"], *times])
        parts.append(_table(lines, head))
    if isinstance(report["engines"], dict):
        parts += ["<h2>engines</h2>", _table(list(report["engines"].items()))]
    cameras = report["cameras"]
    shown = [list(one.values()) for one in cameras] if isinstance(cameras, list) else list(cameras.items())
    parts += ["<h2>cameras</h2>", _table(shown) if shown else "<p>none found</p>"]
    checks = report["checks"]
    if isinstance(checks, list):
        parts += ["<h2>checks</h2>", _table([[one["status"], one["name"], one["detail"]] for one in checks])]
    style = (
        "body{font:15px/1.5 sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.25rem .75rem;text-align:left;"
        "vertical-align:top}"
    )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>edgeemo device report</title>'
        f"<style>{style}</style>\n{body}\n</html>\n"
    )


def _table(rows: list[Any], head: list[str] | None = None) -> str:
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>")
    for row in rows:
        cells = (
            ", ".join(f"{k} {v}" for k, v in cell.items()) if isinstance(cell, dict) else str(cell) for cell in row
        )
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _summary(row: dict[str, Any]) -> str:
    return row["error"] if "error" in row else f"{row['ms'][1]['p50']} ms per face"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "Model", "Hardware")
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(wanted)), platform.machine())


def _release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
