from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import find_chromium, overflow_at_320_px
from fakes import result

from edgeemo.cli import main
from edgeemo.errors import RecordingError
from edgeemo.recording import Recorder, Recording, SessionFolder, SessionInfo, Track, load
from edgeemo.recording.read import Marker
from edgeemo.recording.rows import LONGEST_LINE
from edgeemo.report import page, write_report
from edgeemo.report.classes import UNSURE
from edgeemo.report.markdown import to_html
from edgeemo.report.numbers import BinnedTrack, binned, marker_changes, shares, transitions
from edgeemo.report.plots import timeline
from edgeemo.sinks.sqlite import SCHEMA
from edgeemo.values import clock
from engines import LABELS

NEUTRAL, HAPPY, SAD = 0, 1, 2


def track(emotions: list[int], *, number: int = 1, step: float = 0.1, begin: float = 0.0, **more: object) -> Track:
    count = len(emotions)
    values = np.full((count, len(LABELS)), 0.01, np.float32)
    values[np.arange(count), emotions] = 0.9
    made = Track(
        number,
        np.arange(count, dtype=np.int64),
        begin + np.arange(count) * step,
        np.zeros((count, 4), np.float32),
        np.ones(count, np.float32),
        np.full(count, 0.9, np.float32),
        values,
        np.array(emotions, np.int64),
        np.zeros(count, bool),
        np.zeros(count, np.int64),
        np.full((count, 6), np.nan, np.float32),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def recording(
    *tracks: Track, seconds: float = 10.0, markers: tuple[Marker, ...] = (), name: str = "Visit"
) -> Recording:
    times = np.arange(0, seconds, 0.1)
    frames = np.arange(len(times), dtype=np.int64)
    return Recording(name, Path("x"), "clip.mp4", "fake", "", LABELS, frames, times, tracks, markers)


def test_shares_are_of_time_and_sum_to_one() -> None:
    each = shares(track([HAPPY] * 75 + [NEUTRAL] * 25), LABELS)
    assert each.seconds == pytest.approx(10)
    assert each.parts == pytest.approx({"happiness": 0.75, "neutral": 0.25}, abs=0.01)


def test_dropped_frames_do_not_change_the_shares() -> None:
    times = np.concatenate([np.arange(0, 5, 0.05), np.arange(5, 10, 0.5)])
    emotions = [HAPPY] * 100 + [SAD] * 10
    each = shares(replace(track(emotions), times=times), LABELS)
    assert each.parts["happiness"] == pytest.approx(0.5, abs=0.03)


def test_an_absence_is_nobodys_time() -> None:
    times = np.array([0.0, 0.1, 0.2, 60.0, 60.1])
    each = shares(replace(track([HAPPY] * 5), times=times), LABELS)
    assert each.seconds == pytest.approx(0.5)


def test_the_last_frame_of_a_visit_counts_as_any_other() -> None:
    """Merged tracks have many visits; the frame before each absence counted as a second."""
    visit = np.arange(5) * 0.04
    times = np.concatenate([start + visit for start in range(0, 200, 10)])
    each = shares(replace(track([NEUTRAL, NEUTRAL, NEUTRAL, NEUTRAL, HAPPY] * 20), times=times), LABELS)
    assert each.seconds == pytest.approx(4.0)
    assert each.parts == pytest.approx({"neutral": 0.8, "happiness": 0.2})


def test_unsure_time_is_told_apart() -> None:
    unsure = np.arange(10) < 5
    each = shares(track([HAPPY] * 10, unsure=unsure), LABELS)
    assert each.parts[UNSURE] == pytest.approx(0.5, abs=0.1)
    assert sum(each.parts.values()) == pytest.approx(1)


def test_transitions_are_counted_but_not_across_absences_and_unsure_times() -> None:
    assert transitions(track([NEUTRAL, HAPPY, HAPPY, NEUTRAL, HAPPY]), LABELS) == {
        ("neutral", "happiness"): 2,
        ("happiness", "neutral"): 1,
    }
    times = np.array([0.0, 0.1, 30.0])
    assert transitions(replace(track([NEUTRAL, NEUTRAL, HAPPY]), times=times), LABELS) == {}
    unsure = np.array([False, True, False])
    assert transitions(track([NEUTRAL, SAD, HAPPY], unsure=unsure), LABELS) == {("neutral", "happiness"): 1}


def test_around_a_marker_the_change_is_told_for_who_was_there() -> None:
    seen = track([NEUTRAL] * 50 + [HAPPY] * 50)
    later = track([SAD] * 20, number=2, begin=8.0)
    (around,) = marker_changes(recording(seen, later, markers=(Marker(5.0, "joke"),)))
    assert around.person == "Person 1"
    change = around.change()
    assert change is not None
    assert change[HAPPY] == pytest.approx(0.89, abs=0.02)


def test_a_course_has_gaps_where_the_face_was_away() -> None:
    drawn = binned(track([HAPPY] * 20, begin=4.0), LABELS, 0.0, 10.0, 50)
    seen = ~np.isnan(drawn.unsure)
    assert not seen[:19].any()
    assert seen[21:29].all()
    assert not seen[36:].any()


def test_times_have_one_form_everywhere() -> None:
    assert [clock(seconds) for seconds in (0, 4.26, 59.96, 65, 3725, -0.3)] == [
        "0:00.0", "0:04.3", "1:00.0", "1:05.0", "1:02:05.0", "-0:00.3",
    ]  # fmt: skip
    assert [clock(seconds, 0) for seconds in (0, 4.6, 59.8, 4000, -0.3)] == ["0:00", "0:05", "1:00", "1:06:40", "0:00"]
    assert clock(61.25, 2) == "1:01.25"


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.0, ["0:00.0", "0:00.5", "0:01.0"]), (20.0, ["0:00", "0:02", "0:04"])]
)
def test_ticks_have_the_decimals_that_they_need(seconds: float, words: list[str]) -> None:
    track = BinnedTrack(np.linspace(100, 100 + seconds, 3), np.zeros((2, 1), np.float32), np.zeros(2, np.float32))
    drawn = timeline(track, ["neutral"], (), "Probabilities")
    assert re.findall(r'text-anchor="middle">([^<]*)<', drawn)[:3] == words


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects addresses that a browser would load."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.fetched.append(str(value))
            assert not name.startswith("on")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.fetched == []
    assert reader.scripts == 0
    return reader


