"""Decoded video frames -> pictures as a player shows them. Called by `ffmpeg`, `hardware_video` and `pictures`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeemo.types import U8

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_ASPECT = 10  # a larger sample aspect ratio counts as damage
MAX_SIDE = 16384
BACKGROUND = 255  # grey level behind transparent pixels: white


class Display:
    """Convert decoded frames to pictures as a player shows them: display matrix, square pixels, no transparency."""

    def __init__(self, stream: VideoStream) -> None:
        from av.video.reformatter import VideoReformatter

        self._stream = stream
        self._converter = VideoReformatter()
        self._matrix: tuple[int, ...] | None = None
        self._alpha: dict[str, bool] = {}
        self._stored = self._shown = (0, 0)

    def image(self, frame: VideoFrame) -> U8:
        """(H, W, 3) BGR."""
        width, height = self.size(frame)
        kind = frame.format.name
        if kind not in self._alpha:
            self._alpha[kind] = kind == "pal8" or any(part.is_alpha for part in frame.format.components)
        has_alpha = self._alpha[kind]
        # one thread: more threads in swscale cost the other stages twice what they save
        picture: Any = self._converter.reformat(
            frame,
            width=width,
            height=height,
            format="bgra" if has_alpha else "bgr24",
            interpolation="BICUBIC",
            threads=1,
        ).to_ndarray()
        if has_alpha:
            picture = opaque(picture)
        if frame.key_frame or self._matrix is None:
            self._matrix = display_matrix(frame)
        return np.ascontiguousarray(turned(picture, self._matrix), np.uint8)

    def size(self, frame: Any) -> tuple[int, int]:
        """Width and height in square pixels; one side is enlarged, never reduced, so no detail is lost."""
        stored = (frame.width, frame.height)
        if stored != self._stored or frame.key_frame:
            self._stored, self._shown = stored, self._in_square_pixels(*stored)
        return self._shown

    def _in_square_pixels(self, width: int, height: int) -> tuple[int, int]:
        stored = width, height
        aspect = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        if not aspect or aspect == 1 or not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
            return stored
        if aspect > 1:
            width = round(width * aspect)
        else:
            height = round(height / aspect)
        return (width, height) if max(width, height) <= MAX_SIDE else stored


def turned(picture: U8, matrix: tuple[int, ...]) -> U8:
    """Rotate by quarter turns and flip a picture as its display matrix (a, b, c, d) says: x' = ax + cy, y' = bx +
    dy.
    """
    a, b, c, d = matrix
    shown: Any = picture
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flips = (a < 0, d < 0)
    else:
        shown = cv2.transpose(picture)
        flips = (c < 0, b < 0)
    if any(flips):
        shown = cv2.flip(shown, -1 if all(flips) else 1 if flips[0] else 0)
    return np.asarray(shown, np.uint8)


def opaque(picture: U8) -> U8:
    """Blend (H, W, 4) BGRA with the background -> (H, W, 3) BGR."""
    alpha = picture[:, :, 3:]
    colours = np.ascontiguousarray(picture[:, :, :3])
    if alpha.min() == 255:
        return colours
    mixed = colours * (alpha / np.float32(255)) + BACKGROUND * (1 - alpha / np.float32(255))
    return np.rint(mixed).astype(np.uint8)


def display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """The display matrix (a, b, c, d) of a frame; the identity if it has none."""
    side_data: Any = frame.side_data  # iterates over values, unlike its type stub
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
            return (a, b, c, d) if any((a, b, c, d)) else (1, 0, 0, 1)
    return 1, 0, 0, 1
