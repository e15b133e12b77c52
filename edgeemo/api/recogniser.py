"""The class behind the Python interface: an engine and its face detector, kept open."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast, overload

from edgeemo import types
from edgeemo.api.inputs import Colour, Image, Picture, check_colour, is_picture, read_image
from edgeemo.api.result import Result
from edgeemo.api.sources import Watchable, find_source, is_named
from edgeemo.api.tables import Columns, Library, check_columns, find_library, to_table
from edgeemo.api.watching import OnProgress, Sampling, wants_bar, watching
from edgeemo.config import Config, load_config
from edgeemo.errors import ConfigError
from edgeemo.run.open import Stages, expect_separate_files
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import F32, Classifier, Faces, Frame
from engines.files import user_path


class Recogniser:
    """An engine and a face detector, loaded once.

        with edgeemo.Recogniser(engine="hybrid_lite") as recogniser:
            for result in recogniser.recognise(paths): ...

    Thread-safe: pictures are recognised one after the other, and each `watch` tracks its own faces. In a forked
    process, and after pickling (spawn), it loads its models again.
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
            engine: name of an engine (see `edgeemo engines`) or path of its folder.
            backend: the runtime, for example "onnx", "openvino:int8", "tensorrt" or "auto".
            threads: threads for the engine. If `engine`, `backend` or `threads` is None, `config` decides.
            config: a configuration, or the path of a TOML file as for `edgeemo run --config`; None: the defaults. Its
                sources are ignored.

        Raises:
            ConfigError: the configuration is wrong.
            EngineError: there is no such engine or backend, or its files are invalid.
        """
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            config = load_config(user_path(config))
        self._config = replace(
            config,
            engine=config.engine if engine is None else _engine_name(engine),
            backend=config.backend if backend is None else backend,
            threads=config.threads if threads is None else threads,
            source="",
            sources=(),
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
        """The engine's classes, in its order."""
        return self._open().classifier.labels

    @property
    def description(self) -> str:
        """The engine, runtime and precision in use, for example "hybrid_lite, ONNX Runtime 1.32.0, CPU, FP32"."""
        return self._open().pipeline.description

    # a string is also an iterable of strings; the first matching signature is used
    @overload
    def recognise(  # type: ignore[overload-overlap]
        self, picture: Picture, *, color: Colour | None = None
    ) -> Result: ...

    @overload
    def recognise(self, picture: Iterable[Picture], *, color: Colour | None = None) -> Iterator[Result]: ...

    def recognise(
        self, picture: Picture | Iterable[Picture], *, color: Colour | None = None
    ) -> Result | Iterator[Result]:
        """Recognise the faces in one or several pictures.

        Args:
            picture: a path; an open file or bytes of an encoded picture; an array (H, W), (H, W, 3) or (H, W, 4) of
                uint8, uint16 (0..65535) or floats (0..1); a torch tensor (H, W, 3) or (3, H, W); a PIL image; a frame
                of PyAV or decord. Or a list, a generator or a pandas column of these.
            color: channel order of arrays and tensors, "bgr" or "rgb"; None: "bgr" for arrays; tensors with three
                channels are refused. Ignored for files, PIL images and decoded frames.

        Returns:
            A Result, empty if there is no face. For several pictures a generator of Results in the same order, which
            keeps one picture in memory.

        Raises:
            SourceError: a picture cannot be read, or its shape, type or values are ambiguous.
        """
        colour = check_colour(color)
        self._open()
        if is_picture(picture):
            return self._step(read_image(picture, colour), 0)
        return self._each(cast(Iterable[Picture], picture), colour)

    def watch(
        self,
        source: Watchable,
        *,
        every: float = 0.0,
        start: float = 0.0,
        end: float | None = None,
        fps: float = 25.0,
        color: Colour | None = None,
        sinks: Sequence[str] = (),
        progress: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Generator[Result, None, None]:
        """Recognise faces in a video, a folder of pictures, a camera or a stream, frame by frame.

        Faces are tracked and their expressions smoothed in time, as by `edgeemo run`. Every frame of a file is
        processed. From a camera or stream, frames that arrive while the loop is busy are dropped. Leaving the loop
        releases the source and the sinks.

        Args:
            source: a path, a camera number, an address (rtsp://, http://), "demo", an open file or bytes of a video; or
                an iterable of frames: an array (N, H, W, 3), or a list or generator of pictures as for `recognise`,
                except paths. PyAV frames keep their time.
            every: seconds of media time between processed frames; 0: every frame.
            start, end: seconds of media time; frames before `start` and from `end` on are skipped.
            fps: frames per second of an iterable whose frames have no time.
            color: as in `recognise`, for frames of an iterable.
            sinks: additional outputs, as for `edgeemo run --sink`: "csv:faces.csv", "video:overlay.mp4".
            progress: show a progress bar; output printed in the loop appears above it.
            on_progress: called after each frame with the number of frames read and the total (None if unknown).

        Returns:
            A generator of Results. If you keep a reference to it and stop early, call its `close()`.

        Raises:
            SourceError: there is no such source; from the generator: the source failed.
            ConfigError: an option or a sink is wrong.
            SinkError: from the generator: a sink cannot be opened or written to.
        """
        return self._watch(
            source, Sampling(every, start, end), fps=fps, color=color, sinks=sinks, progress=progress,
            on_progress=on_progress,
        )  # fmt: skip

    def table(
        self,
        source: Watchable | Sequence[str | os.PathLike[str]],
        *,
        to: Library | None = None,
        columns: Columns = "edgeemo",
        every: float = 0.0,
        start: float = 0.0,
        end: float | None = None,
        fps: float = 25.0,
        color: Colour | None = None,
        sinks: Sequence[str] = (),
        progress: bool | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """Recognise a whole source; the table has one row per face and frame.

        docs/files.md lists the columns with their units; for several sources, `origin` is named `file`.

        Args:
            source: as in `watch`; a camera or stream needs an `end`. Or a list of paths.
            to: "pandas", "polars" or "pyarrow"; None: the first one installed.
            columns: naming scheme: "edgeemo", "fex" (py-feat's) or "openface" (OpenFace's first five columns).
            every, start, end, fps, color, sinks, on_progress: as in `watch`.
            progress: show a progress bar; None: on a terminal and in a notebook.

        Returns:
            A pandas.DataFrame, polars.DataFrame or pyarrow.Table.

        Raises:
            SourceError: there is no such source, or it failed.
            ConfigError: no such library is installed; an option or a sink is wrong; a camera or stream without `end`.
            SinkError: a sink cannot be opened or written to.
        """
        library = find_library(to)
        check_columns(columns)
        sampling = Sampling(every, start, end)
        several = isinstance(source, Sequence) and not isinstance(source, str | bytes) and all(map(is_named, source))
        names = cast("Sequence[Watchable]", source if several else [source])
        if sinks and len(names) > 1:
            raise ConfigError("a sink takes the results of one source; call table or watch for each source")
        if several:
            with ExitStack() as stack:
                for name in names:
                    # check this before hours of work on the other sources
                    find_source(name, fps=fps, colour=None, stack=stack)

        def results() -> Iterator[types.Result]:
            for name in names:
                for result in self._watch(
                    name, sampling, fps=fps, color=color, sinks=sinks,
                    progress=wants_bar() if progress is None else progress, on_progress=on_progress, whole=True,
                ):  # fmt: skip
                    yield _of_file(result, name) if several else result

        return to_table(results(), self.labels, to=library, columns=columns, origin="file" if several else "origin")

    def close(self) -> None:
        """Release the models. A running `watch` then raises RuntimeError. More calls have no effect."""
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

    def _watch(
        self,
        source: Watchable,
        sampling: Sampling,
        *,
        fps: float,
        color: Colour | None,
        sinks: Sequence[str],
        progress: bool,
        on_progress: OnProgress | None,
        whole: bool = False,
    ) -> Generator[Result, None, None]:
        colour = check_colour(color)
        sinks = (sinks,) if isinstance(sinks, str) else tuple(sinks)
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
        path = user_path(name) if name and "://" not in name else None
        expect_separate_files(replace(self._config, source=name if path is None else str(path), sinks=sinks))
        resources = ExitStack()
        results = watching(
            find_source(source, fps=fps, colour=colour, stack=resources),
            self._open().follow,
            sampling,
            config=self._config,
            sinks=sinks,
            folder=None if path is None else path.absolute() if path.is_dir() else path.absolute().parent,
            progress=progress,
            on_progress=on_progress,
            resources=resources,
            whole=whole,
        )
        _unfinished.add(results)
        return results

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
                raise RuntimeError("the recogniser is closed; iterate over its results inside `with`")
            if self._models is None:
                self._models = _Models(self._config)
            return self._models

    def _forked(self) -> None:
        """Reset in a forked child: a lock held by a thread of the parent would never be released there."""
        if self._models is not None:
            _inherited.append(self._models)
        self._lock, self._models = threading.Lock(), None


class _Models:
    """The shared engine, and the stages for single pictures."""

    def __init__(self, config: Config) -> None:
        self._config = config
        with ExitStack() as stack:
            self.classifier = SharedClassifier(Stages().classifier(config))
            stack.callback(self.classifier.end)
            self.pipeline = self.follow(stack)
            self._resources = stack.pop_all()
        self._lock = threading.Lock()

    def follow(self, resources: ExitStack) -> Pipeline:
        """New stages for one video, with the shared engine."""
        pipeline = Stages().pipeline(self._config, self.classifier)
        resources.callback(pipeline.close)
        return pipeline

    def step(self, frame: Frame) -> types.Result:
        with self._lock:
            return self.pipeline.step(frame)

    def close(self) -> None:
        with self._lock:
            self._resources.close()


class SharedClassifier(Classifier):
    """Shares one engine between pipelines, one call at a time, because not every backend is thread-safe.

    Its owner ends it with `end`; `close`, which pipelines call, does nothing.
    """

    def __init__(self, engine: Classifier) -> None:
        self.labels = engine.labels
        self.plausible_from = engine.plausible_from
        self.fingerprint = engine.fingerprint
        self._engine = engine
        self._lock = threading.Lock()
        self._ended = False

    @property
    def description(self) -> str:
        return self._engine.description

    def classify(self, work: Sequence[tuple[Frame, Faces]]) -> list[F32]:
        with self._lock:
            self._expect_open()
            return self._engine.classify(work)

    def close(self) -> None:
        return

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._engine.close()

    def _expect_open(self) -> None:
        if self._ended:
            raise RuntimeError("the recogniser was closed during a watch")


def _of_file(result: Result, name: Watchable) -> Result:
    """The result with the path as given, because files in several folders may have the same name."""
    frame = result.frame
    in_folder = result.path is not None and Path(str(name)).name != frame.origin
    file = str(Path(str(name)) / frame.origin) if in_folder else str(name)
    return replace(result, frame=replace(frame, origin=file))


def _engine_name(engine: str | os.PathLike[str]) -> str:
    """The engine as text for a configuration: a string is kept, because it may be a name; a path becomes absolute."""
    return engine if isinstance(engine, str) else str(user_path(engine).absolute())


def _reopened(config: Config) -> Recogniser:
    return Recogniser(config=config)


_living: weakref.WeakSet[Recogniser] = weakref.WeakSet()
# models of the parent process; closing them would wait for threads that this process does not have
_inherited: list[_Models] = []


_unfinished: weakref.WeakSet[Generator[Result, None, None]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # close models before the interpreter unloads libraries, which would print errors
    for results in list(_unfinished):
        with contextlib.suppress(ValueError):  # another thread is using it
            results.close()
    for recogniser in list(_living):
        recogniser.close()


def _after_fork() -> None:
    _unfinished.clear()
    for recogniser in list(_living):
        recogniser._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
