"""Open an unknown ONNX file in a child process first, where it may hang, crash or exhaust memory without harm.

Only files that are not shipped are tried, once each: their hashes are kept in the user's cache. Run as a program, this
module is the child process and reads the file from standard input. Called by `engines.backends.onnxruntime`.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from pathlib import Path

from engines.errors import ModelError
from engines.layout import ZOO, cache_folder

TRIAL_S = 20.0
MEMORY_BYTES = 8 << 30  # address space, of which ONNX Runtime reserves more than it uses
LONGEST_REASON = 200


def expect_opens(content: bytes, path: Path, *, limit_s: float = TRIAL_S) -> None:
    """Let a child process open a model and run it on one input.

    Args:
        content: of the file at `path`.

    Raises:
        ModelError: it took longer than `limit_s` or more than 8 GiB, crashed, or ONNX Runtime rejects the file.
    """
    # the executable of a frozen program is not a Python interpreter
    if path.parent.parent == ZOO or getattr(sys, "frozen", False):
        return
    passed = _record(content)
    if passed.exists():
        return
    command = [sys.executable, "-m", "engines.backends.trial"]
    again = "export or download the bundle again"
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"cannot load {path}: opening it takes more than {limit_s:g} s; {again}") from error
    except OSError as error:
        raise ModelError(f"cannot try {path} in a child process: {error.strerror or error}") from error
    if done.returncode:
        lines = done.stdout.decode(errors="replace").split("\n")
        reason = lines[0][:LONGEST_REASON] or f"opening it ends a process with code {done.returncode}"
        raise ModelError(f"cannot load {path}: {reason}; {again}")
    with contextlib.suppress(OSError):
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()


def _record(content: bytes) -> Path:
    """The file that marks a model as opened before by this version of ONNX Runtime."""
    from importlib.metadata import version

    try:
        runtime = version("onnxruntime")
    except ImportError:  # installed under another name, such as onnxruntime-gpu
        runtime = "other"
    return cache_folder() / "opened" / f"{hashlib.sha256(content).hexdigest()}-{runtime}"


def _bound_memory() -> None:
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _main() -> int:
    _bound_memory()
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            sys.stdin.buffer.read(), sess_options=options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        inputs = {
            each.name: np.zeros([side if isinstance(side, int) else 1 for side in each.shape], np.float32)
            for each in session.get_inputs()
            if each.type == "tensor(float)"
        }
        if len(inputs) == len(session.get_inputs()):  # other faults are found when it is compared with its spec
            session.run(None, inputs)
    except Exception as error:  # onnxruntime raises its own classes, which share no base
        print(" ".join(str(error).split())[:LONGEST_REASON])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
