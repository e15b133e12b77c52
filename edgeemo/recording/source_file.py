"""The video file of an analysed session: its path, and whether another file is the same. Called by `folder`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeemo.errors import RecordingError

PIECE = 1 << 20  # bytes to hash at the start, in the middle and at the end


@dataclass(frozen=True)
class SourceFile:
    """A file, identified by size and content.

    Attributes:
        path: absolute path.
        size: in bytes.
        sha256: of its first, middle and last mebibyte, which is fast for long videos.
    """

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Identify a file; at most three mebibytes of it are read.

        Raises:
            OSError: the file cannot be read.
        """
        size = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for start in sorted({0, max(0, (size - PIECE) // 2), max(0, size - PIECE)}):
                file.seek(start)
                digest.update(file.read(PIECE))
        return cls(str(path.absolute()), size, digest.hexdigest())

    @classmethod
    def from_mapping(cls, data: Any) -> SourceFile | None:
        """Parse the entry of session.json; None if it is missing or damaged."""
        if not isinstance(data, dict):
            return None
        path, size, sha256 = data.get("path"), data.get("size"), data.get("sha256")
        if isinstance(path, str) and isinstance(size, int) and isinstance(sha256, str):
            return cls(path, size, sha256)
        return None

    @property
    def is_there(self) -> bool:
        """Whether the same file is still at its path."""
        try:
            return self._same(Path(self.path))
        except OSError:
            return False

    def moved_to(self, path: Path) -> SourceFile:
        """The same file at another path.

        Raises:
            RecordingError: it is a different file or cannot be read.
        """
        try:
            same = self._same(path)
        except OSError as error:
            raise RecordingError(f"cannot read {path} ({error.strerror or error})") from error
        if not same:
            raise RecordingError(f"{path.name} is not the video that was analysed; choose {Path(self.path).name}")
        return replace(self, path=str(path.absolute()))

    def _same(self, path: Path) -> bool:
        return path.stat().st_size == self.size and self.of(path).sha256 == self.sha256
