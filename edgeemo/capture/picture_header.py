"""Read size, transparency and animation from the header of a picture file, without decoding. Called by `pictures`."""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers, without Huffman tables and the like


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, WebP, GIF, BMP or TIFF; None for other formats and if the size is not found."""
    try:
        if data.startswith(PNG):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return struct.unpack_from("<HH", data, 6)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)
        if data.startswith((b"II*\0", b"MM\0*")):
            return _tiff_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        pass
    return None


def has_alpha(data: bytes) -> bool:
    """Whether a PNG, WebP, TIFF, GIF or AVIF may have transparent pixels."""
    if data.startswith(PNG):
        return data[25] in (4, 6) or b"tRNS" in data[:4096] if len(data) > 25 else False
    return data[:4] in (b"RIFF", b"GIF8", b"II*\0", b"MM\0*") or data[4:8] == b"ftyp"


def animation_of(head: bytes) -> str:
    """ "gif", "apng" or "webp" if the first megabyte shows a file of several frames; "" otherwise."""
    if head.startswith(b"GIF8"):
        return "gif" if head.count(b"\x21\xf9\x04") > 1 else ""
    if head.startswith(PNG):
        control, pixels = head.find(b"acTL"), head.find(b"IDAT")
        return "apng" if control >= 0 and (pixels < 0 or control < pixels) else ""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and head[12:16] == b"VP8X" and len(head) > 20:
        return "webp" if head[20] & 0b10 else ""
    return ""


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:1] == b"I" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    found = {}
    for row in range(struct.unpack_from(f"{order}H", data, start)[0]):
        tag, kind = struct.unpack_from(f"{order}HH", data, start + 2 + 12 * row)
        if tag in (256, 257):  # ImageWidth, ImageLength
            found[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, start + 10 + 12 * row)[0]
    return (found[256], found[257]) if len(found) == 2 else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
