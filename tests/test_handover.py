"""One engine runs while a better one is built; the switch happens between two calls."""

import sys
import threading
import time

import numpy as np
import pytest
from fakes import FakeBackend, FakeSink, FakeSource, fake_runner

from edgeemo.stages.classify import EngineClassifier
from engines import LABELS, Engine, ModelSpec
from engines.backends.handover import PlanBuild, SwappingBackend
from engines.errors import ModelError

FIRST = np.full(len(LABELS), 0.0, np.float32)
BETTER = np.full(len(LABELS), 1.0, np.float32)
FACE = np.zeros((1, 1, 16, 16), np.float32)


class HandBuild:
    """A build that waits until the test lets it continue."""

    name = "TensorRT"

    def __init__(self, error=None):
        self.go = threading.Event()
        self.told = threading.Event()
        self.stopped = False
        self._error = error

    def run(self, progress):
        progress(0.25, 150.0)
        self.told.set()
        assert self.go.wait(10)
        if self.stopped:
            raise ModelError("the build was stopped")
        if self._error is not None:
            raise self._error

    def stop(self):
        self.stopped = True
        self.go.set()


def test_calls_are_answered_by_the_first_engine_until_the_better_one_is_ready():
    first, better, build = FakeBackend(FIRST), FakeBackend(BETTER), HandBuild()
    backend = SwappingBackend(first, build, lambda: better)
    assert build.told.wait(10)
    assert np.array_equal(backend.infer(FACE)[0], FIRST)
    assert backend.description == f"{first.description} (TensorRT is being built: 25%, about 2 min left)"
    build.go.set()
    assert backend.join(10)
    assert np.array_equal(backend.infer(FACE)[0], BETTER)
    assert backend.description == better.description
    assert first.closed
    backend.close()
    assert better.closed


def test_no_call_is_lost_or_answered_by_a_closed_engine_while_engines_change():
    class Strict(FakeBackend):
        def infer(self, faces):
            assert not self.closed
            answer = super().infer(faces)
            assert not self.closed
            return answer

    first, better, build = Strict(FIRST), Strict(BETTER), HandBuild()
    backend = SwappingBackend(first, build, lambda: better)
    answers = []
    began = threading.Event()

    def frames():
        while len(answers) < 100_000 and (not answers or answers[-1] == 0 or len(answers) < 500):
            answers.append(float(backend.infer(FACE)[0, 0]))
            began.set()

    worker = threading.Thread(target=frames)
    worker.start()
    assert began.wait(10)
    build.go.set()
    worker.join(20)
    assert not worker.is_alive()
    assert sorted(answers) == answers
    assert answers[-1] == 1
    assert len(first.calls) + len(better.calls) == len(answers)
    backend.close()


@pytest.mark.parametrize("error", [ModelError("the GPU has no memory left"), RuntimeError("anything")])
def test_a_build_that_fails_leaves_the_first_engine_serving_and_says_so(error):
    first, build = FakeBackend(FIRST), HandBuild(error)
    backend = SwappingBackend(first, build, lambda: pytest.fail("nothing was built"))
    build.go.set()
    assert backend.join(10)
    assert np.array_equal(backend.infer(FACE)[0], FIRST)
    assert "TensorRT cannot be used: the GPU has no memory" in backend.description or "failed" in backend.description
    backend.close()
    assert first.closed


def test_a_better_engine_that_cannot_be_opened_leaves_the_first_one():
    def refuse():
        raise ModelError("TensorRT refuses the plan")

    first, build = FakeBackend(FIRST), HandBuild()
    backend = SwappingBackend(first, build, refuse)
    build.go.set()
    assert backend.join(10)
    assert "refuses the plan" in backend.description
    assert not first.closed
    backend.close()


def test_closing_stops_the_build_and_closes_what_serves():
    first, build = FakeBackend(FIRST), HandBuild()
    backend = SwappingBackend(first, build, lambda: FakeBackend(BETTER))
    backend.close()
    assert build.stopped
    assert first.closed
    assert backend.join(5)


def test_an_engine_that_is_ready_only_after_closing_is_closed_too():
    first, better, build = FakeBackend(FIRST), FakeBackend(BETTER), HandBuild()
    opening, closing = threading.Event(), threading.Event()

    def slow():
        opening.set()
        assert closing.wait(10)
        return better

    backend = SwappingBackend(first, build, slow)
    build.go.set()
    assert opening.wait(10)
    closer = threading.Thread(target=backend.close)
    closer.start()
    while not build.stopped:
        time.sleep(0.01)
    closing.set()
    closer.join(10)
    assert backend.join(10)
    assert better.closed
    assert first.closed


def build_of(code):
    return PlanBuild(None, "fp16", [sys.executable, "-c", code])


def test_a_build_in_its_own_process_tells_its_progress():
    told = []
    build_of(
        "print('building x'); print('{\"fraction\": 0.5, \"seconds_left\": null}'); "
        "print('{\"fraction\": 0.9, \"seconds_left\": 3.5}'); print('{broken')"
    ).run(lambda *one: told.append(one))
    assert told == [(0.5, None), (0.9, 3.5)]


def test_the_last_line_of_a_build_that_fails_is_the_reason():
    with pytest.raises(ModelError, match=r"^TensorRT cannot compile the model$"):
        build_of("import sys; print('edgeemo-export: TensorRT cannot compile the model'); sys.exit(2)").run(print)
    with pytest.raises(ModelError, match="ended with code"):
        build_of("import os; os.abort()").run(print)


def test_the_command_of_a_build_knows_every_precision_of_tensorrt(tmp_path):
    for precision in ("fp32", "fp16", "int8_tensorrt"):
        with pytest.raises(ModelError, match=r"^no engine folder at "):
            PlanBuild(tmp_path / "nothing", precision).run(print)


def test_stopping_ends_the_process_soon_and_before_the_start_too():
    build = build_of('import time; print(\'{"fraction": 0, "seconds_left": null}\', flush=True); time.sleep(60)')
    began = threading.Event()
    errors = []

    def work():
        try:
            build.run(lambda *_: began.set())
        except ModelError as error:
            errors.append(str(error))

    worker = threading.Thread(target=work)
    worker.start()
    assert began.wait(20)
    build.stop()
    worker.join(10)
    assert errors == ["the build was stopped"]
    with pytest.raises(ModelError, match="stopped"):
        build.run(print)


def test_a_running_session_swaps_over_and_every_frame_of_its_file_has_its_result():
    """Complete run from source to sink with the real classify stage and engine."""
    first, better, build = FakeBackend(FIRST + 1 / len(LABELS)), FakeBackend(FIRST + 1 / len(LABELS)), HandBuild()
    swapping = SwappingBackend(first, build, lambda: better)
    engine = Engine(ModelSpec("small", size=16), swapping)
    classifier = EngineClassifier(engine)

    frames, descriptions = [], []

    class Written(FakeSink):
        def write(self, result):
            frames.append(result.frame.index)
            if len(frames) == 20:
                descriptions.append(runner.engine_description)
                build.go.set()
                assert swapping.join(10)

    runner = fake_runner(FakeSource(60), classifier=classifier, count=2)
    with runner:
        # called in the runner's thread: the twentieth frame is the last one of the first engine
        runner.attach(Written())
        runner.run()
        descriptions.append(runner.engine_description)
    assert frames == list(range(60))
    assert len(first.calls) == 20
    assert len(better.calls) == 40
    assert "is being built" in descriptions[0]
    assert "being built" not in descriptions[1]
    engine.close()
