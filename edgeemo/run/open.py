"""Configuration -> Runner; only this module names concrete stages. Called by the commands, the window and the API."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from edgeemo.config import Config, SourceConfig
from edgeemo.errors import ConfigError, PathError
from edgeemo.run.runner import Runner
from edgeemo.sinks import SinkContext, file_of, open_sink
from edgeemo.stages.pipeline import Pipeline
from edgeemo.system.file_url import path_of_source
from edgeemo.system.sd_notify import Notifier
from edgeemo.types import U8, Classifier, Judge, MarkerSource, Result, Sink, Smoother, Source
from engines.files import user_path


def open_runner(
    config: Config,
    *,
    screen: bool = False,
    notifier: Notifier | None = None,
    owner: str = "",
    taken: Callable[[Config], object] = lambda config: None,
) -> Runner:
    """Open every stage of a configuration, without running them.

    Args:
        config: if it names no source, the demo clip is used.
        screen: also put results into `Runner.screen`, for a window.
        owner: see `SinkContext`.
        taken: see `Runner`.

    Raises:
        EdgeemoError: a stage cannot be opened; those already opened are closed. If one of several cameras or streams is
            missing, this is not an error.
    """
    expect_separate_files(config)
    return Runner(config, Stages(owner), screen=screen, notifier=notifier, taken=taken)


def open_pipeline(config: Config, stack: ExitStack) -> tuple[Pipeline, str]:
    """The stages between source and sinks, closed by `stack`, and the description of the engine in use.

    The backend is exactly the chosen one, so the description holds for all results.

    Raises:
        EngineError: there is no such engine or backend, its files are invalid, or TensorRT has no plan.
    """
    stages = Stages()
    classifier = stages.classifier(config, exact=True)
    stack.callback(classifier.close)
    pipeline = stages.pipeline(config, classifier)
    stack.callback(pipeline.close)
    return pipeline, pipeline.description


class Stages:
    """The concrete stages; heavy libraries are imported when one is opened.

    Args:
        owner: see `SinkContext`.
    """

    def __init__(self, owner: str = "") -> None:
        self._owner = owner

    def classifier(self, config: Config, *, exact: bool = False) -> Classifier:
        """The engine.

        Args:
            exact: see `engines.backends.open_backend`.

        Raises:
            EngineError: there is no such engine or backend, its files are invalid, or, with `exact`, TensorRT has no
                plan.
        """
        from edgeemo.stages.classify import EngineClassifier
        from engines import Engine

        engine = Engine.open(
            config.engine,
            backend=config.backend,
            threads=config.threads,
            allow_modified=config.allow_modified,
            exact=exact,
        )
        return EngineClassifier(engine)

    def pipeline(self, config: Config, classifier: Classifier) -> Pipeline:
        # imported after the engine was opened: importing MediaPipe takes half a second, which a wrong engine name saves
        from edgeemo.stages.detect import BlazeFaceDetector
        from edgeemo.stages.track import FaceTracker

        return Pipeline(
            BlazeFaceDetector(config.detect),
            FaceTracker(config.track),
            classifier,
            self.smoother(config, classifier.labels),
            self.judge(config),
        )

    def smoother(self, config: Config, labels: tuple[str, ...]) -> Smoother:
        from edgeemo.stages.smooth import Smoother

        return Smoother(labels, config.smooth)

    def judge(self, config: Config) -> Judge:
        from edgeemo.stages.quality import QualityJudge

        return QualityJudge(config.quality)

    def source(self, config: Config, source: SourceConfig) -> Source:
        from edgeemo.capture import open_source
        from edgeemo.capture.camera import CameraFormat

        if not config.sources:
            # keep the longer default time-outs of streams: a single source is not reopened
            return open_source(source.uri, loop=source.loop, paced=source.paced)
        return open_source(
            source.uri,
            loop=source.loop,
            paced=source.paced,
            camera=CameraFormat(source.width, source.height, source.fps, source.format),
            open_timeout=config.service.open_timeout_s,
            read_timeout=config.service.read_timeout_s,
        )

    def sink(self, text: str, context: SinkContext) -> Sink:
        return open_sink(text, replace(context, owner=self._owner))

    def markers(self, config: Config) -> MarkerSource | None:
        from edgeemo.capture.lsl_markers import open_markers

        return open_markers(config.markers)

    def draw(self, result: Result) -> U8:
        from edgeemo.stages import overlay

        return overlay.draw(result.frame.image, result)


def expect_separate_files(config: Config) -> None:
    """Check that no sink overwrites a source or another sink.

    Raises:
        ConfigError: one does.
    """
    sources = [path_of_source(uri) for uri in (config.source, *(each.uri for each in config.sources)) if uri]
    taken: dict[str, str] = {}
    for text in config.sinks:
        file = file_of(text)
        if file is None:
            place = "standard output" if text.endswith(":-") else text
        else:
            place = os.path.realpath(file)
            if any(_same(place, source) for source in sources):
                raise ConfigError(f"sink {text!r} would overwrite the source; choose another path")
        if place in taken and (file is None or os.path.isfile(file) or not os.path.exists(file)):
            raise ConfigError(f"sinks {taken[place]!r} and {text!r} write to the same place; choose another path")
        taken[place] = text


def _same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, user_path(other))
    except (OSError, PathError):  # one of them does not exist or is not a path
        return False
