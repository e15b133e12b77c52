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

from edgeemo.capture.camera import CameraFormat, CameraInfo, CameraSource, list_cameras
from edgeemo.capture.file import VideoFile
from edgeemo.capture.pictures import Pictures, is_picture
from edgeemo.capture.reader import Reader
from edgeemo.capture.stream import OPEN_TIMEOUT_S, READ_TIMEOUT_S, SCHEMES, Stream
from edgeemo.errors import SourceError
from edgeemo.types import Source

__all__ = ["DEMO_CLIP", "CameraInfo", "Reader", "list_cameras", "open_source"]

PICTURE_S = 1.5  # how long a paced picture of a folder stays
DEMO_CLIP = Path(__file__).parents[1] / "demo" / "demo.mp4"

_GRAMMAR = "a camera number, a video file, a folder of pictures, an rtsp:// or http:// address, or demo"


def open_source(
    uri: str,
    *,
    loop: bool = False,
    paced: bool = False,
    camera: CameraFormat | None = None,
    open_timeout: float = OPEN_TIMEOUT_S,
    read_timeout: float = READ_TIMEOUT_S,
) -> Source:
    """The source that a text names. What can be checked at once is; a device or stream is opened by `frames()`.

    Args:
        uri: see above; `demo?loop` is the demo clip over and over.
        loop: a video file begins again when it ends, time and index going on. Other sources ignore it.
        paced: a video file plays at its own speed instead of as fast as it is read, and of a folder each picture stays
            for a moment. Other sources ignore it.
        camera: what is asked of a camera. Other sources ignore it.
        open_timeout, read_timeout: seconds, for streams.

    Raises:
        SourceError: the text names nothing that exists, or a kind of source that is not supported.
    """
    if not uri:
        raise SourceError(f"the source is empty; give {_GRAMMAR}")
    if uri in ("demo", "demo?loop"):
        return VideoFile(DEMO_CLIP, name="demo", loop=loop or uri.endswith("?loop"), paced=paced)
    if uri.isascii() and uri.isdigit():
        return CameraSource(f"/dev/video{int(uri)}", name=f"camera {int(uri)}", wanted=camera)
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", uri)
    if scheme and scheme[1].lower() == "csi":
        from edgeemo.capture.csi import CsiCamera

        return CsiCamera(uri, camera or CameraFormat())
    if scheme and scheme[1].lower() == "file":
        return open_source(unquote(urlsplit(uri).path), loop=loop, paced=paced)
    if scheme and scheme[1].lower() not in SCHEMES:
        raise SourceError(f"{scheme[1].lower()}:// is no kind of source; give {_GRAMMAR}")
    if scheme:
        return Stream(uri, open_timeout=open_timeout, read_timeout=read_timeout)
    path = Path(os.path.expanduser(uri))
    if uri.startswith("/dev/") and not path.is_file() and not path.is_dir():
        return CameraSource(str(path), name=uri, wanted=camera)
    if path.is_dir():
        return Pictures(path, pause_s=PICTURE_S if paced else 0.0)
    if not path.exists():
        raise SourceError(f"there is no file or folder {uri!r}; a source is {_GRAMMAR}")
    return Pictures(path) if is_picture(path) else VideoFile(path, loop=loop, paced=paced)
