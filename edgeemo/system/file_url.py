"""The path of a source that is a file. Called by `open_source` and where an output must not overwrite a source."""

from __future__ import annotations

import os
import re
import sys
from urllib.parse import unquote_to_bytes, urlsplit


def path_of_url(url: str, *, windows: bool = sys.platform == "win32") -> str:
    """file:///clips/a%20b.mp4 -> /clips/a b.mp4; on Windows file:///C:/clips/a.mp4 -> C:\\clips\\a.mp4.

    A host other than localhost is a Windows share: file://server/share/a.mp4 -> \\\\server\\share\\a.mp4. The fragment
    is dropped.
    """
    parts = urlsplit(url)
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not windows:
        return path
    path = path.replace("/", "\\")
    host = parts.netloc
    if host and host.lower() != "localhost":
        return f"\\\\{host}{path}"
    return path[1:] if re.match(r"\\[A-Za-z]:", path) else path


def path_of_source(uri: str) -> str:
    """The path that a source names: file:///a.mkv or /a.mkv#stream=1 -> /a.mkv. Other texts are unchanged."""
    if uri[:7].lower() == "file://":
        return path_of_url(uri)
    return uri if os.path.exists(os.path.expanduser(uri)) else stream_of(uri)[0]


def stream_of(uri: str) -> tuple[str, int | None]:
    """ "clip.mkv#stream=1" -> ("clip.mkv", 1)."""
    found = re.fullmatch(r"(.+)#stream=(\d{1,3})", uri, re.DOTALL)
    return (found[1], int(found[2])) if found else (uri, None)
