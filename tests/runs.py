"""Runs with fake stages: a sink that stores its results, a source without an end, configurations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakes import (
    FakeParts,
    FakeSink,
    frame,
)

from edgeemo.config import Config, ServiceConfig, SourceConfig
from edgeemo.errors import SourceError
from edgeemo.run.runner import Runner
from edgeemo.types import Frame, Result

QUICK = ServiceConfig(backoff_s=0.02, backoff_max_s=0.1, stalled_s=1)


class Keeper(FakeSink):
    """Stores (origin, index), and size and brightness of the picture."""

    def __init__(self, *, pictures: bool = False) -> None:
        super().__init__()
        self.pictures = pictures
        self.seen: list[tuple[str, int]] = []
        self.sizes: set[tuple[int, ...]] = set()
        self.brightest = 0

    def write(self, result: Result) -> None:
        self.seen.append((result.frame.origin, result.frame.index))
        self.sizes.add(result.frame.image.shape[:2])
        self.brightest = max(self.brightest, int(result.frame.image.max()))

    def of(self, origin: str) -> list[int]:
        return [index for name, index in list(self.seen) if name == origin]


class Endless:
    """A live source that runs until `ends` is set."""

    live = True
    pause_s = 0.0
    decoder = ""
    name = "camera"

    def __init__(self) -> None:
        self.ends = threading.Event()
        self.opened = 0

    def __call__(self) -> Endless:
        return self

    def frames(self) -> Iterator[Frame]:
        self.opened += 1
        index = 0
        while not self.ends.wait(0.003):
            yield frame(index)
            index += 1
        raise SourceError("camera stopped")


def configuration(*names: str, sinks: tuple[str, ...] = ("keep",), **others: Any) -> Config:
    return Config(sources=tuple(SourceConfig(name, name) for name in names), sinks=sinks, service=QUICK, **others)


@contextmanager
def running(
    config: Config, parts: FakeParts, load: Any = None
) -> Iterator[tuple[Runner, threading.Event, threading.Event]]:
    stop, reload = threading.Event(), threading.Event()
    runner = Runner(config, parts)
    thread = threading.Thread(target=runner.run, args=(stop, reload, load))
    thread.start()
    try:
        yield runner, stop, reload
    finally:
        stop.set()
        thread.join(10)
        assert runner.close()
