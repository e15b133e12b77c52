"""Read the pictures of a folder, and every frame of animations.

Called by `open_source` and the library's `recognise`.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgeemo.capture.display import opaque
from edgeemo.capture.ffmpeg import open_video
from edgeemo.capture.picture_header import animation_of, has_alpha, picture_size
from edgeemo.errors import PartlyReadError, SourceError
from edgeemo.types import U8, Frame
from engines.installation import pip_install
from engines.native_noise import native_noise_dropped

log = logging.getLogger(__name__)

HEIF = (".heic", ".heif", ".hif")
SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp", *HEIF),
)
MAX_PIXELS = 100_000_000  # larger pictures are decoded at reduced size (JPEG) or refused
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
MAX_ANIMATION_BYTES = 400_000_000  # limit for an animated WebP, all frames of which are decoded at once
NAMED = 5  # this many of the skipped files are named, the others counted


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


class Pictures:
    """The pictures of a folder in natural order (face2 before face10), or a single picture.

    Pictures are upright (EXIF), 8-bit BGR, transparent pixels white; the file name is the frame's `origin`. Every frame
    of an animation is read.

    Attributes:
        pause_s: seconds between two pictures when they are shown. `frames` does not wait: the source worker does, and
            stops waiting at once when the run is stopped.

    Raises:
        SourceError: there is no readable picture.
        PartlyReadError: some could not be read; raised after all others were yielded.
    """

    live = False
    decoder = ""

    def __init__(self, path: Path, *, pause_s: float = 0.0) -> None:
        self.name = path.resolve().name
        self.pause_s = pause_s
        self._path = path
        self._files, self._others = ([path], []) if path.is_file() else _files_of(path)

    def count(self) -> int:
        """Number of files with a picture's suffix; some may be unreadable."""
        return len(self._files)

    def frames(self) -> Iterator[Frame]:
        index = 0
        failed: list[str] = []
        why = ""
        for file in self._files:
            try:
                for image in _pictures_in(file):
                    yield Frame(image, index, float(index), file.name, still=True)
                    index += 1
            except SourceError as error:
                failed.append(file.name)
                why = why or str(error)
                if len(self._files) > 1:
                    log.warning("%s; skipped", error)
        if self._others:
            log.warning("%s", _listed(len(self._others), "file", "skipped: not a picture", self._others))
        if not index:
            if len(self._files) > 1:
                raise SourceError(
                    f"none of the {len(self._files)} pictures in {self._path} can be read; give another folder"
                )
            raise SourceError(why)
        if failed:
            of = f"of {len(self._files)} pictures" if len(self._files) > 1 else "picture"
            raise PartlyReadError(_listed(len(failed), of, "could not be read", failed))


class AnimatedWebp:
    """An animated WebP as a video: every frame, in media time.

    Raises:
        SourceError: it cannot be read.
    """

    live = False
    pause_s = 0.0
    decoder = ""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path

    def frames(self) -> Iterator[Frame]:
        time = 0.0
        for index, (image, shown_s) in enumerate(_webp_frames(self._path)):
            yield Frame(image, index, time, self.name)
            time += shown_s


