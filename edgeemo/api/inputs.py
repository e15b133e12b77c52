"""Convert any object that contains one picture to (H, W, 3) uint8 BGR. Called by `Recogniser`.

Ambiguous input is refused with one line that says how to make it unambiguous.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, cast, get_args, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from edgeemo.capture.display import BACKGROUND
from edgeemo.capture.pictures import read_picture
from edgeemo.errors import PathError, SourceError
from edgeemo.types import U8
from engines.files import user_path

Colour = Literal["bgr", "rgb"]
Array = npt.NDArray[Any]

ACCEPTED = "give a path, an (H, W, 3) array, a PIL image, a tensor or a decoded frame"
CHANNELS = (1, 3, 4)
FLOAT_TOLERANCE = 1e-3  # tolerance for rounding errors outside 0..1
# if the largest value is smaller, the picture more likely has 8, 10 or 12 bits per value than is a dark 16-bit picture
MIN_UINT16_MAX = 4096


class HasArray(Protocol):
    """NumPy's array protocol: torch (CPU), TensorFlow, JAX."""

    def __array__(self, *args: Any, **kwargs: Any) -> Array: ...


class HasArrayInterface(Protocol):
    """NumPy's older array protocol: PIL."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


@runtime_checkable
class DecordFrame(Protocol):
    """decord's NDArray: (H, W, 3) RGB."""

    def asnumpy(self) -> Array: ...


@runtime_checkable
class PyAVFrame(Protocol):
    """PyAV's VideoFrame."""

    def to_ndarray(self, **options: Any) -> Array: ...


