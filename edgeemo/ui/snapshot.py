"""A PNG of what is shown, with the overlay, in the user's Pictures folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PyQt6.QtCore import QStandardPaths
from PyQt6.QtGui import QImageWriter

from edgeemo.errors import SinkError
from edgeemo.stages import overlay
from edgeemo.types import Result
from edgeemo.ui.pixels import as_image


def pictures_folder() -> Path:
    """Where the desktop keeps the user's pictures; the home folder where it says nothing."""
    named = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(named) if named else Path.home()


def save_snapshot(result: Result, folder: Path, now: datetime) -> Path:
    """Write the frame in its own size, the overlay drawn in; an older picture is never written over.

    Returns:
        The new file, named after the time.

    Raises:
        SinkError: it cannot be written.
    """
    pixels = overlay.draw(result.frame.image, result)
    path = _reserved(folder, f"edgeemo {now:%Y-%m-%d %H.%M.%S}")
    writer = QImageWriter(str(path), b"png")
    if not writer.write(as_image(pixels)):
        path.unlink(missing_ok=True)
        raise SinkError(
            f"cannot save the snapshot to {path} ({writer.errorString()}); free some space or permit writing"
        )
    return path


def _reserved(folder: Path, stem: str) -> Path:
    number = 1
    while True:
        path = folder / (f"{stem}.png" if number == 1 else f"{stem} ({number}).png")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.open("xb").close()
            return path
        except FileExistsError as error:
            if folder.is_file():
                raise SinkError(f"cannot save the snapshot: {folder} is a file, not a folder; move it away") from error
            number += 1
        except OSError as error:
            raise SinkError(
                f"cannot save the snapshot in {folder} ({error.strerror or error}); permit writing or free some space"
            ) from error
