"""Find the video files of the paths on the command line. Called by `command`."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeemo.batch.remote import find_remote, is_remote
from edgeemo.errors import ConfigError, SourceError
from engines.files import user_path
from engines.terminal import printable

# suffixes searched for in folders; a file given by name may have any suffix
SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".m2ts", ".m4v", ".mjpeg"),
    *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
MAX_NAME = 80  # bytes of a video's name that are used in the name of its rows


@dataclass(frozen=True, order=True)
class Input:
    """One video file.

    Attributes:
        file: its path relative to the command line, as in the dataset's column `file`.
        size: bytes.
        modified_ns: modification time, nanoseconds since the epoch; for an address a number that changes with the
            content.
    """

    file: str
    size: int = 0
    modified_ns: int = 0

    @property
    def key(self) -> str:
        """A readable name for files about this video, made unique by a hash of the path."""
        digest = hashlib.sha256(os.fsencode(self.file)).hexdigest()[:12]
        stem = re.sub(r"[^\w.-]+", "_", os.path.basename(self.file), flags=re.ASCII).strip("._")[:MAX_NAME]
        return f"{stem or 'video'}-{digest}"


@dataclass(frozen=True)
class Inputs:
    """The videos that the command line names.

    Attributes:
        files: sorted by path, without duplicates.
        left_out: suffix -> number of files in folders that are not videos.
    """

    files: tuple[Input, ...]
    left_out: Counter[str] = field(default_factory=Counter)


def find_inputs(paths: Iterable[str]) -> Inputs:
    """All videos among files and folders. Folders are searched recursively; links to folders are not followed.

    Raises:
        SourceError: a path does not exist or cannot be read, or a folder has no video.
    """
    found: dict[str, Input] = {}
    left_out: Counter[str] = Counter()
    for text in paths:
        if is_remote(text):
            listed = list(find_remote(text, is_video))
            if not listed:
                raise SourceError(f"{text} contains no video; check the address")
            found |= {file: Input(file, size, mark) for file, size, mark in listed}
            continue
        path = user_path(text)
        try:
            if path.is_dir():
                inside = list(_walk(path, left_out))
                if not inside:
                    raise SourceError(
                        f"{text} contains no video; for a folder of pictures use edgeemo run --source {text}"
                    )
            elif path.exists():
                inside = [path]
            else:
                raise SourceError(f"there is no file or folder {text!r}; check the path")
            for file in inside:
                status = file.stat()
                if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for its writer
                    if file != path:
                        left_out["not a regular file"] += 1
                        continue
                    raise SourceError(f"{text} is not a regular file; copy the video into one")
                found[os.path.realpath(file)] = Input(str(file), status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise SourceError(f"cannot read {error.filename or text}: {error.strerror or error}") from error
    return Inputs(tuple(sorted(found.values())), left_out)


def is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _walk(folder: Path, left_out: Counter[str]) -> Iterable[Path]:
    def fail(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if is_video(name):
                yield Path(root, name)
            else:
                left_out[printable(suffix) or "no suffix"] += 1


@dataclass(frozen=True)
class Shard:
    """The I-th of N equal shares of the files, I from 1 to N, for array jobs of a cluster."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse the option --shard.

        Raises:
            ConfigError: it is not I/N with 1 <= I <= N.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"--shard {text!r} must be I/N with 1 <= I <= N, for example 3/64")
        return cls(int(found[1]), int(found[2]))

    def of(self, files: Sequence[Input]) -> tuple[Input, ...]:
        """Every N-th file: neighbouring files are often similar, so this balances the shares."""
        return tuple(files[self.index - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"
