from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from fakes import result

from edgeemo.run.status import Rate, Tally
from edgeemo.stages.pipeline import STAGES
from edgeemo.types import Counters


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
