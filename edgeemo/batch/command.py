"""The command `edgeemo batch`: find unfinished files, run the workers, report the results. Called by `commands`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeemo.api.watching import Sampling
from edgeemo.batch.dataset import Dataset, Failure, Totals
from edgeemo.batch.inputs import Input, Inputs, Shard, find_inputs
from edgeemo.batch.pool import Pool
from edgeemo.batch.progress import Progress, Watcher, counted, duration
from edgeemo.batch.remote import is_remote
from edgeemo.batch.work import Job, Outcome, Task, is_full
from edgeemo.capture.file import VideoFile
from edgeemo.config import Config
from edgeemo.errors import ConfigError, EdgeemoError
from edgeemo.run.open import Stages
from edgeemo.system.process import usable_cpus
from edgeemo.system.signals import ending_on_signals
from edgeemo.values import expect_range
from engines.bundle import find_bundle
from engines.files import user_path
from engines.installation import installed_version, pip_install
from engines.terminal import printable

DONE, PARTLY, INCOMPLETE, INTERRUPTED = 0, 3, 4, 130
SHOWN_FAILURES = 10
LONGEST_MINUTES = 1e6
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        workers: number of processes; 0: one per core.
        every: seconds of media time between processed frames; 0: every frame.
        split_minutes: longer files are split; 0: never.
        ray: address of a Ray cluster, or "auto" for the running one; empty: local processes.
    """

    paths: tuple[str, ...]
    output: str
    workers: int = 0
    every: float = 0.0
    split_minutes: float = 30.0
    shard: str = "1/1"
    restart: bool = False
    dry_run: bool = False
    quiet: bool = False
    ray: str = ""


def run(config: Config, options: Options) -> int:
    """Recognise every file that has no rows yet.

    Returns:
        The exit code: 0 done, 3 some files could not be read completely, 4 the disk is full, 130 interrupted.

    Raises:
        EdgeemoError: a mistake that the user can correct, before any processing.
    """
    expect_range("split_minutes", options.split_minutes, 0, LONGEST_MINUTES)
    shard = Shard.parse(options.shard)
    found = find_inputs(options.paths)
    inputs = shard.of(found.files)
    if options.dry_run:
        return _dry_run(found, inputs, options)
    if found.left_out and not options.quiet:
        _say(f"skipped, not videos: {counted(found.left_out)}")
    stop = threading.Event()
    with ExitStack() as stack:

        def watch(todo: list[Input]) -> Progress:
            if not options.quiet and len(todo) < len(inputs):
                _say(f"{len(inputs) - len(todo)} of {len(inputs)} files are already done")
            progress = Progress(todo, quiet=options.quiet)
            stack.enter_context(ending_on_signals(stop))
            return stack.enter_context(progress)

        ending = perform(config, options, inputs, watch, stop)
    return _told(options, ending, stop.is_set())


@dataclass(frozen=True)
class Ending:
    """The end of a batch.

    Attributes:
        totals: totals of the dataset, with the failures of this run's files.
        full: the error of a full disk; empty if it was not full.
        said: the watcher's summary.
    """

    totals: Totals
    full: str
    said: str

    @property
    def people(self) -> int:
        return self.totals.people

    @property
    def failures(self) -> tuple[Failure, ...]:
        return self.totals.failures


def perform(
    config: Config,
    options: Options,
    inputs: tuple[Input, ...],
    watch: Callable[[list[Input]], Watcher],
    stop: threading.Event,
) -> Ending:
    """Recognise the files that have no rows yet; returns at the end, or soon after `stop` is set.

    Args:
        watch: makes the watcher from the list of unfinished files.

    Raises:
        EdgeemoError: a mistake that the user can correct, before any processing.
    """
    expect_range("workers", options.workers, 0, MOST_WORKERS)
    sampling = Sampling(options.every)  # raises its errors before the dataset is created
    dataset = Dataset(
        user_path(options.output), _settings(config, options), Shard.parse(options.shard), restart=options.restart
    )
    try:
        todo = [each for each in inputs if not dataset.is_done(each)]
        work = _Work(config, dataset, Job(config, sampling, dataset.drafts, options.split_minutes * 60))
        watcher = watch(todo)
        work.do(todo, watcher, stop, _runner(options, work.job))
        said = watcher.summary()
        totals = work.finish(inputs)
    finally:
        dataset.close()
    return Ending(totals, work.full, said)


