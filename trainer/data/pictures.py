"""Read and decode a data set's pictures from a folder or a zip file. Called by the readers of `trainer.data`."""

from __future__ import annotations

import errno
import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from engines import preprocess
from engines.preprocess import U8
from trainer.errors import PictureError


class Pictures(Protocol):
    """Reads a picture by its name; must be picklable, so that several processes can crop faces."""

    def __call__(self, name: str) -> U8:
        """(H, W, 3) BGR or (H, W) grey; raises `PictureError` if it is missing or unreadable."""
        ...

    def identity(self, name: str) -> str:
        """A key that changes with the picture's content, found without reading it; part of the face cache's key."""
        ...


@dataclass(frozen=True)
class FolderPictures:
    root: Path

    def names(self) -> set[str]:
        return {item.name for item in self.root.iterdir()}

    def read_bytes(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def identity(self, name: str) -> str:
        return MISSING if leaves_root(name) else file_identity(self.root / name)

    def __call__(self, name: str) -> U8:
        if leaves_root(name):
            raise PictureError(name, OUTSIDE_ROOT)
        try:
            return decode(self.read_bytes(name), name)
        except FileNotFoundError as error:
            raise PictureError(name, MISSING_FILE) from error
        except OSError as error:
            raise PictureError(name, f"unreadable file ({error.strerror})") from error


@dataclass(frozen=True)
class ZipPictures:
    path: Path
    prefix: str = ""

    def names(self) -> set[str]:
        names = _archive(self.path).namelist()
        return {name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)}

    def read_bytes(self, name: str) -> bytes:
        """Raises: KeyError: there is no such member. OSError: it is damaged or encrypted."""
        try:
            return _archive(self.path).read(self.prefix + name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise OSError(errno.EIO, f"{name} is damaged or encrypted ({error})", str(self.path)) from error

    def identity(self, name: str) -> str:
        try:
            member = _archive(self.path).getinfo(self.prefix + name)
        except KeyError:
            return MISSING
        return f"{member.file_size}:{member.CRC:08x}"

    def __call__(self, name: str) -> U8:
        try:
            return decode(self.read_bytes(name), name)
        except KeyError as error:
            raise PictureError(name, MISSING_FILE) from error
        except OSError as error:
            raise PictureError(name, f"unreadable file ({error.strerror or error})") from error


MISSING = "missing"
MISSING_FILE = "missing file"
OUTSIDE_ROOT = "a path outside the data set's folder"


def leaves_root(name: str) -> bool:
    """Whether the name leads outside the data set's folder."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def file_identity(path: Path) -> str:
    """Size and modification time of a file."""
    try:
        status = path.stat()
    except OSError:
        return MISSING
    return f"{status.st_size}:{status.st_mtime_ns}"


def _archive(path: Path) -> zipfile.ZipFile:
    return _opened(path, file_identity(path))


@lru_cache(maxsize=4)
def _opened(path: Path, identity: str) -> zipfile.ZipFile:
    """`identity` is part of the cache key, so that a replaced file is opened again."""
    return zipfile.ZipFile(path)


def decode(encoded: bytes, name: str) -> U8:
    """Bytes of a picture file -> (H, W, 3) BGR."""
    if encoded.startswith(b"\xff\xd8") and not jpeg_is_whole(encoded):
        raise PictureError(name, "a damaged JPEG")
    image = preprocess.decode(encoded)
    if image is None:
        raise PictureError(name, "not a picture, or damaged")
    return image


# in compressed data 0xff is followed by 0x00 or 0xff; any other pair is a marker
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_SOS, _EOI, _RST0 = 0xDA, 0xD9, 0xD0
# markers that may follow compressed data: tables, comments, application data, number of lines
_BETWEEN_SCANS = {0xC4, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers with height and width
_ZEROS = bytes(256)  # found in blocks of a file that were never written
_FLAT = 0.05  # bytes per pixel; only pictures of a single colour have less, and may contain such zeros


def jpeg_is_whole(encoded: bytes) -> bool:
    """Whether a JPEG's structure is intact (ITU-T T.81, annex B): decoders fill missing parts with grey.

    It finds a missing end, zeros in place of compressed data, impossible markers within it and restart markers out of
    order. It does not find overwritten bytes that look like compressed data.
    """
    at, pixels = 2, 0
    while at + 4 <= len(encoded):
        if encoded[at] != 0xFF:
            return False
        kind = encoded[at + 1]
        if kind == 0xFF:  # fill byte
            at += 1
            continue
        if kind == _EOI:
            return not _goes_on(encoded[at + 2 :])
        if kind in _FRAMES:
            height, width = (int.from_bytes(encoded[at + place : at + place + 2], "big") for place in (5, 7))
            pixels = height * width
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
        if kind == _SOS:
            end = _end_of_scan(encoded, at)
            if end is None or (len(encoded) > _FLAT * pixels and encoded.find(_ZEROS, at, end) >= 0):
                return False
            at = end
    return encoded[at:] == b"\xff\xd9"


def _goes_on(behind: bytes) -> bool:
    """Whether the end marker belongs to an embedded preview: another end marker without a start follows."""
    return behind.rstrip(b"\0").endswith(b"\xff\xd9") and b"\xff\xd8\xff" not in behind


def _end_of_scan(encoded: bytes, start: int) -> int | None:
    """Position of the marker after compressed data; None without a valid one."""
    restarts = 0
    for found in _MARKER.finditer(encoded, start):
        kind = found[1][0]
        if _RST0 <= kind < _RST0 + 8:
            if kind - _RST0 != restarts % 8:
                return None
            restarts += 1
        else:
            return found.start() if kind in (_SOS, _EOI) or kind in _BETWEEN_SCANS else None
    return None
