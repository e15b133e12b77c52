"""The public Python interface; every name is also an attribute of `edgeemo`.

recognise      faces and expressions in one or several pictures
watch          faces and expressions in a video, camera or stream, frame by frame
table          faces and expressions in one or several videos, as a table
Recogniser     the same three functions with options; keeps its models open
Result, Face   the results

Errors that the user can correct have a message of one line:

EdgeemoError
├── EngineError       an engine or backend is missing or incompatible
├── ConfigError       an option or a configuration is wrong; also a ValueError
├── SourceError       a picture or video cannot be read
└── SinkError         an output cannot be written

Any other exception is a bug in edgeemo or a wrong call (TypeError, RuntimeError after `close`).
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
    """Recognise the faces in one or several pictures.

        faces = edgeemo.recognise("photo.jpg")
        for face in faces:
            print(face.emotion, face.confidence, face.box)

    Arguments, result and errors: `Recogniser.recognise`; `engine` and `backend`: `Recogniser`. The models stay loaded
    until a call names another engine or backend.
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
    """Recognise faces in a video, a folder of pictures, a camera or a stream, frame by frame.

        for result in edgeemo.watch("clip.mp4"):
            for face in result:
                print(result.time, face.id, face.emotion, face.probabilities["happiness"])

    Arguments, result and errors: `Recogniser.watch`; `engine` and `backend`: `Recogniser`.
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
    """Recognise a whole source; the table has one row per face and frame.

        table = edgeemo.table("clip.mp4")
        table.groupby("face_id").happiness.mean()

    Arguments, result and errors: `Recogniser.table`; `engine` and `backend`: `Recogniser`.
    """
    return _kept(engine, backend).table(
        source, to=to, columns=columns, every=every, start=start, end=end, fps=fps, color=color, sinks=sinks,
        progress=progress, on_progress=on_progress,
    )  # fmt: skip


def _kept(engine: Engine, backend: str | None) -> Recogniser:
    """The Recogniser of this process; only one is kept, because models are large."""
    global _recogniser, _recogniser_of
    wanted = (None if engine is None else os.fspath(engine), backend)
    with _lock:
        if _recogniser is None or _recogniser_of != wanted:
            # not closed: a generator returned earlier may still use it
            _recogniser = Recogniser(engine, backend=backend)
            _recogniser_of = wanted
        return _recogniser


_lock = threading.Lock()
_recogniser: Recogniser | None = None
_recogniser_of: tuple[str | None, str | None] = (None, None)
