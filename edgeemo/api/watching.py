"""A source that is watched: frames -> results, one at a time, in the thread of whoever takes them."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeemo import types
from edgeemo.api.result import Result
from edgeemo.api.sources import GivenFrames
from edgeemo.config import Config, expect_range
from edgeemo.errors import ConfigError
from edgeemo.run.source_worker import read
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.stages import overlay
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import Frame, Source

FOREVER_S = 1e9
TICK_S = 1e-3  # frame times are rounded

OnProgress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Sampling:
    """Which frames are looked at, by their media time.

    Attributes:
        every: seconds from one to the next; 0: every frame.
        start, end: the first at or after `start`, none at or after `end`; in seconds.
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

    def slot(self, time: float) -> int | None:
        """Which interval of `every` a frame falls into; None: before the start. One frame of each interval counts."""
        since = time - self.start + TICK_S
        if since < 0:
            return None
        return math.floor(since / self.every) if self.every else 0


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
) -> Generator[Result, None, None]:
    """Recognise a source frame by frame; whatever was opened is released when the generator ends or is closed.

    Args:
        open_pipeline: the stages, closed by the stack.
        sinks: as `edgeemo run --sink` takes them.
        folder: of pictures, so that a result knows its file.
        progress: show a bar.
        on_progress: called with the number of frames read so far, and of all where that is known.
        resources: of the source.
    """
    with resources:
        pipeline = open_pipeline(resources)
        context = SinkContext(pipeline.labels, draw=_drawn, config=config)
        outputs = [resources.enter_context(closing(open_sink(text, context))) for text in sinks]
        reports = [on_progress] if on_progress is not None else []
        if progress:
            reports.append(_bar(source.name, resources))
        total = source.count if isinstance(source, GivenFrames) else None
        last = -1
        for frame in frames_of(source, resources):
            if sampling.is_over(frame.time):
                return
            slot = sampling.slot(frame.time)
            if slot is not None and (slot > last or not sampling.every):
                last = slot
                result = pipeline.step(frame)
                for output in outputs:
                    output.write(result)
                    output.tick()
                yield Result.of(result, folder / frame.origin if folder is not None and frame.still else None)
            for report in reports:
                report(frame.index + 1, total)


def frames_of(source: Source, resources: ExitStack) -> Iterator[Frame]:
    """The frames of a source: of a live one the newest, of any other all."""
    if isinstance(source, GivenFrames):
        # in this thread: whoever makes the frames may rely on that
        yield from source.frames()
        return
    yield from read(source, resources)


def wants_bar() -> bool:
    """Whether a progress bar would be seen: on a terminal, or in a notebook."""
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
