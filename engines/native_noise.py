"""Hide the log lines of native libraries on standard error.

MediaPipe and the picture codecs inside OpenCV have no option to suppress them. `engines.mediapipe_detector` and
`edgeemo.capture.pictures` use it around the calls that log.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

log = logging.getLogger(__name__)

# "INFO: [file.cc:1] ...", "W0000 00:00:1795706044.999907    9723 file.cc:1] ...", and three lines without a location
NOISE = re.compile(
    rb"(INFO|WARNING): \[\w+\.cc:\d+\]|[IW]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\]"
    rb"|WARNING: (Logging before InitGoogle|All log messages before absl)|INFO: Created TensorFlow Lite"
    rb"|libpng (warning|error): |(Corrupt JPEG data|Premature end of JPEG file|Unsupported marker type|Invalid SOS)"
)

MOST_READ = 1 << 16  # maximum bytes that `_written` returns

_lock = threading.Lock()


@contextmanager
def native_noise_dropped() -> Iterator[Callable[[], bytes]]:
    """Buffer descriptor 2 inside the block and write it at the end, without the library's log lines.

    Errors of the library and lines of other threads are kept. With the logging level DEBUG nothing is changed.

    Yields:
        A function that returns what was written so far; empty on Windows, and if nothing is buffered (standard error
        is closed, or all disks are full).
    """
    if log.isEnabledFor(logging.DEBUG):
        yield bytes
        return
    with _lock, ExitStack() as stack:
        try:
            kept = os.dup(2)
            stack.callback(os.close, kept)
            caught = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # standard error is closed, or no folder has room for the file
            kept = -1
        if kept < 0:
            yield bytes
            return
        _flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield lambda: _written(caught.fileno())
        finally:
            _flush()
            os.dup2(kept, 2)
            caught.seek(0)
            rest = b"".join(line for line in caught if not NOISE.match(line))
            if rest:
                os.write(2, rest)


def _written(descriptor: int) -> bytes:
    if sys.platform == "win32":  # reading would move the position at which other threads write
        return b""
    return os.pread(descriptor, MOST_READ, 0)


def _flush() -> None:
    """Flush Python's streams, so that their lines keep their order."""
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
