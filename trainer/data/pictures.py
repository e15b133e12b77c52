"""Where a data set's pictures lie: a folder or a zip file. Both can be sent to another process."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from engines.preprocess import U8
from trainer.errors import PictureError


class Pictures(Protocol):
    """Finds a picture by its name; has to be picklable, so that several processes can crop faces."""

    def __call__(self, name: str) -> U8:
        """(H, W, 3) BGR or (H, W) grey; raises `PictureError` where it is missing or unreadable."""
        ...

    def identity(self, name: str) -> str:
        """Changes whenever the picture's content does, found without reading it: part of the face cache's key."""
        ...


@dataclass(frozen=True)
class FolderPictures:
    root: Path

    def names(self) -> set[str]:
        return {item.name for item in self.root.iterdir()}

    def read_bytes(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def identity(self, name: str) -> str:
        return file_identity(self.root / name)

    def __call__(self, name: str) -> U8:
        try:
            return decode(self.read_bytes(name), name)
        except FileNotFoundError as error:
            raise PictureError(name, "missing file") from error
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
        return _archive(self.path).read(self.prefix + name)

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
            raise PictureError(name, "missing file") from error
        except (OSError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise PictureError(name, f"unreadable file ({error})") from error


MISSING = "missing"


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
    """`identity` is part of the cache's key: a file that was replaced is opened again."""
    return zipfile.ZipFile(path)


def decode(encoded: bytes, name: str) -> U8:
    """Bytes of a picture file -> (H, W, 3) BGR."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    if image is None:
        raise PictureError(name, "no picture, or a damaged one")
    return np.asarray(image, np.uint8)
