"""A run without a window: from a source to sinks, until it ends or is interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from edgeemo.config import Config
from edgeemo.errors import ConfigError
from edgeemo.session import Stats, open_session
from edgeemo.sinks import ReaderGone

DONE, INTERRUPTED = 0, 130


def run(config: Config, *, quiet: bool = False) -> int:
    """Run a configuration to its end; without sinks the results go to standard output as JSON lines.

    SIGINT, SIGTERM and SIGHUP end it after the frame at hand, with everything written.

    Args:
        quiet: no summary on standard error.

    Returns:
        The exit code: 0 done (also when a pipe's reader has gone), 130 interrupted.

    Raises:
        EdgeemoError, EngineError: the user can mend it.
    """
    if not config.source:
        raise ConfigError("no source: say --source with a video, a folder of pictures, a camera number, a URL or demo")
    if not config.sinks:
        config = replace(config, sinks=("jsonl:-",))
    stop = threading.Event()
    with ending_on_signals(stop):
        try:
            with open_session(config) as session:
                stats = session.run(stop)
        except ReaderGone:
            return DONE
    if not quiet:
        print(f"edgeemo: {summary(stats)}", file=sys.stderr)
    return INTERRUPTED if stop.is_set() else DONE


def summary(stats: Stats) -> str:
    """One line about a run."""
    parts = [_counted(stats.frames, "frame"), _counted(stats.faces, "face")]
    if stats.seconds > 0:
        parts.append(f"{stats.frames / stats.seconds:.1f} frames a second")
    if stats.dropped:
        parts.append(f"{stats.dropped} dropped")
    line = ", ".join(parts)
    if stats.faces:
        most = sorted(stats.emotions.items(), key=lambda item: -item[1])[:3]
        line += ": " + ", ".join(f"{label} {count / stats.faces:.0%}" for label, count in most)
    return line


@contextmanager
def ending_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`; a second one raises KeyboardInterrupt. Only in the main thread.

    A signal that whoever started this process had ignored (nohup) stays ignored.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
