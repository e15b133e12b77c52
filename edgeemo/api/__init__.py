"""The public Python interface; every name is also an attribute of `edgeemo`.

recognise      faces and expressions of a picture, or of several
watch          of a video, a camera or a stream, frame by frame
table          of a video or of several as one table
Recogniser     the same three with their models kept open, and its options
Result, Face   what they give

Errors that a user can fix have one line as their message:

EdgeemoError
├── EngineError       an engine or backend that is missing or does not fit
├── ConfigError       an option or a configuration that is wrong; also a ValueError
├── SourceError       a picture or video that cannot be read
└── SinkError         an output that cannot be written

Anything else that is raised is a fault of edgeemo's, or of the call (TypeError, RuntimeError after `close`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, overload

from edgeemo.api.inputs import Colour, Picture
from edgeemo.api.recogniser import Recogniser
from edgeemo.api.result import Face, Result
from edgeemo.api.sources import Watchable
from edgeemo.api.tables import Columns, Library
from edgeemo.api.watching import OnProgress

__all__ = ["Face", "Recogniser", "Result", "recognise", "table", "watch"]

Engine: TypeAlias = "str | os.PathLike[str] | None"


@overload
def recognise(  # type: ignore[overload-overlap]
    picture: Picture,
    *,
    color: Colour | None = None,
    engine: Engine = None,
    backend: str | None = None,
) -> Result: ...


@overload
def recognise(
    picture: Iterable[Picture],
    *,
    color: Colour | None = None,
    engine: Engine = None,
    backend: str | None = None,
) -> Iterator[Result]: ...


def recognise(
    picture: Picture | Iterable[Picture],
    *,
    color: Colour | None = None,
    engine: Engine = None,
    backend: str | None = None,
) -> Result | Iterator[Result]:
    """Recognise the faces of one picture, or of several: `Recogniser.recognise` with a Recogniser that is kept open.

        faces = edgeemo.recognise("photo.jpg")
        for face in faces:
            print(face.emotion, face.confidence, face.box)

    Args:
        picture, color: as in `Recogniser.recognise`.
        engine, backend: as in `Recogniser`. The models stay loaded until another call names other ones.

    Returns:
        A Result for one picture; for several a generator of Results.

    Raises:
        SourceError: a picture cannot be read, or can be read in two ways.
        EngineError: there is no such engine or backend.
    """
    return _kept(engine, backend).recognise(picture, color=color)


def watch(
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
    engine: Engine = None,
    backend: str | None = None,
) -> Generator[Result, None, None]:
    """Recognise a video, a folder of pictures, a camera or a stream, frame by frame: `Recogniser.watch`.

        for result in edgeemo.watch("clip.mp4"):
            for face in result:
                print(result.time, face.id, face.emotion, face.probabilities["happiness"])

    Args:
        source, every, start, end, fps, color, sinks, progress, on_progress: as in `Recogniser.watch`.
        engine, backend: as in `Recogniser`.

    Returns:
        A generator of Results; leaving the loop releases the source.

    Raises:
        SourceError: there is no such source; or, from the generator, it broke off.
        ConfigError, SinkError, EngineError: an option, a sink or the engine is wrong.
    """
    return _kept(engine, backend).watch(
        source, every=every, start=start, end=end, fps=fps, color=color, sinks=sinks, progress=progress,
        on_progress=on_progress,
    )  # fmt: skip


def table(
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
    engine: Engine = None,
    backend: str | None = None,
) -> Any:
    """Recognise a whole source: one row per face and frame: `Recogniser.table`.

        table = edgeemo.table("clip.mp4")
        table.groupby("face_id").happiness.mean()

    Args:
        source, to, columns, every, start, end, fps, color, sinks, progress, on_progress: as in `Recogniser.table`.
        engine, backend: as in `Recogniser`.

    Returns:
        A pandas.DataFrame, polars.DataFrame or pyarrow.Table.

    Raises:
        SourceError: there is no such source, or it broke off.
        ConfigError, SinkError, EngineError: an option, a sink or the engine is wrong, or no such library is installed.
    """
    return _kept(engine, backend).table(
        source, to=to, columns=columns, every=every, start=start, end=end, fps=fps, color=color, sinks=sinks,
        progress=progress, on_progress=on_progress,
    )  # fmt: skip


def _kept(engine: Engine, backend: str | None) -> Recogniser:
    """The process's own Recogniser; one at a time, because models are large."""
    global _recogniser, _recogniser_of
    wanted = (None if engine is None else os.fspath(engine), backend)
    with _lock:
        if _recogniser is None or _recogniser_of != wanted:
            # not closed: a generator that was given out may still use it
            _recogniser = Recogniser(engine, backend=backend)
            _recogniser_of = wanted
        return _recogniser


_lock = threading.Lock()
_recogniser: Recogniser | None = None
_recogniser_of: tuple[str | None, str | None] = (None, None)
