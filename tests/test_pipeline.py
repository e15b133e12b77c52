from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import FakeBackend, FakeClassifier, FakeDetector, FakeSmoother, FakeTracker, faces, frame, probabilities

from edgeemo.stages.classify import EngineClassifier
from edgeemo.stages.overlay import title_of
from edgeemo.stages.pipeline import STAGES, Pipeline, step_together
from edgeemo.types import F32, Doubt, Faces, Frame, Judged, Result
from engines import LABELS, Engine, ModelSpec
from engines.errors import ModelError


def build(count: int) -> tuple[Pipeline, FakeDetector, FakeTracker, FakeClassifier, FakeSmoother]:
    stages = FakeDetector(count), FakeTracker(), FakeClassifier(), FakeSmoother()
    return Pipeline(*stages), *stages


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_face_of_a_frame_goes_through_the_classifier_in_one_call(count: int) -> None:
    pipeline, _, _, classifier, _ = build(count)
    result = pipeline.step(frame())
    assert result.probabilities.shape == (count, len(LABELS))
    assert result.emotions == (LABELS[1],) * count
    assert classifier.calls == ([count] if count else [])


@pytest.mark.parametrize("count", [0, 3])
def test_every_stage_is_timed(count: int) -> None:
    result = build(count)[0].step(frame())
    assert tuple(result.timings) == STAGES
    assert all(taken >= 0 for taken in result.timings.values())


def test_times_of_stages_are_milliseconds_and_that_of_the_engine_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("edgeemo.stages.pipeline.perf_counter", lambda: next(ticks) / 1000)
    one, other = build(1)[0], build(2)[0]
    for result in step_together([(one, frame()), (other, frame())], one.classifier):
        assert result.timings == pytest.approx({"detect": 1.0, "track": 1.0, "classify": 0.5, "smooth": 1.0})


def test_the_result_belongs_to_the_very_frame_that_was_given() -> None:
    given = frame(7)
    assert build(1)[0].step(given).frame is given


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("sources", [1, 4])
def test_frames_of_several_sources_share_one_call_and_keep_their_order(sources: int, at_once: bool) -> None:
    classifier = FakeClassifier()
    work = [
        (Pipeline(FakeDetector(number), FakeTracker(), classifier, FakeSmoother()), frame(number))
        for number in range(sources)
    ]
    with ThreadPoolExecutor(4) as threads:
        results = step_together(work, classifier, threads if at_once else None)
    assert [(each.frame.index, len(each.faces)) for each in results] == [(number, number) for number in range(sources)]
    assert classifier.calls == ([6] if sources == 4 else [])
    assert len({each.timings["classify"] for each in results}) == 1


def test_detectors_of_several_sources_run_at_once() -> None:
    meeting = threading.Barrier(3)

    class Meeting(FakeDetector):
        def detect(self, frame: Frame) -> Faces:
            meeting.wait(10)
            return super().detect(frame)

    classifier = FakeClassifier()
    work = [(Pipeline(Meeting(), FakeTracker(), classifier, FakeSmoother()), frame()) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert len(step_together(work, classifier, threads)) == 3


def test_a_video_keeps_the_memory_of_tracker_and_smoother_and_stills_clear_it() -> None:
    pipeline, _, tracker, _, smoother = build(1)
    pipeline.step(frame(0))
    pipeline.step(frame(1))
    assert (tracker.resets, smoother.resets) == (0, 0)
    pipeline.step(frame(0, still=True))
    pipeline.step(frame(1, still=True))
    assert (tracker.resets, smoother.resets) == (2, 2)


def test_closing_closes_what_holds_something() -> None:
    pipeline, detector, _, classifier, _ = build(1)
    pipeline.close()
    assert detector.closed
    assert not classifier.closed  # other pipelines share it


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_engine_is_called_once_for_all_faces_and_never_for_none(count: int) -> None:
    backend = FakeBackend(probabilities(1)[0])
    classifier = EngineClassifier(Engine(ModelSpec(name="tiny", size=16), backend))
    (raw,) = classifier.classify([(frame(), faces(count))])
    assert raw.shape == (count, len(LABELS))
    assert raw.dtype == np.float32
    assert backend.calls == ([count] if count else [])


def test_the_classifier_says_what_really_runs_and_closes_its_engine() -> None:
    backend = FakeBackend(probabilities(1)[0])
    classifier = EngineClassifier(Engine(ModelSpec(name="tiny", size=16), backend))
    assert classifier.description == "tiny, fake"
    classifier.close()
    assert backend.closed


def test_an_engine_that_answers_with_no_numbers_is_an_error_in_one_line() -> None:
    backend = FakeBackend(np.full(len(LABELS), np.nan, np.float32))
    classifier = EngineClassifier(Engine(ModelSpec(name="tiny", size=16), backend))
    with pytest.raises(ModelError, match="tiny returned values that are not finite numbers"):
        classifier.classify([(frame(), faces(1))])


def test_a_frame_of_one_pixel_and_a_face_beyond_the_border_do_not_crash() -> None:
    backend = FakeBackend(probabilities(1)[0])
    classifier = EngineClassifier(Engine(ModelSpec(name="tiny", size=16), backend))
    pipeline = Pipeline(FakeDetector(2), FakeTracker(), classifier, FakeSmoother())
    assert len(pipeline.step(frame(size=1)).faces) == 2


class HoldingSmoother(FakeSmoother):
    """Always shows "neutral"."""

    def smooth(self, frame: Frame, faces: Faces, raw: F32) -> tuple[F32, tuple[str, ...]]:
        return raw, ("neutral",) * len(faces)


def judged(**values: float) -> tuple[tuple[str, ...], Result]:
    row = np.zeros(len(LABELS), np.float32)
    for label, value in values.items():
        row[LABELS.index(label)] = value
    classifier = EngineClassifier(Engine(ModelSpec(name="tiny", size=16), FakeBackend(row)))

    class Judge:
        def judge(self, frame: Frame, faces: Faces, confidences: list[float]) -> Judged:
            doubts = tuple(
                (Doubt(f"{c * 100:.0f} % sure", "low_confidence", c),) if c < 0.45 else () for c in confidences
            )
            return Judged(doubts, ())

    result = Pipeline(FakeDetector(1), FakeTracker(), classifier, HoldingSmoother(), Judge()).step(frame())
    return result.reasons(0), result


def test_doubt_is_about_the_leading_class_and_a_trailing_label_is_never_shown_as_sure() -> None:
    reasons, result = judged(neutral=0.29, happiness=0.71)
    assert reasons == ("between neutral and happiness",)
    assert [doubt.code for doubt in reasons if isinstance(doubt, Doubt)] == ["undecided"]
    assert "29" not in title_of(result, 0)
    assert judged(neutral=0.71, happiness=0.29)[0] == ()
    assert judged(neutral=0.4, happiness=0.3, anger=0.3)[0] == ("40 % sure",)
    assert judged(neutral=0.2, happiness=0.44, anger=0.36)[0] == ("44 % sure", "between neutral and happiness")
