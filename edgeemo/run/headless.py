"""The command `edgeemo run`: from sources to sinks, until they end or it is interrupted."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

from edgeemo.config import Config
from edgeemo.errors import ConfigError, PartlyReadError
from edgeemo.run.open import open_runner
from edgeemo.run.runner import Runner
from edgeemo.sinks import ReaderGone
from edgeemo.system.sd_notify import Notifier
from edgeemo.system.signals import ending_on_signals
from edgeemo.system.terminal import printable
from edgeemo.types import Counters

DONE, PARTLY, INTERRUPTED = 0, 3, 130


def run(config: Config, load: Callable[[], Config] | None = None, *, quiet: bool = False) -> int:
    """Run a configuration to its end; without sinks the results go to standard output as JSON lines.

    SIGINT, SIGTERM and SIGHUP end it after the current frame, with everything written; with several sources within 3 s,
    and there SIGHUP has the configuration read again by `load`.

    Args:
        quiet: no summary on standard error.

    Returns:
        The exit code: 0 done (also when a pipe's reader has gone), 3 done but some pictures of a folder could not be
        read, 130 interrupted. Where a source or sink hangs the process ends here.

    Raises:
        EdgeemoError: the user can fix it.
    """
    if not config.source and not config.sources:
        raise ConfigError("no source: say --source with a video, a folder of pictures, a camera number, a URL or demo")
    if not config.sinks:
        config = replace(config, sinks=("jsonl:-",))
    partly = ""
    stop, reload = threading.Event(), threading.Event()
    with ending_on_signals(stop, reload=reload if config.sources else None):
        try:
            with open_runner(config, notifier=Notifier(os.environ)) as runner:
                try:
                    runner.run(stop, reload, load)
                except PartlyReadError as error:
                    partly = str(error)
                said = _summary(runner)
                clean = runner.close()
        except ReaderGone:
            return DONE
    code = INTERRUPTED if stop.is_set() else PARTLY if partly else DONE
    if partly:
        print(f"edgeemo: {printable(partly)}", file=sys.stderr)
    if not quiet:
        print(f"edgeemo: {said}", file=sys.stderr)
    if not clean:
        # a thread is caught in a driver; the interpreter's own end would wait for it or crash under it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _summary(runner: Runner) -> str:
    """One line about a run."""
    counters = runner.counters()
    if not runner.config.sources:
        return f"{summary(counters)} ({runner.engine_description})"
    status = runner.status()
    return (
        f"{_counted(len(status.sources), 'source')}, {_counted(counters.frames, 'frame')}, {counters.dropped} dropped, "
        f"{status.uptime_s:.0f} s"
    )


def summary(counters: Counters) -> str:
    """One line about what was recognised."""
    parts = [_counted(counters.frames, "frame"), _counted(counters.faces, "face")]
    if counters.seconds > 0:
        parts.append(f"{counters.frames / counters.seconds:.1f} frames per second")
    if counters.dropped:
        parts.append(f"{counters.dropped} dropped")
    line = ", ".join(parts)
    if counters.faces:
        most = sorted(counters.emotions.items(), key=lambda item: -item[1])[:3]
        line += ": " + ", ".join(f"{label} {count / counters.faces:.0%}" for label, count in most)
    return line


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