@runtime_checkable
class BinaryFile(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


Picture: TypeAlias = (
    "str | os.PathLike[str] | bytes | BinaryFile | Array | HasArray | HasArrayInterface | DecordFrame | PyAVFrame"
)


@dataclass(frozen=True, eq=False)
class Image:
    """A converted picture.

    Attributes:
        pixels: (H, W, 3) uint8 BGR, C-contiguous, a copy.
        origin: its name in results and messages.
        path: its file; None if it does not come from a file.
        time: media time in seconds; None if the frame has none.
    """

    pixels: U8
    origin: str = "picture"
    path: Path | None = None
    time: float | None = None


def check_colour(colour: str | None) -> Colour | None:
    """Check a channel order.

    Raises:
        SourceError: it is neither "bgr", "rgb" nor None.
    """
    if colour is not None and colour not in get_args(Colour):
        raise SourceError(f'color must be "bgr" or "rgb", not {colour!r}')
    return cast("Colour | None", colour)


def is_picture(value: object) -> TypeGuard[Picture]:
    """Whether a value is one picture (not several)."""
    if isinstance(value, str | os.PathLike | bytes | bytearray | np.ndarray | DecordFrame | PyAVFrame):
        return True
    if _is_from(value, "pandas") or _is_from(value, "polars"):
        return False  # a column of paths
    known = hasattr(value, "__array__") or hasattr(value, "__array_interface__") or hasattr(value, "read")
    return known or not isinstance(value, Iterable)


def read_image(value: Picture, colour: Colour | None = None) -> Image:
    """Read one picture.

    Args:
        value: a path; a file object or bytes of an encoded picture; an array, (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4), uint8, uint16 (0..65535) or floating point (0..1); a torch tensor of such a shape or with
            channels first; a PIL image; a frame of PyAV or decord.
        colour: channel order of arrays; None means BGR. Tensors with three or four channels need it; it is ignored for
            files, PIL images and decoded frames.

    Raises:
        SourceError: it cannot be read or is ambiguous.
    """
    if isinstance(value, str | os.PathLike):
        return _from_path(value)
    if isinstance(value, bytes | bytearray):
        return Image(_decode(bytes(value)))
    if isinstance(value, np.ndarray):
        return Image(_from_array(value, colour or "bgr"))
    if isinstance(value, PyAVFrame):
        return _from_pyav(value)
    if isinstance(value, DecordFrame):
        return Image(_from_array(value.asnumpy(), "rgb"))
    if _is_from(value, "PIL"):
        return _from_pil(value)
    if _is_from(value, "torch"):
        return Image(_from_tensor(value, colour))
    if isinstance(value, cv2.VideoCapture):
        raise SourceError("a cv2.VideoCapture is not a picture; give its path, number or address to edgeemo.watch")
    if isinstance(value, BinaryFile):
        return _from_file(value)
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return Image(_from_array(np.asarray(value), colour or "bgr"))
    raise SourceError(f"{type(value).__name__} is not a picture; {ACCEPTED}")


def _is_from(value: object, package: str) -> bool:
    """Whether a value's class, or a base of it, belongs to a package; does not import it."""
    return any(cls.__module__.partition(".")[0] == package for cls in type(value).__mro__)


def _from_path(value: str | os.PathLike[str]) -> Image:
    if not os.fspath(value):
        raise SourceError(f"the path is empty; {ACCEPTED}")
    try:
        path = user_path(value)
    except PathError as error:
        raise SourceError(str(error)) from error
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; use edgeemo.watch for its pictures")
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; check the path") from error
    if not exists:
        hint = "; for a stream use edgeemo.watch" if "://" in os.fspath(value) else ""
        raise SourceError(f"there is no file {str(path)!r}{hint}")
    if not path.is_file():  # a pipe would wait for its writer
        raise SourceError(f"{path} is not a regular file")
    pixels = read_picture(path)
    if pixels is None:
        raise SourceError(f"{path} is not a readable picture; for a video use edgeemo.watch")
    return Image(pixels, path.name, path.absolute())


def _from_file(file: BinaryFile) -> Image:
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # a closed file raises ValueError
        raise SourceError(f"the file object cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise SourceError('the file was opened as text; open it with mode "rb"')
    name = getattr(file, "name", None)
    origin = os.path.basename(name) if isinstance(name, str) and name else "picture"
    return Image(_decode(data), origin)


def _decode(data: bytes) -> U8:
    """Decode a picture exactly as if it were a file."""
    with tempfile.TemporaryDirectory(prefix="edgeemo-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        pixels = read_picture(path)
    if pixels is None:
        raise SourceError(f"these {len(data)} bytes are not a readable picture; a file object must be at its beginning")
    return pixels


def _from_pyav(frame: Any) -> Image:
    time = getattr(frame, "time", None)
    pixels = _from_array(frame.to_ndarray(format="bgr24"), "bgr")
    return Image(pixels, time=float(time) if isinstance(time, int | float) else None)


def _from_pil(image: Any) -> Image:
    from PIL import ImageOps

    name = getattr(image, "filename", "") or ""
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "La":  # PIL converts it to LA only
            upright = upright.convert("LA")
        if upright.mode in ("F", "I") or upright.mode.startswith("I;"):
            pixels = _from_array(np.asarray(upright), "rgb")
        else:
            transparent = upright.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in upright.info
            pixels = _from_array(np.asarray(upright.convert("RGBA" if transparent else "RGB")), "rgb")
    except (OSError, ValueError) as error:  # ValueError: it is closed, or PIL cannot convert its mode
        raise SourceError(f"{name or 'the PIL image'} cannot be decoded: {error}") from error
    named = isinstance(name, str | Path) and str(name)
    path = Path(name).absolute() if named and Path(name).is_file() else None
    return Image(pixels, Path(name).name if named else "picture", path)


def _from_tensor(tensor: Any, colour: Colour | None) -> U8:
    shape = tuple(int(size) for size in tensor.shape)
    if tensor.dtype.is_floating_point:
        tensor = tensor.detach().float()  # NumPy has no bfloat16
    array: Array = tensor.detach().cpu().numpy()
    if array.ndim == 3:
        first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
        if first and last:
            raise SourceError(f"a tensor of shape {shape} may have its channels first or last; give a NumPy array")
        array = array.transpose(1, 2, 0) if first else array
        if array.shape[2] in (3, 4) and colour is None:
            raise SourceError('the channel order of a tensor is unknown; give color="rgb" or color="bgr"')
    return _from_array(array, colour or "bgr")


def _from_array(array: Array, colour: Colour) -> U8:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any accepted type -> (H, W, 3) uint8 BGR, a new array."""
    array = np.asarray(array)  # drop the behaviour of subclasses (masks, matrices)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 4:
        raise SourceError(
            f"an array of shape {array.shape} is several pictures; give list(array), or use edgeemo.watch"
        )
    if array.ndim != 3 or array.shape[2] not in CHANNELS:
        channels_first = array.ndim == 3 and array.shape[0] in CHANNELS
        hint = "; move the channels last: array.transpose(1, 2, 0)" if channels_first else ""
        raise SourceError(f"an array of shape {array.shape} is not a picture; it must be (H, W), or (H, W, 3){hint}")
    if array.size == 0:
        raise SourceError(f"the picture is empty: shape {array.shape}")
    pixels = np.ascontiguousarray(_as_uint8(array))
    channels = pixels.shape[2]
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    if channels == 4:
        pixels = _flatten(pixels)
    if colour == "rgb":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    return pixels if not np.shares_memory(pixels, array) else pixels.copy()


def _as_uint8(array: Array) -> U8:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        highest = int(array.max())
        if 0 < highest < MIN_UINT16_MAX:
            raise SourceError(
                f"a uint16 picture must use 0..65535, but the largest value is {highest}; convert it to uint8, "
                "for 12 bits: (array >> 4).astype(numpy.uint8)"
            )
        return np.asarray((array.astype(np.uint32) + 128) // 257, np.uint8)
    if array.dtype.kind == "f":
        lowest, highest_value = float(array.min()), float(array.max())
        if not (math.isfinite(lowest) and math.isfinite(highest_value)):
            raise SourceError("the picture has values that are NaN or infinite")
        if lowest < -FLOAT_TOLERANCE or highest_value > 1 + FLOAT_TOLERANCE:
            raise SourceError(
                f"a floating-point picture must use 0..1, but the values are {lowest:g} to {highest_value:g}; "
                "scale it to 0..1, or convert values of 0..255 with array.astype(numpy.uint8)"
            )
        return np.asarray(np.rint(np.clip(array, 0, 1).astype(np.float32) * 255), np.uint8)
    raise SourceError(f"a picture must be uint8, uint16 or floating point in 0..1, not {array.dtype}; convert it first")


def _flatten(pixels: U8) -> U8:
    """(H, W, 4) with alpha last -> (H, W, 3): transparent pixels get the background colour."""
    if pixels[:, :, 3].min() == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    alpha = pixels[:, :, 3:].astype(np.uint16)
    mixed = pixels[:, :, :3].astype(np.uint16) * alpha + np.uint16(BACKGROUND) * (255 - alpha)
    return np.asarray((mixed + 127) // 255, np.uint8)


def is_binary_file(value: object) -> TypeGuard[io.BufferedIOBase]:
    """Whether a value is a file object with `read`."""
    return hasattr(value, "read") and not hasattr(value, "__array__") and not isinstance(value, cv2.VideoCapture)
