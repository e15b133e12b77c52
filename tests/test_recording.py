from __future__ import annotations

import contextlib
import csv
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np
import pytest
from fakes import FakeSource, fake_runner, result
from pyarrow import parquet
from servers import remove

from edgeemo.columns import QUALITY, column_names
from edgeemo.errors import RecordingError, SinkError
from edgeemo.recording import Recorder, Recording, SessionFolder, SessionInfo, load
from edgeemo.recording.encoder import QUEUE, VideoEncoder
from edgeemo.recording.export import columns_of, export
from edgeemo.recording.folder import list_sessions, sessions_folder
from edgeemo.recording.recorder import baseline_of
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import Quality, Result
from engines import LABELS


def new(parent: Path, *, video: str = "none") -> SessionFolder:
    return SessionFolder.create(parent, SessionInfo("Visit", "clip.mp4", "fake", LABELS, video=video), card="# Card")


def feed(recorder: Recorder) -> bool:
    """Record one more frame, as from a camera."""
    recorder.write(result(1, index=recorder.frames, size=64))
    return True


def wait_until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    end = monotonic() + timeout
    while not condition():
        assert monotonic() < end, "did not come true"
        sleep(0.01)


def record(folder: SessionFolder, frames: int, *, faces: int = 1, video: str = "none") -> Recorder:
    recorder = Recorder(folder, LABELS, video=video)
    for index in range(frames):
        recorder.write(result(faces, index=index, size=64))
    return recorder


@pytest.mark.parametrize("faces", [0, 1, 3])
def test_every_event_is_recorded_and_read_again(tmp_path: Path, faces: int) -> None:
    folder = new(tmp_path)
    recorder = record(folder, 30, faces=faces)
    recorder.close()
    assert recorder.error == ""
    read = load(folder.path)
    assert (read.name, read.source, read.engine, read.card) == ("Visit", "clip.mp4", "fake", "# Card")
    assert read.frames.tolist() == list(range(30))
    assert read.seconds == pytest.approx(30 / 25)
    assert [track.id for track in read.tracks] == list(range(1, faces + 1))
    for track in read.tracks:
        assert len(track) == 30
        assert track.probabilities[:, 1] == pytest.approx(0.9, abs=1e-3)
        assert set(track.emotions.tolist()) == {1}
        assert track.relative is None
    info = folder.read()
    assert info.ended
    assert info.frames == 30


def test_markers_doubts_and_a_baseline_are_kept_beside_the_raw_values(tmp_path: Path) -> None:
    folder = new(tmp_path)
    recorder = Recorder(folder, LABELS)
    recorder.write(result(1, index=0))
    recorder.write(replace(result(1, index=1), doubts=(("face 31 px", "30 % sure"),)))
    recorder.mark("smile")
    recorder.mark("earlier", at=0.01)
    recorder.keep_baseline(1, {"neutral": 0.6, "happiness": 0.4})
    recorder.close()
    read = load(folder.path)
    assert [(marker.time, marker.label) for marker in read.markers] == [(0.01, "earlier"), (0.04, "smile")]
    (track,) = read.tracks
    assert track.unsure.tolist() == [False, True]
    assert track.reasons == {1: "face 31 px; 30 % sure"}
    assert track.relative is not None
    assert track.relative[0, 1] == pytest.approx(0.5, abs=1e-3)
    assert track.probabilities[0, 1] == pytest.approx(0.9, abs=1e-3)


def test_a_baseline_can_be_taken_back(tmp_path: Path) -> None:
    folder = new(tmp_path)
    recorder = record(folder, 3)
    recorder.keep_baseline(1, {"neutral": 1.0})
    recorder.keep_baseline(1, None)
    recorder.close()
    assert load(folder.path).tracks[0].relative is None


def test_a_baseline_is_the_median_and_sums_to_one() -> None:
    rows = np.array([[0.8, 0.2], [0.9, 0.1], [0.1, 0.9]], np.float32)
    rest = baseline_of(rows, ("neutral", "anger"))
    assert sum(rest.values()) == pytest.approx(1)
    assert rest["neutral"] == pytest.approx(0.8)


