"""Check the rows of result files, which may be damaged or written by other programs. Called by `read`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edgeemo.errors import RecordingError
from edgeemo.values import clock

LONGEST_LINE = 8 << 20  # bytes; a frame with 256 faces has 200 kB
MOST_SECONDS = 4e9  # also allows seconds since the epoch

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Person = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=-MOST_SECONDS, le=MOST_SECONDS)]
Wall = Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] | None
Duration = Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]
Pixels = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] | None
Share = Annotated[float, msgspec.Meta(ge=-0.01, le=1.01)] | None
Turned = Literal[0, 90, 180, 270]
Figure = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] | None
T = TypeVar("T")


class FaceRow(msgspec.Struct, array_like=True):
    """A row of a face: `probabilities` in the order of the run's classes, `quality` in that of `columns.QUALITY`."""

    frame: Number
    id: Person
    box: tuple[Pixels, Pixels, Pixels, Pixels]
    score: Share
    emotion: str
    confidence: Share
    probabilities: list[Share]
    turned: Turned = 0
    quality: tuple[Figure, ...] = ()


class FrameRow(msgspec.Struct, array_like=True):
    frame: Number
    time: Seconds
    origin: str
    wall: Wall = None
    damage: Number | None = None


class MarkerRow(msgspec.Struct, array_like=True):
    time: Seconds
    label: str
    duration: Duration
    wall: Wall = None


class CutRow(msgspec.Struct, array_like=True):
    time: Seconds
    skipped: Duration


class DoubtRow(msgspec.Struct, array_like=True):
    frame: Number
    id: Person
    reasons: str


class BaselineRow(msgspec.Struct, array_like=True):
    id: Person
    label: str
    value: Share


class FaceEvent(msgspec.Struct):
    """A face in a line; other keys are ignored."""

    id: Person
    box: tuple[Pixels, Pixels, Pixels, Pixels]
    score: Share
    emotion: str
    confidence: Share
    probabilities: dict[str, Share]
    unsure: list[str] = []
    turned: Turned = 0
    quality: dict[str, Figure] = {}


class MarkerEvent(msgspec.Struct):
    time: Seconds
    label: str
    wall: Wall = None


class Event(msgspec.Struct):
    """A line of `jsonl:`."""

    frame: Number
    time: Seconds | None
    origin: str
    faces: list[FaceEvent]
    damage: Number = 0
    markers: list[MarkerEvent] = []
    wall: Wall = None


class DecodingErrors:
    """Counts the decoding errors of the source, from the `damage` of each frame."""

    def __init__(self) -> None:
        self._count = 0
        self._begin = self._first = math.inf

    def add(self, time: float, damage: int | None) -> None:
        """Call it for every frame, because `note` tells the time since the first one."""
        self._begin = min(self._begin, time)
        if damage:
            self._count += damage
            self._first = min(self._first, time)

    def note(self) -> tuple[str, ...]:
        """A line for `Recording.missing`."""
        if not self._count:
            return ()
        pictures = "1 picture" if self._count == 1 else f"{self._count:,} pictures"
        first = clock(self._first - self._begin)
        return (f"{pictures} of the source, lost or decoded with errors (the first at {first})",)


class DamagedRows:
    """Counts the skipped rows and stores the reason of the first."""

    def __init__(self) -> None:
        self.count = 0
        self._first = ""

    def add(self, place: str, why: object) -> None:
        self.count += 1
        self._first = self._first or f"{place}: {' '.join(str(why).split())[:200]}"

    def note(self) -> tuple[str, ...]:
        """A line for `Recording.missing`."""
        if not self.count:
            return ()
        rows = "1 damaged row" if self.count == 1 else f"{self.count:,} damaged rows"
        return (f"{rows} of results, skipped (the first: {self._first})",)

    def expect_some(self, usable: int, path: object) -> None:
        """Raise RecordingError if there are rows and all of them are damaged."""
        if self.count and not usable:
            raise RecordingError(f"{path} has no usable results: {self.note()[0]}")


def checked(rows: Iterable[Any], kind: type[T], table: str, damaged: DamagedRows) -> Iterator[T]:
    """The valid rows of a table; the others are counted."""
    for number, row in enumerate(rows, 1):
        try:
            yield msgspec.convert(row, kind)
        except (msgspec.ValidationError, OverflowError, RecursionError) as error:
            damaged.add(f"row {number} of {table}", error)


def lines(file: Any, damaged: DamagedRows) -> Iterator[Event]:
    """The events of an open file of JSON lines; invalid lines are counted.

    Args:
        file: opened in binary mode.
    """
    decoder = msgspec.json.Decoder(Event)
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            damaged.add(f"line {number}", f"longer than {LONGEST_LINE >> 20} MiB")
            while (line := file.readline(LONGEST_LINE)) and not line.endswith(b"\n"):
                pass
            continue
        if not line.strip():
            continue
        try:
            yield decoder.decode(line.decode("utf-8", errors="replace"))
        except (msgspec.DecodeError, OverflowError, RecursionError) as error:
            damaged.add(f"line {number}", error)
