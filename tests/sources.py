"""Read a source to its end, for tests of sources."""

from __future__ import annotations

import pytest

from edgeemo.errors import SourceError
from edgeemo.types import Frame, Source


def read(source: Source) -> tuple[list[Frame], str]:
    """All frames, and the error that ended them."""
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
    """As `read`, but only how many frames there are, and the time of the last: large ones fill the memory."""
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
