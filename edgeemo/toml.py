"""Parse TOML from untrusted files; Python's parser takes minutes for some files of 200 kB. Called by `config`."""

from __future__ import annotations

import re
import sys
from typing import Any

from edgeemo.errors import ConfigError
from edgeemo.values import expect_plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST_FILE = 1 << 16  # bytes; docs/edge.toml has 4000. The slowest file of this size takes one second
MOST_PARTS = 16  # maximum parts of a dotted key, also inside strings; the parser's time is quadratic in them
_PART = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
# the look-behind makes the search linear
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART})(?:[ \t]*\.[ \t]*(?:{_PART})){{{MOST_PARTS}}}")


def parse(content: bytes) -> dict[str, Any]:
    """TOML -> its tables.

    Raises:
        ConfigError: it is not TOML, is nested too deeply, or contains a number or text that `expect_plain` refuses.
    """
    try:
        text = content.decode("utf-8-sig")  # editors on Windows begin files with a byte order mark
        if (found := _LONG_KEY.search(text)) is not None:
            raise ConfigError(f"the dotted key that begins with {found[0][:40]!r} has more than {MOST_PARTS} parts")
        data = tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError("it is nested too deeply") from error
    except ConfigError:
        raise
    except ValueError as error:  # also raised for numbers with more digits than Python converts
        raise ConfigError(f"it is not valid TOML: {' '.join(str(error).split())[:300]}") from error
    expect_plain(data)
    return data
