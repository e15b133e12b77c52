"""The service: newest frames of all sources -> one call of the engine -> sinks, for as long as it may run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic, time
from types import TracebackType
from typing import Protocol

import numpy as np

from edgeemo.config import Config, SourceConfig
from edgeemo.errors import ConfigError, EdgeemoError
from edgeemo.service.supervisor import Supervisor
from edgeemo.sinks import SinkContext, options_of
from edgeemo.sinks.queued import QueuedSink
from edgeemo.stages.pipeline import BatchClassifier, Pipeline, step_together
from edgeemo.system.sd_notify import Notifier
from edgeemo.types import Frame, Result, Sink, Source, Status
from engines.errors import EngineError

log = logging.getLogger(__name__)

POLL_S = 0.1  # how soon the loop notices that it should stop
CHECK_S = 0.25  # between two looks at the sources
STOP_S = 1.0  # for the sources to let go
FLUSH_S = 1.5  # for the sinks to write what waits
PICTURES = 8  # results that wait for a sink that needs their pictures, which are large
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


class Parts(Protocol):
    """Opens the concrete stages of a service; the session has the real ones."""

    def classifier(self, config: Config) -> tuple[BatchClassifier, str]:
        """The engine that all sources share, and what it really is."""
        ...

    def pipeline(self, config: Config, classifier: BatchClassifier, resources: ExitStack) -> Pipeline:
        """A source's own stages around the shared engine; what they hold is closed by `resources`."""
        ...

    def source(self, config: Config, source: SourceConfig) -> Source: ...

    def sink(self, text: str, context: SinkContext) -> Sink: ...

    def context(self, labels: tuple[str, ...]) -> SinkContext:
        """What sinks may need: at least labels and the drawing."""
        ...


@dataclass(eq=False)
class _Lane:
    """One source and its own stages."""

    config: SourceConfig
    supervisor: Supervisor
    pipeline: Pipeline
    resources: ExitStack


