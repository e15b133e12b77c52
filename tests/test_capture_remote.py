"""Videos and pictures on a web server."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest
from servers import serving
from sources import TWELFTHS, encode, read

from edgeemo.capture import open_source
from edgeemo.capture.stream import Stream, without_secrets
from edgeemo.errors import SourceError


@contextlib.contextmanager
def file_server(
    content: bytes,
    *,
    ranges: bool = True,
    kind: str = "video/mp4",
    hangs_at: int | None = None,
    methods: tuple[str, ...] = ("GET", "HEAD"),
) -> Iterator[str]:
    """Serves one file under every name, by byte ranges or from its beginning only; may fall silent in it."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if ranges else None
            start = int(asked[1]) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                with contextlib.suppress(OSError):
                    self.wfile.write(content[start:hangs_at])
                if hangs_at is not None:
                    released.wait(20)

        def do_HEAD(self) -> None:
            if "HEAD" in methods:
                self.do_GET()
            else:
                self.send_error(403)

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(Handler) as port:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            released.set()


def clip(ffmpeg: str, folder: Path, *flags: str, name: str = "a.mp4") -> bytes:
    source = ["-f", "lavfi", "-i", "testsrc=s=320x240:d=2:r=12", "-c:v", "libx264", *flags, name]
    return encode(ffmpeg, folder, *source).read_bytes()


@pytest.mark.parametrize(
    ("flags", "ranges"), [(["-movflags", "faststart"], True), (["-movflags", "faststart"], False), ([], True)]
)
@pytest.mark.parametrize("path", ["/a.mp4", "/download?id=3"])
def test_a_video_file_on_a_server_is_read_like_a_file(
    ffmpeg: str, tmp_path: Path, flags: list[str], ranges: bool, path: str
) -> None:
    with file_server(clip(ffmpeg, tmp_path, *flags), ranges=ranges) as address:
        source = open_source(address + path)
        assert not source.live
        frames, error = read(source)
    assert error == ""
    assert [frame.time for frame in frames] == pytest.approx(TWELFTHS)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_address_that_only_answers_get_is_a_file_too(ffmpeg: str, tmp_path: Path, ranges: bool) -> None:
    content = clip(ffmpeg, tmp_path, "-movflags", "faststart")
    with file_server(content, ranges=ranges, methods=("GET",)) as address:
        source = open_source(f"{address}/download?signature=x")
        assert not source.live
        frames, error = read(source)
    assert error == ""
    assert [frame.time for frame in frames] == pytest.approx(TWELFTHS)


def test_a_server_that_cannot_seek_is_told_where_that_is_needed(ffmpeg: str, tmp_path: Path) -> None:
    content = clip(ffmpeg, tmp_path, "-vf", "noise=alls=80:allf=t", "-qp", "5")
    with file_server(content, ranges=False) as address:
        frames, error = read(open_source(f"{address}/a.mp4"))
    assert not frames
    assert "does not support byte ranges" in error


def test_a_file_whose_server_stops_is_not_called_incomplete(ffmpeg: str, tmp_path: Path) -> None:
    content = clip(ffmpeg, tmp_path, "-movflags", "faststart")
    with file_server(content, hangs_at=len(content) // 2) as address:
        frames, error = read(Stream(f"{address}/a.mp4", open_timeout=1, read_timeout=1))
    assert len(frames) < 24
    assert re.search("cannot be read(?! by).*: no data arrived in time; check its disk or network", error), error


@pytest.mark.parametrize("path", ["/c.jpg", "/c.jpg?token=secret", "/snapshot?token=secret"])
def test_a_snapshot_is_one_picture_and_no_fault(path: str) -> None:
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    with file_server(picture, kind="image/jpeg") as address:
        frames, error = read(open_source(address + path))
    assert (len(frames), error) == (1, "")


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:PASS@W0RD?#@host/x",
        "rtsp://user:PASS@W0RD/x@host/y",
        "rtsp://user:secret@host/a?mail=x@W0RD",
        "rtsp://admin:1234/5@cam/1",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_shows_nothing_of_it(url: str) -> None:
    assert without_secrets(url) == "rtsp://***"
    with pytest.raises(SourceError, match="write @ as %40"):
        open_source(url)
