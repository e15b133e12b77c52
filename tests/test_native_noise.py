from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import mediapipe_detector
from engines.native_noise import native_noise_dropped

ROOT = Path(__file__).resolve().parents[1]
LINES = """\
INFO: [environment.cc:36] Creating LiteRT environment with options
WARNING: [model_load.cc:402] Sparsity tensors may not yet be fully supported.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
WARNING: Logging before InitGoogle() is written to STDERR
W0000 00:00:1795706044.999907    9723 inference_runner_litert.cc:1418] Input tensor memory is not aligned
I0000 00:00:1795706044.999907    9723 gl_context.cc:369] GL version: 3.2
libpng warning: iCCP: too short
Corrupt JPEG data: 2629 extraneous bytes before marker 0xd9
"""
KEPT = "E0000 00:00:1795706044.999907    9723 calculator_graph.cc:1] failed\nINFO: mine\nTraceback\n"


def test_only_lines_of_the_library_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with native_noise_dropped():
        os.write(2, LINES.encode() + KEPT.encode())
        print("from Python", file=sys.__stderr__, flush=True)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == f"before\n{KEPT}from Python\nafter\n"


def test_an_error_inside_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), native_noise_dropped():
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_what_was_written_so_far_can_be_read_inside(capfd: pytest.CaptureFixture[str]) -> None:
    with native_noise_dropped() as written:
        assert written() == b""
        os.write(2, b"W0000 00:00:1.5 9723 a.cc:1] one\n")
        assert b"a.cc:1] one" in written()
        os.write(2, b"mine\n")
    assert capfd.readouterr().err == "mine\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of file sizes")
def test_full_disks_do_not_prevent_the_call() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from engines.native_noise import native_noise_dropped\n"
        "with native_noise_dropped() as written: print(written())"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("b''\n", "")


@pytest.mark.parametrize(("warns_at", "pictures"), [(1, 1), (3, 3), (99, mediapipe_detector.MOST_BLANK)])
def test_blank_pictures_are_tried_until_mediapipe_has_warned(
    monkeypatch: pytest.MonkeyPatch, warns_at: int, pictures: int
) -> None:
    monkeypatch.setattr(mediapipe_detector, "_has_warned", False)
    sizes: list[int] = []
    provoke = mediapipe_detector._provoke_warning
    provoke(sizes.append, lambda: LINES.encode() if len(sizes) >= warns_at else b"")
    assert len(sizes) == len(set(sizes)) == pictures
    provoke(sizes.append, lambda: b"")
    assert len(sizes) == pictures + (1 if warns_at <= pictures else pictures)


def test_mediapipe_says_nothing_in_a_notebook() -> None:
    if mediapipe_detector.missing():
        pytest.skip("MediaPipe is not installed")
    code = (
        "import numpy, edgeemo\nfrom edgeemo.config import *\n"
        "with edgeemo.Recogniser(config=Config(detect=DetectConfig(runtime='mediapipe'))) as r:\n"
        "    r.recognise(numpy.full((480, 640, 3), 90, numpy.uint8))\n"
        "    list(r.watch('demo', end=0.1))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
