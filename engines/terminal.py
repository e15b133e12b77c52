"""Make any text safe to print on a terminal. Called by the three commands and the log."""

from __future__ import annotations

import re

LONGEST_LINE = 1000  # maximum characters of an error; a path of 4,000 would fill the screen
# C0 and C1 control characters (terminal escapes begin with one), line separators, text direction marks, and bytes that
# are not UTF-8
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with control and undecodable characters written as escapes, for example \x1b."""
    return _UNSAFE.sub(lambda found: _written_out(ord(found[0])), text)


def one_line(error: BaseException) -> str:
    """An error's message in one printable line."""
    line = printable(" ".join(str(error).split()))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 2 :]}"


def first_line(error: BaseException) -> str:
    """The first line of a library's error, at most 200 characters; the name of its class if the message is empty."""
    return next((line[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _written_out(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # surrogate escape: a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
