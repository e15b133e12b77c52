"""Create, list, rename and delete session folders. Called by `recorder`, `read` and the app."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from edgeemo.errors import RecordingError
from edgeemo.recording.database import DATABASE_FAULTS, read_database
from edgeemo.recording.source_file import SourceFile
from edgeemo.system.paths import data_folder
from edgeemo.values import as_utf8
from engines.files import atomic_write, read_file, user_path

META, EVENTS, VIDEO, CARD = "session.json", "events.sqlite", "video.mkv", "CARD.md"
TRASH = ".trash"
SESSIONS_VARIABLE = "EDGEEMO_SESSIONS"
VIDEO_CHOICES = ("none", "blurred", "whole")


def sessions_folder() -> Path:
    """The folder of sessions: $EDGEEMO_SESSIONS, or one in the user's data folder."""
    chosen = os.environ.get(SESSIONS_VARIABLE)
    if chosen:
        return user_path(chosen)
    return data_folder() / "sessions"


@dataclass(frozen=True)
class SessionInfo:
    """The contents of session.json.

    Attributes:
        name: name given by the user.
        source, engine: as shown during the recording; addresses without password.
        labels: the engine's classes in its order.
        started, ended: ISO 8601 with the zone; `ended` is empty during the recording and after a crash.
        video: one of `VIDEO_CHOICES`.
        frames, seconds: its length; 0 until it has ended.
        missing: what could not be recorded, one line each.
        file: the analysed video; None for live recordings.
    """

    name: str
    source: str = ""
    engine: str = ""
    labels: tuple[str, ...] = ()
    started: str = ""
    ended: str = ""
    video: str = "none"
    frames: int = 0
    seconds: float = 0.0
    missing: tuple[str, ...] = ()
    file: SourceFile | None = None


@dataclass(frozen=True)
class SessionFolder:
    """The folder of one session."""

    path: Path

    @classmethod
    def create(cls, parent: Path, info: SessionInfo, *, card: str = "", now: datetime | None = None) -> SessionFolder:
        """Create a folder named after the time; an existing one is never overwritten.

        Raises:
            RecordingError: it cannot be created.
        """
        began = now or datetime.now().astimezone()
        stem = f"{began:%Y-%m-%d %H.%M.%S}"
        number = 1
        while True:
            path = parent / (stem if number == 1 else f"{stem} ({number})")
            try:
                parent.mkdir(parents=True, exist_ok=True)
                path.mkdir()
                break
            except FileExistsError as error:
                if not parent.is_dir():
                    raise RecordingError(f"cannot record: {parent} is a file, not a folder; move it away") from error
                number += 1
            except OSError as error:
                raise RecordingError(
                    f"cannot record into {parent} ({error.strerror or error}); choose another folder or free some space"
                ) from error
        made = cls(path)
        made.write(replace(info, started=began.isoformat(timespec="seconds")))
        if card:
            with contextlib.suppress(OSError):
                (path / CARD).write_text(card, encoding="utf-8")
        return made

    @property
    def events(self) -> Path:
        return self.path / EVENTS

    @property
    def video(self) -> Path:
        """Path of the video, which may not exist."""
        return self.path / VIDEO

    @property
    def card(self) -> str:
        """The engine's card; empty if there is none."""
        try:
            return read_file(self.path / CARD).decode("utf-8", errors="replace")
        except OSError:
            return ""

    def read(self) -> SessionInfo:
        """Read session.json; after a crash, missing values are computed from the events.

        Raises:
            RecordingError: the folder is not a session.
        """
        try:
            data = msgspec.json.decode(read_file(self.path / META), type=dict[str, Any])
            file = SourceFile.from_mapping(data.pop("file", None))
            info = replace(msgspec.convert({"name": as_utf8(self.path.name), **data}, SessionInfo), file=file)
        except (OSError, ValueError, RecursionError) as error:
            raise RecordingError(f"{self.path} is not a recorded session: {META} is missing or damaged") from error
        return info if info.ended else replace(info, **self._extent())

    def write(self, info: SessionInfo) -> None:
        """Replace session.json atomically; after a power cut the old or the new file is complete.

        Raises:
            RecordingError: it cannot be written.
        """
        content = json.dumps(asdict(info), ensure_ascii=False, indent=2) + "\n"
        try:
            # names of files may not be UTF-8
            atomic_write(self.path / META, content.encode("utf-8", "replace"), durable=True)
        except OSError as error:
            raise RecordingError(f"cannot write {self.path / META} ({error.strerror or error})") from error

    def rename(self, name: str) -> None:
        """Change the session's name; the folder's name stays.

        Raises:
            RecordingError: the name is empty, or session.json cannot be written.
        """
        name = " ".join(name.split())
        if not name:
            raise RecordingError("a session needs a name; type one")
        self.write(replace(self.read(), name=name[:200]))

    def find_file(self, path: Path) -> None:
        """Store the new path of the analysed video.

        Raises:
            RecordingError: it is a different video, or session.json cannot be written.
        """
        info = self.read()
        if info.file is not None:
            self.write(replace(info, file=info.file.moved_to(path)))

    def delete(self) -> None:
        """Delete the folder and its contents.

        Raises:
            RecordingError: it is not a session, or something in it cannot be deleted.
        """
        self.read()
        if self.path.is_symlink():
            raise RecordingError(f"{self.path} is a symbolic link; delete its target by hand")
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise RecordingError(f"cannot delete {self.path} ({error.strerror or error})") from error

    def move_to_trash(self) -> SessionFolder:
        """Move the folder into `.trash` in the same parent folder; `restore` undoes it.

        Raises:
            RecordingError: it is not a session, or cannot be moved.
        """
        self.read()
        return self._moved(self.path.parent / TRASH)

    def restore(self) -> SessionFolder:
        """Move a session out of the trash.

        Raises:
            RecordingError: it cannot be moved.
        """
        return self._moved(self.path.parent.parent)

    def _moved(self, parent: Path) -> SessionFolder:
        number, target = 2, parent / self.path.name
        while target.exists():
            target = parent / f"{self.path.name} ({number})"
            number += 1
        try:
            parent.mkdir(exist_ok=True)
            self.path.rename(target)
        except OSError as error:
            raise RecordingError(f"cannot move {self.path} to {parent} ({error.strerror or error})") from error
        return SessionFolder(target)

    def size(self) -> int:
        """Size on disk in bytes."""
        total = 0
        for file in self.path.rglob("*"):
            with contextlib.suppress(OSError):  # deleted meanwhile
                total += file.stat().st_size if file.is_file() else 0
        return total

    def _extent(self) -> dict[str, Any]:
        try:
            # min(time) and max(time) would read all rows: a tenth of a second for hours of recording
            edges = [f"SELECT time FROM frames ORDER BY run {way}, frame {way} LIMIT 1" for way in ("ASC", "DESC")]
            query = f"SELECT (SELECT count(*) FROM frames), ({edges[0]}), ({edges[1]})"
            frames, first, last = read_database(self.events, lambda database: database.execute(query).fetchone())
            return {"frames": int(frames), "seconds": float(last - first) if frames else 0.0}
        except (*DATABASE_FAULTS, TypeError, ValueError):  # times stored as text
            return {}


def list_sessions(parent: Path) -> Iterator[tuple[SessionFolder, SessionInfo]]:
    """Every session in a folder, newest first; other folders are ignored."""
    try:
        folders = sorted((each for each in parent.iterdir() if each.is_dir()), key=lambda each: each.name, reverse=True)
    except OSError:
        return
    for path in folders:
        try:
            folder = SessionFolder(path)
            yield folder, folder.read()
        except RecordingError:
            continue
