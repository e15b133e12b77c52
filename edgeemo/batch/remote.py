"""Videos at addresses that fsspec supports (s3://, gs://, sftp://, ...), if its library for the scheme is installed.

A worker copies a video to disk, reads it and deletes the copy. Called by `inputs` and `work`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeemo.errors import ConfigError, SourceError

MARKS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated")  # metadata that change with the content


def is_remote(text: str) -> bool:
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", text) is not None


def find_remote(text: str, is_video: Callable[[str], bool]) -> Iterator[tuple[str, int, int]]:
    """Address, size in bytes and a number that changes with the content, for a file or for every video below a folder.

    Raises:
        ConfigError: fsspec or its library for this kind of address is not installed.
        SourceError: the server does not answer, or nothing exists at the address.
    """
    system, path = _system(text)
    try:
        found = {path: system.info(path)} if system.isfile(path) else system.find(path, detail=True)
    except Exception as error:  # each library has its own exception classes
        raise SourceError(f"cannot list {text}: {' '.join(str(error).split())[:200]}") from error
    for name, about in sorted(found.items()):
        if name == path or is_video(name):
            mark = next((str(about[key]) for key in MARKS if about.get(key)), "")
            yield system.unstrip_protocol(name), int(about.get("size") or 0), _number(mark)


@contextmanager
def local_copy(file: str, folder: Path) -> Iterator[Path]:
    """The path of a file; for an address the path of a copy in `folder`, which is deleted at the end.

    Raises:
        OSError: the disk is full, or the address cannot be read now.
    """
    if not is_remote(file):
        yield Path(file)
        return
    system, path = _system(file)
    copy = folder / f"{os.getpid()}-{hashlib.sha256(file.encode()).hexdigest()[:12]}{os.path.splitext(path)[1]}"
    try:
        try:
            system.get_file(path, str(copy))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _system(text: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(text)
    except ImportError as error:
        raise ConfigError(
            f"{text} needs a library that is not installed ({error}): "
            "pip install fsspec and the library that this error names"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{text} is not an address that fsspec supports: {error}") from error
    return system, str(path)


def _number(mark: str) -> int:
    return int.from_bytes(hashlib.sha256(mark.encode()).digest()[:7], "big") if mark else 0
