"""Does a video file hold all that its container announces?

Frame counts cannot tell: most containers give an estimate, or count frames that an edit list hides. But MP4, AVI and
Matroska announce the length of their parts in bytes, and a file that ends before its last part does was cut off.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

ZEROS = 64 * 1024  # an interrupted download that had reserved its space ends in zeros; players' own padding is shorter


def is_cut_off(path: Path) -> bool:
    """Whether the file ends before its container says it should; False where it says nothing.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            return _boxes_end(file, size) > size or _ends_in_zeros(file, size)
        if head[:4] == b"RIFF":
            return _riff_end(file, size) > size or _ends_in_zeros(file, size)
        if head[:4] == b"\x1aE\xdf\xa3":
            return _matroska_end(file) > size or _ends_in_zeros(file, size)
    return False


def lacks_index(path: Path) -> bool:
    """Whether the file is an MP4 without the index that its frames are found by: a recording that never finished."""
    size = path.stat().st_size
    with path.open("rb") as file:
        kinds: list[bytes] = []
        _boxes_end(file, size, kinds)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _boxes_end(file: BinaryIO, size: int, kinds: list[bytes] | None = None) -> int:
    """Where the last top-level box of an MP4 ends."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not kind.isalnum():  # padding or foreign data behind the last box
            return at
        if kinds is not None:
            kinds.append(kind)
        if length == 1:
            wide = file.read(8)
            length = struct.unpack(">Q", wide)[0] if len(wide) == 8 else 16
        elif length == 0:  # up to the end of the file
            return size
        if length < 8:
            return at
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF part of an AVI ends; large ones have several."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):  # a recorder that was stopped never filled it in
            return at
        at += 8 + length + length % 2
    return min(at, size) if at == size + 1 else at


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment of a Matroska or WebM file ends; 0 where it is open-ended."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != b"\x18S\x80g":
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """Matroska's number of variable length; None for "unknown" and for nonsense."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - extra)) - 1)]) + rest, "big")
    return None if len(rest) < extra or value == (1 << (7 * (extra + 1))) - 1 else value


def _ends_in_zeros(file: BinaryIO, size: int) -> bool:
    if size < 2 * ZEROS:
        return False
    file.seek(size - ZEROS)
    return not any(file.read(ZEROS))
