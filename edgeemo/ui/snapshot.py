"""Save the current frame with overlay as PNG in the user's Pictures folder. Made by `window`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PyQt6.QtCore import QObject, QStandardPaths, QUrl
from PyQt6.QtGui import QDesktopServices, QImageWriter

from edgeemo.errors import SinkError
from edgeemo.stages import overlay
from edgeemo.stages.overlay import NO_NAMES, Names
from edgeemo.types import Result
from edgeemo.ui.banner import Banner
from edgeemo.ui.language import tr
from edgeemo.ui.pixels import as_image
from edgeemo.ui.player import Player


def pictures_folder() -> Path:
    """The desktop's folder of pictures, or the home folder."""
    named = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(named) if named else Path.home()


def save_snapshot(result: Result, folder: Path, now: datetime, names: Names = NO_NAMES) -> Path:
    """Write the frame at its original size with overlay; existing files are never overwritten.

    Args:
        names: names of persons by their number.

    Returns:
        The new file, named after the time.

    Raises:
        SinkError: it cannot be written.
    """
    pixels = overlay.draw(result.frame.image, result, names=names)
    path = _reserved(folder, f"edgeemo {now:%Y-%m-%d %H.%M.%S}")
    writer = QImageWriter(str(path), b"png")
    if not writer.write(as_image(pixels)):
        path.unlink(missing_ok=True)
        raise SinkError(
            f"cannot save the snapshot to {path} ({writer.errorString()}); free some space or permit writing"
        )
    return path


class Snapshots(QObject):
    """Saves snapshots outside the window's thread; the banner shows the path.

    Args:
        folder: target folder; None: the user's Pictures folder.
    """

    def __init__(self, player: Player, banner: Banner, folder: Path | None, parent: QObject) -> None:
        super().__init__(parent)
        self._player, self._banner, self._folder = player, banner, folder

    def take(self, result: Result | None, names: Names = NO_NAMES) -> None:
        """Save the frame on screen, if any, with names of persons by their number."""
        if result is None:
            return
        saved: list[Path] = []
        folder, now = self._folder or pictures_folder(), datetime.now()
        self._player.with_files(
            lambda: saved.append(save_snapshot(result, folder, now, names)),
            lambda: self._on_saved(saved[0]),
            self._banner.show_error,
        )

    def _on_saved(self, path: Path) -> None:
        def open_folder() -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))

        self._banner.show_message(
            "notice", tr("Snapshot saved to {path}", path=path), (tr("Open folder"), open_folder), seconds=8
        )


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
                f"cannot save the snapshot in {folder} ({error.strerror or error}); free some space or permit writing"
            ) from error
