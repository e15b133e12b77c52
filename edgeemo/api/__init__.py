"""The public Python interface; every name is also an attribute of `edgeemo`.

recognise      faces and expressions of a picture, or of several
Recogniser     the same with its models kept open, and its options
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

import atexit
import os
import threading
from collections.abc import Iterable, Iterator
from typing import overload

from edgeemo.api.inputs import Colour, Picture
from edgeemo.api.recogniser import Recogniser
from edgeemo.api.result import Face, Result

__all__ = ["Face", "Recogniser", "Result", "recognise"]


@overload
def recognise(  # type: ignore[overload-overlap]
    picture: Picture,
    *,
    color: Colour | None = None,
    engine: str | os.PathLike[str] | None = None,
    backend: str | None = None,
) -> Result: ...


@overload
def recognise(
    picture: Iterable[Picture],
    *,
    color: Colour | None = None,
    engine: str | os.PathLike[str] | None = None,
    backend: str | None = None,
) -> Iterator[Result]: ...


def recognise(
    picture: Picture | Iterable[Picture],
    *,
    color: Colour | None = None,
    engine: str | os.PathLike[str] | None = None,
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


def _kept(engine: str | os.PathLike[str] | None, backend: str | None) -> Recogniser:
    """The process's own Recogniser; one at a time, because models are large."""
    global _recogniser, _recogniser_of
    wanted = (None if engine is None else os.fspath(engine), backend)
    with _lock:
        if _recogniser is None or _recogniser_of != wanted:
            # not closed: a generator that was given out may still use it
            _recogniser = Recogniser(engine, backend=backend)
            _recogniser_of = wanted
        return _recogniser


@atexit.register
def _close() -> None:
    # left to the interpreter's end, native libraries are released in any order
    if _recogniser is not None:
        _recogniser.close()


_lock = threading.Lock()
_recogniser: Recogniser | None = None
_recogniser_of: tuple[str | None, str | None] = (None, None)
