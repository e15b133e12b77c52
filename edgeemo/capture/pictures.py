"""Pictures of a folder, one after the other."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgeemo.errors import SourceError
from edgeemo.types import U8, Frame

log = logging.getLogger(__name__)

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


class Pictures:
    """The pictures of a folder in natural order (face2 before face10), or a single one.

    Each comes upright (EXIF), as 8-bit BGR, without transparency; its file name is the frame's `origin`. Of an
    animation the first picture counts.

    Attributes:
        pause_s: seconds that whoever shows the pictures leaves between two of them; the reader keeps to it, for its
            wait can be ended at any time.

    Raises:
        SourceError: there is no picture, or none that can be read. One among others is passed over with a warning.
    """

    live = False

    def __init__(self, path: Path, *, pause_s: float = 0.0) -> None:
        self.name = path.resolve().name
        self.pause_s = pause_s
        self._path = path
        self._files = [path] if path.is_file() else _pictures_of(path)

    def count(self) -> int:
        """Pictures by their names; some may turn out to be unreadable."""
        return len(self._files)

    def frames(self) -> Iterator[Frame]:
        index = 0
        for file in self._files:
            image = read_picture(file)
            if image is None:
                if len(self._files) > 1:
                    log.warning("%s is no picture that can be read; left out", file)
                continue
            yield Frame(image, index, float(index), file.name, still=True)
            index += 1
        if not index and len(self._files) > 1:
            raise SourceError(
                f"none of the {len(self._files)} pictures in {self._path} can be read; give another folder"
            )
        if not index:
            raise SourceError(f"{self._files[0]} is no picture that can be read; give another one")


def read_picture(path: Path) -> U8 | None:
    """(H, W, 3) BGR, or None where the file is no complete picture."""
    try:
        data = path.read_bytes()
    except OSError as error:
        log.debug("%s: %s", path, error)
        return None
    if not _looks_complete(data):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # for example more pixels than OpenCV allows
        return None
    return None if image is None or not image.size else np.ascontiguousarray(image, np.uint8)


def _pictures_of(folder: Path) -> list[Path]:
    try:
        files = [file for file in folder.iterdir() if is_picture(file) and file.is_file()]
    except OSError as error:
        raise SourceError(
            f"cannot read the folder {folder}: {error.strerror or error}; check its permissions"
        ) from error
    if not files:
        raise SourceError(
            f"no pictures in the folder {folder}; it needs .jpg, .png or other picture files, not subfolders"
        )
    return sorted(files, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Numbers in a name sort by value."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name


def _looks_complete(data: bytes) -> bool:
    """Refuses what libpng and libjpeg would complain about on standard error, past Python, before they fail."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        at = 8
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            kind, end = data[at + 4 : at + 8], at + 8 + length
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                return False
            if kind == b"IEND":
                return True
            at = end + 4
        return False
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[-65536:]
    return bool(data)
