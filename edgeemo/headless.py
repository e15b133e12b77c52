"""A run without a window: from sources to sinks, until they end or it is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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
                engine = session.engine_description
        except ReaderGone:
            return DONE
    if not quiet:
        print(f"edgeemo: {summary(stats)} ({engine})", file=sys.stderr)
    return INTERRUPTED if stop.is_set() else DONE


def serve(config: Config, load: Callable[[], Config], *, quiet: bool = False) -> int:
    """Run a configuration with several sources until it is told to end.

    SIGINT and SIGTERM end it within 3 s with everything written, SIGHUP has the configuration read again by `load`.

    Returns:
        The exit code: 0 every source was a file and has ended, 130 interrupted. Where a source or sink hangs the
        process ends here.

    Raises:
        EdgeemoError, EngineError: the user can mend it.
    """
    from edgeemo.session import open_service
    from edgeemo.system.sd_notify import Notifier

    if not config.sinks:
        config = replace(config, sinks=("jsonl:-",))
    stop, reload = threading.Event(), threading.Event()
    with ending_on_signals(stop, reload=reload):
        service = open_service(config, Notifier(os.environ))
        try:
            status = service.run(stop, reload, load)
        finally:
            clean = service.close()
    code = INTERRUPTED if stop.is_set() else DONE
    if not quiet:
        frames, dropped = sum(each.processed for each in status.sources), sum(each.dropped for each in status.sources)
        print(
            f"edgeemo: {_counted(len(status.sources), 'source')}, {_counted(frames, 'frame')}, {dropped} dropped, "
            f"{status.uptime_s:.0f} s",
            file=sys.stderr,
        )
    if not clean:
        # a thread is caught in a driver; the interpreter's own end would wait for it or crash under it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


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
def ending_on_signals(stop: threading.Event, *, reload: threading.Event | None = None) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`; a second one raises KeyboardInterrupt. Only in the main thread.

    Args:
        reload: what SIGHUP sets instead, as often as it comes.

    A signal that whoever started this process had ignored (nohup) stays ignored.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if reload is not None and number == getattr(signal, "SIGHUP", None):
            reload.set()
            return
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
