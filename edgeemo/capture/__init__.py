"""Sources of frames, and the grammar that names them.

0, 1, /dev/video2, /dev/v4l/by-id/…   a camera
clip.mp4                              a video file, every frame of it
pictures/, face.jpg                   a folder of pictures, or a single one
rtsp://…, http://…, https://…         a stream
csi://0                               a camera on a Jetson's CSI connector
demo                                  the clip that ships with edgeemo
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgeemo.capture.camera import CameraInfo, CameraSource, list_cameras
from edgeemo.capture.file import VideoFile
from edgeemo.capture.pictures import Pictures, is_picture
from edgeemo.capture.reader import Reader
from edgeemo.capture.stream import SCHEMES, Stream
from edgeemo.errors import SourceError
from edgeemo.types import Source

__all__ = ["DEMO_CLIP", "CameraInfo", "Reader", "list_cameras", "open_source"]

DEMO_CLIP = Path(__file__).parents[1] / "demo" / "demo.mp4"

_GRAMMAR = "a camera number, a video file, a folder of pictures, an rtsp:// or http:// address, or demo"


def open_source(uri: str, *, loop: bool = False, paced: bool = False) -> Source:
    """The source that a text names. What can be checked at once is; a device or stream is opened by `frames()`.

    Args:
        uri: see above; `demo?loop` is the demo clip over and over.
        loop: a video file begins again when it ends, time and index going on. Other sources ignore it.
        paced: a video file plays at its own speed instead of as fast as it is read. Other sources ignore it.

    Raises:
        SourceError: the text names nothing that exists, or a kind of source that is not supported.
    """
    if not uri:
        raise SourceError(f"the source is empty; give {_GRAMMAR}")
    if uri in ("demo", "demo?loop"):
        return VideoFile(DEMO_CLIP, name="demo", loop=loop or uri.endswith("?loop"), paced=paced)
    if uri.isascii() and uri.isdigit():
        return CameraSource(f"/dev/video{int(uri)}", name=f"camera {int(uri)}")
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", uri)
    if scheme:
        return _by_scheme(scheme[1].lower(), uri, loop=loop, paced=paced)
    path = Path(os.path.expanduser(uri))
    if uri.startswith("/dev/") and not path.is_file() and not path.is_dir():
        return CameraSource(str(path), name=uri)
    if path.is_dir():
        return Pictures(path)
    if not path.exists():
        raise SourceError(f"there is no file or folder {uri!r}; a source is {_GRAMMAR}")
    return Pictures(path) if is_picture(path) else VideoFile(path, loop=loop, paced=paced)


def _by_scheme(scheme: str, uri: str, *, loop: bool, paced: bool) -> Source:
    if scheme == "csi":
        raise SourceError(f"{uri}: CSI cameras cannot be read yet; use a USB camera (0) or an RTSP stream")
    if scheme == "file":
        return open_source(unquote(urlsplit(uri).path), loop=loop, paced=paced)
    if scheme not in SCHEMES:
        raise SourceError(f"{scheme}:// is no kind of source; give {_GRAMMAR}")
    return Stream(uri)
