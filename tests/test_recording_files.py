"""Other contents of session folders and result files: length, origin, damage, the video's fingerprint."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from fakes import result

from edgeemo.cli import main
from edgeemo.errors import RecordingError
from edgeemo.recording import Recorder, SessionFolder, SessionInfo, load
from edgeemo.recording.atomic import atomic_draft
from edgeemo.recording.export import columns_of
from edgeemo.recording.people import Name, write_edits
from edgeemo.recording.recorder import RESERVE_BYTES, Loss
from edgeemo.recording.source_file import SourceFile
from edgeemo.report import page
from edgeemo.sinks import SinkContext, open_sink
from engines import LABELS

MEBIBYTE = 1 << 20


def write(sink: str, path: Path, *frames: tuple[float, str, int]) -> Path:
    """Write results without faces, each with time, origin and number of decoding errors."""
    opened = open_sink(f"{sink}:{path}", SinkContext(LABELS, draw=lambda each: each.frame.image))
    for index, (time, origin, damage) in enumerate(frames):
        shown = result(0, index=index, time=time, origin=origin)
        opened.write(replace(shown, frame=replace(shown.frame, damage=damage)))
    opened.close()
    return path


def test_a_session_without_an_end_is_as_long_as_its_events(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit"))
    write("sqlite", folder.events, *((time, "clip.mp4", 0) for time in (100.0, 100.5, 102.0)))
    assert (folder.read().frames, folder.read().seconds) == (3, 2.0)
    folder.write(replace(folder.read(), ended="now", frames=7, seconds=9.0))
    assert (folder.read().frames, folder.read().seconds) == (7, 9.0)


def test_files_of_a_session_are_on_the_disk_before_they_replace_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        forced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit"))
    write_edits(folder.path, (Name(1, "Anna"),))
    with atomic_draft(folder.path / "events.tsv") as draft:
        draft.write_text("onset")
    assert {path.stat().st_ino for path in folder.path.iterdir()} <= forced
    assert folder.path.stat().st_ino in forced


def test_rows_in_the_log_of_a_database_that_cannot_be_written_are_read(tmp_path: Path) -> None:
    running = SessionFolder.create(tmp_path / "running", SessionInfo("Visit"))
    write("sqlite", running.events, (1.0, "clip.mp4", 0), (2.0, "clip.mp4", 0))
    copied = SessionFolder.create(tmp_path / "copied", SessionInfo("Visit"))
    with closing(sqlite3.connect(running.events)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("UPDATE frames SET time = 7.0 WHERE time = 2.0")
        database.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{running.events}{suffix}", f"{copied.events}{suffix}")
    Path(f"{copied.events}-shm").symlink_to("nowhere")  # SQLite cannot create this file, as on a read-only disk
    assert load(copied.path).times.tolist() == [1.0, 7.0]
    assert load(copied.events).times.tolist() == [1.0, 7.0]
    assert copied.read().seconds == 6.0


def test_a_session_without_events_is_empty(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit"))
    assert (folder.read().frames, folder.read().seconds) == (0, 0.0)
    write("sqlite", folder.events)
    assert (folder.read().frames, folder.read().seconds) == (0, 0.0)
    assert load(folder.path).seconds == 0.0


def test_a_recording_lasts_to_the_end_of_its_newest_frame(tmp_path: Path) -> None:
    recorder = Recorder(SessionFolder.create(tmp_path, SessionInfo("Visit")), LABELS)
    lasted = [recorder.seconds]
    for index, time in enumerate((10.0, 10.25, 10.75, 20.0)):  # a pause does not count as a long frame
        recorder.write(result(0, index=index, time=time))
        lasted.append(recorder.seconds)
    assert lasted == [0.0, 0.0, 0.5, 1.25, 11.0]
    assert recorder.now == 20.0
    recorder.write(result(0, index=4, time=20.1234))
    recorder.close()
    assert (recorder.folder.read().frames, recorder.folder.read().seconds) == (5, 10.247)


def test_a_loss_says_what_ended_when_and_why() -> None:
    assert re.fullmatch("the video .* after 1:05.9: disk full", str(Loss("the video", "disk full", 65.9)))


@pytest.mark.parametrize(
    ("free", "warning"),
    [
        (2 << 30, ""),
        (1 << 30, ""),
        ((1 << 30) - 1, r"1\.1 GB of disk space left"),
        (100_000_000, r"0\.1 GB of disk space left(, enough for about \d+ minutes)?"),
        (70_000_000, r"70 MB of disk space left(, enough for about \d+ minutes)?"),
        (1_000_000, r"1 MB of disk space left, enough for about \d minutes"),
    ],
)
def test_little_room_on_the_disk_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, warning: str
) -> None:
    monkeypatch.setattr("edgeemo.recording.recorder.WATCH_S", 0.0)
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit"))
    recorder = Recorder(folder, LABELS, free_bytes=lambda path: free)
    recorder.write(result(0))
    assert re.fullmatch(warning, recorder.warning), recorder.warning
    assert recorder.losses == ()  # there is no video
    recorder.close()


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_damaged_pictures_are_counted_and_the_first_one_is_named(tmp_path: Path, kind: str) -> None:
    # recording began while the source was running
    frames = ((300.0, "a", 0), (361.5, "a", 1), (370.0, "a", 2), (371.0, "a", 0))
    read = load(write(kind, tmp_path / f"out.{kind}", *frames))
    assert read.missing == ("3 pictures of the source, lost or decoded with errors (the first at 1:01.5)",)
    read = load(write(kind, tmp_path / f"one.{kind}", *frames[:2]))
    assert read.missing == ("1 picture of the source, lost or decoded with errors (the first at 1:01.5)",)
    assert load(write(kind, tmp_path / f"none.{kind}", *frames[:1])).missing == ()


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_the_origin_of_each_frame_is_kept_where_there_are_several(tmp_path: Path, kind: str) -> None:
    one = load(write(kind, tmp_path / f"one.{kind}", (0.0, "clip.mp4", 0), (0.5, "clip.mp4", 0)))
    assert (one.source, one.origins) == ("clip.mp4", {})
    two = load(write(kind, tmp_path / f"two.{kind}", (0.0, "a.jpg", 0), (0.5, "b.jpg", 0)))
    assert (two.source, two.origins) == ("two", {0: "a.jpg", 1: "b.jpg"})
    assert one.times.tolist() == two.times.tolist() == [0.0, 0.5]


def test_the_runs_of_a_service_in_one_file_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    context = SinkContext(LABELS, draw=lambda result: result.frame.image)
    sink = open_sink(f"jsonl:{path}", context)
    # two cameras, then a start an hour later with one of them
    for start, origins in ((1.8e9, ("door", "desk")), (1.8e9 + 3600, ("desk",))):
        for index in range(10):
            for origin in origins:
                shown = result(1, index=index, origin=origin)
                sink.write(replace(shown, frame=replace(shown.frame, wall=start + index / 25)))
    sink.close()
    with pytest.raises(RecordingError, match=r"3 runs: #1 door 2027-01-15 08:00:00\+00:00, #2 desk .*, #3 desk .*09:"):
        load(path)
    for number, origin, hour in ((1, "door", 8), (2, "desk", 8), (3, "desk", 9)):
        read = load(f"{path}#{number}")
        assert (read.source, len(read.times), read.seconds) == (origin, 10, pytest.approx(0.4))
        assert read.started == f"2027-01-15T0{hour}:00:00.000+00:00"
        assert f"2027-01-15 0{hour}:00:00+00:00" in page([("x", [read])])
        assert columns_of([read])["wall"][0] == 1.8e9 + 3600 * (hour - 8)
    with pytest.raises(RecordingError, match="has 3 runs"):
        load(f"{path}#4")
    # the report of one run does not replace that of another
    for number in (1, 3):
        assert main(["report", f"{path}#{number}"]) == 0
    assert "desk" in (tmp_path / "two.3.html").read_text()
    assert "desk" not in (tmp_path / "two.1.html").read_text()


def test_a_line_without_a_time_is_at_the_beginning(tmp_path: Path) -> None:
    path = write("jsonl", tmp_path / "out.jsonl", (5.0, "a", 1))
    event = json.loads(path.read_text()) | {"time": None}
    path.write_text(json.dumps(event))
    read = load(path)
    assert read.times.tolist() == [0.0]
    assert "the first at 0:00.0" in read.missing[0]


@pytest.mark.parametrize("size", [0, 10, MEBIBYTE, 2 * MEBIBYTE + 7, 5 * MEBIBYTE])
def test_a_video_is_known_by_its_size_and_its_first_middle_and_last_mebibyte(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    video = tmp_path / "video.mp4"
    video.write_bytes(content)
    parts = [content[start:][:MEBIBYTE] for start in sorted({0, max(0, size - MEBIBYTE) // 2, max(0, size - MEBIBYTE)})]
    about = SourceFile.of(video)
    assert about == SourceFile(str(video), size, sha256(b"".join(parts)).hexdigest())
    assert about.is_there
    moved = video.rename(tmp_path / "moved.mp4")
    assert not about.is_there
    assert about.moved_to(moved).path == str(moved)
    for other in (content + b"x", b"x" + content[1:], content[:-1] + b"x"):
        moved.write_bytes(other)
        if other != content:
            with pytest.raises(RecordingError, match="is not the video that was analysed"):
                about.moved_to(moved)


@pytest.mark.parametrize("error", [OSError("no room\nfor more"), OSError(28, "no room")])
def test_a_file_that_cannot_be_written_is_left_as_it_was_and_the_reason_is_one_line(
    tmp_path: Path, error: OSError
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    def fail() -> None:
        with atomic_draft(path) as draft:
            draft.write_text("half of it")
            raise error

    with pytest.raises(RecordingError, match=r"out\.csv \(no room\); ") as caught:
        fail()
    assert "\n" not in str(caught.value)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]
    with atomic_draft(path) as draft:
        draft.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"


def test_a_recording_with_video_that_got_no_frame_lacks_nothing(tmp_path: Path) -> None:
    recorder = Recorder(SessionFolder.create(tmp_path, SessionInfo("Visit", video="whole")), LABELS, video="whole")
    recorder.close()
    assert recorder.missing == recorder.folder.read().missing == ()


@pytest.mark.parametrize(("free", "goes_on"), [(RESERVE_BYTES, True), (RESERVE_BYTES - 1, False)])
def test_a_video_ends_when_less_than_the_reserve_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, goes_on: bool
) -> None:
    monkeypatch.setattr("edgeemo.recording.recorder.WATCH_S", 0.0)
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit", video="whole"))
    recorder = Recorder(folder, LABELS, video="whole", free_bytes=lambda path: free)
    recorder.write(result(0))
    assert recorder.writing == (("data", "video") if goes_on else ("data",))
    recorder.close()


def test_a_long_name_of_a_session_is_shortened(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit"))
    folder.rename("x" * 300)
    assert folder.read().name == "x" * 200


def test_names_of_files_that_are_not_utf_8_do_not_prevent_a_session_or_a_report(tmp_path: Path) -> None:
    source = SourceFile("/clips/c\udcff.mp4", 1, "0")
    folder = SessionFolder.create(tmp_path, SessionInfo("Visit", source="c\udcff.mp4", file=source))
    assert (folder.read().source, folder.read().file) == ("c?.mp4", replace(source, path="/clips/c?.mp4"))
    recording = load(write("jsonl", tmp_path / "c\udcff.jsonl", (0.0, "a", 0), (0.1, "b", 0)))
    assert (recording.name, recording.source) == ("c?", "c?")
