"""edgeemo batch: videos to a Parquet dataset, in processes that are killed during the work."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fakes import result

pytest.importorskip("pyarrow")
import av
import pandas as pd

import edgeemo
from edgeemo.api.watching import Sampling
from edgeemo.batch.command import _Work
from edgeemo.batch.dataset import Dataset
from edgeemo.batch.inputs import Input, Shard, find_inputs
from edgeemo.batch.pool import ATTEMPTS, Pool, _WorkerProcess
from edgeemo.batch.progress import Progress
from edgeemo.batch.rows import RowWriter
from edgeemo.batch.split import Part
from edgeemo.batch.work import Job, Task, Worker, _line, could_not_read
from edgeemo.capture import open_source
from edgeemo.capture.ffmpeg import Video
from edgeemo.capture.file import VideoFile
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.errors import ConfigError, SourceError
from engines import LABELS

COMMAND = [sys.executable, "-m", "edgeemo", "batch"]
DEADLINE_S = 120
QUICK = ("--workers", "1", "--every", "0.5")


@pytest.fixture
def archive(tmp_path: Path, media: Path) -> Path:
    """Two videos, one of them in a subfolder, and a file that is not a video."""
    folder = tmp_path / "archive"
    (folder / "below").mkdir(parents=True)
    shutil.copy(media / "three_faces.mp4", folder / "three.mp4")
    shutil.copy(media / "two_faces.mp4", folder / "below" / "two.mp4")
    (folder / "notes.txt").write_text("no video")
    return folder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def batch(*arguments: object) -> int:
    return main(["batch", *map(str, arguments)])


def rows(dataset: Path) -> pd.DataFrame:
    found = pd.read_parquet(dataset / "rows")
    return found.sort_values(["file", "frame", "face_id"], ignore_index=True)


def until(condition: object, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(folder: Path, dataset: Path) -> subprocess.Popen[str]:
    """A running `edgeemo batch` with one worker that has written the rows of its first file."""
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--output", str(dataset), "--workers", "1"], stderr=subprocess.PIPE, text=True
    )
    until(lambda: list((dataset / "rows").glob("*.parquet")), process)
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, media: Path) -> tuple[Path, Path]:
    """Four files and their dataset, made without interruption."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(4):
        shutil.copy(media / "three_faces.mp4", folder / f"{number}.mp4")
    dataset = tmp_path_factory.mktemp("dataset") / "d"
    assert batch(folder, "--output", dataset, "--workers", 1) == 0
    return folder, dataset


def test_the_rows_are_those_of_a_single_run(archive, tmp_path, capsys):
    assert batch(archive, "--output", tmp_path / "d", "--workers", 2) == 0
    assert "2 of 2 files" in capsys.readouterr().err
    found = rows(tmp_path / "d")
    for name in ("three.mp4", "below/two.mp4"):
        path = archive / name
        expected = edgeemo.table(path, to="pandas", progress=False)
        ours = found[found.file == str(path)].reset_index(drop=True)
        assert len(ours) == len(expected) > 50
        for column in expected.columns.drop("origin"):
            left, right = ours[column].to_numpy(), expected[column].to_numpy()
            if right.dtype == object:
                assert (left == right).all(), column
            else:
                np.testing.assert_array_equal(left.astype(np.float32), right.astype(np.float32), column)
        lines = tmp_path / "run.jsonl"
        assert main(["run", "--source", str(path), "--sink", f"jsonl:{lines}", "--overwrite", "--quiet"]) == 0
        events = [json.loads(line) for line in lines.read_text().splitlines()]
        faces = [face for event in events for face in event["faces"]]
        assert [face["emotion"] for face in faces] == list(ours.emotion)
        assert [face["confidence"] for face in faces] == [round(float(value), 4) for value in ours.confidence]


