"""Edits of persons and markers after the recording; the recorded events do not change."""

from __future__ import annotations

import csv
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import result

from edgeemo.errors import RecordingError
from edgeemo.recording import Marker, Recorder, Recording, SessionFolder, SessionInfo, load
from edgeemo.recording.export import export
from edgeemo.recording.markers import read_events, sorted_markers, write_events, write_markers
from edgeemo.recording.people import (
    Exclude,
    Merge,
    Name,
    Split,
    described,
    edited,
    excluded_people,
    next_number,
    write_edits,
)
from edgeemo.report.page import page
from engines import LABELS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four seconds with persons 1 and 2, after two seconds with persons 3 and 2."""
    made = SessionFolder.create(tmp_path, SessionInfo("Visit", "clip.mp4", "fake", LABELS))
    recorder = Recorder(made, LABELS)
    for index in range(100):
        shown = result(2, index=index)
        ids = np.array([1 if index < 50 else 3, 2], np.int64)
        recorder.write(replace(shown, faces=replace(shown.faces, ids=ids)))
    recorder.mark("smile", at=1.0)
    recorder.close()
    return made.path


def extent(recording: Recording) -> dict[int, tuple[int, float, float]]:
    return {track.id: (len(track), float(track.times[0]), float(track.times[-1])) for track in recording.tracks}


def test_edits_merge_split_name_and_exclude_and_are_taken_back(folder: Path) -> None:
    whole = load(folder)
    edits = (Merge(3, 1), Name(1, "  Anna  B. "), Split(2, 3.0, next_number(whole)), Exclude(2))
    write_edits(folder, edits)
    read = load(folder)
    assert read.edits == edits
    assert extent(read) == {1: (100, 0.0, 3.96), 4: (25, 3.0, 3.96)}
    assert [track.person for track in read.tracks] == ["Anna B.", "Person 4"]
    assert [track.id for track in excluded_people(read)] == [2]
    assert described(read) == ("person 3 is person 1", "person 2 is person 4 from 0:03.0 on", "person 2 was excluded")
    assert next_number(read) == 5
    assert extent(edited(read, edits[:-1])) == extent(read) | {2: (75, 0.0, 2.96)}
    write_edits(folder, ())
    assert extent(load(folder)) == extent(whole)


def test_names_reach_report_csv_and_parquet(folder: Path, tmp_path: Path) -> None:
    write_edits(folder, (Name(2, "<b>Ben</b>"), Exclude(3)))
    read = load(folder)
    export([read], tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["face_id"], row["person"]) for row in rows} == {("1", "Person 1"), ("2", "<b>Ben</b>")}
    parquet = pytest.importorskip("pyarrow.parquet")
    export([read], tmp_path / "out.parquet")
    assert set(parquet.read_table(tmp_path / "out.parquet")["person"].to_pylist()) == {"Person 1", "<b>Ben</b>"}
    text = page([("", [read])])
    assert "&lt;b&gt;Ben&lt;/b&gt;" in text
    assert "<b>Ben" not in text
    assert "Changed by hand: person 3 was excluded." in text


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Merge(2, 1), "visible together"),
        (Merge(1, 9), "no other person 9"),
        (Merge(1, 1), "no other person 1"),
        (Name(9, "x"), "no person 9"),
        (Split(1, 0.0, 4), "cannot be split there"),
        (Split(1, 99.0, 4), "cannot be split there"),
        (Split(1, 1.0, 2), "cannot be split there"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(folder: Path, edit: Merge | Name | Split, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        edited(load(folder), [edit])


def test_times_of_edits_are_told_from_the_beginning_of_the_recording(tmp_path: Path) -> None:
    recorder = Recorder(SessionFolder.create(tmp_path, SessionInfo("Visit")), LABELS)
    for index, time in enumerate((100.0, 100.5, 101.0)):
        recorder.write(result(1 if index == 0 else 2, index=index, time=time))
    recorder.close()
    read = load(recorder.folder.path)
    with pytest.raises(RecordingError, match=r"^Person 2 and Person 1 .*\(at 0:00\.5\)"):
        edited(read, [Merge(1, 2)])
    (split,) = described(edited(read, [Split(1, 100.5, 3)]))
    assert "person 3 from 0:00.5 on" in split


@pytest.mark.parametrize(
    "text", ["[", "{}", '[{"edit": "drop", "person": 1}]', '[{"edit": "name", "person": "1"}]', "[1]", "[" * 100_000]
)
def test_a_damaged_file_of_edits_is_named(folder: Path, text: str) -> None:
    (folder / "people.json").write_text(text)
    with pytest.raises(RecordingError, match=r"people\.json is damaged"):
        load(folder)


def test_markers_are_replaced_and_go_through_a_table_of_events(folder: Path, tmp_path: Path) -> None:
    read = load(folder)
    (smile,) = read.markers
    assert smile.wall is not None
    write_markers(folder, [smile, Marker(2.0, "film, part 1", 1.5), Marker(3.0, "-1"), Marker(3.5, "'quoted")])
    changed = load(folder)
    assert changed.markers[:2] == (Marker(1.0, "smile"), Marker(2.0, "film, part 1", 1.5))
    assert changed.markers[0].wall == smile.wall
    for name in ("events.tsv", "events.csv"):
        assert write_events(changed, tmp_path / name) == 4
        assert read_events(tmp_path / name, changed.begin) == changed.markers
    assert (tmp_path / "events.tsv").read_text().splitlines()[0] == "onset\tduration\ttrial_type"
    text = page([("", [changed])])
    assert "Intervals" in text
    assert "Intervals" not in page([("", [read])])


def test_a_session_of_before_gets_markers_with_a_duration(folder: Path) -> None:
    with sqlite3.connect(folder / "events.sqlite") as database:
        database.executescript(
            "DROP TABLE markers; CREATE TABLE markers (time REAL NOT NULL, label TEXT NOT NULL, wall REAL);"
            "INSERT INTO markers VALUES (1.0, 'old', NULL);"
        )
    assert load(folder).markers == (Marker(1.0, "old"),)
    write_markers(folder, [Marker(1.0, "old", 2.0)])
    assert load(folder).markers == (Marker(1.0, "old", 2.0),)


def test_events_of_other_programs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.tsv"
    path.write_text("\ufeffonset\tduration\ttrial_type\tresponse_time\n1.5\tn/a\tfixation\t0.3\n\n2\t4\tfilm\tn/a\n")
    assert read_events(path, 10.0) == (Marker(11.5, "fixation"), Marker(12.0, "film", 4.0))
    path.write_text("Label;Onset\nstart;0\n")
    assert read_events(path, 0.0) == (Marker(0.0, "start"),)


def test_markers_are_sorted_by_time_and_then_by_label() -> None:
    markers = [Marker(2.0, "b"), Marker(2.0, "a", 1.0), Marker(0.5, "z")]
    assert sorted_markers(markers) == (Marker(0.5, "z"), Marker(2.0, "a", 1.0), Marker(2.0, "b"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a first line"),
        ("onset,duration\n1,2\n", "needs a first line"),
        ("onset,duration,label\n1,2\n", "line 2 has 2 columns instead of 3"),
        ("onset,duration,label\nsoon,2,x\n", "line 2: onset 'soon' is not a number"),
        ("onset,duration,label\n1,nan,x\n", "line 2: duration 'nan' is not a number"),
        ("onset,duration,label\n1,-2,x\n", "line 2: a duration"),
        ("onset,duration,label\n1,2," + "x" * 200_000, "cannot read .*field larger than field limit"),
    ],
)
def test_a_table_that_is_none_of_events_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match=words):
        read_events(path, 0.0)


def test_a_picture_is_no_table_of_events(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(RecordingError, match="cannot read"):
        read_events(path, 0.0)


def test_a_long_name_of_a_person_is_shortened(folder: Path) -> None:
    write_edits(folder, (Name(1, "x" * 80),))
    assert load(folder).tracks[0].name == "x" * 60


def test_what_another_window_has_stored_meanwhile_is_not_overwritten(folder: Path) -> None:
    mine = load(folder)
    write_markers(folder, [*mine.markers, Marker(2.0, "theirs"), Marker(2.0, "theirs")])
    write_markers(folder, [Marker(3.0, "mine")], mine.markers)
    assert load(folder).markers == (Marker(2.0, "theirs"), Marker(2.0, "theirs"), Marker(3.0, "mine"))
    write_markers(folder, [], [Marker(2.0, "theirs")])
    assert load(folder).markers == (Marker(2.0, "theirs"), Marker(3.0, "mine"))
    write_edits(folder, [Name(1, "Theirs")])
    with pytest.raises(RecordingError, match="another window has changed the persons"):
        write_edits(folder, [Name(1, "Mine")], mine.edits)
    assert load(folder).tracks[0].name == "Theirs"


def test_edits_that_a_session_does_not_allow_are_named_with_their_file(folder: Path) -> None:
    """For example if another window merged two persons while the session was being recorded."""
    write_edits(folder, [Merge(2, 1)])
    with pytest.raises(RecordingError, match=r"people\.json is damaged \(.* visible together .*\); delete it to get"):
        load(folder)
