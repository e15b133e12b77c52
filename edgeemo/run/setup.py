"""Open what a runner needs (engine, sources with their stages, sinks), or change it to another configuration.

`Parts`, which `run.open` passes in, makes the concrete stages. Called by `runner`.
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

STOP_S = 1.0  # time for the sources to stop
FLUSH_S = 1.5  # time for the sinks of several sources to write their queues
PROGRESS_S = 10.0  # time for a sink of a single source to write one more result
QUEUE_WITH_PICTURES = 8  # queue length of a sink that needs the pictures, which are large
ONLY_SOURCE = "source"


class ClassesDiffer(ConfigError):
    """The new engine has other classes than the open outputs."""


class Parts(Protocol):
    """Makes the concrete stages, at the start and when the configuration changes; `run.open` implements it."""

    def classifier(self, config: Config) -> Classifier:
        """The engine shared by all sources."""
        ...

    def pipeline(self, config: Config, classifier: Classifier) -> Pipeline:
        """The stages of one source, with the shared engine."""
        ...

    def smoother(self, config: Config, labels: tuple[str, ...]) -> Smoother: ...

    def judge(self, config: Config) -> Judge | None: ...

    def source(self, config: Config, source: SourceConfig) -> Source: ...

    def sink(self, text: str, context: SinkContext) -> Sink: ...

    def markers(self, config: Config) -> MarkerSource | None: ...

    def draw(self, result: Result) -> U8:
        """A copy (H, W, 3) of a result's frame with the overlay."""
        ...


@dataclass(frozen=True, eq=False)
class Lane:
    """One source and its stages."""

    config: SourceConfig
    worker: SourceWorker
    pipeline: Pipeline


@dataclass(frozen=True, eq=False)
class Setup:
    """The opened stages of a configuration. After a change a new setup may share members with the old one."""

    config: Config
    classifier: Classifier
    lanes: dict[str, Lane]
    sinks: dict[str, SinkWorker]
    markers: MarkerFeed

    def failures(self) -> list[Exception]:
        """Errors that ended the only source or its sinks."""
        found = [lane.worker.failure for lane in self.lanes.values()]
        found += [sink.failure for sink in list(self.sinks.values())]
        return [failure for failure in found if failure is not None]


class Assembler:
    """Opens setups.

    Args:
        wake: set when a source has a frame or a sink has room.
        status: returns the run's status, for sinks that publish it.
    """

    def __init__(self, parts: Parts, wake: threading.Event, status: Callable[[], Status]) -> None:
        self._parts = parts
        self._wake = wake
        self._status = status

    def open(self, config: Config) -> Setup:
        """Open everything; nothing runs yet.

        Raises:
            EdgeemoError: a mistake in the configuration; all opened stages are closed.
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
        """A setup for another configuration; it reuses the unchanged parts of the old one. `retire` closes the rest.

        Args:
            reopen_engine: reopen the engine even if its name is the same, because its files may have changed.
            may_change_labels: allow an engine with other classes, and reopen the sinks for it.

        Raises:
            EdgeemoError: a mistake in it; the old setup is unchanged.
        """
        if bool(old.config.sources) and not config.sources:
            raise ConfigError("it no longer names [[sources]]")
        classifier = old.classifier
        with ExitStack() as undo:
            if reopen_engine or _engine_of(config) != _engine_of(old.config):
                classifier = self._parts.classifier(config)
                undo.callback(classifier.close)
            if classifier.labels != old.classifier.labels and not may_change_labels:
                raise ClassesDiffer(
                    f"the classes of {config.engine} differ from those of the open outputs; stop the outputs first"
                )
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
        """Make the source now, to raise errors in its address at once.

        None for a camera or file of `config.sources`, which may appear later."""
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
            paced=source.paced,
        )
        return Lane(source, worker, self._parts.pipeline(config, classifier))

    def _open_sink(
        self, config: Config, text: str, labels: tuple[str, ...], *, before: SinkWorker | None = None
    ) -> SinkWorker:
        """Open a sink.

        Args:
            before: a worker that this one replaces; then a sink of several sources that fails is opened again later.
        """
        several = bool(config.sources)
        context = SinkContext(
            labels,
            draw=self._parts.draw,
            config=config,
            sources=tuple(source.name for source in config.sources),
            status=self._status,
            lasting=several,
        )
        sink: Sink | None = None
        try:
            sink = self._parts.sink(text, context)
        except EdgeemoError as error:
            if before is None or not several:
                raise
            log.error("sink %s: %s", text, error)
        pictures = sink.pictures if sink is not None else before is not None and before.pictures
        return SinkWorker(
            text,
            lambda: self._parts.sink(text, context),
            size=QUEUE_WITH_PICTURES if pictures else config.service.queue,
            first=sink,
            pictures=pictures,
            reopen=several,
            wake=self._wake.set,
        )

    def _next_lane(
        self, old: Setup, config: Config, source: SourceConfig, classifier: Classifier, undo: ExitStack
    ) -> Lane:
        lane = old.lanes.get(source.name)
        # a file that is open keeps the former [service], because it would be read again from its beginning
        same_service = config.service == old.config.service or (lane is not None and lane.worker.finite)
        if lane is None or lane.config != source or not same_service:
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
        # close these first: the new sinks need their files and ports
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
        """Reopen closed sinks in a setup."""
        for text in texts:
            try:
                old.sinks[text] = self._open_sink(old.config, text, old.classifier.labels, before=old.sinks[text])
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
    """Close the parts of a setup that its successor does not share.

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
    """Stop the sources in parallel; False if one hangs, whose thread keeps running."""
    lanes = list(lanes)
    for lane in lanes:
        lane.worker.begin_stopping()
    deadline = monotonic() + timeout
    # a list, because `all` of a generator would stop at the first source that hangs
    stopped = [lane.worker.stop(deadline - monotonic()) for lane in lanes]
    return all(stopped)


def close_sinks(sinks: Iterable[SinkWorker], timeout: float) -> bool:
    """Let the sinks write their queues and close, in parallel; False if one hangs, whose thread keeps running."""
    sinks = list(sinks)
    for sink in sinks:
        sink.begin_closing()
    deadline = monotonic() + timeout
    # a sink that is not reopened loses what it cannot write now
    closed = [sink.close(deadline - monotonic() if sink.reopen else timeout) for sink in sinks]
    return all(closed)