def test_a_session_without_a_face_has_a_page() -> None:
    text = page([("", [recording()])])
    checked(text)
    assert "No face was seen." in text


def test_a_page_tells_shares_transitions_markers_and_limits() -> None:
    seen = track([NEUTRAL] * 50 + [HAPPY] * 50)
    text = page([("", [recording(seen, markers=(Marker(5.0, "joke"),))])])
    checked(text)
    for words in ("Person 1", "share of time", "transitions", "joke", "Happiness</span>", "5(1)(f)", "expressions"):
        assert words in text or words.replace("</span>", "") in text


def test_nothing_that_a_user_named_becomes_markup() -> None:
    nasty = '<script>alert(1)</script>"><img src=x onerror=y>'
    seen = track([HAPPY] * 100)
    shown = replace(
        recording(seen, markers=(Marker(5.0, nasty),), name=nasty), source=nasty, card=f"# {nasty}\n\n{nasty}"
    )
    checked(page([(nasty, [shown]), ("other", [shown])]))


def test_two_groups_stand_side_by_side_with_their_difference() -> None:
    first = recording(track([HAPPY] * 80 + [NEUTRAL] * 20), name="before")
    second = recording(track([HAPPY] * 30 + [NEUTRAL] * 70), name="after")
    text = page([("A", [first]), ("B", [second])])
    checked(text)
    row = re.search(r"Happiness</span></td>(.*?)</tr>", text)
    assert row is not None
    assert re.findall(r"[-+]?\d+\.\d", row[1]) == ["80.0", "30.0", "-50.0"]


