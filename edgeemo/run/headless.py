"""The command `edgeemo run`: runs until all sources end or it is interrupted. Called by `edgeemo.commands`."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from edgeemo.config import Config
from edgeemo.errors import ConfigError, PartlyReadError, SinkError
from edgeemo.run.open import open_runner
from edgeemo.run.runner import Runner
from edgeemo.sinks import ReaderGone
from edgeemo.sinks.announcements import Withdrawal
from edgeemo.system.sd_notify import Notifier
from edgeemo.system.signals import ending_on_signals
from edgeemo.types import Counters, Status
from engines.standard import NOT_DELIVERED, finish, tell
from engines.terminal import printable

DONE, PARTLY, INTERRUPTED = 0, 3, 130


def run(config: Config, load: Callable[[], Config] | None = None, *, quiet: bool = False, owner: str = "") -> int:
    """Run a configuration to its end; without sinks the results go to standard output as JSON lines.

    SIGINT, SIGTERM and SIGHUP end the run after the current frame; all results are still written. With `config.sources`
    it ends within 3 s, and SIGHUP does not end it but reads the configuration again with `load`.

    Args:
        quiet: no summary on standard error.
        owner: path of the configuration. MQTT topics that an earlier run of this configuration announced and that are
            no longer used are cleared.

    Returns:
        The exit code: 0 done (also if the reader of a pipe closed it), 3 done but some pictures of a folder, or a file
        of `config.sources`, could not be read to the end, 4 done but an output did not receive everything, 130
        interrupted. If a source or sink hangs, this function ends the process.

    Raises:
        EdgeemoError: a mistake that the user can correct.
    """
    if not config.source and not config.sources:
        raise ConfigError("no source: give --source with a video, a folder of pictures, a camera number, a URL or demo")
    config = _with_sink(config)
    partly, broken = "", ""
    stop, reload = threading.Event(), threading.Event()
    with ending_on_signals(stop, reload=reload if config.sources else None):
        try:
            with (
                closing(Withdrawal(owner if config.sources else "")) as withdrawal,
                open_runner(config, notifier=Notifier(os.environ), owner=owner, taken=withdrawal.begin) as runner,
            ):
                withdrawal.begin(config)
                gc.freeze()  # else full collections traverse the libraries' objects: pauses of 35 ms
                try:
                    runner.run(stop, reload, None if load is None else lambda: _with_sink(load()))
                except PartlyReadError as error:
                    partly = str(error)
                except SinkError as error:
                    broken = str(error)
                said = _summary(runner)
                try:
                    clean = runner.close()
                except SinkError as error:
                    broken = broken or str(error)
                    clean = runner.close()
                missing = undelivered(runner.status())
                cut = runner.cut_short()
        except ReaderGone:
            return DONE
    unread = PARTLY if partly or cut else DONE
    code = INTERRUPTED if stop.is_set() else NOT_DELIVERED if broken or missing else unread
    lines = [f"source {name}: {error}" for name, error in cut]
    for line in (partly, *lines, broken, *missing, "" if quiet else said):
        if line:
            tell(f"edgeemo: {printable(' '.join(line.split()))}")
    if not clean:
        # a thread is blocked in a driver; a normal exit would wait for it or crash
        os._exit(finish(code))
    return code


def _with_sink(config: Config) -> Config:
    return config if config.sinks else replace(config, sinks=("jsonl:-",))


def undelivered(status: Status) -> list[str]:
    """One line for each sink that did not receive every result."""
    lines = []
    for sink in status.sinks:
        lost = sink.dropped + sink.waiting
        parts = [f"{_counted(lost, 'result')} did not arrive"] if lost else []
        if sink.kept:
            parts.append(f"{_counted(sink.kept, 'result')} kept on disk for the next run with this sink")
        if parts:
            reason = f" ({sink.error})" if sink.error else ""
            lines.append(f"sink {sink.name}: {' and '.join(parts)}{reason}")
    return lines


def _summary(runner: Runner) -> str:
    """The summary of a run in one line."""
    counters = runner.counters()
    if not runner.config.sources:
        return f"{summary(counters)} ({runner.engine_description})"
    status = runner.status()
    parts = [_counted(len(status.sources), "source"), _counted(counters.frames, "frame"), f"{counters.dropped} dropped"]
    return ", ".join([*parts, *_damaged(counters), f"{status.uptime_s:.0f} s"])


def summary(counters: Counters) -> str:
    """The counters in one line."""
    parts = [_counted(counters.frames, "frame"), _counted(counters.faces, "face")]
    if counters.seconds > 0:
        parts.append(f"{counters.frames / counters.seconds:.1f} frames per second")
    if counters.dropped:
        parts.append(f"{counters.dropped} dropped")
    line = ", ".join([*parts, *_damaged(counters)])
    if counters.faces:
        most = sorted(counters.emotions.items(), key=lambda item: -item[1])[:3]
        line += ": " + ", ".join(f"{label} {count / counters.faces:.0%}" for label, count in most)
    return line


def _damaged(counters: Counters) -> list[str]:
    return [f"{_counted(counters.damaged, 'picture')} damaged"] if counters.damaged else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
