"""Make videos and read sources to their end, for tests of sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgeemo.errors import SourceError
from edgeemo.types import Frame, Source

TWELFTHS = [n / 12 for n in range(24)]  # times of two seconds at 12 frames per second


def read(source: Source) -> tuple[list[Frame], str]:
    """All frames, and the error that ended the source."""
    frames: list[Frame] = []
    stream = source.frames()
    while True:
        try:
            frames.append(next(stream))
        except StopIteration:
            return frames, ""
        except SourceError as error:
            return frames, one_line(error)


def count(source: Source) -> tuple[int, float, str]:
    """Number of frames and time of the last one; for frames that would fill the memory."""
    number, last = 0, 0.0
    stream = source.frames()
    while True:
        try:
            last = next(stream).time
            number += 1
        except StopIteration:
            return number, last, ""
        except SourceError as error:
            return number, last, one_line(error)


def one_line(error: SourceError) -> str:
    text = str(error)
    if "\n" in text:
        pytest.fail(f"more than one line: {text}")
    return text


def levels(frames: list[Frame]) -> list[int]:
    return [round(float(frame.image.mean())) for frame in frames]


def encode(ffmpeg: str, folder: Path, *arguments: str) -> Path:
    """Run FFmpeg in a folder; the last argument is the file it makes."""
    subprocess.run([ffmpeg, "-v", "error", "-nostdin", "-y", *arguments], cwd=folder, check=True)
    return folder / arguments[-1]
