"""Real servers on loopback that tests start, kill and start again."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PATIENCE_S = 20.0
RTSP_SCRIPT = Path(__file__).with_name("rtsp_server.py")


def until(condition: Callable[[], object], what: str = "it", patience: float = PATIENCE_S) -> None:
    """Wait until a condition holds; fail after a time-out."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.02)


def remove(folder: Path) -> None:
    """Remove a folder in which other processes create and delete files meanwhile."""
    until(lambda: (shutil.rmtree(folder, ignore_errors=True), not folder.exists())[1], f"the end of {folder}")


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """A web server on this port of 127.0.0.1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(5)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Process:
    """A server as a process; `kill` is kill -9."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: answers(self.port), f"a listener on port {self.port}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Broker(Process):
    """Debian's mosquitto."""

    def __init__(self, folder: Path, *, extra: str = "", anonymous: bool = True) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        port = free_port()
        folder.mkdir(exist_ok=True)
        settings = folder / "mosquitto.conf"
        # as root, mosquitto would change to a user who may not read the folder
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n"
            f"user root\npersistence false\n{extra}\n"
        )
        super().__init__([program, "-c", str(settings)], port)


class RtspServer(Process):
    """GStreamer's RTSP server with its test picture as H.264, run by the system's Python."""

    def __init__(self) -> None:
        python = "/usr/bin/python3"
        check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        if not os.path.exists(python) or subprocess.run([python, "-c", check], capture_output=True).returncode:
            pytest.skip("no RTSP server (apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly)")
        port = free_port()
        super().__init__([python, str(RTSP_SCRIPT), str(port)], port)
        self.url = f"rtsp://127.0.0.1:{port}/test"


class MjpegServer:
    """A camera's HTTP stream of JPEG pictures, served by this process.

    Attributes:
        garbage: send noise instead of pictures.
        silent: send nothing.
    """

    def __init__(self, picture: bytes, fps: float = 25) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/video"
        self.garbage = self.silent = False
        self.clients = 0
        self._picture = picture
        self._pause = 1 / fps
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []

    def start(self) -> None:
        self._stop = threading.Event()
        listener = socket.create_server(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=self._accept, args=(listener, self._stop), daemon=True)]
        self._threads[0].start()

    def kill(self) -> None:
        self._stop.set()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._connections = []

    def _accept(self, listener: socket.socket, stop: threading.Event) -> None:
        with listener:
            while not stop.is_set():
                if not select.select([listener], [], [], 0.05)[0]:
                    continue
                connection, _ = listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection, stop), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, stop: threading.Event) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(4096)
            self.clients += 1
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            while not stop.wait(self._pause):
                if self.silent:
                    continue
                if self.garbage:
                    connection.sendall(os.urandom(5000))
                    continue
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self._picture)}\r\n\r\n"
                connection.sendall(head.encode() + self._picture + b"\r\n")


def edgeemo(*arguments: object, environment: dict[str, str] | None = None, folder: Path) -> subprocess.Popen[str]:
    """The program `edgeemo` as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgeemo", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=os.environ | (environment or {}),
    )  # fmt: skip
