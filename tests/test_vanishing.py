"""Outputs that are renamed, deleted, or lose their folder are created again, and losses are counted."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import av
import pytest
from fakes import make_bundle, result, sink_worker
from servers import remove, until

from edgeemo.cli import main
from edgeemo.errors import SinkError
from edgeemo.run.runner import Runner
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import Result
from engines import LABELS

SUFFIX = {"jsonl": "out.jsonl", "csv": "out.csv", "sqlite": "out.db", "video": "out.mkv"}


def stored(path: Path) -> int:
    """Number of results in a file."""
    if not path.exists() or not path.stat().st_size:
        return 0
    if path.suffix == ".jsonl":
        return sum("faces" in json.loads(line) for line in path.read_text().splitlines())
    if path.suffix == ".csv":
        header, *rows = path.read_text().splitlines()
        assert header.startswith("frame,") or ",frame," in header
        return len(rows)
    if path.suffix == ".mkv":
        try:
            with av.open(str(path)) as container:
                return sum(1 for _ in container.decode(video=0))
        except av.error.FFmpegError:  # the file has just been created
            return 0
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not database.execute(
            "SELECT name FROM sqlite_master WHERE name = 'frames'"
        ).fetchall():  # the file has just been created
            return 0
        return int(database.execute("SELECT count(*) FROM frames").fetchone()[0])
    finally:
        database.close()


def rename(path: Path) -> None:
    path.rename(path.with_name(f"old{path.suffix}"))


def remove_folder(path: Path) -> None:
    remove(path.parent)


VANISH = {"renamed": rename, "deleted": Path.unlink, "folder": remove_folder}


@pytest.mark.parametrize("way", VANISH)
@pytest.mark.parametrize("kind", SUFFIX)
def test_what_vanishes_is_reopening_and_every_result_is_counted_once(tmp_path: Path, kind: str, way: str) -> None:
    path = tmp_path / "folder" / SUFFIX[kind]
    path.parent.mkdir()
    sink = sink_worker(f"{kind}:{path}", size=512)
    offered = 0

    def feed() -> None:
        nonlocal offered
        sink.offer(result(1, index=offered, time=offered / 20, origin="door"))
        offered += 1

    for _ in range(20):
        feed()
    until(lambda: (sink.idle and stored(path) > 0) or feed(), "a file that is written")
    VANISH[way](path)
    if way == "folder":
        until(lambda: (feed(), sink.status().error)[1], "the error")
        path.parent.mkdir()
    until(lambda: (feed(), path.exists() and stored(path) > 0)[1], "a file that is created again")
    assert sink.close(20)
    status = sink.status()
    assert status.written + status.dropped == offered
    assert status.waiting == 0
    assert (status.dropped > 0) == (way != "renamed" or kind == "video")
    assert sum(stored(each) for each in path.parent.iterdir() if each.suffix == path.suffix) == status.written


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_renamed_files_are_reopening_at_once_where_somebody_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / SUFFIX[kind]
    sink = open_sink(f"{kind}:{path}", SinkContext(LABELS, draw=lambda each: each.frame.image, lasting=True))
    sink.write(result(1))
    rename(path)
    sink.reopen()
    sink.write(result(1, index=1))
    sink.close()
    assert sink.lost == 0
    assert stored(path) + stored(tmp_path / f"old{path.suffix}") == 2


@pytest.mark.parametrize(("name", "finished"), [("out.mp4", False), ("out.mkv", True)])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_video_that_vanishes_is_an_error_and_what_cannot_be_read_is_counted(
    tmp_path: Path, name: str, finished: bool, deleted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    path = tmp_path / name
    sink = open_sink(f"video:{path}", SinkContext(LABELS, draw=lambda each: each.frame.image))
    for index in range(3):
        sink.write(result(1, index=index))
    path.unlink() if deleted else rename(path)
    with pytest.raises(SinkError, match="it was deleted" if deleted else "it was renamed"):
        sink.tick()
    try:
        sink.close()
    except SinkError:
        assert not finished
    assert sink.lost == (0 if finished and not deleted else 3)
    if finished and not deleted:
        assert stored(tmp_path / f"old{path.suffix}") == 3


def test_another_file_that_takes_the_place_of_the_results_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = open_sink(f"jsonl:{path}", SinkContext(LABELS, draw=lambda each: each.frame.image, lasting=True))
    sink.write(result(1))
    rename(path)
    path.write_text("a letter\n")
    with pytest.raises(SinkError, match=r"cannot be created again: .* exists and is not JSON lines of edgeemo"):
        sink.reopen()
    sink.close()
    assert path.read_text() == "a letter\n"


def test_a_single_run_whose_outputs_are_deleted_ends_with_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / SUFFIX[kind] for kind in ("jsonl", "sqlite")]
    seen = 0
    hand_out = Runner._hand_out

    def delete_after_twenty(self: Runner, each: Result, must_arrive: bool) -> None:
        nonlocal seen
        seen += 1
        hand_out(self, each, must_arrive)
        if seen == 20:
            until(lambda: all(sink.idle for sink in self._now.sinks.values()), "idle sinks")
            until(lambda: all(stored(path) for path in paths), "results in the files")
            for path in paths:
                path.unlink()

    monkeypatch.setattr(Runner, "_hand_out", delete_after_twenty)
    make_bundle(tmp_path / "tiny")
    sinks = [f"--sink={path.suffix[1:].replace('db', 'sqlite')}:{path}" for path in paths]
    assert main(["run", "--source", "demo", "--frames", "40", "--engine", f"{tmp_path}/tiny", *sinks]) == 4
    said = capsys.readouterr().err
    for path in paths:
        assert f"{path}: {40 - stored(path)} results did not arrive" in said
