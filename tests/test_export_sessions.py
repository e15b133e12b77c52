"""Export of several sessions as a table with clock times and markers, and of one as annotations for ELAN."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import probabilities, result

from edgeemo.errors import RecordingError
from edgeemo.recording import Marker, Recorder, Recording, SessionFolder, SessionInfo, load
from edgeemo.recording.elan import runs
from edgeemo.recording.export import export
from edgeemo.recording.markers import read_events, write_events, write_markers
from edgeemo.recording.people import Name, write_edits
from edgeemo.recording.source_file import SourceFile
from engines import LABELS


def recorded(
    parent: Path, name: str = "Visit", *, frames: int = 50, clock: float | None = None, file: Path | None = None
) -> Recording:
    """A session of one face: happy, from frame 20 on sad, from frame 40 on unsure; 25 frames per second."""
    about = SourceFile.of(file) if file is not None else None
    folder = SessionFolder.create(parent, SessionInfo(name, "clip.mp4", "fake", LABELS, file=about))
    recorder = Recorder(folder, LABELS, clock=None if clock is None else lambda: clock)
    for index in range(frames):
        best = 1 if index < 20 else 2
        values = probabilities(1, best=best)
        shown = result(1, index=index, time=0.4 + index / 25)
        doubts = (("blurred",),) if index >= 40 else ((),)
        recorder.write(replace(shown, probabilities=values, raw=values, emotions=(LABELS[best],), doubts=doubts))
    recorder.close()
    write_markers(folder.path, [Marker(0.8, "joke"), Marker(1.2, "film", 0.4), Marker(99.0, "later")])
    return load(folder.path)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_have_the_clock_and_the_markers(tmp_path: Path) -> None:
    read = recorded(tmp_path, clock=1_790_000_000.25)
    assert export([read], tmp_path / "out.csv") == 50
    rows = rows_of(tmp_path / "out.csv")
    assert {row["wall"] for row in rows} == {"1790000000.2500"}
    marked = {row["frame"]: row["markers"] for row in rows if row["markers"]}
    assert marked == {"10": "joke"} | {str(frame): "film" for frame in range(20, 30)}
    assert "session" not in rows[0]


def test_several_sessions_are_one_table_with_their_names(tmp_path: Path) -> None:
    first = recorded(tmp_path / "a", "One", clock=5.0)
    other = recorded(tmp_path / "b", "Two", frames=10)
    two = replace(
        other,
        labels=LABELS[:8],
        tracks=tuple(replace(track, probabilities=track.probabilities[:, :8]) for track in other.tracks),
        recorded=(),
    )
    assert export([first, two], tmp_path / "out.csv") == 60
    rows = rows_of(tmp_path / "out.csv")
    assert [rows[0]["session"], rows[-1]["session"]] == ["One", "Two"]
    assert next(iter(rows[0])) == "session"
    assert (rows[0]["wall"], rows[-1]["wall"]) == ("5.0000", "")
    assert (rows[0][LABELS[8]] != "", rows[-1][LABELS[8]]) == (True, "")
    with pytest.raises(RecordingError, match="contains one session"):
        export([first, two], tmp_path / "out.eaf")
    parquet = pytest.importorskip("pyarrow.parquet")
    export([first, two], tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["wall"].null_count == 10
    assert table.column_names == list(rows[0])


def test_runs_are_stretches_of_one_expression(tmp_path: Path) -> None:
    (track,) = recorded(tmp_path).tracks
    found = list(runs(track))
    assert [(round(begin, 2), round(end, 2), column) for begin, end, column in found] == [
        (0.4, 1.2, 1),
        (1.2, 2.0, 2),
        (2.0, 2.4, None),
    ]
    neutral = replace(track, emotions=np.zeros(len(track), np.int64))
    assert [column for *_, column in runs(neutral)] == [0, None]
    nothing = track.part(np.zeros(len(track), bool))
    assert list(runs(nothing)) == []
    away = track.part((track.frames < 5) | (track.frames > 45))
    assert [round(begin, 2) for begin, *_ in runs(away)] == [0.4, 2.24]


def tiers(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    root = ElementTree.parse(path).getroot()
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    return {
        tier.attrib["TIER_ID"]: [
            (
                slots[each.attrib["TIME_SLOT_REF1"]],
                slots[each.attrib["TIME_SLOT_REF2"]],
                each.findtext("ANNOTATION_VALUE") or "",
            )
            for each in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in root.iter("TIER")
    }


def test_elan_has_a_tier_per_person_and_the_markers_in_the_videos_time(tmp_path: Path) -> None:
    video = tmp_path / "talk, \u00e4.mp4"
    video.write_bytes(b"not read for this")
    read = recorded(tmp_path, file=video)
    write_edits(read.path, [Name(1, "Anna & Ben")])
    write_markers(read.path, [Marker(0.8, "jo\x00ke")])
    path = tmp_path / "out.eaf"
    assert export([load(read.path)], path) == 4
    assert tiers(path) == {
        "Anna & Ben": [(400, 1200, "Happiness"), (1200, 2000, "Sadness"), (2000, 2400, "Unsure")],
        "Markers": [(800, 840, "jo ke")],
    }
    (media,) = ElementTree.parse(path).getroot().iter("MEDIA_DESCRIPTOR")
    assert media.attrib == {"MEDIA_URL": video.as_uri(), "MIME_TYPE": "video/mp4"}


def test_elan_without_a_video_begins_at_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.eaf"
    export([recorded(tmp_path)], path)
    assert tiers(path)["Person 1"][0] == (0, 800, "Happiness")
    assert not list(ElementTree.parse(path).getroot().iter("MEDIA_DESCRIPTOR"))


def test_elan_links_the_recorded_video_and_has_its_times(tmp_path: Path) -> None:
    """The recorded video begins with the first frame and has no pauses; it takes precedence over the analysed file."""
    video, file = tmp_path / "video.mkv", tmp_path / "talk.mp4"
    file.write_bytes(b"not read for this")
    read = replace(recorded(tmp_path, file=file), video=video, cuts=((1.2, 0.3),))
    path = tmp_path / "out.eaf"
    export([read], path)
    assert tiers(path)["Person 1"] == [(0, 500, "Happiness"), (500, 1300, "Sadness"), (1300, 1700, "Unsure")]
    (media,) = ElementTree.parse(path).getroot().iter("MEDIA_DESCRIPTOR")
    assert media.attrib["MEDIA_URL"] == video.as_uri()


def test_annotations_of_one_elan_tier_never_overlap(tmp_path: Path) -> None:
    """A face is assumed to stay for a second, which the video does not have if a pause follows."""
    recorder = Recorder(SessionFolder.create(tmp_path, SessionInfo("Visit")), LABELS)
    for index in range(20):
        recorder.write(result(1, index=index, time=index / 25 + (60 if index >= 10 else 0)))
    recorder.close()
    write_markers(
        recorder.folder.path,
        [Marker(0.1, "film", 0.2), Marker(0.2, "joke"), Marker(0.31, "end"), Marker(30.0, "break")],
    )
    read = replace(load(recorder.folder.path), video=tmp_path / "video.mkv", cuts=((60.4, 60.0),))
    path = tmp_path / "out.eaf"
    assert export([read], path) == 6
    assert tiers(path) == {
        "Person 1": [(0, 400, "Happiness"), (400, 800, "Happiness")],
        "Markers": [(100, 300, "film"), (310, 350, "end"), (400, 440, "break")],
        "Markers (2)": [(200, 240, "joke")],
    }


def test_a_marker_is_in_the_row_of_the_frame_at_which_it_was_set(tmp_path: Path) -> None:
    """Times of frames are stored with four decimals, which are often smaller than the time."""
    recorder = Recorder(SessionFolder.create(tmp_path, SessionInfo("Visit")), LABELS)
    for index in range(10):
        recorder.write(result(1, index=index, time=index / 30))
        if index in (1, 5):
            recorder.mark(f"now {index}")
        if index == 7:
            recorder.mark("shown 4", at=4 / 30)
    recorder.close()
    wanted = {"1": "now 1", "4": "shown 4", "5": "now 5"}
    export([load(recorder.folder.path)], tmp_path / "out.csv")
    assert {row["frame"]: row["markers"] for row in rows_of(tmp_path / "out.csv") if row["markers"]} == wanted
    write_events(load(recorder.folder.path), tmp_path / "events.tsv")
    write_markers(recorder.folder.path, read_events(tmp_path / "events.tsv", 0.0))
    export([load(recorder.folder.path)], tmp_path / "out.csv")
    assert {row["frame"]: row["markers"] for row in rows_of(tmp_path / "out.csv") if row["markers"]} == wanted


def test_sessions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """For example a video that was analysed with two engines."""
    export([recorded(tmp_path / folder, frames=2) for folder in "ab"], tmp_path / "out.csv")
    assert [row["session"] for row in rows_of(tmp_path / "out.csv")] == ["Visit"] * 2 + ["Visit (2)"] * 2
