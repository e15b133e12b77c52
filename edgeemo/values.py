"""Check user input before it reaches the operating system, a library or a format string.

Paths are checked by `engines.files.user_path`. Called by `config`, the command line and the sinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from edgeemo.errors import ConfigError

LONGEST_TEXT = 8192  # characters; paths and addresses have at most half of this
LONGEST_LABEL = 120  # maximum length of a marker's label
LARGEST_NUMBER = 2**53  # a double represents every integer up to this exactly


def expect_range(name: str, value: float, low: float, high: float) -> None:
    """Check a number of a configuration.

    Raises:
        ConfigError: the value is outside low..high or is NaN.
    """
    if not low <= value <= high:
        raise ConfigError(f"{name} must be between {low:g} and {high:g}, not {shortened(value)}")


def whole_number(text: str, *, high: int = LARGEST_NUMBER) -> int | None:
    """Convert ASCII digits to a number from 0 to `high`; None for any other text, however long."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(high)):
        return None
    number = int(text)
    return number if number <= high else None


def marker_label(text: str) -> str:
    """A marker's label as one line of limited length."""
    return " ".join(text.split())[:LONGEST_LABEL] or "mark"


def distinct(names: Iterable[str]) -> list[str]:
    """The names in their order; repeated ones get a number: "Visit", "Visit (2)"."""
    found: list[str] = []
    for name in names:
        number, changed = 1, name
        while changed in found:
            number += 1
            changed = f"{name} ({number})"
        found.append(changed)
    return found


def expect_text(name: str, text: str) -> None:
    """Check a text of the configuration or the command line.

    Raises:
        ConfigError: the text contains a zero byte, which ends it for the operating system, or is too long.
    """
    if "\0" in text:
        raise ConfigError(f"{name} contains a zero byte: {shortened(text)}; remove it")
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"{name} has {len(text)} characters; the limit is {LONGEST_TEXT}")


def expect_host(name: str, host: str) -> None:
    """Check a host name before it is resolved.

    Raises:
        ConfigError: it cannot be resolved: an empty label, a label over 63 bytes, or a control character.
    """
    try:
        plain = host.rstrip(".").encode("idna")
    except UnicodeError:
        plain = b""
    if not plain or len(plain) > 253 or any(byte <= 32 or byte == 127 for byte in plain):
        raise ConfigError(f"{name}: {shortened(host)} is not a host name")


def expect_plain(data: Any) -> None:
    """Check every number and text in a tree of dictionaries and lists, as parsed from TOML.

    Raises:
        ConfigError: a number is beyond 2^53, NaN or infinite, or a text fails `expect_text`; the message names the key.
    """
    waiting = [("", data)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}".lstrip("."), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{name}[{row}]", each) for row, each in enumerate(value)]
        elif isinstance(value, str):
            expect_text(shortened(name, quoted=False), value)
        elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise ConfigError(f"{shortened(name, quoted=False)} is {shortened(value)}, which is too large")


def shortened(value: object, *, quoted: bool = True) -> str:
    """A value for a message, at most 60 characters."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_NUMBER:
        return f"a whole number of about {round(math.log10(2) * value.bit_length())} digits"
    if isinstance(value, float):
        return f"{value:g}"
    text = repr(value) if quoted else str(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def as_utf8(text: str) -> str:
    """The text with question marks for the bytes of a file name that are not UTF-8, which most formats cannot store."""
    return text.encode("utf-8", "replace").decode()


def clock(seconds: float, digits: int = 1) -> str:
    """A time or length: "0:04.6", "1:02:05.0".

    Args:
        digits: decimals of the seconds; 0: "0:05".
    """
    scale = 10**digits
    steps = round(abs(seconds) * scale)
    sign = "-" if seconds < 0 and steps else ""
    hours, minutes, rest = steps // (3600 * scale), steps // (60 * scale) % 60, steps % (60 * scale)
    ending = f"{rest // scale:02}" + (f".{rest % scale:0{digits}}" if digits else "")
    return f"{sign}{hours}:{minutes:02}:{ending}" if hours else f"{sign}{minutes}:{ending}"


def date_time(text: str) -> str:
    """A time in ISO 8601 for people, with its offset from UTC: "2026-11-24 09:12:03+01:00"; other texts are unchanged.

    Sessions store local time, databases and JSON lines UTC.
    """
    try:
        return datetime.fromisoformat(text).isoformat(" ", "seconds")
    except ValueError:
        return text
