"""Recognise a source one frame at a time, in the caller's thread. Called by `Recogniser.watch` and `table`."""

from __future__ import annotations

import logging
import math
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeemo import types
from edgeemo.api.result import Result
from edgeemo.api.sources import GivenFrames
from edgeemo.capture.file import VideoFile
from edgeemo.capture.pictures import Pictures
from edgeemo.config import Config
from edgeemo.errors import ConfigError, PartlyReadError, SinkError
from edgeemo.run.setup import PROGRESS_S
from edgeemo.run.sink_worker import SinkWorker
from edgeemo.run.source_worker import read
from edgeemo.sinks import ReaderGone, SinkContext, open_sink
from edgeemo.stages import overlay
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import Frame, Source
from edgeemo.values import expect_range

log = logging.getLogger(__name__)

POLL_S = 0.1  # longest wait for a sink before Python can handle an interrupt
WAITING = 8  # queue length of a sink; short, because results contain pictures
FOREVER_S = 1e9
TICK_S = 1e-3  # tolerance, because frame times are rounded

OnProgress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Sampling:
    """Which frames are processed, by their media time.

    Attributes:
        every: seconds between processed frames; 0: every frame.
        start, end: seconds; frames before `start` and from `end` on are skipped.
    """

    every: float = 0.0
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        expect_range("every", self.every, 0, FOREVER_S)
        expect_range("start", self.start, 0, FOREVER_S)
        if self.end is not None:
            expect_range("end", self.end, 0, FOREVER_S)
            if self.end <= self.start:
                raise ConfigError(f"end must be after start, {self.start:g} s, not {self.end:g} s")

    def is_over(self, time: float) -> bool:
        return self.end is not None and time >= self.end - TICK_S

    def picker(self) -> Callable[[float], bool]:
        """Make a predicate for one pass over a source: given a frame's time, whether to process this frame.

        It accepts one frame in each interval of `every` seconds, or every frame if `every` is 0.
        """
        last = -1

        def picks(time: float) -> bool:
            nonlocal last
            since = time - self.start + TICK_S
            slot = math.floor(since / self.every) if self.every else 0
            if since < 0 or (self.every and slot <= last):
                return False
            last = slot
            return True

        return picks


def watching(
    source: Source,
    open_pipeline: Callable[[ExitStack], Pipeline],
    sampling: Sampling,
    *,
    config: Config,
    sinks: Sequence[str],
    folder: Path | None,
    progress: bool,
    on_progress: OnProgress | None,
    resources: ExitStack,
    whole: bool = False,
) -> Generator[Result, None, None]:
    """Recognise a source frame by frame; everything is released when the generator ends or is closed.

    Args:
        open_pipeline: opens the stages and registers them in the given ExitStack, which closes them.
        sinks: as for `edgeemo run --sink`.
        folder: the folder of pictures, for the paths of results.
        progress: show a bar.
        on_progress: called with the number of frames read so far and the total (None if unknown).
        resources: holds what the source has opened; closed at the end.
        whole: all results are collected, so the source must have an end.

    Raises:
        ConfigError: the source has no end although `whole` is set.
    """
    with resources:
        if whole and source.live and sampling.end is None:
            raise ConfigError(f"{source.name} has no end; give end=60 for its first minute")
        pipeline = open_pipeline(resources)
        context = SinkContext(pipeline.labels, draw=_drawn, config=config)
        outputs = Outputs(sinks, context, must_arrive=not source.live)
        resources.callback(outputs.close)
        reports = [on_progress] if on_progress is not None else []
        if progress:
            reports.append(_bar(source.name, resources))
        total = _total(source) if reports else None
        picks = sampling.picker()
        for frame in frames_of(source, resources):
            if sampling.is_over(frame.time):
                return
            if picks(frame.time):
                result = pipeline.step(frame)
                outputs.write(result)
                yield Result.of(result, folder / frame.origin if folder is not None and frame.still else None)
            for report in reports:
                report(frame.index + 1, total)


class Outputs:
    """Additional sinks, each in its own thread, as in `edgeemo run`.

    Args:
        must_arrive: wait for slow sinks instead of dropping results; set if the source is not live.

    Raises:
        ConfigError, SinkError: one of them cannot be opened.
    """

    def __init__(self, texts: Sequence[str], context: SinkContext, *, must_arrive: bool) -> None:
        self._must_arrive = must_arrive
        self._changed = threading.Event()
        self._workers: list[SinkWorker] = []
        try:
            for text in texts:
                opener = partial(open_sink, text, context)
                worker = SinkWorker(
                    text, opener, size=WAITING, first=opener(), reopen=False, wake=self._changed.set
                )  # fmt: skip
                self._workers.append(worker)
        except BaseException:
            self.close()
            raise

    def write(self, result: types.Result) -> None:
        """Give a result to every sink; with `must_arrive`, wait until each has room.

        Raises:
            SinkError: a sink has failed.
        """
        while self._must_arrive and not all(worker.has_room or worker.failure for worker in self._workers):
            self._changed.wait(POLL_S)
            self._changed.clear()
        self._raise_failure()
        for worker in self._workers:
            worker.offer(result, must_arrive=self._must_arrive)

    def close(self) -> None:
        """Write the queued results and close the sinks.

        Raises:
            SinkError: a sink failed or hangs.
        """
        for worker in self._workers:
            worker.begin_closing()
        hanging = [worker.name for worker in self._workers if not worker.close(PROGRESS_S)]
        self._raise_failure()
        if hanging:
            raise SinkError(f"{', '.join(hanging)} did not take all results within {PROGRESS_S:g} s")

    def _raise_failure(self) -> None:
        for worker in self._workers:
            if isinstance(worker.failure, ReaderGone):
                raise SinkError(f"{worker.name}: its reader closed the pipe") from worker.failure
            if worker.failure is not None:
                raise worker.failure


def frames_of(source: Source, resources: ExitStack) -> Iterator[Frame]:
    """Iterate over the frames of a source: all of them, or only the newest ones if the source is live."""
    if isinstance(source, GivenFrames):
        # read in this thread: the caller's generator may not be usable in others
        yield from source.frames()
        return
    try:
        yield from read(source, resources)
    except PartlyReadError as error:
        # the other results are complete, and each skipped picture was logged
        log.info("%s", error)


def _total(source: Source) -> int | None:
    """Number of frames; None if unknown."""
    return (source.count() or None) if isinstance(source, VideoFile | Pictures | GivenFrames) else None


def wants_bar() -> bool:
    """Whether a progress bar is visible: on a terminal or in a notebook."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _bar(name: str, resources: ExitStack) -> OnProgress:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets gets a bar of text
        from tqdm.auto import tqdm
    shown: Any = resources.enter_context(tqdm(desc=name, unit=" frames"))

    def advance(done: int, total: int | None) -> None:
        shown.total = total
        shown.update(done - shown.n)

    return advance


def _drawn(result: types.Result) -> types.U8:
    return overlay.draw(result.frame.image, result)
