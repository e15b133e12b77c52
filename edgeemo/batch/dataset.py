"""The output folder of a batch. Called by `command`.

manifest.json       engine, configuration, versions: what all rows have in common
rows/KEY.parquet    a row per face and frame of one file, see `edgeemo.batch.rows`
files.parquet       a row per file: frames, damaged pictures, people
summary.parquet     a row per person and file
failures.parquet    a row per file that could not be read to its end, with the reason
.work/              parts of long files, failures, drafts; nothing that readers need
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeemo.batch.inputs import Input, Shard
from edgeemo.errors import ConfigError, SinkError
from edgeemo.values import as_utf8
from engines.files import atomic_write, read_file
from engines.installation import pip_install
from engines.lock import hold_lock

try:
    import pyarrow
    from pyarrow import parquet
except ImportError as error:
    raise ConfigError(f"a dataset needs pyarrow, which is not installed: {pip_install('parquet')}") from error

MANIFEST = "manifest.json"
FORMAT = 1
# keys of the manifest that may change when a dataset is continued
FREE = ("edgeemo", "description")
COMPRESSION = "zstd"
FILE_SCHEMA = pyarrow.schema(
    [
        ("file", pyarrow.string()), ("sha256", pyarrow.string()), ("frames", pyarrow.int64()),
        ("seconds", pyarrow.float64()), ("rows", pyarrow.int64()), ("people", pyarrow.int64()),
        ("damaged", pyarrow.int64()), ("broken", pyarrow.string()),
    ]
)  # fmt: skip
FAILURE_FIELDS = ("file", "reason", "frames", "size", "modified_ns")


@dataclass(frozen=True)
class Failure:
    """A file that could not be read completely.

    Attributes:
        frames: number of frames recognised before; their rows are in the dataset.
        final: the file itself is damaged, so it is not tried again until it changes.
    """

    file: str
    reason: str
    frames: int
    size: int
    modified_ns: int
    final: bool = True


@dataclass(frozen=True)
class Totals:
    """Totals of a dataset.

    Attributes:
        files: number of files with results, including those without a face.
        people: number of persons in all files.
        damaged: pictures that were lost or decoded with errors, in all of them.
        damaged_files: number of files with damaged pictures.
        failures: failures of the requested files.
    """

    files: int = 0
    people: int = 0
    damaged: int = 0
    damaged_files: int = 0
    failures: tuple[Failure, ...] = ()


class Dataset:
    """A dataset, opened for writing by one process per shard.

    Args:
        settings: settings that must be the same for all rows, JSON-compatible.
        restart: delete the existing contents.

    Raises:
        ConfigError: it was started with other settings, the folder has other contents, or another process writes this
            shard.
        SinkError: the folder cannot be written to.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], shard: Shard, *, restart: bool = False) -> None:
        self.path = path
        self.rows = path / "rows"
        self.parts = path / ".work" / "parts"
        self._failures = path / ".work" / "failures"
        self.drafts = path / ".work" / f"drafts-{shard}"
        with ExitStack() as stack:
            try:
                _expect_ours(path)
                self._failures.mkdir(parents=True, exist_ok=True)
                if not stack.enter_context(hold_lock(path / ".work" / f"lock-{shard}")):
                    raise ConfigError(
                        f"another edgeemo batch is writing {path}; wait for it, or choose another --output"
                    )
                if restart:
                    self._clear()
                for folder in (self.rows, self.parts, self._failures):
                    folder.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(self.drafts, ignore_errors=True)  # from a killed run
                self.drafts.mkdir()
                self._check_manifest(settings)
            except OSError as error:
                raise SinkError(f"cannot write {error.filename or path}: {error.strerror or error}") from error
            self._resources = stack.pop_all()

    def close(self) -> None:
        shutil.rmtree(self.drafts, ignore_errors=True)
        self._resources.close()

    def row_file(self, key: str) -> Path:
        return self.rows / f"{key}.parquet"

    def part_file(self, key: str, number: int) -> Path:
        return self.parts / key / f"{number:04d}.parquet"

    def is_done(self, each: Input) -> bool:
        """Whether this version of the file (size, modification time) was read completely, or as far as possible."""
        this = each.size, each.modified_ns
        failure = self.failure_of(each)
        if failure is not None:  # existing rows are from the same run
            return failure.final and (failure.size, failure.modified_ns) == this
        about = about_rows(self.row_file(each.key))
        # an interrupted batch may have stored the rows of a broken file, but not its failure
        return about is not None and not about.get("broken") and (about["size"], about["modified_ns"]) == this

    def failure_of(self, each: Input) -> Failure | None:
        return _failure(self._failures / f"{each.key}.json")

    def add_failure(self, each: Input, reason: str, frames: int, *, final: bool) -> None:
        failure = Failure(as_utf8(each.file), as_utf8(reason), frames, each.size, each.modified_ns, final)
        atomic_write(self._failures / f"{each.key}.json", json.dumps(asdict(failure)))

    def forget_result(self, each: Input) -> None:
        """Delete rows and failure of a file that is read again; finished parts are kept."""
        (self._failures / f"{each.key}.json").unlink(missing_ok=True)
        self.row_file(each.key).unlink(missing_ok=True)

    def keep_parts_of(self, each: Input, sha256: str) -> None:
        """Keep the finished parts of a video with this content hash; delete those of another content."""
        folder = self.parts / each.key
        mark = folder / "sha256"
        if not (mark.is_file() and mark.read_text() == sha256):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            atomic_write(mark, sha256)

    def forget_parts(self, each: Input) -> None:
        shutil.rmtree(self.parts / each.key, ignore_errors=True)

    def finish(self, inputs: Iterable[Input]) -> Totals:
        """Write files.parquet, summary.parquet and failures.parquet from all finished files, including those of other
        shards.

        Returns:
            Totals of the dataset, with the failures of `inputs`.
        """
        abouts = {path.stem: about for path in sorted(self.rows.glob("*.parquet")) if (about := about_rows(path))}
        failures = {path.stem: found for path in sorted(self._failures.glob("*.json")) if (found := _failure(path))}
        people = [person for about in abouts.values() for person in about["people"]]
        labels = json.loads(read_file(self.path / MANIFEST))["labels"]
        self._write("files.parquet", pyarrow.Table.from_pylist(_files(abouts, failures), FILE_SCHEMA))
        self._write("summary.parquet", pyarrow.Table.from_pylist(people, summary_schema(labels)))
        listed = [{name: getattr(each, name) for name in FAILURE_FIELDS} for each in failures.values()]
        self._write("failures.parquet", pyarrow.Table.from_pylist(listed, _failure_schema()))
        wanted = {each.key for each in inputs}
        damaged = [about.get("damaged", 0) for about in abouts.values()]
        return Totals(
            len(abouts),
            len(people),
            sum(damaged),
            sum(count > 0 for count in damaged),
            tuple(failure for key, failure in failures.items() if key in wanted),
        )

    def _write(self, name: str, table: Any) -> None:
        draft = self.drafts / name
        parquet.write_table(table, draft, compression=COMPRESSION)
        os.replace(draft, self.path / name)

    def _clear(self) -> None:
        for name in (MANIFEST, "files.parquet", "summary.parquet", "failures.parquet"):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.rows, self.parts, self._failures):
            shutil.rmtree(folder, ignore_errors=True)

    def _check_manifest(self, settings: Mapping[str, Any]) -> None:
        """Write the manifest, or compare it with the existing one."""
        wanted = {"format": FORMAT, **json.loads(json.dumps(settings))}
        path = self.path / MANIFEST
        if not path.exists():
            atomic_write(path, json.dumps(wanted, indent=2) + "\n", durable=True)
            return
        try:
            found = json.loads(read_file(path))
            if not isinstance(found, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is damaged ({error}); use --restart to start the dataset again") from error
        differences = list(_differences(found, wanted))
        if differences:
            raise ConfigError(
                f"{self.path} was started with other settings: {'; '.join(differences[:5])}; "
                "use those, choose another --output, or start it again with --restart"
            )


def about_rows(path: Path) -> dict[str, Any] | None:
    """The metadata of a file of rows; None if it is missing or incomplete."""
    if not path.is_file():  # a pipe would wait for its writer
        return None
    try:
        metadata = parquet.read_metadata(path).metadata or {}
        found = msgspec.json.decode(metadata[b"edgeemo"], type=dict[str, Any])
    except (OSError, pyarrow.ArrowException, KeyError, ValueError, RecursionError):
        return None
    return found if {"file", "size", "modified_ns", "people"} <= found.keys() else None


def summary_schema(labels: Iterable[str]) -> Any:
    """Columns of summary.parquet."""
    real = pyarrow.float64()
    return pyarrow.schema(
        [
            ("file", pyarrow.string()), ("sha256", pyarrow.string()), ("face_id", pyarrow.int64()),
            ("frames", pyarrow.int64()), ("first_time", real), ("last_time", real), ("emotion", pyarrow.string()),
            ("confidence", real), ("unsure", real), *((label, real) for label in labels),
        ]
    )  # fmt: skip


def _failure_schema() -> Any:
    kinds = {"file": pyarrow.string(), "reason": pyarrow.string()}
    return pyarrow.schema([(name, kinds.get(name, pyarrow.int64())) for name in FAILURE_FIELDS])


def _files(abouts: Mapping[str, dict[str, Any]], failures: Mapping[str, Failure]) -> list[dict[str, Any]]:
    """The rows of files.parquet; `damaged` is empty if an earlier version did not count it."""
    found = [
        {name: about.get(name) for name in ("file", "sha256", "frames", "seconds", "rows", "damaged", "broken")}
        | {"people": len(about["people"])}
        for about in abouts.values()
    ]
    unread = [failure for key, failure in failures.items() if key not in abouts]
    return found + [{"file": each.file, "frames": 0, "rows": 0, "people": 0, "broken": each.reason} for each in unread]


def _failure(path: Path) -> Failure | None:
    """Read a stored failure; None if it is missing or damaged, so that the video is read again."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return msgspec.json.decode(read_file(path), type=Failure)
    return None


def _expect_ours(path: Path) -> None:
    if path.is_dir():
        strangers = [name for name in os.listdir(path) if name not in (MANIFEST, ".work")]
        if strangers and not (path / MANIFEST).exists() and not (path / ".work").exists():
            raise ConfigError(f"{path} contains other files; choose an empty or new folder for --output")
    elif path.exists() or path.is_symlink():
        raise ConfigError(f"{path} is not a folder; choose another --output")


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """ "engine.sha256 is now X, was Y" for each value that differs."""
    for name in dict.fromkeys((*found, *wanted)):
        before, now = found.get(name), wanted.get(name)
        if name in FREE or before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} was {_short(before)} and is now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:18]}…{text[-18:]}"
