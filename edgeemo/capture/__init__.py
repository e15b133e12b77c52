"""Sources of frames, and the syntax of their names. Called by `edgeemo.run`, `edgeemo.api` and `edgeemo.ui`.

0, 1, /dev/video2, /dev/v4l/by-id/…   a camera
clip.mp4                              a video file, every frame
clip.mkv#stream=1                     a video stream other than the default one, counted from 0
pictures/, face.jpg                   a folder of pictures, or a single picture
rtsp://…, http://…, https://…         a stream, or a video file at that address
csi://0                               a camera on a Jetson's CSI connector
demo                                  the clip that ships with edgeemo
"""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

from edgeemo.capture import desktop_cameras
from edgeemo.capture.camera import CameraFormat, CameraInfo, CameraSource, list_cameras
from edgeemo.capture.file import VideoFile
from edgeemo.capture.picture_header import animation_of
from edgeemo.capture.pictures import AnimatedWebp, Pictures, is_picture
from edgeemo.capture.stream import OPEN_TIMEOUT_S, READ_TIMEOUT_S, SCHEMES, Stream
from edgeemo.errors import PathError, SourceError
from edgeemo.system.file_url import path_of_url, stream_of
from edgeemo.types import Source
from edgeemo.values import shortened, whole_number
from engines.files import user_path

__all__ = ["DEMO_CLIP", "CameraInfo", "list_cameras", "open_source"]

PICTURE_S = 1.5  # how long a paced source shows each picture of a folder
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
    """Make a source from its name. Syntax and paths are checked now; `frames()` opens the device or stream.

    Args:
        uri: see the module; `demo?loop` repeats the demo clip for ever.
        loop: a video file restarts when it ends; time and index continue. Other sources ignore it.
        paced: a video file plays in real time instead of as fast as possible, and each picture of a folder is shown
            for `PICTURE_S`. Other sources ignore it.
        camera: the requested format of a camera. Other sources ignore it.
        open_timeout, read_timeout: seconds, for streams.

    Raises:
        SourceError: the source does not exist, or its kind is not supported.
    """
    if not uri:
        raise SourceError(f"the source is empty; give {_GRAMMAR}")
    if "\0" in uri:
        raise SourceError(f"the source {uri!r} contains a zero byte; give {_GRAMMAR}")
    if uri in ("demo", "demo?loop"):
        return VideoFile(DEMO_CLIP, name="demo", loop=loop or uri.endswith("?loop"), paced=paced)
    number = whole_number(uri, high=9999)
    if number is not None:
        device = str(number) if sys.platform in desktop_cameras.APIS else f"/dev/video{number}"
        return CameraSource(device, name=f"camera {number}", wanted=camera)
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", uri)
    if scheme and scheme[1].lower() == "csi":
        from edgeemo.capture.csi import CsiCamera

        return CsiCamera(uri, camera or CameraFormat())
    if scheme and scheme[1].lower() == "file":
        parts = urlsplit(uri)
        chosen = f"#{parts.fragment}" if parts.fragment else ""
        return open_source(path_of_url(uri) + chosen, loop=loop, paced=paced)
    if scheme and scheme[1].lower() not in SCHEMES:
        raise SourceError(f"{scheme[1].lower()}:// is not a kind of source; give {_GRAMMAR}")
    if scheme:
        address, stream = stream_of(uri)
        return Stream(
            address, open_timeout=open_timeout, read_timeout=read_timeout, loop=loop, paced=paced, stream=stream
        )
    return _open_path(uri, loop=loop, paced=paced, camera=camera)


def _open_path(uri: str, *, loop: bool, paced: bool, camera: CameraFormat | None) -> Source:
    """The source at a path."""
    stream = None
    try:
        path = user_path(uri)
        if not path.exists():
            address, stream = stream_of(uri)
            path = user_path(address)
        kind = path.stat().st_mode
    except PathError as error:
        raise SourceError(str(error)) from error
    except FileNotFoundError as error:
        if uri.startswith("/dev/"):
            return CameraSource(uri, name=uri, wanted=camera)
        raise SourceError(f"there is no file or folder {shortened(uri)}; a source is {_GRAMMAR}") from error
    except OSError as error:
        raise SourceError(
            f"cannot read {uri}: {error.strerror or error}; check the path and its permissions"
        ) from error
    if stat.S_ISDIR(kind):
        return Pictures(path, pause_s=PICTURE_S if paced else 0.0)
    if uri.startswith("/dev/") and not stat.S_ISREG(kind):
        return CameraSource(str(path), name=uri, wanted=camera)
    if not stat.S_ISREG(kind):  # reading a pipe would wait for its writer
        raise SourceError(f"{shortened(uri)} is not a regular file; a source is {_GRAMMAR}")
    if is_picture(path):
        try:
            with path.open("rb") as file:
                animation = animation_of(file.read(1 << 20))
        except OSError as error:
            raise SourceError(
                f"cannot read {uri}: {error.strerror or error}; check the path and its permissions"
            ) from error
        if animation == "webp":
            return AnimatedWebp(path)
        if not animation:
            return Pictures(path)
    return VideoFile(path, loop=loop, paced=paced, stream=stream)