def test_the_legend_has_every_class_that_a_timeline_shows() -> None:
    seen = track([NEUTRAL] * 50)
    seen.probabilities[:] = 0.001
    seen.probabilities[20:30, SAD] = 0.2
    (legend,) = re.findall(r'<p class="legend">(.*?)</p>', page([("", [recording(seen)])]))
    assert re.findall(r"</span>?([A-Z][a-z]+)", legend) == ["Neutral", "Sadness"]


def test_a_crowd_is_cut_to_those_seen_longest() -> None:
    people = [track([HAPPY] * (100 - number), number=number) for number in range(1, 31)]
    text = page([("", [recording(*people)])])
    checked(text)
    assert text.count("seen for") == 12
    assert "18 more seen only briefly" in text


def test_an_hour_stays_a_small_page() -> None:
    emotions = [number // 500 % 8 for number in range(3600 * 25)]
    long = recording(track(emotions, step=0.04), seconds=3600)
    text = page([("", [long])])
    checked(text)
    assert len(text) < 600_000


def test_a_card_becomes_html_and_its_tags_stay_text() -> None:
    made = to_html(
        "# Name\n\nText with `code`, **bold** and [words](http://x).\n\n"
        "| a | b |\n|---|---|\n| 1 | <i> |\n\n- one\n  more\n- two"
    )
    assert "<h3>Name</h3>" in made
    assert "<code>code</code>" in made
    assert "http" not in made
    assert "<td>&lt;i&gt;</td>" in made
    assert made.count("<li>") == 2


def session(parent: Path, name: str, frames: int = 40) -> SessionFolder:
    folder = SessionFolder.create(parent, SessionInfo(name, "clip.mp4", "fake", LABELS), card="# Card of the engine")
    recorder = Recorder(folder, LABELS)
    for index in range(frames):
        recorder.write(result(2, index=index))
    recorder.mark("start", at=0.2)
    recorder.close()
    return folder


def test_the_command_writes_a_page_of_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = session(tmp_path, "One"), session(tmp_path, "Two")
    out = tmp_path / "page.html"
    assert main(["report", str(first.path), "--against", str(second.path), "--output", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    checked(text)
    assert "Side by side" in text
    assert "Card of the engine" in text
    assert str(out) in capsys.readouterr().out


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert "there is no session" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_writes_the_rows_of_one_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    first, out = session(tmp_path, "One"), tmp_path / f"rows.{ending}"
    assert main(["report", str(first.path), "--output", str(out)]) == 0
    assert out.is_file()
    assert f"rows written to {out}" in capsys.readouterr().out
    assert main(["report", str(first.path), str(first.path), "--output", str(out)]) == 0
    assert main(["report", str(first.path), "--against", str(first.path), "--output", str(out)]) == 2
    assert "rows have no groups" in capsys.readouterr().err


def test_the_command_writes_annotations_of_one_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, out = session(tmp_path, "One"), tmp_path / "one.eaf"
    for _ in range(2):  # the file of an earlier report is replaced
        assert main(["report", str(first.path), "--output", str(out)]) == 0
        assert f"annotations written to {out}" in capsys.readouterr().out
    assert main(["report", str(first.path), str(first.path), "--output", str(out)]) == 2
    assert "an .eaf file contains one session" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot write"):
        write_report([("", [recording()])], tmp_path / "nowhere" / "page.html")


def test_chromium_shows_the_page_without_a_complaint(tmp_path: Path) -> None:
    browser = find_chromium()
    out = write_report(
        [("A", [load(session(tmp_path, "One").path)]), ("B", [load(session(tmp_path, "Two").path)])],
        tmp_path / "page.html",
    )
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,1400",
            f"--screenshot={picture}",
            out.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert picture.stat().st_size > 10_000
    assert "CONSOLE" not in done.stderr


def test_the_page_fits_a_telephone(tmp_path: Path) -> None:
    one = load(session(tmp_path, "A name of a session that is rather long for a telephone").path)
    one = replace(one, engine="hybrid_lite,_ONNX_Runtime_1.32.0,_CPU,_FP32", markers=(Marker(0.2, "x" * 60, 1.0),))
    write_report([("Group_A_with_a_long_name", [one]), ("B", [one])], tmp_path / "page.html")
    assert overflow_at_320_px(tmp_path / "page.html") == "0"


def test_one_length_is_shown_everywhere(tmp_path: Path) -> None:
    folder = session(tmp_path, "One")
    read = load(folder.path)
    assert folder.read().seconds == pytest.approx(read.seconds) == pytest.approx(1.6)
    text = page([("", [read])])
    assert "Length</span> 0:01.6" in text
    assert text.count("seen for 0:01.6") == 2


def test_every_table_header_has_words() -> None:
    text = page([("A", [recording(track([HAPPY] * 50))]), ("B", [recording(track([SAD] * 50, number=2))])])
    assert re.search(r"<th[^>]*>\s*</th>", text) is None


GOOD = (
    '{"frame": 0, "time": 0.0, "origin": "x", "faces": [{"id": 1, "box": [1, 2, 3, 4], "score": 0.9, '
    '"emotion": "anger", "confidence": 0.7, "probabilities": {"anger": 0.7, "fear": 0.3}}]}'
)


@pytest.mark.parametrize("name", ["j4", "j6", "j7", "j9", "j10", "l1", "t1", "t3"])
def test_damaged_recordings_give_a_page_that_counts_or_one_line(
    name: str, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = (cases / "hostile").glob(f"report_{name}.*")
    here = tmp_path / source.name
    here.write_bytes(source.read_bytes())
    code = main(["report", str(here)])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert code in (0, 2)
    if code == 2:
        assert said.startswith("edgeemo: ")
        assert said.count("\n") == 1
    else:
        assert "damaged row" in here.with_suffix(".html").read_text()


@pytest.mark.parametrize(
    "change",
    [
        ('"frame": 0', '"frame": "a"'),
        ('"frame": 0', '"frame": 1e300'),
        ('"frame": 0', '"frame": -1'),
        ('"time": 0.0', '"time": 1e300'),
        ('"time": 0.0', '"time": NaN'),
        ('"time": 0.0', '"time": []'),
        ('"box": [1, 2, 3, 4]', '"box": [1, 2, 3]'),
        ('"box": [1, 2, 3, 4]', '"box": [1, 2, 3, "d"]'),
        ('"id": 1', '"id": 1e99'),
        ('"emotion": "anger"', '"emotion": "glee"'),
        ('"emotion": "anger"', '"emotion": {}'),
        ('"anger": 0.7', '"anger": 40'),
        ('"fear": 0.3', '"fear": "much"'),
        ('"anger": 0.7, "fear": 0.3', ""),
        ('"anger": 0.7, "fear": 0.3', '"glee": 1.0'),
        ('"origin": "x"', '"origin": 5'),
        ('"faces": [', '"faces": 7, "rest": ['),
        ('{"frame"', '[{"frame"'),
        ('"score": 0.9', '"score": ' + "9" * 5000),
        ('"score": 0.9', '"score": ' + "[" * 5000),
    ],
)
def test_a_damaged_line_is_left_out_and_counted(change: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{GOOD.replace(*change)}\n{GOOD.replace(': 0, ', ': 7, ')}\n")
    read = load(path)
    assert 7 in read.frames.tolist()
    assert read.tracks[0].frames.tolist() == [7]
    assert len(read.missing) == 1
    assert read.missing[0].startswith("1 damaged row of results")
    assert "1 damaged row of results" in page([("x", [read])])


def test_a_time_far_away_draws_no_million_marks(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{GOOD}\n{GOOD.replace(': 0, ', ': 1, ').replace('0.0', '3.9e9')}\n")
    assert len(page([("x", [load(path)])])) < 100_000


def test_a_line_without_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("x" * (LONGEST_LINE + 10) + "\n" + GOOD + "\n" + GOOD[:40])
    read = load(path)
    assert len(read.frames) == 1
    assert read.missing[0].startswith("2 damaged rows")


def test_a_database_with_damaged_names_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
    # SQLite's message quotes text that is not UTF-8
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \xb1\x92BLE"))
    assert main(["report", str(path)]) == 2
    assert main(["run", "--source", "demo", "--sink", f"sqlite:{path}"]) == 2
    said = capsys.readouterr().err
    assert "is not a database of results" in said
    assert said.count("\n") == 2


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("UPDATE frames SET time = 'abc' WHERE frame = 0", 2),  # the frame and its face
        ("UPDATE frames SET time = 1e300 WHERE frame = 0", 2),
        ("UPDATE frames SET origin = x'00ff' WHERE frame = 0", 2),
        ("UPDATE faces SET x1 = 'left' WHERE frame = 0", 1),
        ("UPDATE faces SET emotion = 'glee' WHERE frame = 0", 1),
        ("UPDATE faces SET anger = 1e30 WHERE frame = 0", 1),
        ("UPDATE faces SET id = -7 WHERE frame = 0", 1),
        ("UPDATE faces SET unsure = x'ff' WHERE frame = 0", 1),
        ("UPDATE runs SET labels = 'no json'", 1),
        ("UPDATE runs SET labels = '[[]]'", 1),
        ("UPDATE runs SET labels = '[]'", 1),
    ],
)
def test_a_damaged_row_of_a_database_is_left_out_and_counted(statement: str, lost: int, tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO runs VALUES (1, 'then', '[\"anger\", \"fear\"]', 'engine')")
        for frame in (0, 1):
            database.execute("INSERT INTO frames (run, frame, time, origin) VALUES (1, ?, ?, 'x')", (frame, frame / 25))
            database.execute(
                "INSERT INTO faces (run, frame, id, x1, y1, x2, y2, score, emotion, confidence, anger, fear) "
                "VALUES (1, ?, 1, 1, 2, 3, 4, 0.9, 'anger', 0.7, 0.7, 0.3)",
                (frame,),
            )
        database.execute(statement)
        database.commit()
    read = load(path)
    assert read.tracks[0].frames.tolist()[-1] == 1
    assert read.missing[0].startswith("1 damaged row" if lost == 1 else f"{lost} damaged rows")
    assert "damaged row" in page([("x", [read])])


@pytest.mark.parametrize(
    ("turned", "read"), [(0, True), (90, True), (180, True), (270, True), (45, False), (-90, False)]
)
def test_heads_are_turned_by_quarters(turned: int, read: bool, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    other = GOOD.replace(": 0, ", ": 7, ").replace('"id": 1', f'"id": 1, "turned": {turned}')
    path.write_text(f"{GOOD}\n{other}\n")
    (seen,) = load(path).tracks
    assert seen.turned.tolist() == ([0, turned] if read else [0])
    assert bool(load(path).missing) is not read


@pytest.mark.parametrize("number", [107, 100_000, 2**53])
def test_numbers_of_persons_and_frames_may_be_large(number: int, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(GOOD.replace('"id": 1', f'"id": {number}').replace('"frame": 0', f'"frame": {number}') + "\n")
    read = load(path)
    assert [each.id for each in read.tracks] == read.frames.tolist() == [number]
    assert read.missing == ()


def test_the_first_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{GOOD}\n\n{GOOD[:40]}\n{GOOD[:30]}\n")
    assert "2 damaged rows of results, skipped (the first: line 3" in load(path).missing[0]
