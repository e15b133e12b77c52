"""Running plans: buffers, batches, graphs, refusal; with a small TensorRT that computes on the CPU."""

import numpy as np
import pytest
from fake_tensorrt import FakeCuda, make_api
from fakes import make_bundle

from engines.backends.cuda import CudaError
from engines.backends.onnxruntime import OrtBackend
from engines.backends.tensorrt_runtime import GRAPHS, PlanRunner, Signature, message_log
from engines.bundle import find_bundle
from engines.errors import ModelError, SpecError
from engines.export.plan_builder import PlanOptions, build_plan
from engines.spec import ModelSpec


@pytest.fixture
def bundle(tmp_path):
    return find_bundle(str(make_bundle(tmp_path / "tiny")))


def runner(bundle, cuda, *, version="10.3.0", batch=(1, 4, 16), spec=None):
    api = make_api(version, cuda)
    plan = build_plan(api, bundle.model.read_bytes(), Signature.of(bundle.spec), PlanOptions("fp32", batch)).plan
    return PlanRunner(api, cuda, plan, spec or bundle.spec, description="fake")


def inputs(count, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, 1, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("version", ["10.3.0", "10.16.2", "11.4.0"])
@pytest.mark.parametrize("count", [1, 3, 16, 17, 40])
def test_a_plan_answers_like_the_model_for_any_number_of_faces(bundle, version, count):
    cuda = FakeCuda()
    plan = runner(bundle, cuda, version=version)
    expected = OrtBackend(bundle).infer(inputs(count))
    for _ in range(3):
        assert np.allclose(plan.infer(inputs(count)), expected, atol=1e-6)
    plan.close()


def test_from_the_second_call_on_a_batch_size_is_one_launch_of_its_graph(bundle):
    cuda = FakeCuda()
    plan = runner(bundle, cuda)
    for call in range(5):
        plan.infer(inputs(2, call))
        assert cuda.launched == call
    one, other = plan.infer(inputs(2, 7)), plan.infer(inputs(2, 8))
    assert not np.allclose(one, other)
    plan.close()


def test_only_the_first_batch_sizes_get_a_graph_and_the_others_still_answer(bundle):
    cuda = FakeCuda()
    plan = runner(bundle, cuda)
    backend = OrtBackend(bundle)
    for _ in range(2):
        for count in range(1, GRAPHS + 4):
            assert np.allclose(plan.infer(inputs(count, count)), backend.infer(inputs(count, count)), atol=1e-6)
    assert cuda.launched == GRAPHS
    plan.close()


def test_where_the_gpu_cannot_record_every_call_is_enqueued(bundle):
    cuda = FakeCuda(records=False)
    plan = runner(bundle, cuda)
    expected = OrtBackend(bundle).infer(inputs(2))
    for _ in range(3):
        assert np.allclose(plan.infer(inputs(2)), expected, atol=1e-6)
    assert cuda.launched == 0
    plan.close()


def test_fewer_faces_than_the_plan_takes_are_filled_up(bundle):
    cuda = FakeCuda()
    plan = runner(bundle, cuda, batch=(4, 4, 8))
    plan.infer(inputs(8))
    answer = plan.infer(inputs(1, 3))
    assert answer.shape == (1, 11)
    assert np.allclose(answer, OrtBackend(bundle).infer(inputs(1, 3)), atol=1e-6)
    plan.close()


def test_closing_gives_back_all_memory_streams_and_graphs_and_may_be_done_twice(bundle):
    cuda = FakeCuda()
    plan = runner(bundle, cuda)
    plan.infer(inputs(1))
    plan.infer(inputs(3))
    assert cuda.live
    plan.close()
    plan.close()
    assert not cuda.live


def test_a_closed_engine_refuses_to_run(bundle):
    plan = runner(bundle, FakeCuda())
    plan.close()
    with pytest.raises(ModelError, match="this engine is closed"):
        plan.infer(inputs(1))


def test_closing_frees_the_rest_where_one_thing_cannot_be_freed(bundle, caplog):
    class Failing(FakeCuda):
        def close_graph(self, graph):
            super().close_graph(graph)
            raise CudaError("cudaGraphExecDestroy failed: the device is lost")

    cuda = Failing()
    plan = runner(bundle, cuda)
    plan.infer(inputs(1))
    plan.infer(inputs(2))
    plan.close()
    assert not cuda.live
    assert caplog.text.count("the device is lost") == 2


def test_one_logger_serves_a_process(bundle):
    api = make_api("10.3.0", FakeCuda())
    assert message_log(api) is message_log(api)


def test_an_answer_is_not_overwritten_by_the_next_call(bundle):
    plan = runner(bundle, FakeCuda())
    first = plan.infer(inputs(2, 1))
    before = first.copy()
    plan.infer(inputs(2, 2))
    assert np.array_equal(first, before)
    plan.close()


def test_a_plan_of_another_version_is_refused_with_tensorrts_reason(bundle):
    cuda = FakeCuda()
    plan = build_plan(
        make_api("10.3.0", cuda), bundle.model.read_bytes(), Signature.of(bundle.spec), PlanOptions("fp32")
    ).plan
    with pytest.raises(ModelError, match=r"rejects the plan \(the plan is of 10\.3\.0.*build it again"):
        PlanRunner(make_api("10.7.0", cuda), cuda, plan, bundle.spec, description="")
    assert not cuda.live


def test_random_bytes_are_no_plan(bundle):
    with pytest.raises(ModelError, match="rejects the plan"):
        PlanRunner(make_api("10.3.0", FakeCuda()), FakeCuda(), b"\x00" * 100, bundle.spec, description="")


def test_a_plan_that_does_not_fit_its_spec_is_refused(bundle):
    with pytest.raises(SpecError, match="input of float32"):
        runner(bundle, FakeCuda(), spec=ModelSpec("tiny", size=32))
