from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest
from conftest import MakeClip
from fakes import result

from edgeemo.cli import main
from edgeemo.run.headless import summary, undelivered
from edgeemo.run.status import RECENT_RESULTS, Rate, Tally
from edgeemo.stages.pipeline import STAGES
from edgeemo.types import Counters, SinkStatus, Status


def test_a_rate_is_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0) == 0
    for index in range(51):
        rate.add(index / 10)
    assert round(rate.at(5.0), 6) == 10
    assert rate.at(60.0) == 0


def test_without_results_there_are_no_counters() -> None:
    assert Tally().counters(dropped=0, damaged=0, sink_ms=0) == Counters()


def test_counters_sum_frames_faces_and_expressions() -> None:
    tally = Tally()
    began = perf_counter()
    for count in (2, 0, 1):
        tally.add(replace(result(count), timings=dict.fromkeys(STAGES, 2.0)), began)
    tally.finish()
    counters = tally.counters(dropped=4, damaged=2, sink_ms=0.5)
    assert (counters.frames, counters.faces, counters.dropped) == (3, 3, 4)
    assert counters.emotions == {"happiness": 3}
    assert counters.timings == {**dict.fromkeys(STAGES, 2.0), "sink": 0.5}
    assert counters.seconds > 0
    assert 0 < counters.latency_ms <= counters.latency_p95_ms


def test_rates_latencies_and_timings_are_those_of_the_latest_results(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("edgeemo.run.status.perf_counter", lambda: now)
    tally = Tally()
    for index in range(RECENT_RESULTS + 80):
        now += 0.1
        old = index < 80
        latency_ms = 900 if old else index - 79  # 1 to 120
        shown = result(0, index=index)
        tally.add(replace(shown, timings={"detect": 50.0 if old else 2.0, "track": index}), now - latency_ms / 1e3)
    counters = tally.counters(dropped=0, damaged=0, sink_ms=0.0)
    assert counters.frames == RECENT_RESULTS + 80
    assert counters.fps == pytest.approx(10.0)
    assert counters.latency_ms == pytest.approx(60.5)
    assert counters.latency_p95_ms == pytest.approx(114)
    assert (counters.timings["detect"], counters.timings["track"]) == (2.0, 139.5)
    assert counters.timings["classify"] == 0.0
    assert counters.seconds == pytest.approx(20.8)  # since the first frame was captured
    now += 5
    tally.finish()
    assert tally.counters(dropped=0, damaged=0, sink_ms=0.0).seconds == pytest.approx(25.8)


def test_one_result_has_no_rate() -> None:
    tally = Tally()
    tally.add(result(1), perf_counter())
    assert tally.counters(dropped=0, damaged=0, sink_ms=0.0).fps == 0.0
    tally = Tally()
    tally.finish()
    assert tally.counters(dropped=0, damaged=0, sink_ms=0.0).seconds == 0.0


@pytest.mark.parametrize(
    ("counters", "line"),
    [
        (Counters(), "0 frames, 0 faces"),
        (
            Counters(1, 1, 0, 0.5, emotions={"anger": 1}),
            "1 frame, 1 face, 2.0 frames per second: anger 100%",
        ),
        (
            Counters(10, 8, 3, 4.0, emotions={"none": 1, "fear": 2, "anger": 4, "disgust": 1}, damaged=1),
            "10 frames, 8 faces, 2.5 frames per second, 3 dropped, 1 picture damaged: anger 50%, fear 25%, none 12%",
        ),
    ],
)
def test_the_summary_of_a_run_is_one_line(counters: Counters, line: str) -> None:
    assert summary(counters) == line


def test_only_sinks_that_lack_results_are_named_when_a_run_ends() -> None:
    sinks = (
        SinkStatus("csv:a", 10),
        SinkStatus("csv:b", 9, 1, error="disk full"),
        SinkStatus("mqtt://h/t", 3, 2, 5, kept=1),
        SinkStatus("mqtt://h/u", 3, kept=7, error="the broker is away"),
    )
    lines = undelivered(Status(sinks=sinks))
    expected = (
        r"sink csv:b: 1 result [^0-9]+ \(disk full\)",
        r"sink mqtt://h/t: 7 results [^0-9]+ and 1 result [^0-9()]+",
        r"sink mqtt://h/u: 7 results [^0-9]+ \(the broker is away\)",
    )
    assert len(lines) == len(expected)
    assert all(map(re.fullmatch, expected, lines)), lines


def test_a_file_that_is_cut_off_ends_a_run_with_2_and_among_several_with_3(
    tmp_path: Path, make_clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = make_clip("whole.mkv"), make_clip("cut.mkv")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    output = tmp_path / "out.jsonl"
    assert main(["run", "--source", str(cut), "--sink", f"jsonl:{output}", "--quiet"]) == 2
    alone = len(output.read_text().splitlines())
    assert "is cut off after frame" in capsys.readouterr().err
    config = tmp_path / "edge.toml"
    sources = "".join(f'[[sources]]\nname = "{each.stem}"\nuri = "{each}"\n' for each in (whole, cut))
    config.write_text(f'sinks = ["jsonl:{output}"]\n{sources}')
    assert main(["run", "--config", str(config), "--quiet"]) == 3  # 2 would restart a service for ever
    said = capsys.readouterr().err
    assert f"edgeemo: source cut: {cut} is cut off after frame {alone}" in said
    assert len(output.read_text().splitlines()) in (30 + alone, 30 + 2 * alone)
