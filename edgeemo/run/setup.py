"""What a runner works with: engine, sources with their stages, sinks; opened from a configuration, or changed to one.

What is opened here comes from `Parts`, which `run.open` hands in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol

from edgeemo.config import Config, SourceConfig
from edgeemo.errors import ConfigError, EdgeemoError
from edgeemo.run.markers import MarkerFeed
from edgeemo.run.sink_worker import SinkWorker
from edgeemo.run.source_worker import SourceWorker
from edgeemo.sinks import SinkContext, options_of
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import U8, Classifier, Judge, MarkerSource, Result, Sink, Smoother, Source, Status

log = logging.getLogger(__name__)

STOP_S = 1.0  # for the sources to let go
FLUSH_S = 1.5  # for the sinks of several sources to write what waits
PROGRESS_S = 10.0  # for a sink of a single source to write one more result
QUEUE_WITH_PICTURES = 8  # results that wait for a sink that needs their pictures, which are large
ONLY_SOURCE = "source"


class Parts(Protocol):
    """Opens the concrete stages, at the start and when a configuration changes; `run.open` has the real ones."""

    def classifier(self, config: Config) -> Classifier:
        """The engine that all sources share."""
        ...

    def pipeline(self, config: Config, classifier: Classifier) -> Pipeline:
        """A source's own stages around the shared engine."""
        ...

    def smoother(self, config: Config, labels: tuple[str, ...]) -> Smoother: ...

    def judge(self, config: Config) -> Judge | None: ...

    def source(self, config: Config, source: SourceConfig) -> Source: ...

    def sink(self, text: str, context: SinkContext) -> Sink: ...

    def markers(self, config: Config) -> MarkerSource | None: ...

    def draw(self, result: Result) -> U8:
        """A new picture (H, W, 3) of a result's frame with the overlay."""
        ...


@dataclass(frozen=True, eq=False)
class Lane:
    """One source and its own stages."""

    config: SourceConfig
    worker: SourceWorker
    pipeline: Pipeline


@dataclass(frozen=True, eq=False)
class Setup:
    """What runs for a configuration. Another configuration makes another one, which may share its members."""

    config: Config
    classifier: Classifier
    lanes: dict[str, Lane]
    sinks: dict[str, SinkWorker]
    markers: MarkerFeed

    def failures(self) -> list[Exception]:
        """What ended the only source and its sinks, if anything did."""
        found = [lane.worker.failure for lane in self.lanes.values()]
        found += [sink.failure for sink in list(self.sinks.values())]
        return [failure for failure in found if failure is not None]


