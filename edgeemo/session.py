"""The one place that names concrete stages: configuration -> a running pipeline, closed in reverse order."""

from __future__ import annotations

import logging
import statistics
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

from edgeemo.config import Config, SourceConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.sinks import ReaderGone, SinkContext, file_of, open_sink
from edgeemo.stages.pipeline import STAGES, BatchClassifier, Pipeline
from edgeemo.types import U8, Classifier, Frame, Result, Sink, Source

if TYPE_CHECKING:
    from edgeemo.capture import Reader
    from edgeemo.service.service import Service
    from edgeemo.system.sd_notify import Notifier

log = logging.getLogger(__name__)

WINDOW = 120  # results over which rate, latency and timings are taken
POLL_S = 0.1  # how soon a wait notices that it should stop


@dataclass(frozen=True)
class Stats:
    """What a session has done so far.

    Attributes:
        frames: frames recognised.
        faces: faces in them, summed.
        dropped: frames of a live source that were never looked at.
        seconds: time since the first frame was taken.
        fps: frames a second of late; of the whole run: `frames / seconds`.
        latency_ms: median time from a frame's capture to its result, of late.
        timings: median milliseconds of late by stage: detect, track, classify, smooth, sink.
        emotions: how often each expression was shown, by its label.
    """

    frames: int = 0
    faces: int = 0
    dropped: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    latency_ms: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    emotions: dict[str, int] = field(default_factory=dict)


class Session:
    """A source running through a pipeline into sinks and, if wanted, to a window.

    `run()` blocks; `start()` does the same in a background thread. Capture has its own thread, everything else is done
    by one: the caller's or the background one. An exception in either comes out of `run()`, or out of `screen` after
    the last result.

    Attributes:
        screen: the newest result for a window, while `screen` was asked for; closed at the end, failed after an error.
    """

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        sinks: Sequence[Sink] = (),
        *,
        engine_description: str = "",
        frames: int = 0,
        screen: bool = False,
        resources: ExitStack | None = None,
    ) -> None:
        self._engine_description = engine_description
        self.screen: Mailbox[Result] = Mailbox(newest_only=True)
        self._source = source
        self._pipeline = pipeline
        self._sinks = tuple(sinks)
        self._limit = frames
        self._shows = screen
        self._resources = resources or ExitStack()
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._idle = threading.Event()
        self._idle.set()
        self._runner: threading.Thread | None = None
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._tally = _Tally()

    @property
    def source_name(self) -> str:
        return self._source.name

    @property
    def engine_description(self) -> str:
        """What really runs now: an engine may hand over to a faster one while the session goes on."""
        return getattr(self._pipeline, "engine_description", "") or self._engine_description

    @property
    def labels(self) -> tuple[str, ...]:
        return self._pipeline.labels

    def run(self, stop: threading.Event | None = None) -> Stats:
        """Work until the source ends, the limit of frames is reached or `stop` is set.

        Raises:
            EdgeemoError, EngineError: a stage failed; results before that were written.
            ReaderGone: the reader of a sink's pipe has closed it.
        """
        from edgeemo.capture import Reader

        source = _Clocked(self._source)
        reader = Reader(source)
        with self._lock:
            if self._closed:
                raise RuntimeError("the session is closed")
            self._runner = threading.current_thread()
            self._idle.clear()
        try:
            with reader:
                self._work(reader, source, stop or self._stop)
        except BaseException as error:
            self.screen.fail(error)
            raise
        finally:
            self.screen.close()
            self._idle.set()
        return self.stats()

    def start(self) -> None:
        """As `run`, in the background; an error reaches whoever takes from `screen`."""
        if self._worker is not None:
            raise RuntimeError("a session can be started once")
        self._worker = threading.Thread(target=self._run_in_background, name="edgeemo-pipeline", daemon=True)
        self._worker.start()

    def pause(self) -> None:
        """Stop looking at frames: a file waits, a live source goes on and its frames are dropped."""
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def attach(self, sink: Sink) -> None:
        """Give results to another sink from the next frame on; whoever attaches it closes it."""
        with self._lock:
            self._sinks = (*self._sinks, sink)

    def detach(self, sink: Sink) -> None:
        """Give it no more results; one that is on its way may still arrive."""
        with self._lock:
            self._sinks = tuple(each for each in self._sinks if each is not sink)

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    def stats(self) -> Stats:
        return self._tally.stats()

    def close(self, timeout: float = 2.0) -> None:
        """End every thread and close all stages in reverse order; may be called twice and from any thread.

        Raises:
            SinkError: a sink could not write its last results.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stop.set()
        self._going.set()
        if self._runner is not threading.current_thread() and not self._idle.wait(timeout):
            # closing the stages under a thread that uses them would crash it
            log.warning("the pipeline did not end within %.1f s; it is left behind", timeout)
            return
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(timeout)
        self._resources.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except SinkError:
            # an error that is on its way says more
            if error is None or isinstance(error, ReaderGone):
                raise
            log.warning("closing after an error", exc_info=True)

    def _run_in_background(self) -> None:
        try:
            self.run()
        except ReaderGone:
            pass
        except Exception:
            log.debug("the session ended with an error", exc_info=True)

    def _work(self, reader: Reader, source: _Clocked, stop: threading.Event) -> None:
        while not stop.is_set() and not self._stop.is_set():
            if not self._going.wait(POLL_S):
                continue
            try:
                frame = reader.frames.take(timeout=POLL_S)
            except TimeoutError:
                continue
            except Closed:
                return
            arrived = source.arrival(frame)
            result = self._pipeline.step(frame)
            stepped = perf_counter()
            for sink in self._sinks:
                sink.write(result)
            written = perf_counter()
            if self._shows:
                try:
                    self.screen.put(result, timeout=0)
                except Closed:
                    return
            self._tally.add(result, arrived, written, (written - stepped) * 1e3, reader.dropped)
            if self._limit and self._tally.frames >= self._limit:
                return


class _Clocked:
    """A source that remembers when its latest frames arrived."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.live = source.live
        self.pause_s = source.pause_s
        self._source = source
        self._arrivals: dict[int, float] = {}

    def frames(self) -> Iterator[Frame]:
        frames = self._source.frames()
        try:
            for frame in frames:
                self._arrivals[frame.index] = perf_counter()
                if len(self._arrivals) > 8:
                    del self._arrivals[next(iter(self._arrivals))]
                yield frame
        finally:
            # not left to the garbage collector: it may hold a device
            if isinstance(frames, Generator):
                frames.close()

    def arrival(self, frame: Frame) -> float:
        return self._arrivals.get(frame.index, perf_counter())


