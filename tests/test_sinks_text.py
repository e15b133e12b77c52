from __future__ import annotations

import csv
import json
import os
import select
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import frame, result
from servers import until

from edgeemo.columns import QUALITY, codes_of, column_names
from edgeemo.config import Config, CsvConfig, JsonlConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.run.sink_worker import SinkWorker
from edgeemo.sinks import SINKS, ReaderGone, SinkContext, open_sink, parse
from edgeemo.sinks.event import event, line
from edgeemo.types import Doubt, Faces, Quality, Result, Sink
from engines import LABELS

CONTEXT = SinkContext(LABELS, draw=lambda result: result.frame.image)


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_the_event_has_exactly_the_documented_form() -> None:
    whole = event(result(1, index=12, time=0.4))
    face = whole["faces"][0]
    assert list(whole) == ["frame", "time", "origin", "faces"]
    assert (whole["frame"], whole["time"], whole["origin"]) == (12, 0.4, "clip.mp4")
    assert list(face) == ["id", "face_id", "person", "box", "score", "emotion", "confidence", "probabilities"]
    assert (face["id"], face["box"], face["score"]) == (1, [4.0, 6.0, 24.0, 28.0], 0.94)
    assert (face["emotion"], face["confidence"]) == ("happiness", 0.9)
    assert list(face["probabilities"]) == list(LABELS)


def test_a_face_that_is_unsure_says_why_and_another_says_nothing_of_it() -> None:
    reasons = (Doubt("face 31 px", "small_face", 31.04), Doubt("38 % sure", "low_confidence", 0.381234))
    whole = event(replace(result(2), doubts=(reasons, ())))
    assert whole["faces"][0]["unsure"] == ["face 31 px", "38 % sure"]
    assert whole["faces"][0]["doubts"] == [
        {"code": "small_face", "value": 31.04},
        {"code": "low_confidence", "value": 0.3812},
    ]
    assert "doubts" not in whole["faces"][1]
    assert "unsure" not in whole["faces"][1]


def test_a_frame_without_faces_has_an_event_too() -> None:
    assert event(result(0))["faces"] == []


def test_an_event_is_valid_json_even_with_numbers_that_json_cannot_carry() -> None:
    whole = result(1)
    faces = Faces(
        np.array([[np.nan, -0.01, np.inf, 28.04]], np.float32),
        whole.faces.keypoints,
        whole.faces.scores,
        whole.faces.ids,
    )
    odd = Result(frame(), faces, whole.probabilities, whole.raw, LABELS, whole.emotions)
    text = line(odd)
    assert "NaN" not in text
    assert "-0.0" not in text
    assert json.loads(text)["faces"][0]["box"] == [None, 0.0, None, 28.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jsnl:x", "did you mean jsonl:x"),
        ("nonsense", "unknown sink 'nonsense': known sinks: jsonl:PATH, csv:PATH"),
        ("jsonl", "write jsonl:PATH"),
        ("jsonl:", "write jsonl:PATH"),
        ("mqtt://host:1883", "lacks a topic; write mqtt://HOST:PORT/TOPIC"),
        ("metrics:0.0.0.0:9000", "open to the network at 0.0.0.0; give it a token"),
        ("web:0.0.0.0:8000", "open to the network at 0.0.0.0; give it a token"),
        ("video:-", "only jsonl and csv can write to standard output"),
        ("sqlite:-", "only jsonl and csv can write to standard output"),
    ],
)
def test_a_description_that_names_no_sink_is_a_mistake_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_sink(text, CONTEXT)
    assert "\n" not in str(caught.value)


def test_only_the_first_colon_divides_kind_and_target() -> None:
    assert parse("jsonl:C:/a:b.jsonl") == ("jsonl", "C:/a:b.jsonl")


@pytest.mark.parametrize("kind", [name for name, row in SINKS.items() if row.is_file])
def test_a_path_that_cannot_be_written_is_a_mistake_at_once(tmp_path: Path, kind: str) -> None:
    with pytest.raises(SinkError, match="does not exist; create it first"):
        open_sink(f"{kind}:{tmp_path}/no/such/out.mp4", CONTEXT)
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    with pytest.raises(SinkError, match="cannot write"):
        open_sink(f"{kind}:{folder}", CONTEXT)