class Assembler:
    """Opens setups.

    Args:
        wake: set when a source has a frame or a sink has room.
        status: for sinks that tell how the run is doing.
    """

    def __init__(self, parts: Parts, wake: threading.Event, status: Callable[[], Status]) -> None:
        self._parts = parts
        self._wake = wake
        self._status = status

    def open(self, config: Config) -> Setup:
        """Open everything; nothing runs yet.

        Raises:
            EdgeemoError: a mistake in the configuration; all that was opened is closed again.
        """
        sources = [(source, self._first(config, source)) for source in sources_of(config)]
        with ExitStack() as undo:
            classifier = self._parts.classifier(config)
            undo.callback(classifier.close)
            lanes = {}
            for source, first in sources:
                lanes[source.name] = self._open_lane(config, source, first, classifier)
                undo.callback(lanes[source.name].pipeline.close)
            sinks = {}
            for text in config.sinks:
                sinks[text] = self._open_sink(config, text, classifier.labels)
                undo.callback(sinks[text].close, FLUSH_S)
            markers = MarkerFeed(self._parts.markers(config))
            undo.pop_all()
        return Setup(config, classifier, lanes, sinks, markers)

    def change(self, old: Setup, config: Config, *, reopen_engine: bool, may_change_labels: bool) -> Setup:
        """A setup for another configuration, with whatever of the old one serves it too. `retire` closes the rest.

        Args:
            reopen_engine: also where the same one is named, for its files may have changed.
            may_change_labels: sinks are opened again where the new engine has other classes.

        Raises:
            EdgeemoError: a mistake in it; the old setup is as it was.
        """
        if bool(old.config.sources) and not config.sources:
            raise ConfigError("it names no [[sources]] any more")
        classifier = old.classifier
        with ExitStack() as undo:
            if reopen_engine or _engine_of(config) != _engine_of(old.config):
                classifier = self._parts.classifier(config)
                undo.callback(classifier.close)
            if classifier.labels != old.classifier.labels and not may_change_labels:
                raise ConfigError(f"{config.engine} knows other classes than those being written; stop that first")
            lanes = {
                source.name: self._next_lane(old, config, source, classifier, undo) for source in sources_of(config)
            }
            markers = old.markers
            if config.markers != old.config.markers:
                markers = MarkerFeed(self._parts.markers(config))
                undo.callback(markers.close)
            sinks = self._next_sinks(old, config, classifier.labels)
            undo.pop_all()
        return Setup(config, classifier, lanes, sinks, markers)

    def _first(self, config: Config, source: SourceConfig) -> Source | None:
        """The source where a mistake has to come out at once; one of several cameras or files may still appear."""
        if config.sources and "://" not in source.uri:
            return None
        return self._parts.source(config, source)

    def _open_lane(self, config: Config, source: SourceConfig, first: Source | None, classifier: Classifier) -> Lane:
        several = bool(config.sources)
        worker = SourceWorker(
            source.name if several or first is None else first.name,
            lambda: self._parts.source(config, source),
            self._wake,
            config.service,
            first=first,
            reopen=several,
            newest_only=source.paced and several,
        )
        return Lane(source, worker, self._parts.pipeline(config, classifier))

    def _open_sink(self, config: Config, text: str, labels: tuple[str, ...]) -> SinkWorker:
        several = bool(config.sources)
        context = SinkContext(
            labels,
            draw=self._parts.draw,
            config=config,
            sources=tuple(source.name for source in config.sources),
            status=self._status,
            lasting=several,
        )
        sink = self._parts.sink(text, context)
        return SinkWorker(
            text,
            lambda: self._parts.sink(text, context),
            size=QUEUE_WITH_PICTURES if sink.pictures else config.service.queue,
            first=sink,
            reopen=several,
            wake=self._wake.set,
        )

    def _next_lane(
        self, old: Setup, config: Config, source: SourceConfig, classifier: Classifier, undo: ExitStack
    ) -> Lane:
        lane = old.lanes.get(source.name)
        if lane is None or lane.config != source or config.service != old.config.service:
            lane = self._open_lane(config, source, self._first(config, source), classifier)
            undo.callback(lane.pipeline.close)
            return lane
        if (config.detect, config.track) != (old.config.detect, old.config.track):
            pipeline = self._parts.pipeline(config, classifier)
            undo.callback(pipeline.close)
        else:
            pipeline = replace(lane.pipeline, classifier=classifier, judge=self._parts.judge(config))
            if config.smooth != old.config.smooth or classifier.labels != lane.pipeline.labels:
                pipeline = replace(pipeline, smoother=self._parts.smoother(config, classifier.labels))
        return replace(lane, pipeline=pipeline)

    def _next_sinks(self, old: Setup, config: Config, labels: tuple[str, ...]) -> dict[str, SinkWorker]:
        same_for_all = (
            labels == old.classifier.labels
            and [each.name for each in config.sources] == [each.name for each in old.config.sources]
            and config.service.queue == old.config.service.queue
        )
        kept = {
            text: sink
            for text, sink in old.sinks.items()
            if same_for_all and text in config.sinks and options_of(text, config) == options_of(text, old.config)
        }
        gone = [text for text in old.sinks if text not in kept]
        # their files and ports are needed by the new ones
        close_sinks([old.sinks[text] for text in gone], FLUSH_S)
        fresh: dict[str, SinkWorker] = {}
        try:
            for text in config.sinks:
                if text not in kept:
                    fresh[text] = self._open_sink(config, text, labels)
        except BaseException:
            close_sinks(fresh.values(), FLUSH_S)
            self._reopen(old, gone)
            raise
        return {text: kept.get(text) or fresh[text] for text in config.sinks}

    def _reopen(self, old: Setup, texts: list[str]) -> None:
        """Put sinks that were closed back into a setup."""
        for text in texts:
            try:
                old.sinks[text] = self._open_sink(old.config, text, old.classifier.labels)
            except EdgeemoError as error:
                log.error("sink %s: %s", text, error)


def sources_of(config: Config) -> tuple[SourceConfig, ...]:
    """The sources of a configuration; the demo clip if it names none."""
    return config.sources or (
        SourceConfig(ONLY_SOURCE, config.source or "demo", loop=config.capture.loop, paced=config.capture.paced),
    )


def _engine_of(config: Config) -> tuple[str, str, int]:
    return config.engine, config.backend, config.threads


def retire(old: Setup, new: Setup) -> bool:
    """Close what a setup had and its successor has not.

    Returns:
        False if a source hangs.
    """
    workers = {id(lane.worker) for lane in new.lanes.values()}
    clean = stop_sources([lane for lane in old.lanes.values() if id(lane.worker) not in workers], STOP_S)
    detectors = {id(lane.pipeline.detector) for lane in new.lanes.values()}
    for lane in old.lanes.values():
        if id(lane.pipeline.detector) not in detectors:
            lane.pipeline.close()
    if old.classifier is not new.classifier:
        old.classifier.close()
    if old.markers is not new.markers:
        old.markers.close()
    return clean


def stop_sources(lanes: Iterable[Lane], timeout: float) -> bool:
    """End the sources side by side; False if one hangs and is left behind."""
    lanes = list(lanes)
    for lane in lanes:
        lane.worker.begin_stopping()
    deadline = monotonic() + timeout
    # each, not only up to the first that hangs
    stopped = [lane.worker.stop(deadline - monotonic()) for lane in lanes]
    return all(stopped)


def close_sinks(sinks: Iterable[SinkWorker], timeout: float) -> bool:
    """Let sinks write what waits and close them, side by side; False if one hangs and is left behind."""
    sinks = list(sinks)
    for sink in sinks:
        sink.begin_closing()
    deadline = monotonic() + timeout
    # one that is not opened again loses what it cannot write now
    closed = [sink.close(deadline - monotonic() if sink.reopen else timeout) for sink in sinks]
    return all(closed)