def test_a_process_that_is_killed_leaves_a_session_that_can_be_read(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; from test_recording import new, Recorder, LABELS, result\n"
        f"r = Recorder(new(Path({str(tmp_path)!r})), LABELS)\n"
        "for i in range(40):\n    r.write(result(1, index=i)); time.sleep(0.03)\n"
        "r.mark('last'); os._exit(9)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 9
    ((folder, info),) = list_sessions(tmp_path)
    assert info.ended == ""
    assert info.frames >= 20
    read = load(folder.path)
    assert len(read.frames) == info.frames
    assert [marker.label for marker in read.markers] == ["last"]


def test_a_full_disk_ends_the_recording_in_one_line_and_keeps_what_came_before(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, time; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; from test_recording import new, Recorder, LABELS, result\n"
        f"r = Recorder(new(Path({str(tmp_path)!r})), LABELS)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "for i in range(3000):\n    r.write(result(5, index=i)); time.sleep(0.004)\n    if r.error: break\n"
        "r.close(); print(r.error)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "recording could not continue after 0:" in done.stdout
    assert "cannot continue writing" in done.stdout
    ((folder, info),) = list_sessions(tmp_path)
    assert info.ended == ""
    assert len(load(folder.path).frames) > 100


@pytest.mark.parametrize("video", ["none", "whole"])
def test_a_folder_that_is_removed_is_told_at_once_and_nothing_hangs(tmp_path: Path, video: str) -> None:
    recorder = record(new(tmp_path, video=video), 8, video=video)
    remove(recorder.folder.path)  # the encoder may just be creating the video
    wait_until(lambda: feed(recorder) and recorder.writing == ())
    closing = threading.Thread(target=recorder.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    assert any(loss.part == "recording" and "moved or deleted" in loss.reason for loss in recorder.losses)


class Stuck:
    """A sink that blocks for ever, or fails with an unexpected error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.release = threading.Event()

    def write(self, result: Result) -> None:
        if self.error is not None:
            raise self.error
        self.release.wait(30)

    def close(self) -> None:
        pass


def test_an_encoder_that_hangs_is_left_behind_and_never_makes_the_caller_wait() -> None:
    sink = Stuck()
    encoder = VideoEncoder(sink, lambda error: None)
    for index in range(100):
        encoder.put(result(1, index=index))
    assert encoder.left_out in (100 - QUEUE, 100 - QUEUE - 1)  # the thread may have taken one picture
    with pytest.raises(TimeoutError, match="not finished within"):
        encoder.close(0.1)
    sink.release.set()


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("odd"), SinkError("full")])
def test_whatever_breaks_the_encoder_reaches_the_recorder(error: Exception) -> None:
    told: list[Exception] = []
    encoder = VideoEncoder(Stuck(error), told.append)
    encoder.put(result(1))
    wait_until(lambda: not encoder.working)
    encoder.close(5)
    assert told == [error]


def test_a_nearly_full_disk_warns_then_ends_the_video_and_keeps_the_data(tmp_path: Path) -> None:
    folder = new(tmp_path, video="whole")
    free = [10 << 30]
    recorder = Recorder(folder, LABELS, video="whole", free_bytes=lambda path: free[0])
    wait_until(lambda: feed(recorder) and recorder.seconds > 1)
    assert recorder.warning == ""
    free[0] = 900 << 20
    wait_until(lambda: feed(recorder) and recorder.warning != "")
    assert "0.9 GB" in recorder.warning
    assert recorder.writing == ("data", "video")
    free[0] = 60 << 20
    wait_until(lambda: feed(recorder) and recorder.writing == ("data",))
    (loss,) = recorder.losses
    assert (loss.part, "63 MB" in loss.reason) == ("the video", True)
    before = recorder.frames
    feed(recorder)
    recorder.close()
    read = load(folder.path)
    assert len(read.frames) == before + 1
    assert read.missing == (str(loss),)
    assert frames_of(folder.video)


def test_what_is_missing_is_kept_even_after_the_end(tmp_path: Path) -> None:
    recorder = record(new(tmp_path), 3)
    recorder.close()
    recorder.note_missing("7 frames")
    assert load(recorder.folder.path).missing == ("7 frames",)


def test_a_session_gives_its_results_to_a_recorder_that_joins_and_leaves(tmp_path: Path) -> None:
    folder = new(tmp_path)
    recorder = Recorder(folder, LABELS)
    with fake_runner(FakeSource(12)) as runner:
        runner.attach(recorder)
        runner.run()
        runner.detach(recorder)
    recorder.close()
    assert len(load(folder.path).frames) == 12


def test_a_recorder_that_is_closed_takes_nothing_more_and_can_be_closed_twice(tmp_path: Path) -> None:
    recorder = record(new(tmp_path), 3)
    recorder.close()
    recorder.write(result(1, index=9))
    recorder.mark("late")
    recorder.close()
    read = load(recorder.folder.path)
    assert len(read.frames) == 3
    assert read.markers == ()


def test_a_session_whose_end_cannot_be_written_has_not_ended_and_says_why(tmp_path: Path) -> None:
    recorder = record(new(tmp_path), 3)
    with contextlib.closing(sqlite3.connect(recorder.folder.events)) as database:
        database.execute("DROP TABLE faces")
    recorder.close()
    (loss,) = recorder.losses
    assert loss.part == "recording"
    assert "no such table: faces" in loss.reason
    assert recorder.writing == ()
    assert recorder.folder.read().ended == ""
    assert str(loss) in recorder.folder.read().missing


def frames_of(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    pictures = []
    while True:
        ok, picture = video.read()
        if not ok:
            return pictures
        pictures.append(picture)


def checkered(index: int, *, faces: int = 1):  # type: ignore[no-untyped-def]
    shown = result(faces, index=index, size=128)
    image = np.random.default_rng(0).integers(0, 255, shown.frame.image.shape, dtype=np.uint8)
    return replace(shown, frame=replace(shown.frame, image=image))


@pytest.mark.parametrize("video", ["none", "blurred", "whole"])
def test_the_video_is_none_anonymous_or_whole(tmp_path: Path, video: str) -> None:
    folder = new(tmp_path, video=video)
    recorder = Recorder(folder, LABELS, video=video)
    for index in range(12):
        recorder.write(checkered(index))
    recorder.close()
    assert recorder.error == ""
    assert folder.video.is_file() is (video != "none")
    read = load(folder.path)
    if video == "none":
        assert read.video is None
        return
    pictures = frames_of(folder.video)
    assert len(pictures) == 12
    face = pictures[5][8:26, 6:22].astype(float)
    assert bool(face.std() > 45) is (video == "whole")
    assert read.video_time(read.times[5]) == pytest.approx(0.2)


def test_a_long_pause_is_cut_out_of_the_video_and_found_again(tmp_path: Path) -> None:
    folder = new(tmp_path)
    recorder = Recorder(folder, LABELS, video="whole")
    for index in range(20):
        recorder.write(result(1, index=index, time=index / 25 + (60 if index >= 10 else 0)))
    recorder.close()
    read = load(folder.path)
    assert len(frames_of(folder.video)) <= 21
    assert read.video_time(60.4) == pytest.approx(0.4, abs=0.05)
    assert read.video_time(0.2) == pytest.approx(0.2)
    assert read.video_time(30.0) == pytest.approx(0.4, abs=0.05), "a time in the pause is not a later picture"


def test_sessions_are_listed_newest_first_renamed_and_deleted(tmp_path: Path) -> None:
    first, second = new(tmp_path), new(tmp_path)
    (tmp_path / "no session").mkdir()
    (tmp_path / "file").write_text("x")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "session.json").write_text("{")
    assert [folder.path for folder, _ in list_sessions(tmp_path)] == [second.path, first.path]
    first.rename("  Interview\n 3 ")
    assert first.read().name == "Interview 3"
    with pytest.raises(RecordingError, match="needs a name"):
        first.rename("  ")
    second.delete()
    assert not second.path.exists()
    with pytest.raises(RecordingError, match="not a recorded session"):
        SessionFolder(tmp_path / "no session").delete()
    assert (tmp_path / "no session").is_dir()
    assert list(list_sessions(tmp_path / "nowhere")) == []


def test_a_session_that_cannot_be_made_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(RecordingError, match="is a file, not a folder"):
        new(tmp_path / "taken")


def test_where_sessions_are_kept_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEEMO_SESSIONS", str(tmp_path))
    folder = new(tmp_path)
    record(folder, 2).close()
    assert sessions_folder() == tmp_path
    assert load("Visit").path == folder.path


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_what_a_headless_run_wrote_is_read_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{kind}"
    sink = open_sink(f"{kind}:{path}", SinkContext(LABELS, draw=lambda shown: shown.frame.image))
    for index in range(5):
        sink.write(result(index % 3, index=index))
    sink.close()
    read = load(path)
    assert len(read.frames) == 5
    assert sum(len(track) for track in read.tracks) == 0 + 1 + 2 + 0 + 1
    assert read.markers == ()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing", None, "there is no session"),
        ("a.sqlite", b"no database at all, really not one", "not a database of results"),
        ("a.jsonl", b'{"frame": 1}\n', "no usable results: 1 damaged row"),
    ],
)
def test_what_cannot_be_read_is_a_mistake_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        load(path)


@pytest.fixture
def three_rows(tmp_path: Path) -> Recording:
    """A recording of two people, then of one who is blurred and has a neutral baseline."""
    folder = new(tmp_path)
    recorder = Recorder(folder, LABELS)
    recorder.write(result(2, index=0))
    recorder.write(replace(result(1, index=1), doubts=(("blurred",),)))
    recorder.keep_baseline(1, {"happiness": 1.0})
    recorder.close()
    return load(folder.path)


def test_csv_has_a_row_for_every_face_with_reasons_and_relative_values(three_rows: Recording, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert export([three_rows], path) == 3
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["face_id"], row["doubts"]) for row in rows] == [
        ("0", "1", ""),
        ("0", "2", ""),
        ("1", "1", "blurred"),
    ]
    assert rows[0]["relative_happiness"] == "-0.1000"
    assert rows[1]["relative_happiness"] == ""
    assert rows[0]["happiness"] == "0.9000"


def test_parquet_has_the_rows_of_the_csv_with_types_and_where_they_come_from(
    three_rows: Recording, tmp_path: Path
) -> None:
    export([three_rows], tmp_path / "out.csv")
    assert export([three_rows], tmp_path / "out.parquet") == 3
    table = parquet.read_table(tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert table.column_names == next(csv.reader(file))
    rows = table.to_pylist()
    assert [(row["frame"], row["face_id"], row["doubts"]) for row in rows] == [
        (0, 1, None),
        (0, 2, None),
        (1, 1, "blurred"),
    ]
    assert [row["relative_happiness"] for row in rows] == [pytest.approx(-0.1), None, pytest.approx(-0.1)]
    assert rows[0]["emotion"] == "happiness"
    assert rows[2]["time"] == float(three_rows.times[1])
    about = table.schema.metadata
    assert about[b"edgeemo.session"].decode() == three_rows.name
    assert about[b"edgeemo.engine"].decode() == three_rows.engine


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_session_without_a_face_has_columns_and_no_rows(tmp_path: Path, name: str) -> None:
    folder = new(tmp_path)
    record(folder, 1, faces=0).close()
    assert export([load(folder.path)], tmp_path / name) == 0
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_export_into_a_missing_folder_is_a_mistake(three_rows: Recording, tmp_path: Path, ending: str) -> None:
    with pytest.raises(RecordingError, match="cannot write"):
        export([three_rows], tmp_path / "nowhere" / f"out.{ending}")


def test_an_export_says_which_endings_there_are_and_what_parquet_needs(
    three_rows: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecordingError, match=r"\.csv, \.parquet or \.eaf"):
        export([three_rows], tmp_path / "out.xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordingError, match=r"pip install (-e )?'.*\[parquet\]'"):
        export([three_rows], tmp_path / "out.parquet")
    assert list(tmp_path.glob("*out*")) == []


def test_doubts_and_quality_are_read_from_every_form_of_results(tmp_path: Path) -> None:
    context = SinkContext(LABELS, draw=lambda result: result.frame.image)
    for kind in ("out.jsonl", "out.db"):
        sink = open_sink(f"{'jsonl' if kind.endswith('jsonl') else 'sqlite'}:{tmp_path / kind}", context)
        sink.write(result(1, index=0))
        measured = (Quality(20.0, -5.1, 0.0, 0.1235, 99.9, 30.0),)
        sink.write(replace(result(1, index=1), doubts=(("blurred", "30 % sure"),), quality=measured))
        sink.close()
        recording = load(tmp_path / kind)
        (track,) = recording.tracks
        assert track.unsure.tolist() == [False, True]
        assert track.reasons == {1: "blurred; 30 % sure"}
        table = columns_of([recording])
        assert list(table) == list(column_names(LABELS, session=True))
        assert table["person"].tolist() == ["Person 1", "Person 1"]
        assert [table[name][1] for name in QUALITY] == list(astuple(measured[0]))
        assert all(np.isnan(table[name][0]) for name in QUALITY)  # recorded without the quality stage


def test_sessions_of_before_had_a_table_of_doubts(tmp_path: Path) -> None:
    folder = new(tmp_path)
    record(folder, 2).close()
    with contextlib.closing(sqlite3.connect(folder.events)) as database:
        database.executescript(
            "ALTER TABLE faces DROP COLUMN unsure; CREATE TABLE doubts (frame INTEGER, id INTEGER, reasons TEXT);"
            "INSERT INTO doubts VALUES (1, 1, 'blurred');"
        )
    assert load(folder.path).tracks[0].reasons == {1: "blurred"}
