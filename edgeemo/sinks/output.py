"""Write lines of text to a file, a pipe or standard output. Called by `jsonl` and `csv`."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edgeemo.errors import SinkError
from edgeemo.sinks import STANDARD_OUTPUT, ReaderGone, SinkContext
from edgeemo.sinks.presence import Presence, reopening
from edgeemo.system.file_url import path_of_source
from edgeemo.system.outputs import check_output, refusal
from edgeemo.types import Sink
from engines.files import replace_file
from engines.lock import try_lock

log = logging.getLogger(__name__)

PIPE_POLL_S = 0.1
READER_S = 0.5  # time-out for a pipe's reader after the end of the run
PIPE_BYTES = 4096  # PIPE_BUF of Linux: this many bytes do not block if `poll` reports the pipe as writable
NOT_YET = -1  # descriptor of a named pipe without a reader
CLOSED = -2  # descriptor after a failed reopening


def writable(target: str, kind: str, context: SinkContext) -> Path:
    """The path of a sink's target, checked for writing; the file is not changed.

    Args:
        kind: see `edgeemo.system.outputs`.

    Raises:
        SinkError: it cannot or must not be written.
    """
    config = context.config
    inputs = [path_of_source(uri) for uri in (config.source, *(each.uri for each in config.sources)) if uri]
    path = check_output(target, kind, inputs=inputs, overwrite=config.overwrite)
    try:
        if not _is_pipe(path):  # opening one would wait for its reader
            with path.open("ab"):
                pass
    except OSError as error:
        raise refusal(path, error) from error
    return path


def _is_pipe(path: Path) -> bool:
    return path.exists() and stat.S_ISFIFO(path.stat().st_mode)


class TextOutput:
    """Writes complete lines without buffering: readers of a pipe see them at once, and a crash loses none.

    A named pipe is opened with the first line. `write` waits for a reader, also for a stopped one, until `stop_waiting`
    is called.

    Args:
        kind: see `edgeemo.system.outputs`.
        context: names the inputs, and whether to append (`lasting`). Appending removes an incomplete last line (after a
            crash).
        rotate_bytes: a file that would exceed this is renamed to NAME.1, NAME.1 to NAME.2 and so on; 0: never.
        keep: number of renamed files to keep.

    If the file is renamed or deleted, `tick` creates it again within a second, so logrotate needs no signal. The file
    is locked (flock), so two runs cannot write to it.

    Attributes:
        header: first line of a file that is created again.
        lost: number of calls of `write` whose lines were lost with deleted files.

    Raises:
        SinkError: the target cannot be opened or written to, another run writes to it, a pipe has no reader when the
            run ends, or the reader of a service's named pipe closed it. A file never keeps an incomplete line.
        ReaderGone: the reader closed the pipe.
    """

    def __init__(self, target: str, kind: str, context: SinkContext, *, rotate_bytes: int = 0, keep: int = 1) -> None:
        self._lasting = lasting = context.lasting
        self._name = "standard output" if target == STANDARD_OUTPUT else target
        self._path: Path | None = None
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._check: Callable[[], Path] = lambda: writable(target, kind, context)
        try:
            if target == STANDARD_OUTPUT:
                if sys.stdout is None:
                    raise SinkError("standard output is closed; give the sink a path")
                # a duplicate, because closing it must not close standard output
                self._descriptor = os.dup(1)
            else:
                self._path = self._check()
                self._descriptor = NOT_YET if _is_pipe(self._path) else _opened(self._path)
        except OSError as error:
            raise SinkError(f"cannot write to {self._name}: {error.strerror or error}") from error
        self._open = True
        self._ending = False
        self.header = ""
        self.lost = self._lines = 0
        self._presence: Presence | None = None
        self._regular = (
            self._path is not None and self._descriptor != NOT_YET and stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        )
        self._replaces = self._regular and not lasting
        self._size = 0
        try:
            self._begin()
        except OSError as error:
            self.close()  # also releases the lock
            raise SinkError(f"cannot write to {self._name}: {error.strerror or error}") from error

    def _begin(self) -> None:
        if not self._regular or self._path is None:
            return
        self._lock()
        self._watch()
        self._size = os.fstat(self._descriptor).st_size
        if self._lasting:
            self._size = _end_of_lines(self._path, self._size)
            os.ftruncate(self._descriptor, self._size)

    def write(self, text: str) -> None:
        """Write one or more complete lines."""
        content = text.encode("utf-8", errors="replace")
        data = memoryview(content)
        try:
            if self._descriptor == NOT_YET:
                self._descriptor = self._opened_pipe()
            self.tick()
            if self._replaces:
                os.ftruncate(self._descriptor, 0)
                self._replaces, self._size = False, 0
            if self._regular and self._rotate_bytes and self._size and self._size + len(content) > self._rotate_bytes:
                self._rotate()
            while data:
                data = data[self._write_some(data) :]
            self._size += len(content)
            self._lines += 1
        except BrokenPipeError as error:
            gone = f"the reader of {self._name} closed it"
            # a service waits for the next reader
            raise SinkError(gone) if self._lasting and self._path is not None else ReaderGone(gone) from error
        except OSError as error:
            if self._regular:
                with contextlib.suppress(OSError):
                    # never extend it: another program may have truncated it
                    os.ftruncate(self._descriptor, min(self._size, os.fstat(self._descriptor).st_size))
            raise SinkError(
                f"cannot continue writing {self._name}: {error.strerror or error}; earlier results are kept"
            ) from error

    def stop_waiting(self) -> None:
        """The run ends: from now on wait at most `READER_S` per `PIPE_BYTES` for a pipe's reader, and do not wait for a
        missing one.
        """
        self._ending = True

    def close(self) -> None:
        if self._open:
            self._open = False
            if self._presence is not None:
                if self._presence.has_moved(now=True) and self._presence.is_deleted():
                    self._lose()
                self._presence.close()
            if self._descriptor not in (NOT_YET, CLOSED):
                os.close(self._descriptor)

    def tick(self, *, now: bool = False) -> None:
        """Create the file again if it was renamed or deleted; call it several times per second.

        Args:
            now: check even if the last check was recent.
        """
        presence = self._presence
        if presence is None or not presence.has_moved(now=now):
            return
        if presence.is_deleted():
            self._lose()
        presence.close()
        self._presence = None
        os.close(self._descriptor)
        self._descriptor = CLOSED
        with reopening(self._name):
            self._descriptor = _opened(self._check())
            self._lock()
            self._watch()
        self._lines, self._replaces = 0, False
        self._size = os.fstat(self._descriptor).st_size
        if self.header and not self._size:
            head = self.header.encode()
            self._size = os.write(self._descriptor, head)

    def _watch(self) -> None:
        assert self._path is not None
        self._presence = Presence(self._path)

    def _lose(self) -> None:
        self.lost += self._lines
        self._lines = 0

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        try:
            locked = try_lock(self._descriptor)
        except OSError as error:  # the file system has no locks
            log.debug("%s cannot be locked: %s", self._name, error)
            return
        if not locked:
            os.close(self._descriptor)
            self._descriptor, self._open = CLOSED, False
            raise SinkError(f"{self._name} is being written by another run; choose another path")

    def _opened_pipe(self) -> int:
        """Wait for a reader in short steps, so that the wait can end with the sink."""
        assert self._path is not None
        if sys.platform == "win32":
            raise SinkError("Windows does not support named pipes in folders")
        log.info("%s waits for its reader", self._name)
        while True:
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if self._ending:
                    raise SinkError(f"{self._name} has no reader") from error
                time.sleep(PIPE_POLL_S)
                continue
            os.set_blocking(descriptor, True)
            return descriptor

    def _write_some(self, data: memoryview) -> int:
        """Write as many bytes as possible and return the number.

        Waits for a pipe's reader; after `stop_waiting` at most `READER_S`."""
        if self._regular or sys.platform == "win32":
            return os.write(self._descriptor, data)
        # standard output stays in blocking mode, because other processes share it
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        waited = 0.0
        while not poll.poll(PIPE_POLL_S * 1e3):
            waited += PIPE_POLL_S if self._ending else 0.0
            if waited >= READER_S:
                raise SinkError(f"the reader of {self._name} does not read")
        return os.write(self._descriptor, data[:PIPE_BYTES])

    def _rotate(self) -> None:
        path = self._path
        assert path is not None
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, self._keep + 1))]
        # close it first: Windows cannot rename an open file
        os.close(self._descriptor)
        self._descriptor = CLOSED
        if self._presence is not None:
            self._presence.close()
        try:
            for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
                if newer.exists():
                    replace_file(newer, older)
        finally:
            self._descriptor = _opened(path)
            self._lock()
            self._watch()
            self._lines = 0
            self._size = os.fstat(self._descriptor).st_size


class TextSink(Sink):
    """A sink whose results go to one `TextOutput`."""

    def __init__(self, output: TextOutput) -> None:
        self._output = output

    def tick(self) -> None:
        self._output.tick()

    def reopen(self) -> None:
        self._output.tick(now=True)

    def stop_waiting(self) -> None:
        self._output.stop_waiting()

    @property
    def lost(self) -> int:
        return self._output.lost

    def close(self) -> None:
        self._output.close()


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)


def _end_of_lines(path: Path, size: int) -> int:
    """The end of the last complete line of a file."""
    with path.open("rb") as file:
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
