"""The command `edgeemo bench`: time each stage alone, then end to end. Called by `commands`."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from edgeemo.config import Config
from edgeemo.errors import ConfigError, SourceError
from edgeemo.run.open import Stages, open_pipeline, open_runner
from edgeemo.run.setup import sources_of
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.stages.pipeline import STAGES
from edgeemo.system.process import peak_memory_mb, usable_cpus
from edgeemo.types import Frame

WARM_UP = 10  # frames that are not measured: caches, first allocations, start of the detector
REPEATS = 3


@dataclass(frozen=True)
class Milliseconds:
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Milliseconds:
        p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99]).tolist()
        return cls(round(p50, 3), round(p95, 3), round(p99, 3))


@dataclass(frozen=True)
class Benchmark:
    """The measurements.

    Attributes:
        stages: milliseconds per frame of decode, detect, track, classify, smooth, sink and their sum ("total"), run in
            sequence in one thread.
        fps: frames per second end to end: every frame, capture in its own thread, JSON lines to a file; median of
            `runs`, without start-up.
        peak_memory_mb: peak resident memory of the process in MiB.
    """

    source: str
    engine: str
    width: int
    height: int
    frames: int
    faces: int
    stages: dict[str, Milliseconds]
    fps: float
    runs: tuple[float, ...]
    peak_memory_mb: float
    cpus: int

    def to_mapping(self) -> dict[str, object]:
        return asdict(self)


def measure(config: Config) -> Benchmark:
    """Benchmark a configuration on a file.

    Args:
        config: `frames` limits each pass; its sinks are not used.

    Raises:
        ConfigError, SourceError: there is no source, or it is live or has too few frames.
        EdgeemoError, EngineError: as in a run.
    """
    if not config.source:
        raise ConfigError("no source: give --source with a video file or demo")
    config = replace(config, sinks=(), capture=replace(config.capture, loop=False, paced=False))
    with tempfile.TemporaryDirectory(prefix="edgeemo-bench-") as folder:
        alone = _alone(config, Path(folder) / "alone.jsonl")
        runs = tuple(_end_to_end(config, Path(folder) / f"run{number}.jsonl") for number in range(REPEATS))
    return replace(
        alone,
        fps=round(statistics.median(runs), 1),
        runs=tuple(round(run, 1) for run in runs),
        peak_memory_mb=round(peak_memory_mb(), 1),
    )


def _alone(config: Config, path: Path) -> Benchmark:
    taken: dict[str, list[float]] = {stage: [] for stage in ("decode", *STAGES, "sink", "total")}
    frames = faces = 0
    shape: tuple[int, ...] = (0, 0, 3)
    with ExitStack() as stack:
        source = Stages().source(config, sources_of(config)[0])
        if source.live:
            raise ConfigError(f"{config.source} is live and would limit the speed; give a video file or demo")
        pipeline, description = open_pipeline(config, stack)
        sink = open_sink(f"jsonl:{path}", SinkContext(pipeline.labels, draw=lambda result: result.frame.image))
        stack.callback(sink.close)
        stream = source.frames()
        for frame, decoding in _timed(stream):
            began = perf_counter()
            result = pipeline.step(frame)
            stepped = perf_counter()
            sink.write(result)
            written = perf_counter()
            frames += 1
            faces += len(result.faces)
            shape = frame.image.shape
            if frames > WARM_UP:
                taken["decode"].append(decoding)
                for stage in STAGES:
                    taken[stage].append(result.timings[stage] / 1e3)
                taken["sink"].append(written - stepped)
                taken["total"].append(decoding + written - began)
            if config.frames and frames >= config.frames:
                break
    if not taken["total"]:
        raise SourceError(
            f"{config.source} has only {frames} frames; a benchmark needs more than {WARM_UP}, so give a longer one"
        )
    return Benchmark(
        source=source.name,
        engine=description,
        width=shape[1],
        height=shape[0],
        frames=frames,
        faces=faces,
        stages={stage: Milliseconds.of(seconds) for stage, seconds in taken.items()},
        fps=0.0,
        runs=(),
        peak_memory_mb=0.0,
        cpus=usable_cpus(),
    )


def _timed(stream: Iterator[Frame]) -> Iterator[tuple[Frame, float]]:
    while True:
        began = perf_counter()
        frame = next(stream, None)
        if frame is None:
            return
        yield frame, perf_counter() - began


def _end_to_end(config: Config, path: Path) -> float:
    with open_runner(replace(config, sinks=(f"jsonl:{path}",))) as runner:
        counters = runner.run()
    return counters.frames / counters.seconds if counters.seconds else 0.0