def test_jsonl_writes_one_line_a_frame_and_hides_nothing_in_a_buffer(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = open_sink(f"jsonl:{path}", CONTEXT)
    for index, count in enumerate((2, 0, 1)):
        sink.write(result(count, index=index, time=index / 25))
        assert len(events(path)) == index + 1
    sink.close()
    sink.close()
    assert [len(item["faces"]) for item in events(path)] == [2, 0, 1]  # type: ignore[arg-type]


def test_what_a_file_held_is_replaced_by_the_first_result_but_not_by_opening(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    before = '{"frame": 7, "faces": []}\n' * 3
    path.write_text(before)
    sink = open_sink(f"jsonl:{path}", CONTEXT)
    assert path.read_text() == before
    sink.write(result(0))
    sink.close()
    assert len(events(path)) == 1


def test_names_with_any_letters_survive(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = open_sink(f"jsonl:{path}", CONTEXT)
    sink.write(result(0, origin="Überraschung 笑.mp4"))
    sink.write(result(0, origin="not text \udcff.mp4"))
    sink.close()
    assert events(path)[0]["origin"] == "Überraschung 笑.mp4"
    assert len(events(path)) == 2


@pytest.mark.parametrize("kind", ["jsonl", "csv", "sqlite"])
def test_results_of_a_file_whose_name_is_not_utf_8_can_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / os.fsdecode(b"results of \xff.") / kind
    path.parent.mkdir()
    sink = open_sink(f"{kind}:{path}", CONTEXT)
    sink.write(result(1, origin=os.fsdecode(b"c\xff.mp4")))
    sink.close()
    if kind == "sqlite":
        database = sqlite3.connect(path)
        assert database.execute("SELECT origin FROM results").fetchall() == [("c?.mp4",)]
        database.close()
    else:
        assert "c?.mp4" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_is_an_error_in_one_line(kind: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    sink = open_sink(f"{kind}:/dev/full", CONTEXT)
    with pytest.raises(SinkError, match="No space left"):
        sink.write(result(1))
    sink.close()


def test_a_reader_that_closes_its_pipe_is_told_apart_from_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = open_sink(f"jsonl:{path}", CONTEXT)
    sink.write(result(1))
    assert json.loads(os.read(reader, 1 << 16))["frame"] == 0
    os.close(reader)
    with pytest.raises(ReaderGone):
        sink.write(result(1, index=1))
    sink.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_whose_opening_failed_half_way_can_be_opened_again(tmp_path: Path) -> None:
    import resource

    lowest = os.dup(0)
    os.close(lowest)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, before[1]))  # enough for the file, but not for watching it
    try:
        with pytest.raises(SinkError, match=r"cannot write to .*: Too many open files"):
            open_sink(f"jsonl:{tmp_path}/a.jsonl", CONTEXT)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    open_sink(f"jsonl:{tmp_path}/a.jsonl", CONTEXT).close()


def test_a_table_whose_first_line_is_too_long_is_refused_and_released(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"frame,{'x' * 200_000}\n")
    for _ in range(2):
        with pytest.raises(SinkError, match="its first line cannot be read"):
            open_sink(f"csv:{tmp_path}/a.csv", replace(CONTEXT, lasting=True))


def test_a_service_waits_for_the_next_reader_of_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    worker = SinkWorker("pipe", lambda: open_sink(f"jsonl:{path}", replace(CONTEXT, lasting=True)), size=8)
    for number in (0, 2):
        until(lambda: not worker.status().error)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        worker.offer(result(1, index=number))
        until(lambda reader=reader: select.select([reader], [], [], 0)[0])
        assert json.loads(os.read(reader, 1 << 16))["frame"] == number
        os.close(reader)
        worker.offer(result(1, index=number + 1))
        until(lambda number=number: worker.status().dropped == 1 + number // 2)
    assert worker.failure is None
    assert worker.close()


def test_csv_has_one_row_a_face_and_a_header_even_without_faces(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = open_sink(f"csv:{path}", CONTEXT)
    sink.write(result(0, index=0))
    assert path.read_text(encoding="utf-8").count("\n") == 1
    sink.write(result(2, index=1, time=0.04, origin='a "quoted", name.mp4'))
    sink.close()
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["face_id"]) for row in rows] == [("1", "1"), ("1", "2")]
    assert rows[0]["origin"] == 'a "quoted", name.mp4'
    assert rows[0]["emotion"] == "happiness"
    assert [rows[0][name] for name in ("time", "x1", "y1", "x2", "y2", "happiness")] == [
        "0.04", "4.0", "6.0", "24.0", "28.0", "0.9",
    ]  # fmt: skip
    assert set(LABELS) < set(rows[0])


def test_the_columns_are_those_of_every_table(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = open_sink(f"csv:{path}", CONTEXT)
    doubt = Doubt("33 % sure", "low_confidence", 0.33)
    measured = (Quality(20.04, -5.0, 0.0, 0.12346, 99.96, 30.0),)
    sink.write(replace(result(1), doubts=((doubt,),), quality=measured))
    sink.close()
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == column_names(LABELS)
    assert (row["person"], row["doubts"], row["turned"]) == ("Person 1", "low_confidence", "0")
    assert [row[name] for name in QUALITY] == ["20.0", "-5.0", "0.0", "0.1235", "100.0", "30.0"]


def test_json_has_the_new_names_beside_the_old_ones() -> None:
    doubt = Doubt("33 % sure", "low_confidence", 0.33)
    (face,) = event(replace(result(1), doubts=((doubt,),)))["faces"]
    assert (face["id"], face["face_id"]) == (1, 1)
    assert face["unsure"] == ["33 % sure"]
    assert face["doubts"] == [{"code": "low_confidence", "value": 0.33}]


@pytest.mark.parametrize("name", ["=1+1.mp4", "+a.mp4", "-a.mp4", "@a.mp4"])
def test_a_cell_that_begins_like_a_formula_is_escaped(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out.csv"
    sink = open_sink(f"csv:{path}", CONTEXT)
    sink.write(result(1, origin=name))
    sink.close()
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["origin"] == f"'{name}"


def test_a_byte_order_mark_is_written_on_request_and_once(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    context = replace(CONTEXT, config=Config(csv=CsvConfig(bom=True)), lasting=True)
    for index in range(2):
        sink = open_sink(f"csv:{path}", context)
        sink.write(result(1, index=index))
        sink.close()
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbforigin,frame,")
    assert content.count(b"\xef\xbb\xbf") == 1
    assert content.count(b"\n") == 3


def test_a_table_that_is_added_to_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("frame,time,origin,id,emotion,gone\n0,0.0,clip.mp4,1,anger,7\n")
    sink = open_sink(f"csv:{path}", replace(CONTEXT, lasting=True))
    sink.write(result(1, index=1, time=0.04))
    sink.close()
    assert path.read_text().splitlines()[-1] == "1,0.04,clip.mp4,1,happiness,"


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("", ""),
        ("face 31 px; too dark", "small_face;too_dark"),
        ("33 % sure", "low_confidence"),
        ("blurred", "blurred"),
        ("between neutral and happiness; too bright", "undecided;too_bright"),
    ],
)
def test_doubts_in_words_have_codes(words: str, codes: str) -> None:
    assert codes_of(words) == codes


def lasting(path: Path, **options: Any) -> Sink:
    return open_sink(f"jsonl:{path}", replace(CONTEXT, lasting=True, config=Config(**options)))


def test_a_service_adds_to_what_a_file_holds(tmp_path: Path) -> None:
    for kind, lines in (("jsonl", 4), ("csv", 5)):
        path = tmp_path / f"out.{kind}"
        for index in range(2):
            sink = open_sink(f"{kind}:{path}", replace(CONTEXT, lasting=True))
            sink.write(result(1, index=2 * index))
            sink.write(result(1, index=2 * index + 1))
            sink.close()
        assert len(path.read_text().splitlines()) == lines


@pytest.mark.parametrize("half", ["", '{"fra', "x" * 200_000])
@pytest.mark.parametrize("whole", ['{"frame": 0}\n', '{"frame": 0}\n' + "x" * 70_000 + "\n"])
def test_half_a_line_that_a_crash_left_is_cut_off(tmp_path: Path, whole: str, half: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(whole + half)
    sink = lasting(path)
    sink.write(result(0, index=1))
    sink.close()
    assert path.read_text() == whole + line(result(0, index=1)) + "\n"


def test_text_is_written_as_it_is_and_not_escaped() -> None:
    assert '"Zo\xeb \u5bb6"' in line(result(0, origin="Zo\xeb \u5bb6"))


def test_files_rotate_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = lasting(path, jsonl=JsonlConfig(rotate_mb=0.001, keep=2))
    for index in range(100):
        sink.write(result(1, index=index))
    sink.close()
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["out.jsonl", "out.jsonl.1", "out.jsonl.2"]
    numbers = [
        json.loads(text)["frame"] for name in reversed(names) for text in (tmp_path / name).read_text().splitlines()
    ]
    assert numbers == list(range(numbers[0], 100))
    assert all((tmp_path / name).stat().st_size <= 1000 for name in names)


def test_a_file_that_is_replaced_is_rotated_by_what_the_new_run_wrote(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    text = line(result(1)) + "\n"
    path.write_text(text * 5)
    config = Config(jsonl=JsonlConfig(rotate_mb=3 * len(text.encode()) / 1e6, keep=2))
    sink = open_sink(f"jsonl:{path}", replace(CONTEXT, config=config))
    for _ in range(4):
        sink.write(result(1))
    sink.close()
    assert (path.read_text(), path.with_name("out.jsonl.1").read_text()) == (text, 3 * text)
    assert not path.with_name("out.jsonl.2").exists()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_file_that_is_renamed_or_deleted_is_reopening_and_what_is_lost_is_counted(
    tmp_path: Path, kind: str, deleted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    path = tmp_path / f"out.{kind}"
    sink = open_sink(f"{kind}:{path}", SinkContext(LABELS, draw=lambda each: each.frame.image))
    sink.write(result(1, index=0))
    first = path.read_text()
    if deleted:
        path.unlink()
    else:
        path.rename(tmp_path / "old")
    sink.write(result(1, index=1))
    sink.close()
    assert sink.lost == deleted
    assert path.read_text().count("\n") == first.count("\n")
    assert path.read_text().splitlines()[0].startswith(first[:10])


def test_a_folder_that_disappears_is_an_error_of_the_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    folder = tmp_path / "folder"
    folder.mkdir()
    sink = open_sink(f"jsonl:{folder / 'out.jsonl'}", SinkContext(LABELS, draw=lambda each: each.frame.image))
    sink.write(result(1))
    (folder / "out.jsonl").unlink()
    folder.rmdir()
    with pytest.raises(SinkError, match="does not exist"):
        sink.write(result(1, index=1))
    sink.close()
    assert sink.lost == 1


def test_a_second_run_cannot_write_to_the_same_file(tmp_path: Path) -> None:
    context = SinkContext(LABELS, draw=lambda each: each.frame.image, lasting=True)
    first = open_sink(f"csv:{tmp_path / 'out.csv'}", context)
    with pytest.raises(SinkError, match="another run"):
        open_sink(f"csv:{tmp_path / 'out.csv'}", context)
    first.close()
    open_sink(f"csv:{tmp_path / 'out.csv'}", context).close()


def test_standard_output_gets_the_lines_and_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    for index in range(2):
        sink = open_sink("jsonl:-", CONTEXT)
        sink.write(result(1, index=index))
        sink.close()
    assert [json.loads(text)["frame"] for text in capfd.readouterr().out.splitlines()] == [0, 1]


PROGRAM = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from test_sinks_text import CONTEXT, open_sink, result, SinkError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sink = open_sink("jsonl:" + sys.argv[2], CONTEXT)
try:
    for index in range(100):
        sink.write(result(1, index=index))
except SinkError as error:
    print(index, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are Unix's")
def test_a_line_for_which_there_was_no_room_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    count, _, said = done.stdout.partition(" ")
    assert said.strip() == f"cannot continue writing {path}: File too large; earlier results are kept"
    assert [each["frame"] for each in events(path)] == list(range(int(count)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix's")
def test_a_reader_that_pauses_during_the_run_gets_everything(tmp_path: Path) -> None:
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)

    def read() -> None:
        with path.open() as pipe:
            threading.Event().wait(0.8)
            got.extend(pipe.read().splitlines())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with closing(open_sink(f"jsonl:{path}", CONTEXT)) as sink:
        for index in range(150):  # more than fits into a pipe
            sink.write(result(8, index=index))
    reader.join(20)
    assert [json.loads(text)["frame"] for text in got] == list(range(150))


def test_a_file_that_cannot_be_rotated_is_an_error_and_can_be_closed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    context = replace(CONTEXT, config=Config(jsonl=JsonlConfig(rotate_mb=0.001, keep=2)))
    sink = open_sink(f"jsonl:{folder / 'out.jsonl'}", context)
    sink.write(result(1))
    (folder / "out.jsonl").unlink()
    folder.rmdir()
    with pytest.raises(SinkError, match="cannot continue writing"):
        _ = [sink.write(result(1, index=index)) for index in range(1, 5)]  # type: ignore[func-returns-value]
    sink.close()