def read_picture(path: Path) -> U8 | None:
    """(H, W, 3) BGR; the first frame of an animation; None if the file is not a complete picture.

    Raises:
        SourceError: it has too many pixels, or needs a package that is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        log.debug("%s: %s", path, error)
        return None
    size = picture_size(data)
    too_large = size is not None and size[0] * size[1] > MAX_PIXELS
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis"):
        return _read_heif(path)
    if size is not None and too_large and not data.startswith(b"\xff\xd8"):
        raise SourceError(
            f"{path} has {size[0]} x {size[1]} pixels; the limit is {MAX_PIXELS // 1_000_000} million, "
            "so make it smaller"
        )
    if not _looks_complete(data):
        return None
    flags = cv2.IMREAD_COLOR
    if size is not None and too_large:
        factor = next((each for each in REDUCED if size[0] * size[1] <= MAX_PIXELS * each**2), 8)
        log.warning("%s has %d x %d pixels and is read at 1/%d of its size", path, *size, factor)
        flags = REDUCED[factor]
    return _decoded(data, flags)


def _decoded(data: bytes, flags: int) -> U8 | None:
    with native_noise_dropped():
        return _decoded_aloud(data, flags)


def _decoded_aloud(data: bytes, flags: int) -> U8 | None:
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, flags)
        if image is None or not image.size:
            return None
        if has_alpha(data):
            whole = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
            if whole is not None and whole.ndim == 3 and whole.shape[2] == 4 and whole.shape[:2] == image.shape[:2]:
                alpha = np.asarray(whole[:, :, 3], np.uint16) // (257 if whole.dtype == np.uint16 else 1)
                image = opaque(np.dstack([image, alpha.astype(np.uint8)]))
    except cv2.error:  # for example more pixels than OpenCV allows
        return None
    return np.ascontiguousarray(image, np.uint8)


def _pictures_in(path: Path) -> Iterator[U8]:
    """The picture of a file, or every frame of an animation.

    Raises:
        SourceError: it cannot be read. If an animation is damaged, its readable frames are yielded first.
    """
    if path.exists() and not path.is_file():  # a pipe would wait for its writer
        raise SourceError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            kind = animation_of(file.read(1 << 20))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if kind == "webp":
        yield from (image for image, _ in _webp_frames(path))
        return
    video = open_video(str(path.absolute())) if kind else None
    if video is None:
        image = read_picture(path)
        if image is None:
            raise SourceError(f"{path} is not a readable picture")
        yield image
        return
    try:
        while video.grab():
            image = video.image()
            if image is not None:
                yield image
    except OSError as error:
        raise SourceError(f"{path} cannot be read to its end: {error}") from error
    finally:
        video.close()


def _webp_frames(path: Path) -> Iterator[tuple[U8, float]]:
    """The frames of an animated WebP, which FFmpeg does not decode, and their durations in seconds."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    width, height = picture_size(data) or (1, 1)
    most = max(1, MAX_ANIMATION_BYTES // (width * height * 4))
    try:
        done, animation = cv2.imdecodeanimation(np.frombuffer(data, np.uint8), 0, most)
    except cv2.error:
        done = False
    if not done:
        raise SourceError(f"{path} is not a readable picture")
    if len(animation.frames) == most:
        log.warning("%s: reading only the first %d frames", path, most)
    for frame, shown_ms in zip(animation.frames, animation.durations, strict=True):
        whole = np.asarray(frame, np.uint8)
        yield opaque(whole) if whole.shape[2] == 4 else np.ascontiguousarray(whole), max(shown_ms, 1) / 1e3


def _read_heif(path: Path) -> U8 | None:
    """Read HEIC with pillow-heif, or without it with FFmpeg, which reads one tile only (phones write many tiles)."""
    try:
        from pillow_heif import read_heif
    except ImportError:
        return _heif_tile(path)
    try:
        image = np.asarray(read_heif(str(path), convert_hdr_to_8bit=True))
    except (ValueError, EOFError, OSError, RuntimeError):
        return None
    if image.shape[2] == 4:
        return opaque(cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA).astype(np.uint8))
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _heif_tile(path: Path) -> U8 | None:
    video = open_video(str(path.absolute()))
    if video is None:
        return None
    try:
        if video.streams > 1:
            raise SourceError(f"{path} consists of tiles; to read it: {pip_install('heic')}")
        return video.read()
    except OSError:
        return None
    finally:
        video.close()


def _files_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures of a folder, and the names of its other files; without hidden files and folders."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".") and not file.is_dir()]
    except OSError as error:
        raise SourceError(
            f"cannot read the folder {folder}: {error.strerror or error}; check its permissions"
        ) from error
    pictures = [file for file in files if is_picture(file)]
    if not pictures:
        raise SourceError(
            f"no pictures in the folder {folder}; it needs .jpg, .png or other picture files, not subfolders"
        )
    return sorted(pictures, key=_natural), sorted(file.name for file in files if not is_picture(file))


def _listed(count: int, what: str, why: str, names: list[str]) -> str:
    """ "2 of 7 pictures could not be read: a.png, b.png"."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    plural = "s" if what == "file" and count > 1 else ""
    return f"{count} {what}{plural} {why}: {', '.join(names[:NAMED])}{more}"


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers in a name are compared by value."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name


def _looks_complete(data: bytes) -> bool:
    """Whether a PNG or JPEG is complete; other formats are not checked.

    Incomplete files are not decoded, because libpng and libjpeg would print a warning.
    """
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