def test_the_bar_moves_within_a_file(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real worker reads the second half of a video, after its warm-up."""
    clip = media / "two_faces.mp4"
    file, other = Input(str(clip), size=100), Input("other.mp4", size=100)
    frames = VideoFile(clip).count()
    half = Task(file, tmp_path / "half.parquet", part=Part(0, frames // 2, frames, 0, 0.0, last=True))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    told: list[float] = []
    worker = Worker(Job(Config(), Sampling(0.2), tmp_path))
    with contextlib.closing(worker), Progress([file, other]) as progress:

        def watch(count: int, seconds: float, share: float) -> None:
            told.append(share)
            progress.running(half, count, seconds, share)

        assert worker.do(half, watch).state == "done"
    assert told == sorted(told)
    assert told[0] == 0, "the warm-up is not progress"
    assert told[-1] == pytest.approx(0.5, abs=0.05)
    assert "0 of 2 files:  2" in terminal.getvalue(), "the bar shows a quarter of both files"


def test_a_dataset_says_what_it_is_and_sums_up_each_person(undisturbed):
    folder, dataset = undisturbed
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["engine"]["name"] == "hybrid_lite"
    assert len(manifest["engine"]["sha256"]) == 64
    summary = pd.read_parquet(dataset / "summary.parquet")
    found = rows(dataset)
    assert len(summary) == len(found.groupby(["file", "face_id"], observed=True)) == 12
    one = summary[(summary.file == str(folder / "0.mp4")) & (summary.face_id == 1)].iloc[0]
    own = found[(found.file == str(folder / "0.mp4")) & (found.face_id == 1)]
    assert one.frames == len(own)
    assert one.confidence == pytest.approx(own.confidence.mean(), abs=1e-5)
    assert one.neutral == pytest.approx(own.neutral.mean(), abs=1e-5)
    assert one.emotion == own.emotion.mode()[0]
    assert {"right_eye_x", "yaw_deg", "sharpness", "sha256"} <= set(found.columns)
    assert len(pd.read_parquet(dataset / "failures.parquet")) == 0


def test_nothing_is_computed_twice_and_a_changed_file_is_computed_again(archive, media, tmp_path, capsys):
    dataset = tmp_path / "d"
    assert batch(archive, "--output", dataset, *QUICK) == 0
    written = {path.name: path.stat().st_mtime_ns for path in (dataset / "rows").iterdir()}
    assert batch(archive, "--output", dataset, *QUICK) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (dataset / "rows").iterdir()} == written
    assert "2 of 2 files are already done" in capsys.readouterr().err
    shutil.copy(media / "two_faces.mp4", archive / "three.mp4")
    assert batch(archive, "--output", dataset, *QUICK) == 0
    assert "1 of 2 files are already done" in capsys.readouterr().err
    found = rows(dataset)
    assert found[found.file == str(archive / "three.mp4")].face_id.max() == 2


def test_other_settings_are_refused_by_name_until_a_restart(archive, tmp_path, capsys):
    dataset = tmp_path / "d"
    assert batch(archive, "--output", dataset, "--every", 1, "--workers", 1) == 0
    capsys.readouterr()
    assert batch(archive, "--output", dataset, "--every", 0.5, "--engine", "baseline64") == 2
    shown = capsys.readouterr().err
    assert 'engine.name was "hybrid_lite" and is now "baseline64"' in shown
    assert "every was 1.0 and is now 0.5" in shown
    assert "--restart" in shown
    assert batch(archive, "--output", dataset, "--every", 0.5, "--workers", 1, "--restart") == 0
    times = rows(dataset).query("file == @file", local_dict={"file": str(archive / "below/two.mp4")}).time.unique()
    assert np.allclose(np.diff(times), 0.5, atol=0.1)


def test_damaged_and_unreadable_files_are_listed_and_the_others_are_done(archive, media, tmp_path, capsys):
    whole = (media / "two_faces.mp4").read_bytes()
    (archive / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (archive / "text.mp4").write_text("this is not a video at all" * 10)
    dataset = tmp_path / "d"
    assert batch(archive, "--output", dataset, *QUICK) == 3
    failures = pd.read_parquet(dataset / "failures.parquet").set_index("file")
    assert set(failures.index) == {str(archive / "cut.mp4"), str(archive / "text.mp4")}
    assert "is not a video" in failures.reason[str(archive / "text.mp4")]
    assert "not complete" in failures.reason[str(archive / "cut.mp4")]
    files = pd.read_parquet(dataset / "files.parquet").set_index("file")
    assert len(files) == 4
    assert "not complete" in files.broken[str(archive / "cut.mp4")]
    assert files.frames[str(archive / "text.mp4")] == 0
    read = failures.frames[str(archive / "cut.mp4")]
    assert rows(dataset).query("file == @file", local_dict={"file": str(archive / "cut.mp4")}).frame.nunique() <= read
    assert (dataset / "rows").exists()
    assert len(pd.read_parquet(dataset / "summary.parquet").file.unique()) >= 2
    capsys.readouterr()
    assert batch(archive, "--output", dataset, *QUICK) == 3  # unchanged, so it is not read again
    assert "4 of 4 files are already done" in capsys.readouterr().err


@pytest.mark.parametrize("split_s", [0, 9])
def test_a_file_that_the_system_could_not_read_is_read_again_by_the_next_batch(
    split_s, demo_clip, tmp_path, monkeypatch
):
    """FFmpeg fails as it does if a network drive goes away."""

    class Gone(Video):
        def _demux(self):
            yield from islice(super()._demux(), 20)
            self._broken = OSError("Input/output error")
            self._broken.__cause__ = av.error.OSError(errno.EIO, "Input/output error")

    each = Input(str(demo_clip), demo_clip.stat().st_size, demo_clip.stat().st_mtime_ns)
    with contextlib.closing(Dataset(tmp_path / "d", {"labels": list(LABELS)}, Shard())) as dataset:
        job = Job(Config(), Sampling(0.5), dataset.drafts, split_s)
        work = _Work(Config(), dataset, job)

        def outcomes():
            with contextlib.closing(Worker(job)) as worker:

                def runner(tasks, running, on_outcome, stop):
                    while tasks:
                        task = tasks.pop(0)
                        tasks += on_outcome(task, worker.do(task, lambda *done: None))

                work.do([each], Progress([each], quiet=True), threading.Event(), runner)

        with monkeypatch.context() as patched:
            patched.setattr("edgeemo.capture.file.open_decoder", Gone)
            outcomes()
        reason = dataset.failure_of(each).reason
        assert re.search(r"cannot be read after frame \d+( of 310)?: Input/output error", reason)
        assert "cut off" not in reason
        assert not dataset.is_done(each)
        assert dataset.part_file(each.key, 1).exists() == bool(split_s)  # the part that could be read is kept
        outcomes()
        assert dataset.is_done(each)


def test_a_file_that_can_be_read_failed_for_its_content(tmp_path):
    for content in (b"", b"x"):
        (tmp_path / "a.mp4").write_bytes(content)
        assert not could_not_read(SourceError("is not a video"), tmp_path / "a.mp4")
    assert could_not_read(SourceError("is not a video"), tmp_path / "gone.mp4")


def test_damaged_pictures_are_counted_per_file_and_in_total(demo_clip, cases, tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    expected = {}
    # only the first video is long enough to be split
    for clip, spoilt in ((demo_clip, (20, -2, -1)), (cases / "upright.mp4", (-1,)), (cases / "mirror_matrix.mp4", ())):
        data = bytearray(clip.read_bytes())
        with av.open(str(clip)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        for place, size in (packets[number] for number in spoilt):
            data[place + 12 : place + size] = bytes(size - 12)
        (folder / clip.name).write_bytes(data)
        counted = 0
        with contextlib.suppress(SourceError):  # the video is cut off
            for frame in open_source(str(folder / clip.name)).frames():
                counted += frame.damage
        expected[str(folder / clip.name)] = counted
    options = ("--every", 0.5, "--workers", 1, "--split-minutes", 0.15)
    batch(folder, "--output", tmp_path / "d", *options)
    files = pd.read_parquet(tmp_path / "d/files.parquet").set_index("file")
    assert dict(files.damaged) == expected
    assert sorted(count > 0 for count in expected.values()) == [False, True, True]
    assert (files.people > 0).all()
    assert f", {sum(expected.values())} pictures damaged in 2 of 3 files" in capsys.readouterr().err


def test_a_worker_that_is_killed_is_replaced_and_its_file_done(undisturbed, tmp_path):
    folder, expected = undisturbed
    dataset = tmp_path / "d"
    process = begun(folder, dataset)
    workers = _children(process.pid)
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    shown = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 0, shown
    pd.testing.assert_frame_equal(rows(dataset), rows(expected))


def test_a_file_whose_workers_died_is_read_again_by_the_next_batch(tmp_path):
    pool, told = Pool(Job(Config(), Sampling(), tmp_path), 1), []
    task, context = Task(Input("a.mp4", 1, 2), tmp_path / "a.parquet"), multiprocessing.get_context("spawn")
    for _ in range(ATTEMPTS):
        ours, theirs = context.Pipe()
        process = context.Process(target=os.abort)
        process.start()
        theirs.close()
        worker = _WorkerProcess(process, ours, task)
        pool._workers = [worker]
        pool._replace_dead(worker, deque(), lambda task, outcome: told.append(outcome) or [])
    (outcome,) = told
    assert (outcome.state, outcome.final) == ("failed", False)
    assert "ended 3 times, last by signal 6" in outcome.reason


def test_a_run_that_is_killed_continues_to_the_same_dataset(undisturbed, tmp_path):
    folder, expected = undisturbed
    dataset = tmp_path / "d"
    command = [*COMMAND, str(folder), "--output", str(dataset), "--workers", "1"]
    process = begun(folder, dataset)
    workers = _children(process.pid)
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    deadline = time.monotonic() + DEADLINE_S
    while any(os.path.exists(f"/proc/{worker}") for worker in workers):  # workers end when their parent ends
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = {path: path.stat().st_mtime_ns for path in (dataset / "rows").glob("*.parquet")}
    for path in done:
        assert len(pd.read_parquet(path)) > 0  # the file is complete
    subprocess.run(command, check=True, stderr=subprocess.PIPE, timeout=DEADLINE_S)
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert not list((dataset / ".work").glob("drafts*"))
    pd.testing.assert_frame_equal(rows(dataset), rows(expected))


def test_an_interrupt_ends_it_in_order(undisturbed, tmp_path):
    folder, _ = undisturbed
    dataset = tmp_path / "d"
    process = begun(folder, dataset)
    process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 130
    assert "run the same command to continue" in shown
    assert len(pd.read_parquet(dataset / "summary.parquet")) >= 3


def test_a_full_disk_stops_it_with_what_is_done_kept(undisturbed, tmp_path):
    folder, expected = undisturbed
    mount = tmp_path / "small"
    mount.mkdir()
    size = (expected / "rows" / os.listdir(expected / "rows")[0]).stat().st_size
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={3 * size // 4096 * 4096 + 16384}", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    try:
        done = subprocess.run(
            [*COMMAND, str(folder), "--output", str(mount / "d"), "--workers", "1"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 4, done.stderr
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        for path in (mount / "d" / "rows").glob("*.parquet"):
            assert len(pd.read_parquet(path)) == 123
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix's")
def test_pipes_and_a_damaged_dataset_are_neither_waited_for_nor_a_fault(media, tmp_path, capsys):
    folder, dataset = tmp_path / "clips", tmp_path / "d"
    folder.mkdir()
    os.mkfifo(folder / "pipe.mp4")
    assert batch(folder / "pipe.mp4", "--output", dataset) == 2
    assert "pipe.mp4 is not a regular file" in capsys.readouterr().err
    shutil.copy(media / "two_faces.mp4", folder)
    (clip,) = find_inputs([str(folder)]).files
    for place in ("rows", ".work/failures"):
        (dataset / place).mkdir(parents=True)
    os.mkfifo(dataset / "rows/other.parquet")
    (dataset / f"rows/{clip.key}.parquet").write_bytes(b"PAR1 and nothing PAR1")
    for name, content in (("a", '{"a": 1}'), ("b", "nonsense"), (clip.key, "[" * 9999)):
        (dataset / f".work/failures/{name}.json").write_text(content)
    assert batch(folder, "--output", dataset, *QUICK) == 0
    assert "1 not a regular file" in capsys.readouterr().err
    (row,) = pd.read_parquet(dataset / "files.parquet").to_dict("records")
    assert row["file"] == clip.file
    assert row["people"] == 2
    (dataset / "manifest.json").write_text("[" * 99_999)
    assert batch(folder, "--output", dataset, *QUICK) == 2
    assert "manifest.json is damaged" in capsys.readouterr().err


def test_a_name_that_is_not_utf_8_and_a_broken_file_without_its_failure(tmp_path):
    dataset = Dataset(tmp_path / "d", {"labels": list(LABELS)}, Shard())
    whole, broken, lost = (Input(f"{name}\udcff.mp4", 1, 2) for name in ("whole", "broken", "lost"))
    about = {"size": 1, "modified_ns": 2, "frames": 1, "seconds": 0.0, "damaged": 0}
    for each, reason in ((whole, ""), (broken, f"{broken.file} is cut off")):
        with RowWriter(dataset.row_file(each.key), each.file, "00", LABELS) as writer:
            writer.add(result(1, origin=each.file))
            writer.finish({**about, "broken": reason})
    dataset.add_failure(lost, f"cannot read {lost.file}", 0, final=True)
    # the batch was interrupted before it stored the failure of the broken file
    assert [dataset.is_done(each) for each in (whole, broken, lost)] == [True, False, True]
    dataset.add_failure(broken, "cut off", 1, final=True)
    assert dataset.is_done(broken)
    totals = dataset.finish([whole, broken, lost])
    assert [failure.file for failure in totals.failures] == ["broken?.mp4", "lost?.mp4"]
    found = pd.read_parquet(dataset.path / "files.parquet")
    assert sorted(found.file) == ["broken?.mp4", "lost?.mp4", "whole?.mp4"]
    assert set(rows(dataset.path).file) == {"broken?.mp4", "whole?.mp4"}
    dataset.close()


def test_an_error_without_a_file_is_told_in_its_own_words():
    assert _line(OSError("the server closed the connection")) == "the server closed the connection"
    assert _line(FileNotFoundError(2, "No such file", "a.mp4")) == "cannot read a.mp4: No such file"


@pytest.mark.parametrize(("option", "value"), [("--every", "nan"), ("--every", "-1"), ("--workers", 9999)])
def test_a_wrong_number_begins_no_dataset(option, value, demo_clip, tmp_path, capsys):
    assert batch(demo_clip, "--output", tmp_path / "d", option, value) == 2
    assert f"{option[2:]} must be between" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_two_runs_on_one_dataset_are_refused_and_two_shards_make_a_whole(undisturbed, tmp_path, capsys):
    folder, expected = undisturbed
    dataset = tmp_path / "d"
    assert batch(folder, "--output", dataset, "--shard", "1/2", "--workers", 1) == 0
    assert len(list((dataset / "rows").iterdir())) == 2
    settings = json.loads((dataset / "manifest.json").read_text())
    held = Dataset(dataset, settings, Shard(2, 2))
    capsys.readouterr()
    assert batch(folder, "--output", dataset, "--shard", "2/2") == 2
    assert "another edgeemo batch is writing" in capsys.readouterr().err
    held.close()
    assert batch(folder, "--output", dataset, "--shard", "2/2", "--workers", 1) == 0
    pd.testing.assert_frame_equal(rows(dataset), rows(expected))
    assert len(pd.read_parquet(dataset / "summary.parquet")) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4"], "there is no file or folder 'missing.mp4'"),
        (["pictures"], "pictures contains no video; for a folder of pictures use edgeemo run --source pictures"),
        (["clip.mp4", "--shard", "3/2"], "--shard '3/2' must be I/N"),
        (["clip.mp4", "--every", "-1"], "every must be"),
        (["clip.mp4", "--split-minutes", "nan"], "split_minutes must be"),
        (["clip.mp4", "--engine", "none"], "no engine named 'none'"),
        (["clip.mp4", "--output", "taken"], "taken contains other files"),
        (["clip.mp4", "--output", "clip.mp4"], "clip.mp4 is not a folder"),
        (["clip.mp4", "--output", "/proc/d"], "cannot write /proc/d"),
    ],
)
def test_mistakes_get_one_line(arguments, message, demo_clip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_clip, "clip.mp4")
    for folder in ("pictures", "taken"):
        Path(folder).mkdir()
        Path(folder, "a.png").write_bytes(b"")
    if "--output" not in arguments:
        arguments = [*arguments, "--output", "d"]
    assert batch(*arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert Path("clip.mp4").stat().st_size == demo_clip.stat().st_size


def test_a_dry_run_counts_and_writes_nothing(archive, tmp_path, capsys):
    assert batch(archive, "--output", tmp_path / "d", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "2 of 2 files, 0.00 GB, 8 s of video" in shown
    assert "1 .txt" in shown
    assert not (tmp_path / "d").exists()


def test_inputs_are_found_once_and_have_names_of_their_own(archive, tmp_path):
    os.symlink(archive / "three.mp4", archive / "again.mp4")
    found = find_inputs([str(archive), str(archive / "three.mp4")])
    assert len(found.files) == 2
    assert found.left_out == {".txt": 1}
    assert Input("a/clip.mp4").key != Input("b/clip.mp4").key
    assert len(Input("ü" * 300 + ".mp4").key) < 120
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="contains no video"):
        find_inputs([str(tmp_path / "empty")])


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_shard_is_one_of_n(text):
    with pytest.raises(ConfigError, match="--shard"):
        Shard.parse(text)


def _children(pid: int) -> list[int]:
    """Worker processes, without Python's resource tracker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except (OSError, IndexError, ValueError):
                continue
            if parent == pid and b"spawn_main" in command:
                found.append(int(entry.name))
    return found


def test_videos_at_an_address_are_copied_read_and_removed(archive, media, tmp_path, capsys):
    """Uses fsspec's file system for local files; s3:// only uses another library."""
    pytest.importorskip("fsspec")
    dataset = tmp_path / "d"
    address = f"local://{archive}"
    assert batch(address, "--output", dataset, "--dry-run") == 0
    assert "2 of 2 files, 0.00 GB, 0 s of video; 2 at addresses, whose length is unknown" in capsys.readouterr().out
    assert batch(address, "--output", dataset, *QUICK) == 0
    found = rows(dataset)
    files = sorted(found.file.unique())
    assert [Path(file).name for file in files] == ["two.mp4", "three.mp4"]
    assert all("://" in file for file in files)
    assert not list((dataset / ".work").rglob("*.mp4"))
    assert batch(archive, "--output", tmp_path / "plain", *QUICK) == 0
    plain = rows(tmp_path / "plain").drop(columns="file")
    pd.testing.assert_frame_equal(found.drop(columns="file"), plain)
    shutil.copy(media / "two_faces.mp4", archive / "three.mp4")
    written = {path.name: path.stat().st_mtime_ns for path in (dataset / "rows").iterdir()}
    assert batch(address, "--output", dataset, *QUICK) == 0
    changed = [path.name for path in (dataset / "rows").iterdir() if path.stat().st_mtime_ns != written[path.name]]
    assert [name[:9] for name in changed] == ["three.mp4"]


def test_an_address_that_nobody_knows_is_one_line(tmp_path, capsys):
    assert batch("nonsense://bucket/x", "--output", tmp_path / "d") == 2
    shown = capsys.readouterr().err
    assert "is not an address that fsspec supports" in shown
    assert shown.count("\n") == 1


@pytest.mark.slow
def test_after_twenty_kills_the_dataset_is_the_undisturbed_one(undisturbed, tmp_path):
    folder, expected = undisturbed
    dataset, random = tmp_path / "d", np.random.default_rng(0)
    command = [*COMMAND, str(folder), "--output", str(dataset), "--workers", "2", "--quiet"]
    for _ in range(20):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.5, 5.0))
        for victim in [*_children(process.pid)[:1], process.pid]:
            os.kill(victim, signal.SIGKILL)
        process.communicate(timeout=DEADLINE_S)
        if len(list((dataset / "rows").glob("*.parquet"))) == 4:
            shutil.rmtree(dataset)  # start with an empty dataset, so that every kill interrupts work
    subprocess.run(command, check=True, timeout=DEADLINE_S)
    pd.testing.assert_frame_equal(rows(dataset), rows(expected))
