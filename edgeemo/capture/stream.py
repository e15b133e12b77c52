"""Network streams (RTSP, MJPEG and whatever FFmpeg plays), and video files at an address. Called by `open_source`."""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from edgeemo.capture.ffmpeg import Video, expect_pyav, open_video, since
from edgeemo.capture.file import play
from edgeemo.capture.gstreamer import GStreamerError
from edgeemo.capture.hardware_video import open_decoder
from edgeemo.errors import SourceError
from edgeemo.types import Frame
from edgeemo.values import expect_host

SCHEMES = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 2.0
FILES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv"),
    *(".3gp", ".gif"),
)
# TCP, because UDP (FFmpeg's default) loses packets of key frames. FFmpeg would also read 20 frames to measure the frame
# rate, which is not needed: without it, an RTSP camera with 15 frames per second opens in 0.7 s instead of 2.0
LIVE = {"rtsp_transport": "tcp", "fpsprobesize": "1"}


class Stream:
    """Frames of a stream as they arrive, stamped with the seconds since it was opened.

    A video file at an http or https address is read like a local file: every frame, in media time. A snapshot is a
    stream of one picture.

    `name` and all messages omit the address's user, password and query (it may contain a token).

    Args:
        stream: number of the video stream, from 0; None: the default one.

    Raises:
        SourceError: the address is malformed, the host does not answer, the answer is not a video, or the stream ends
            unexpectedly.
    """

    pause_s = 0.0

    def __init__(
        self,
        url: str,
        *,
        open_timeout: float = OPEN_TIMEOUT_S,
        read_timeout: float = READ_TIMEOUT_S,
        loop: bool = False,
        paced: bool = False,
        stream: int | None = None,
    ) -> None:
        self._url = url
        self.name = without_secrets(url)
        self._open_timeout = open_timeout
        self._read_timeout = read_timeout
        self._loop = loop
        self._paced = paced
        self._stream = stream
        self._video: Video | None = None
        if _is_ambiguous(url):
            raise SourceError(
                f"{self.name}: user, password or path contain a reserved character; "
                "write @ as %40, / as %2F, ? as %3F and # as %23 there"
            )
        try:
            parts = urlsplit(url)
            self._scheme, self._suffix = parts.scheme.lower(), PurePosixPath(unquote(parts.path)).suffix.lower()
            self._host, self._port = parts.hostname or "", parts.port or SCHEMES[self._scheme]
            expect_host("the address", self._host or "localhost")  # an empty host is reported below
        except (ValueError, KeyError) as error:
            raise SourceError(f"{self.name} is not a valid address; write it as rtsp://host:port/path") from error
        if not self._host:
            raise SourceError(f"{self.name} names no host; write it as rtsp://host:port/path")

    @cached_property
    def live(self) -> bool:
        """Whether frames arrive in real time.

        An http server is asked for the headers: a file has a Content-Length, a live stream has none.
        """
        if not self._scheme.startswith("http"):
            return True
        headers = self._ask("HEAD")
        if headers is None:
            return self._suffix not in FILES
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not headers.get("content-length", "").isdigit():
            return self._suffix not in FILES or kind.startswith("multipart/")
        return not (kind.startswith("video/") or kind == "image/gif" or self._suffix in FILES)

    @property
    def decoder(self) -> str:
        return self._video.decoder if self._video is not None else ""

    def frames(self) -> Iterator[Frame]:
        return self._live_frames() if self.live else self._file_frames()

    def _file_frames(self) -> Iterator[Frame]:
        count = 0
        try:
            for frame in play(self._open, self.name, self.name, loop=self._loop, paced=self._paced):
                yield frame
                count += 1
        except SourceError as error:
            if count or self._can_seek():
                raise
            raise SourceError(
                f"{self.name} cannot be read: {self._host}:{self._port} does not support byte ranges, "
                "and this file has its index at its end; copy it to this machine, or write it with its index "
                "first (ffmpeg -movflags faststart)"
            ) from error

    def _live_frames(self) -> Iterator[Frame]:
        began = time.monotonic()
        video = self._open()
        count, last, asked, failed, why = 0, 0.0, time.monotonic(), False, ""
        try:
            while video.grab():
                image = video.image()
                if image is None:
                    continue
                last = since(began, last)
                yield Frame(image, count, last, self.name, damage=video.take_damage())
                count, asked = count + 1, time.monotonic()
        except OSError as error:
            failed, why = True, str(error) if isinstance(error.__cause__, GStreamerError) else ""
        finally:
            silent = time.monotonic() - asked
            video.close()
        # the end of a recording or of a snapshot is not an error
        is_whole = count == video.count or video.format == "image2" or video.format.endswith("_pipe")
        if count and not failed and is_whole:
            return
        closed = "the server closed the connection"
        why = why or (f"no data for {silent:.0f} s" if silent > 0.9 * self._read_timeout else closed)
        raise SourceError(f"{self.name} ended after {count} frames: {why}; check the camera, then start again")

    def _open(self) -> Video:
        expect_pyav()
        try:
            video = open_video(
                self._url,
                stream=self._stream,
                open_timeout=self._open_timeout,
                read_timeout=self._read_timeout,
                options=LIVE if self.live else {},
                make=open_decoder,
            )
        except SourceError as error:
            raise SourceError(f"{self.name} {error}; give the address of a video") from error
        if video is None:
            raise SourceError(f"cannot open {self.name}: {self._why_not()}")
        self._video = video
        return video

    def _why_not(self) -> str:
        """The reason why the address could not be opened.

        This connects again. Call it only after a failure, because some cameras serve a single connection.
        """
        where = f"{self._host}:{self._port}"
        try:
            socket.create_connection((self._host, self._port), PROBE_TIMEOUT_S).close()
        except socket.gaierror:
            return f"there is no host {self._host}; check the address"
        except ConnectionRefusedError:
            return f"{where} refuses the connection; check the port, and whether the camera is on"
        except TimeoutError:
            return f"{where} does not answer; check the address and the network"
        except OSError as error:
            return f"{where} cannot be reached ({error.strerror or error}); check the network"
        return f"{where} answers, but not with a video; check path, user name and password"

    def _can_seek(self) -> bool:
        """Whether the server supports byte ranges; True if it does not answer."""
        headers = self._ask("GET", {"Range": "bytes=0-0"})
        return headers is None or "content-range" in headers

    def _ask(self, method: str, more: Mapping[str, str] | None = None) -> dict[str, str] | None:
        """The headers of an http response, names in lower case; None if there is none."""
        # imported here: 5 MB with ssl and email, needed only for http addresses
        import urllib.error
        import urllib.request

        parts = urlsplit(self._url)
        headers = dict(more or {})
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        try:
            request = urllib.request.Request(address, method=method, headers=headers)
            with urllib.request.urlopen(request, timeout=min(PROBE_TIMEOUT_S, self._open_timeout)) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}
        except urllib.error.HTTPError:
            # addresses signed for GET, and small servers, refuse HEAD
            return self._ask("GET", {"Range": "bytes=0-0"}) if method == "HEAD" else None
        except (urllib.error.URLError, OSError, ValueError, UnicodeError):
            return None


def without_secrets(url: str) -> str:
    """The address without user, password, query and fragment; only its scheme if the parts are ambiguous."""
    scheme, _, rest = url.partition("://")
    if _is_ambiguous(url):
        return f"{scheme}://***"
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = shown.partition("/")
    if "@" not in host and "@" in rest and not _is_host(host):
        # what looks like a port is a password with an unescaped slash, question mark or hash
        host, slash, path = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _is_host(text: str) -> bool:
    return re.fullmatch(r"[^:]*(:\d*)?|\[.*\](:\d*)?", text) is not None


def _is_ambiguous(url: str) -> bool:
    """Whether an @ follows the first /, ? or #, so that the password may contain one of these characters unescaped.

    FFmpeg would then connect to another host.
    """
    rest = url.partition("://")[2]
    authority, end, behind = re.match(r"([^/?#]*)([/?#]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" not in behind:
        return False
    if "@" in authority:
        return True
    # "admin:1234/5@cam": a user and a password of digits, not a host and a port
    name, colon, _ = authority.partition(":")
    return bool(colon) and _is_host(authority) and end == "/" and "." not in name and not authority.startswith("[")