class _Work:
    """Creates the tasks of a batch and handles their outcomes."""

    def __init__(self, config: Config, dataset: Dataset, job: Job) -> None:
        self.job = job
        self.full = ""
        self._dataset = dataset
        self._parts: dict[str, dict[Task, Outcome | None]] = {}

    def do(self, todo: list[Input], progress: Watcher, stop: threading.Event, runner: Callable[..., None]) -> None:
        # longest first, so that no worker starts a long file at the end
        tasks = [Task(each, self._dataset.row_file(each.key)) for each in sorted(todo, key=lambda file: -file.size)]
        for task in tasks:
            self._dataset.forget_result(task.file)

        def on_outcome(task: Task, outcome: Outcome) -> list[Task]:
            follow = self._next(task, outcome)
            frames = 0 if task.joined else outcome.frames  # the frames of its parts were counted
            progress.ended(task, frames, whole=task.part is None and outcome.state != "split")
            if outcome.state == "full":
                self.full = outcome.reason
                stop.set()
            return follow

        runner(tasks, progress.running, on_outcome, stop)

    def finish(self, inputs: tuple[Input, ...]) -> Totals:
        """See `Dataset.finish`; if the disk is full now, only the summary is missing."""
        try:
            return self._dataset.finish(inputs)
        except OSError as error:
            if not is_full(error):
                raise
            self.full = self.full or str(error)
            return Totals()

    def _next(self, task: Task, outcome: Outcome) -> list[Task]:
        """Store a task's outcome; returns the tasks that follow from it."""
        if outcome.state == "split":
            return self._begin_parts(task, outcome)
        if task.part is not None:
            return self._end_part(task, outcome)
        if outcome.state == "failed":
            self._dataset.add_failure(task.file, outcome.reason, outcome.frames, final=outcome.final)
        if task.joined and outcome.state != "full":
            self._dataset.forget_parts(task.file)
        return []

    def _begin_parts(self, task: Task, outcome: Outcome) -> list[Task]:
        key = task.file.key
        parts = [
            replace(task, target=self._dataset.part_file(key, part.number), part=part, sha256=outcome.sha256)
            for part in outcome.parts
        ]
        self._dataset.keep_parts_of(task.file, outcome.sha256)
        self._parts[key] = dict.fromkeys(parts)
        left = [part for part in parts if not part.target.exists()]
        for part in parts:
            if part not in left:
                self._parts[key][part] = Outcome("done")
        return left or self._joining(task.file, outcome.sha256)

    def _end_part(self, task: Task, outcome: Outcome) -> list[Task]:
        parts = self._parts[task.file.key]
        parts[task] = outcome
        if outcome.state == "full" or any(each is None for each in parts.values()):
            return []
        lost = [(part, each) for part, each in parts.items() if each is not None and not part.target.exists()]
        if lost:
            part, each = min(lost, key=lambda item: item[1].final)
            self._dataset.add_failure(part.file, each.reason, 0, final=each.final)
            if each.final:
                self._dataset.forget_parts(part.file)
            return []
        return self._joining(task.file, task.sha256)

    def _joining(self, file: Input, sha256: str) -> list[Task]:
        joined = tuple(part.target for part in self._parts[file.key])
        return [Task(file, self._dataset.row_file(file.key), joined=joined, sha256=sha256)]


def _runner(options: Options, job: Job) -> Callable[..., None]:
    if options.ray:
        try:
            from edgeemo.batch.cluster import Cluster
        except ImportError as error:
            raise ConfigError(f"--ray needs ray, which is not installed: {pip_install('ray')}") from error

        return Cluster(job, options.ray).run
    return Pool(job, options.workers or usable_cpus()).run


def _settings(config: Config, options: Options) -> dict[str, Any]:
    """The manifest: everything that the rows depend on. Opens the engine, so that its errors are raised first."""
    classifier = Stages().classifier(config, exact=True)
    labels, description = classifier.labels, classifier.description
    classifier.close()
    bundle = find_bundle(config.engine, allow_modified=config.allow_modified)
    return {
        "edgeemo": installed_version(),
        "description": description,
        "engine": {
            "name": bundle.spec.name,
            "sha256": bundle.source_sha256,
            "backend": config.backend,
        },
        "labels": list(labels),
        "every": options.every,
        "split_minutes": options.split_minutes,
        "detect": asdict(config.detect),
        "track": asdict(config.track),
        "smooth": asdict(config.smooth),
        "quality": asdict(config.quality),
    }


def _dry_run(found: Inputs, inputs: tuple[Input, ...], options: Options) -> int:
    """Print what would be read (files, gigabytes, hours), and name files with an unreadable header."""
    seconds, unreadable, remote = 0.0, 0, 0
    for each in inputs:
        if is_remote(each.file):  # would have to be copied
            remote += 1
            continue
        try:
            length = VideoFile(Path(each.file)).duration()
        except EdgeemoError as error:
            unreadable += 1
            print(printable(f"{each.file}: {' '.join(str(error).split())}"))
            continue
        seconds += length
    size = sum(each.size for each in inputs)
    unknown = f"; {remote} at addresses, whose length is unknown" if remote else ""
    print(f"{len(inputs)} of {len(found.files)} files, {size / 1e9:.2f} GB, {duration(seconds)} of video{unknown}")
    if found.left_out:
        print(f"skipped, not videos: {counted(found.left_out)}")
    return PARTLY if unreadable else DONE


def _told(options: Options, ending: Ending, interrupted: bool) -> int:
    again = "; run the same command to continue"
    failures = ending.failures
    for failure in failures[:SHOWN_FAILURES]:
        _say(f"{failure.file}: {failure.reason}")
    if len(failures) > SHOWN_FAILURES:
        _say(f"... and {len(failures) - SHOWN_FAILURES} more in failures.parquet")
    if not options.quiet:
        found = ending.totals
        damaged = f", {found.damaged} pictures damaged in {found.damaged_files} of {found.files} files"
        where = f"{options.output}{damaged if found.damaged else ''}"
        _say(f"{ending.said}; {found.people} people in {where}{again if interrupted else ''}")
    if ending.full:
        _say(f"the disk is full ({ending.full}); free space{again}")
        return INCOMPLETE
    if interrupted:
        return INTERRUPTED
    return PARTLY if failures else DONE


def _say(text: str) -> None:
    print(f"edgeemo: {printable(text)}", file=sys.stderr, flush=True)
