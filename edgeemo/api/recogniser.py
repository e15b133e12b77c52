"""The object behind the Python interface: one engine and its face detector, kept open."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import cast, overload

from edgeemo import types
from edgeemo.api.inputs import Colour, Image, Picture, check_colour, is_picture, read_image
from edgeemo.api.result import Result
from edgeemo.config import Config, load_config
from edgeemo.session import _open_classifier, _open_stages
from edgeemo.stages.pipeline import BatchClassifier
from edgeemo.types import F32, Faces, Frame


class Recogniser:
    """An engine and a face detector, loaded once.

        with edgeemo.Recogniser(engine="hybrid_lite") as recogniser:
            for result in recogniser.recognise(paths): ...

    May be used by several threads at once: each picture waits for the one before, and each `watch` follows faces of its
    own. In a process made by fork, and after pickling (spawn), it loads its models again.
    """

    def __init__(
        self,
        engine: str | os.PathLike[str] | None = None,
        *,
        backend: str | None = None,
        threads: int | None = None,
        config: Config | str | os.PathLike[str] | None = None,
    ) -> None:
        """Load the models.

        Args:
            engine: name of an engine (`edgeemo engines` lists them) or path of its folder; None: the configuration's.
            backend: the runtime that executes it, for example "onnx", "openvino:int8", "tensorrt" or "auto"; None: the
                configuration's.
            threads: threads that the engine may use; None: the configuration's.
            config: a configuration or the path of a TOML file, as `edgeemo run --config` takes it; of it the engine and
                the sections of stages and sinks count, not the sources. None: the defaults.

        Raises:
            ConfigError: the configuration is wrong.
            EngineError: there is no such engine or backend, or its files are wrong.
        """
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            config = load_config(Path(config).expanduser())
        self._config = replace(
            config,
            engine=config.engine if engine is None else _engine_name(engine),
            backend=config.backend if backend is None else backend,
            threads=config.threads if threads is None else threads,
        )
        self._lock = threading.Lock()
        self._models: _Models | None = None
        self._closed = False
        self._open()
        _living.add(self)

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._config

    @property
    def labels(self) -> tuple[str, ...]:
        """The engine's expressions, in its order."""
        return self._open().classifier.labels

    @property
    def description(self) -> str:
        """What really runs, for example "hybrid_lite, ONNX Runtime 1.32.0, CPU, FP32"."""
        return self._open().pipeline.engine_description

    # a string is also an iterable of strings; the first signature that fits counts
    @overload
    def recognise(  # type: ignore[overload-overlap]
        self, picture: Picture, *, color: Colour | None = None
    ) -> Result: ...

    @overload
    def recognise(self, picture: Iterable[Picture], *, color: Colour | None = None) -> Iterator[Result]: ...

    def recognise(
        self, picture: Picture | Iterable[Picture], *, color: Colour | None = None
    ) -> Result | Iterator[Result]:
        """Recognise the faces of one picture, or of several one after the other.

        Args:
            picture: a path; an open file or bytes of an encoded picture; an array (H, W), (H, W, 3) or (H, W, 4) of
                uint8, uint16 (0..65535) or floats (0..1); a torch tensor (H, W, 3) or (3, H, W); a PIL image; a frame
                of PyAV or decord. Or a list, a generator or a pandas column of these.
            color: "bgr" or "rgb", of arrays and tensors. Without it arrays are BGR, as OpenCV has them, and tensors of
                three channels are refused. Files, PIL images and decoded frames know their own.

        Returns:
            A Result, empty where there is no face. For several pictures a generator of Results in their order, so that
            one picture at a time is in memory.

        Raises:
            SourceError: a picture cannot be read, or its shape, type or values can be meant in two ways.
        """
        colour = check_colour(color)
        self._open()
        if is_picture(picture):
            return self._step(read_image(picture, colour), 0)
        return self._each(cast(Iterable[Picture], picture), colour)

    def close(self) -> None:
        """Release the models; may be called twice. A `watch` that is still running ends with a RuntimeError."""
        with self._lock:
            self._closed = True
            models, self._models = self._models, None
        if models is not None:
            models.close()

    def __enter__(self) -> Recogniser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Recogniser({'closed' if self._closed else self.description})"

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self._config,)

    def _each(self, pictures: Iterable[Picture], colour: Colour | None) -> Generator[Result, None, None]:
        for index, picture in enumerate(pictures):
            yield self._step(read_image(picture, colour), index)

    def _step(self, image: Image, index: int) -> Result:
        frame = Frame(image.pixels, index, float(index), image.origin, still=True)
        return Result.of(self._open().step(frame), image.path)

    def _open(self) -> _Models:
        models = self._models
        if models is not None:
            return models
        with self._lock:
            if self._closed:
                raise RuntimeError("the recogniser was closed; iterate over its results before the end of `with`")
            if self._models is None:
                self._models = _Models(self._config)
            return self._models

    def _forked(self) -> None:
        """In the child of a fork: its parent's threads are gone, and locks and models may be in use for ever."""
        if self._models is not None:
            _inherited.append(self._models)
        self._lock, self._models = threading.Lock(), None


class _Models:
    """The engine that all pictures and videos share, and the stages for single pictures."""

    def __init__(self, config: Config) -> None:
        with ExitStack() as stack:
            engine, _ = _open_classifier(config)
            self.classifier = SharedClassifier(engine)
            stack.callback(self.classifier.end)
            self.pipeline = _open_stages(config, self.classifier, stack)
            self._resources = stack.pop_all()
        self._lock = threading.Lock()

    def step(self, frame: Frame) -> types.Result:
        with self._lock:
            return self.pipeline.step(frame)

    def close(self) -> None:
        with self._lock:
            self._resources.close()


class SharedClassifier(BatchClassifier):
    """One engine for several pipelines, in one thread at a time: not every backend allows more.

    Whoever made it ends it with `end`; `close`, which a pipeline calls, leaves it open.
    """

    def __init__(self, engine: BatchClassifier) -> None:
        self.labels = engine.labels
        self._engine = engine
        self._lock = threading.Lock()
        self._ended = False

    @property
    def description(self) -> str:
        return str(getattr(self._engine, "description", ""))

    def classify(self, frame: Frame, faces: Faces) -> F32:
        with self._lock:
            self._expect_open()
            return self._engine.classify(frame, faces)

    def classify_together(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        with self._lock:
            self._expect_open()
            return self._engine.classify_together(work)

    def close(self) -> None:
        return

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._engine.close()

    def _expect_open(self) -> None:
        if self._ended:
            raise RuntimeError("the recogniser was closed while a video was being watched")


def _engine_name(engine: str | os.PathLike[str]) -> str:
    """As a configuration names it: a name without a separator is looked up, a path is not."""
    return engine if isinstance(engine, str) else str(Path(engine).expanduser().absolute())


def _reopened(config: Config) -> Recogniser:
    return Recogniser(config=config)


_living: weakref.WeakSet[Recogniser] = weakref.WeakSet()
_inherited: list[_Models] = []  # of a parent process: never closed here, their threads do not exist in this one


def _after_fork() -> None:
    for recogniser in list(_living):
        recogniser._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
