"""Network streams: RTSP, MJPEG and whatever else FFmpeg plays from an address."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from edgeemo.capture.decoder import open_video
from edgeemo.errors import SourceError
from edgeemo.types import Frame

SCHEMES = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 2.0


class Stream:
    """Frames of a stream as they come, stamped with the seconds since it was opened.

    `name` and all messages are free of the address's user, password and query, which may hold a token.

    Raises:
        SourceError: the address is malformed, nobody answers, what answers is no video, or the stream breaks off.
    """

    live = True
    pause_s = 0.0

    def __init__(self, url: str, *, open_timeout: float = OPEN_TIMEOUT_S, read_timeout: float = READ_TIMEOUT_S) -> None:
        self._url = url
        self.name = without_secrets(url)
        self._open_timeout = open_timeout
        self._read_timeout = read_timeout
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port or SCHEMES[parts.scheme.lower()]
        except (ValueError, KeyError) as error:
            raise SourceError(f"{self.name} is no valid address; write it as rtsp://host:port/path") from error
        if not self._host:
            raise SourceError(f"{self.name} names no host; write it as rtsp://host:port/path")

    def frames(self) -> Iterator[Frame]:
        began = time.monotonic()
        decoder = open_video(self._url, open_timeout=self._open_timeout, read_timeout=self._read_timeout)
        if decoder is None:
            raise SourceError(f"cannot open {self.name}: {self._why_not()}")
        count, asked = 0, time.monotonic()
        try:
            for frame in decoder.live(self.name, began):
                yield frame
                count, asked = count + 1, time.monotonic()
            silent = time.monotonic() - asked
        finally:
            decoder.close()
        if count and count == decoder.count:  # a finished recording behind an address
            return
        why = f"nothing came for {silent:.0f} s" if silent > 0.9 * self._read_timeout else "the other side ended it"
        raise SourceError(f"{self.name} broke off after {count} frames: {why}; check the camera, then start again")

    def _why_not(self) -> str:
        """Asked only after a failure: some cameras serve a single connection."""
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


def without_secrets(url: str) -> str:
    """The address without user, password, query and fragment."""
    scheme, _, rest = url.partition("://")
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = shown.partition("/")
    if "@" not in host and "@" in rest and not re.fullmatch(r"[^:]*(:\d*)?|\[.*\](:\d*)?", host):
        # what looks like a port is a password that holds an unescaped slash, question mark or hash
        host, slash, path = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
