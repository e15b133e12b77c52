"""Network streams: addresses, passwords, silence, interruption."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest
from servers import serving
from sources import levels, read

from edgeemo.capture import open_source
from edgeemo.capture.stream import Stream, without_secrets
from edgeemo.errors import SourceError

# streams


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("rtsp://user:secret@cam:8554/1", "rtsp://cam:8554/1"),
        ("rtsp://user:se@cret@cam/1", "rtsp://cam/1"),
        ("rtsp://user:se/cret@cam/1", "rtsp://cam/1"),
        ("rtsp://user:se?cret@cam/1", "rtsp://cam/1"),
        ("http://cam/mjpeg?token=secret#x", "http://cam/mjpeg"),
        ("http://cam/mjpeg?mail=a@secret", "http://cam/mjpeg"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
    ],
)
def test_passwords_in_addresses_are_never_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_host_that_refuses_is_told_without_the_password() -> None:
    frames, error = read(open_source("rtsp://user:secret@127.0.0.1:9/stream"))
    assert not frames
    assert "127.0.0.1:9 refuses the connection" in error
    assert "secret" not in error


def test_a_malformed_address_is_told_without_the_password() -> None:
    with pytest.raises(SourceError) as error:
        open_source("rtsp://user:sec/ret@cam/1")
    assert "sec" not in str(error.value)


@contextmanager
def camera_server(pictures: int, *, hangs: bool = False, size: int = 32) -> Iterator[str]:
    """A network camera that serves a number of pictures as MJPEG at /mjpeg, and a page at /."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if not self.path.startswith("/mjpeg"):
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<p>a page</p>")
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(pictures):
                jpeg = cv2.imencode(".jpg", np.full((size, size, 3), 20 + 10 * number, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            if hangs:
                released.wait(20)

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(Handler) as port:
        try:
            yield f"http://user:secret@127.0.0.1:{port}"
        finally:
            released.set()


def test_a_stream_gives_its_frames_and_an_error_when_it_breaks_off() -> None:
    with camera_server(12) as address:
        frames, error = read(open_source(f"{address}/mjpeg?token=secret"))
    assert len(frames) >= 10
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert levels(frames) == pytest.approx([20 + 10 * n for n in range(len(frames))], abs=3)
    assert all(before.time < after.time for before, after in itertools.pairwise(frames))
    assert f"ended after {len(frames)} frames: the server closed the connection" in error
    assert "secret" not in error + frames[0].origin


def test_a_stream_that_falls_silent_is_an_error() -> None:
    with camera_server(12, hangs=True) as address:
        frames, error = read(Stream(f"{address}/mjpeg", open_timeout=3, read_timeout=1))
    assert frames
    assert "no data for 1 s" in error


def test_a_run_that_waits_for_the_network_can_be_ended(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with camera_server(12, hangs=True) as address:
        command = [sys.executable, "-m", "edgeemo", "run", "--source", f"{address}/mjpeg", "--sink", f"jsonl:{output}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            deadline = time.monotonic() + 30
            while not (output.exists() and output.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            said = running.communicate(timeout=30)[1]
    # without the signal, the missing data would have ended it with exit code 2
    assert running.returncode == 130, said


def test_an_address_that_gives_no_video_is_an_error() -> None:
    with camera_server(0) as address:
        frames, error = read(Stream(f"{address}/", open_timeout=3, read_timeout=1))
    assert not frames
    assert "answers, but not with a video" in error
