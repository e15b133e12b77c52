"""Convert any video, file or iterable of frames to a Source. Called by `Recogniser.watch`."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, cast

import cv2
import numpy as np

from edgeemo.api.inputs import BinaryFile, Colour, Picture, read_image
from edgeemo.capture import open_source
from edgeemo.errors import SourceError
from edgeemo.types import Frame, Source

Watchable: TypeAlias = "int | str | os.PathLike[str] | bytes | BinaryFile | Iterable[Picture]"

ACCEPTED = "give a file, a folder, a camera number, an address, or an iterable of frames"


def is_named(value: object) -> TypeGuard[int | str | os.PathLike[str]]:
    """Whether a source is given as a string (as after `edgeemo run --source`), a number or a path."""
    return isinstance(value, str | os.PathLike | int | np.integer) and not isinstance(value, bool)


def find_source(value: Watchable, *, fps: float, colour: Colour | None, stack: ExitStack) -> Source:
    """Convert a value to a source without opening it, and check what can be checked before opening.

    Args:
        fps: frame rate of frames without a time.
        colour: channel order of arrays and tensors.
        stack: removes a temporary file at the end.

    Raises:
        SourceError: it is not a source.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise SourceError(f"fps must be a positive number, not {fps}")
    if is_named(value):
        return open_source(os.fspath(value) if isinstance(value, str | os.PathLike) else str(int(value)))
    if isinstance(value, cv2.VideoCapture):
        raise SourceError("a cv2.VideoCapture cannot be watched; give its path, number or address")
    if isinstance(value, bytes | bytearray) or (hasattr(value, "read") and not hasattr(value, "__array__")):
        return open_source(str(_as_file(cast("bytes | BinaryFile", value), stack)))
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) != 4:
        raise SourceError(
            f"an array of shape {tuple(shape)} is not a video, which is (frames, height, width, 3); "
            "for one picture use edgeemo.recognise"
        )
    try:
        iter(cast("Iterable[Picture]", value))  # decord's reader is a sequence, not an iterable
    except TypeError as error:
        raise SourceError(f"{type(value).__name__} is not a source; {ACCEPTED}") from error
    return GivenFrames(cast("Iterable[Picture]", value), fps=fps, colour=colour)


class GivenFrames:
    """Frames from the caller: decoded, generated or in memory. None is dropped.

    PyAV frames keep their time, relative to the first one; others are spaced by `fps`.
    """

    live = False
    pause_s = 0.0
    decoder = ""
    name = "frames"

    def __init__(self, frames: Iterable[Picture], *, fps: float, colour: Colour | None) -> None:
        self._frames = frames
        self._period = 1 / fps
        self._colour = colour

    def count(self) -> int:
        """Number of frames; 0 if unknown."""
        return len(self._frames) if isinstance(self._frames, Sized) else 0

    def frames(self) -> Iterator[Frame]:
        first, last = 0.0, -math.inf
        for index, given in enumerate(self._frames):
            if is_named(given):
                raise SourceError(
                    f"{given!r} is not a frame; edgeemo.recognise takes a list of pictures, edgeemo.table one of videos"
                )
            image = read_image(given, self._colour)
            if image.time is None:
                time = index * self._period
            else:
                first = image.time if index == 0 else first
                time = image.time - first
            time = time if time > last else last + self._period
            last = time
            yield Frame(image.pixels, index, time, self.name)


def _as_file(value: bytes | BinaryFile, stack: ExitStack) -> Path:
    """The path of an open file, if it is on disk, or of a temporary copy of its content or of bytes.

    Decoders seek, and not every file object can.
    """
    name: Any = getattr(value, "name", None)
    if isinstance(name, str) and os.path.isfile(name):
        return Path(name)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeemo-")))
    path = folder / "video"
    with path.open("wb") as file:
        if isinstance(value, bytes | bytearray):
            file.write(value)
        else:
            try:
                shutil.copyfileobj(value, file)
            except TypeError as error:
                raise SourceError('the file was opened as text; open it with mode "rb"') from error
            except (OSError, ValueError) as error:  # a closed file raises ValueError
                raise SourceError(f"the file object cannot be read: {error}") from error
    return path
