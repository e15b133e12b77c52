"""Process one file, or one part of it, to rows. Runs in worker processes, which keep their models loaded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeemo.api.recogniser import SharedClassifier
from edgeemo.api.watching import Sampling
from edgeemo.batch.inputs import Input
from edgeemo.batch.remote import is_remote, local_copy
from edgeemo.batch.rows import RowWriter
from edgeemo.batch.seams import join_parts
from edgeemo.batch.split import Part, VideoPart, split
from edgeemo.capture.file import VideoFile, is_of_system
from edgeemo.config import Config
from edgeemo.errors import EdgeemoError, SourceError
from edgeemo.run.open import Stages
from engines.files import sha256_of_file

Progress = Callable[[int, float, float], None]  # frames so far, media time in seconds, share of the file (0..1)
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Job:
    """Common settings of all tasks of a batch.

    Attributes:
        drafts: folder for incomplete files, on the file system of the results.
        split_s: longer files are split into parts of about this length; 0: never.
    """

    config: Config
    sampling: Sampling
    drafts: Path
    split_s: float = 0.0


@dataclass(frozen=True)
class Task:
    """A file to recognise, a part of one, or parts to join.

    Attributes:
        target: where the rows go.
        part: None for a whole file.
        joined: files of the parts to join, in order.
    """

    file: Input
    target: Path
    part: Part | None = None
    joined: tuple[Path, ...] = ()
    sha256: str = ""

    @property
    def name(self) -> str:
        return f"{self.target.parent.name}-{self.target.stem}"


@dataclass(frozen=True)
class Outcome:
    """The result of a task.

    Attributes:
        state: "split": it is long, and `parts` must be done first. "full": the disk is full; nothing was stored.
        reason: why a file failed, or where it is cut off.
        final: the file itself is damaged.
    """

    state: Literal["done", "split", "failed", "full"]
    reason: str = ""
    frames: int = 0
    sha256: str = ""
    parts: tuple[Part, ...] = ()
    final: bool = True


class Worker:
    """Recognises one task after the other with one engine."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._classifier: SharedClassifier | None = None

    def close(self) -> None:
        if self._classifier is not None:
            self._classifier.end()

    def do(self, task: Task, progress: Progress) -> Outcome:
        """Run a task; a damaged file is an outcome, not an exception."""
        draft = self._job.drafts / f"{task.name}.{os.getpid()}.parquet"
        try:
            if task.joined:
                return self._join(task, draft)
            return self._recognise(task, draft, progress)
        except OSError as error:
            if is_full(error):
                return Outcome("full", reason=str(error))
            return Outcome("failed", reason=_line(error), final=False)
        except EdgeemoError as error:
            final = isinstance(error, SourceError) and not could_not_read(error, task.file.file)
            return Outcome("failed", reason=_line(error), final=final)
        finally:
            draft.unlink(missing_ok=True)

    def _recognise(self, task: Task, draft: Path, progress: Progress) -> Outcome:
        with local_copy(task.file.file, self._job.drafts) as path:
            try:
                return self._read(task, path, draft, progress)
            except SourceError as error:
                raise SourceError(_line(error).replace(str(path), task.file.file)) from error

    def _read(self, task: Task, path: Path, draft: Path, progress: Progress) -> Outcome:
        job = self._job
        sha256 = task.sha256 or sha256_of_file(path)
        # a remote file is not split, because each part would download it again
        if task.part is None and job.split_s and not is_remote(task.file.file):
            parts = split(path, job.split_s)
            if len(parts) > 1:
                return Outcome("split", parts=parts, sha256=sha256)
        source = VideoFile(path) if task.part is None else VideoPart(path, task.part)
        picks = job.sampling.picker()
        count, inside, damaged, last, broken = 0, 0, 0, 0.0, ""
        with ExitStack() as stack:
            if self._classifier is None:
                self._classifier = SharedClassifier(Stages().classifier(job.config, exact=True))
            pipeline = Stages().pipeline(job.config, self._classifier)
            stack.callback(pipeline.close)
            writer = stack.enter_context(RowWriter(draft, task.file.file, sha256, pipeline.labels))
            frames = source.frames()
            stack.callback(frames.close)  # type: ignore[attr-defined]
            start = task.part.start if task.part is not None else 0
            try:
                length = source.count()
                for frame in frames:
                    ours = start <= frame.index
                    damaged += frame.damage if ours else 0  # also counts frames that are not processed
                    if not picks(frame.time):
                        continue
                    writer.add(pipeline.step(frame))
                    count, last = count + 1, frame.time
                    inside += ours
                    progress(count, last, max(0, frame.index + 1 - start) / length if length else 0.0)
            except SourceError as error:
                if could_not_read(error, path):  # the next run reads it again from its start
                    raise
                broken = _line(error)
            if not count:
                raise SourceError(broken or f"{path} has no frame to process")
            about = _about(task.file, inside, last, broken, damaged)
            if task.part is not None:
                about |= {"start": task.part.start, "end": task.part.end}
            writer.finish(about)
        _move(draft, task.target)
        return Outcome("failed" if broken else "done", broken, inside, sha256)

    def _join(self, task: Task, draft: Path) -> Outcome:
        frames, broken = join_parts(
            task.joined, draft, task.file.file, task.sha256, lambda *done: _about(task.file, *done)
        )
        _move(draft, task.target)
        return Outcome("failed" if broken else "done", broken, frames, task.sha256)


def is_full(error: OSError) -> bool:
    """Whether an error means a full disk or quota, which pyarrow reports only in its message."""
    return error.errno in FULL or "No space left" in str(error)


def could_not_read(error: BaseException, path: str | Path) -> bool:
    """Whether a file failed because the operating system could not read it, for example from a network drive."""
    if is_of_system(error):
        return True
    if is_remote(str(path)):
        return False  # its copy is on this machine's disk
    try:
        with open(path, "rb") as file:  # FFmpeg does not say why it cannot open a file
            for place in (0, max(0, os.path.getsize(path) - 1)):
                file.seek(place)
                file.read(1)
    except OSError:
        return True
    return False


def _about(file: Input, frames: int, seconds: float, broken: str, damaged: int) -> dict[str, Any]:
    return {
        "size": file.size,
        "modified_ns": file.modified_ns,
        "frames": frames,
        "seconds": seconds,
        "broken": broken,
        "damaged": damaged,
    }


def _move(draft: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, target)


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read {error.filename}: {error.strerror or error}"
    return " ".join(str(error).split())
