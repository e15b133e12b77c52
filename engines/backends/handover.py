"""A backend that runs one engine while a better one is built, then switches to the better one between two calls.

Called by `engines.backends.tensorrt`: ONNX Runtime runs until the plan is built.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engines.backends import Backend
from engines.errors import EngineError, ModelError
from engines.preprocess import F32

log = logging.getLogger(__name__)

CLOSE_WAIT_S = 1.5
STOP_WAIT_S = 1.0

# share done 0..1, seconds left or None
Progress = Callable[[float, float | None], None]


class Build(Protocol):
    """Makes the files of the better engine, in its own thread."""

    name: str

    def run(self, progress: Progress) -> None:
        """Work until done.

        Raises:
            EngineError: it cannot be made, or `stop` was called.
        """
        ...

    def stop(self) -> None:
        """Make `run` return soon; may be called from any thread."""
        ...


class SwappingBackend:
    """Runs `first`; when `build` is done, it changes to the backend that `prepare` opens. `infer` never waits for the
    build.

    If the build fails, `first` stays in use and `description` says so.
    """

    def __init__(self, first: Backend, build: Build, prepare: Callable[[], Backend], *, why: str = "") -> None:
        self._active = first
        self._build = build
        self._prepare = prepare
        self._state = f"{build.name} is being built"
        self._closed = False
        # held during a call, so that no other thread closes the engine in use
        self._lock = threading.Lock()
        log.info("%s: %s; %s runs meanwhile", build.name, why or "no plan yet", first.description)
        self._thread = threading.Thread(target=self._work, name="edgeemo-swap", daemon=True)
        self._thread.start()

    @property
    def description(self) -> str:
        """The engine in use, and the state of the other one."""
        state = self._state
        return f"{self._active.description} ({state})" if state else self._active.description

    def infer(self, faces: F32) -> F32:
        with self._lock:
            return self._active.infer(faces)

    def close(self) -> None:
        self._closed = True
        self._build.stop()
        self._thread.join(CLOSE_WAIT_S)
        with self._lock:
            self._active.close()

    def join(self, timeout: float) -> bool:
        """Wait until the switch-over is done or has failed; False after `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._build.run(self._report_progress)
            if self._closed:
                return
            self._state = f"{self._build.name} is being loaded"
            better = self._prepare()
        except EngineError as error:
            if not self._closed:
                self._state = f"{self._build.name} cannot be used: {error}"
                log.warning("%s", self._state)
            return
        except Exception:
            # after any error of the builder, the engine in use continues
            self._state = f"{self._build.name} failed"
            log.exception("%s", self._state)
            return
        with self._lock:
            if self._closed:
                unused: Backend = better
            else:
                unused, self._active = self._active, better
                self._state = ""
        unused.close()
        if not self._closed:
            log.info("switched to %s", better.description)

    def _report_progress(self, done: float, left: float | None) -> None:
        rest = f", about {_duration(left)} left" if left is not None else ""
        self._state = f"{self._build.name} is being built: {done:.0%}{rest}"


class PlanBuild:
    """Builds a plan in a child process, which isolates crashes and memory of the compiler."""

    name = "TensorRT"

    def __init__(
        self, folder: Path, precision: str, command: list[str] | None = None, *, allow_modified: bool = False
    ) -> None:
        self._command = command or [
            *(sys.executable, "-m", "engines.export.cli", "--bundle", str(folder)),
            f"--{precision.replace('_', '-')}",
            *("--backend", "tensorrt", "--progress", "json"),
            *(["--allow-modified"] if allow_modified else []),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, progress: Progress) -> None:
        with self._lock:
            if self._stopped:
                raise ModelError("the build was stopped")
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        last = ""
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = _progress(line)
                if told is not None:
                    progress(*told)
                elif line.strip():
                    last = " ".join(line.split())
        if self._stopped:
            raise ModelError("the build was stopped")
        if process.returncode:
            raise ModelError(
                last.removeprefix("edgeemo-export: ")[:300] or f"its build ended with code {process.returncode}"
            )

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _progress(line: str) -> tuple[float, float | None] | None:
    """Parse a line of `edgeemo-export --progress json`; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        told = json.loads(line)
        left = told["seconds_left"]
        return float(told["fraction"]), None if left is None else float(left)
    except (ValueError, KeyError, TypeError):
        return None


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