class _Tally:
    """Running figures of a session; written by one thread, read by others."""

    def __init__(self) -> None:
        self.frames = 0
        self.dropped = 0
        self._faces = 0
        self._began = 0.0
        self._ended = 0.0
        self._emotions: dict[str, int] = {}
        self._recent: deque[tuple[float, float, dict[str, float]]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def add(self, result: Result, arrived: float, written: float, sink_ms: float, dropped: int) -> None:
        with self._lock:
            self.frames += 1
            self.dropped = dropped
            self._began = self._began or arrived
            self._ended = written
            self._faces += len(result.faces)
            for emotion in result.emotions:
                self._emotions[emotion] = self._emotions.get(emotion, 0) + 1
            self._recent.append((written, (written - arrived) * 1e3, {**result.timings, "sink": sink_ms}))

    def stats(self) -> Stats:
        with self._lock:
            recent = list(self._recent)
            done = Stats(
                self.frames,
                self._faces,
                self.dropped,
                self._ended - self._began,
                emotions=dict(self._emotions),
            )
        if not recent:
            return done
        span = recent[-1][0] - recent[0][0]
        return Stats(
            done.frames,
            done.faces,
            done.dropped,
            done.seconds,
            fps=(len(recent) - 1) / span if span > 0 else 0.0,
            latency_ms=statistics.median(latency for _, latency, _ in recent),
            timings={
                stage: statistics.median(timings.get(stage, 0.0) for *_, timings in recent)
                for stage in (*STAGES, "sink")
            },
            emotions=done.emotions,
        )


def open_session(config: Config, *, screen: bool = False) -> Session:
    """Open every stage that a configuration asks for; nothing runs yet.

    Args:
        config: its source may be empty: then the demo clip is taken.
        screen: results are also put into `Session.screen`, for a window.

    Raises:
        EdgeemoError, EngineError: something that was asked for cannot be had; all that was opened is closed again.
    """
    _expect_separate_files(config)
    with ExitStack() as stack:
        source = open_source_of(config)
        pipeline, description = open_pipeline(config, stack)
        context = SinkContext(pipeline.labels, draw=_drawn, config=config)
        sinks = []
        for text in config.sinks:
            sink = open_sink(text, context)
            stack.callback(sink.close)
            sinks.append(sink)
        return Session(
            source,
            pipeline,
            sinks,
            engine_description=description,
            frames=config.frames,
            screen=screen,
            resources=stack.pop_all(),
        )


def open_source_of(config: Config) -> Source:
    """The source of a configuration; the demo clip if it names none.

    Raises:
        SourceError: there is no such source.
    """
    from edgeemo.capture import open_source

    return open_source(config.source or "demo", loop=config.capture.loop, paced=config.capture.paced)


def open_pipeline(config: Config, stack: ExitStack) -> tuple[Pipeline, str]:
    """The stages between source and sinks, closed by `stack`; and what the engine really is.

    Raises:
        EngineError: there is no such engine or backend, or its files are wrong.
    """
    classifier, description = _open_classifier(config)
    stack.callback(classifier.close)
    return _open_stages(config, classifier, stack), description


def open_service(config: Config, notifier: Notifier | None = None) -> Service:
    """Open what a configuration with several sources asks for; nothing runs yet.

    Raises:
        EdgeemoError, EngineError: a mistake in it; a camera or stream that is not there is none.
    """
    from edgeemo.service.service import Service

    _expect_separate_files(config)
    return Service(config, _Parts(), notifier=notifier)


class _Parts:
    """The concrete stages of a service."""

    def classifier(self, config: Config) -> tuple[BatchClassifier, str]:
        return _open_classifier(config)

    def pipeline(self, config: Config, classifier: BatchClassifier, resources: ExitStack) -> Pipeline:
        return _open_stages(config, classifier, resources)

    def source(self, config: Config, source: SourceConfig) -> Source:
        from edgeemo.capture import open_source
        from edgeemo.capture.camera import CameraFormat

        return open_source(
            source.uri,
            loop=source.loop,
            paced=source.paced,
            camera=CameraFormat(source.width, source.height, source.fps, source.format),
            open_timeout=config.service.open_timeout_s,
            read_timeout=config.service.read_timeout_s,
        )

    def sink(self, text: str, context: SinkContext) -> Sink:
        return open_sink(text, context)

    def context(self, labels: tuple[str, ...]) -> SinkContext:
        return SinkContext(labels, draw=_drawn)


def _open_classifier(config: Config) -> tuple[BatchClassifier, str]:
    from edgeemo.stages.classify import EngineClassifier
    from engines import Engine

    classifier = EngineClassifier(Engine.open(config.engine, backend=config.backend, threads=config.threads))
    return classifier, classifier.description


def _open_stages(config: Config, classifier: Classifier, stack: ExitStack) -> Pipeline:
    # after the engine: a wrong one is the likelier mistake, and MediaPipe takes half a second to import
    from edgeemo.stages.detect import BlazeFaceDetector
    from edgeemo.stages.quality import QualityJudge
    from edgeemo.stages.smooth import Smoother
    from edgeemo.stages.track import FaceTracker

    detector = BlazeFaceDetector(config.detect)
    stack.callback(detector.close)
    return Pipeline(
        detector,
        FaceTracker(config.track),
        classifier,
        Smoother(classifier.labels, config.smooth),
        QualityJudge(config.quality),
    )


def _drawn(result: Result) -> U8:
    from edgeemo.stages import overlay

    return overlay.draw(result.frame.image, result)


def _expect_separate_files(config: Config) -> None:
    """A sink must not overwrite the source, nor another sink."""
    taken: dict[str, str] = {}
    for text in config.sinks:
        file = file_of(text)
        if file is None:
            place = "standard output" if text.endswith(":-") else text
        else:
            place = str(file.resolve())
            source = Path(config.source).expanduser()
            if config.source and file.exists() and source.exists() and file.samefile(source):
                raise ConfigError(f"sink {text!r} would overwrite the source; choose another path")
        if place in taken and (file is None or file.is_file() or not file.exists()):
            raise ConfigError(f"sinks {taken[place]!r} and {text!r} write to the same place; choose another path")
        taken[place] = text