class Service:
    """Several sources through one engine into sinks.

    The work goes in rounds: at most one frame of every source, the newest of a live one; their faces are looked for
    side by side, and recognised in one call. Sources and sinks come and go without ending the service.

    Raises:
        EdgeemoError, EngineError: a mistake in the configuration; all that was opened is closed again.
    """

    def __init__(self, config: Config, parts: Parts, *, notifier: Notifier | None = None) -> None:
        self._config = config
        self._parts = parts
        self._notifier = notifier or Notifier({})
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._began = monotonic()
        self._started = time()
        self._lanes: dict[str, _Lane] = {}
        self._sinks: dict[str, QueuedSink] = {}
        self._classifier: BatchClassifier | None = None
        self._engine = ""
        self._threads = ThreadPoolExecutor(_cpus(), thread_name_prefix="edgeemo-look")
        self._left_behind = False
        self._processed = 0
        try:
            self._classifier, self._engine = parts.classifier(config)
            for source in config.sources:
                self._lanes[source.name] = self._open_lane(config, source, self._classifier)
            for text in config.sinks:
                self._sinks[text] = self._open_sink(config, text)
        except BaseException:
            self.close()
            raise

    def run(
        self,
        stop: threading.Event,
        reload: threading.Event | None = None,
        load: Callable[[], Config] | None = None,
    ) -> Status:
        """Work until `stop` is set, every source is a file that has ended, or the limit of frames is reached.

        Args:
            reload: when set, the configuration is read again by `load`; one with a mistake is logged and not taken.
        """
        for lane in self._lanes.values():
            lane.supervisor.start()
        self._notifier.tell("READY=1")
        checked = 0.0
        while not stop.is_set() and not self._ended.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            self._round()
            now = monotonic()
            if now - checked >= CHECK_S:
                checked = now
                for lane in self._lanes.values():
                    lane.supervisor.check()
                self._notifier.feed()
                if reload is not None and load is not None and reload.is_set():
                    reload.clear()
                    self._reload(load)
            if all(lane.supervisor.ended for lane in self._lanes.values()):
                break
            if self._config.frames and self._processed >= self._config.frames:
                break
        self._notifier.tell("STOPPING=1")
        return self.status()

    def status(self) -> Status:
        """May be called from any thread."""
        return Status(
            engine=str(getattr(self._classifier, "description", self._engine)),
            started=self._started,
            uptime_s=monotonic() - self._began,
            sources=tuple(lane.supervisor.status() for lane in list(self._lanes.values())),
            sinks=tuple(sink.status() for sink in list(self._sinks.values())),
        )

    def close(self) -> bool:
        """Release the sources, write what waits, and close all stages; may be called twice.

        Returns:
            False if a source or sink hangs and was left behind in its thread.
        """
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.supervisor.begin_stopping()
        deadline = monotonic() + STOP_S
        for lane in lanes:
            self._left_behind |= not self._close_lane(lane, deadline)
        sinks, self._sinks = list(self._sinks.values()), {}
        for sink in sinks:
            sink.begin_closing()
        deadline = monotonic() + FLUSH_S
        for sink in sinks:
            self._left_behind |= not sink.close(deadline - monotonic())
        self._threads.shutdown()
        if self._classifier is not None:
            self._classifier.close()
            self._classifier = None
        return not self._left_behind

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _round(self) -> None:
        work = []
        for lane in self._lanes.values():
            frame = lane.supervisor.take()
            if frame is not None:
                work.append((lane, frame))
        if not work:
            return
        assert self._classifier is not None
        results = step_together([(lane.pipeline, frame) for lane, frame in work], self._classifier, self._threads)
        for (lane, _), result in zip(work, results, strict=True):
            lane.supervisor.done(len(result.faces))
            self._processed += 1
            bare = _without_picture(result)
            for sink in self._sinks.values():
                sink.offer(result if sink.pictures else bare)

    def _open_lane(self, config: Config, source: SourceConfig, classifier: BatchClassifier) -> _Lane:
        if "://" in source.uri:
            # a malformed address will not mend itself; a camera that is absent may come
            self._parts.source(config, source)
        with ExitStack() as stack:
            pipeline = self._parts.pipeline(config, classifier, stack)
            supervisor = Supervisor(
                source.name,
                lambda: self._parts.source(config, source),
                self._wake,
                config.service,
                live=source.paced,
            )
            return _Lane(source, supervisor, pipeline, stack.pop_all())

    def _close_lane(self, lane: _Lane, deadline: float) -> bool:
        stopped = lane.supervisor.stop(deadline - monotonic())
        lane.resources.close()
        return stopped

    def _open_sink(self, config: Config, text: str) -> QueuedSink:
        assert self._classifier is not None
        context = replace(
            self._parts.context(self._classifier.labels),
            config=config,
            sources=tuple(source.name for source in config.sources),
            status=self.status,
            lasting=True,
        )
        sink = self._parts.sink(text, context)
        pictures = sink.pictures
        return QueuedSink(
            text,
            lambda: self._parts.sink(text, context),
            size=PICTURES if pictures else config.service.queue,
            first=sink,
            pictures=pictures,
            gone=self._ended.set,
        )

    def _reload(self, load: Callable[[], Config]) -> None:
        self._notifier.tell(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1e6)}")
        try:
            self._apply(load())
            log.warning("the configuration was read again")
        except (EdgeemoError, EngineError) as error:
            log.error("the configuration was not taken, the old one goes on: %s", " ".join(str(error).split()))
        finally:
            self._notifier.tell("READY=1")

    def _apply(self, config: Config) -> None:
        """Go on with another configuration: what is the same in both goes on undisturbed.

        The engine is opened anew in any case, for its files may have changed.
        """
        if not config.sources:
            raise ConfigError("it names no [[sources]] any more")
        old = self._config
        assert self._classifier is not None
        with ExitStack() as undo:
            classifier, description = self._parts.classifier(config)
            undo.callback(classifier.close)
            same_stages = (config.detect, config.track, config.smooth, config.capture, config.service) == (
                old.detect, old.track, old.smooth, old.capture, old.service,
            )  # fmt: skip
            lanes: dict[str, _Lane] = {}
            replaced = dict(self._lanes)
            for source in config.sources:
                there = self._lanes.get(source.name)
                if there is not None and there.config == source and same_stages:
                    del replaced[source.name]
                    if classifier.labels == self._classifier.labels and config.quality == old.quality:
                        lanes[source.name] = replace(there, pipeline=there.pipeline.going_on_with(classifier))
                        continue
                    stack = ExitStack()
                    pipeline = self._parts.pipeline(config, classifier, stack)
                    undo.push(stack)
                    lanes[source.name] = _Lane(source, there.supervisor, pipeline, stack)
                else:
                    lanes[source.name] = self._open_lane(config, source, classifier)
                    undo.push(lanes[source.name].resources)
            kept = {
                text: sink
                for text, sink in self._sinks.items()
                if text in config.sinks
                and classifier.labels == self._classifier.labels
                and options_of(text, config) == options_of(text, old)
                and [each.name for each in config.sources] == [each.name for each in old.sources]
                and config.service.queue == old.service.queue
            }
            going = {text: sink for text, sink in self._sinks.items() if text not in kept}
            for sink in going.values():
                # their files and ports are needed by the new ones
                sink.begin_closing()
            for sink in going.values():
                sink.close(FLUSH_S)
            previous, self._classifier = self._classifier, classifier
            try:
                fresh = {text: self._open_sink(config, text) for text in config.sinks if text not in kept}
            except BaseException:
                self._classifier = previous
                self._sinks = kept | self._reopened(old, going)
                raise
            undo.pop_all()
        deadline = monotonic() + STOP_S
        for name, lane in self._lanes.items():
            if name in replaced:
                lane.supervisor.begin_stopping()
        for name, lane in self._lanes.items():
            if name in replaced:
                self._left_behind |= not self._close_lane(lane, deadline)
            elif lane.resources is not lanes[name].resources:
                lane.resources.close()
        previous.close()
        self._config, self._engine = config, description
        self._sinks = {text: kept.get(text) or fresh[text] for text in config.sinks}
        self._lanes = lanes
        for lane in lanes.values():
            if not lane.supervisor.history:
                lane.supervisor.start()

    def _reopened(self, config: Config, gone: Mapping[str, QueuedSink]) -> dict[str, QueuedSink]:
        """The old sinks again, after new ones could not be opened."""
        back = {}
        for text in gone:
            try:
                back[text] = self._open_sink(config, text)
            except EdgeemoError as error:
                log.error("sink %s: %s", text, error)
        return back


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _without_picture(result: Result) -> Result:
    """For sinks that only read: what waits in their queues must not hold pictures."""
    frame = result.frame
    return replace(result, frame=Frame(NO_PICTURE, frame.index, frame.time, frame.origin, frame.still, frame.wall))
