"""A small TensorRT and a small CUDA that compute with ONNX Runtime on the CPU.

It has only names of the real API, which tests/test_trt_contract.py checks against the real bindings. Work on a stream
is done only when the caller waits for it, so a missing wait gives wrong numbers here, too.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from engines.backends.cuda import CudaError, Gpu, as_array


class FakeCuda:
    """Attributes: live: allocations not yet freed. launched: number of graphs launched."""

    def __init__(self, *, gpu: Gpu | None = None, records: bool = True) -> None:
        self.live: dict[int, Any] = {}
        self.launched = 0
        self._gpu = gpu or Gpu("Orin", "8.7", 8)
        self._records = records
        self._pending: dict[int, list[Callable[[], None]]] = {}
        self._captured: dict[int, list[Callable[[], None]]] = {}
        self._graphs: dict[int, list[Callable[[], None]]] = {}
        self._next = 1

    def gpu(self) -> Gpu:
        return self._gpu

    def allocate(self, size: int) -> int:
        memory = ctypes.create_string_buffer(size)
        self.live[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def free(self, address: int) -> None:
        del self.live[address]

    allocate_pinned, free_pinned = allocate, free

    def stream(self) -> int:
        self._next += 1
        self._pending[self._next] = []
        self.live[self._next] = "stream"
        return self._next

    def close_stream(self, stream: int) -> None:
        del self.live[stream]
        del self._pending[stream]

    def wait(self, stream: int) -> None:
        work, self._pending[stream] = self._pending[stream], []
        for step in work:
            step()

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.enqueue(stream, lambda: ctypes.memmove(target, source, size))

    def begin_capture(self, stream: int) -> None:
        if not self._records:
            raise CudaError("cudaStreamBeginCapture failed: not permitted")
        self._captured[stream] = []

    def end_capture(self, stream: int) -> int:
        if stream not in self._captured:
            raise CudaError("cudaStreamEndCapture failed: nothing was begun")
        self._next += 1
        self._graphs[self._next] = self._captured.pop(stream)
        self.live[self._next] = "graph"
        return self._next

    def launch(self, graph: int, stream: int) -> None:
        self.launched += 1
        self._pending[stream] += self._graphs[graph]

    def close_graph(self, graph: int) -> None:
        del self.live[graph]

    def enqueue(self, stream: int, step: Callable[[], Any]) -> None:
        self._captured.get(stream, self._pending[stream]).append(step)


def make_api(version: str, cuda: FakeCuda, *, fails: str = "", widens: bool = False) -> Any:
    """The module `tensorrt` for builder and runner.

    Args:
        fails: message with which compiling fails; empty: it succeeds.
        widens: the compiler makes every layer FP32, whatever the file says.
    """
    major = int(version.split(".")[0])

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self) -> None:
            pass

        def log(self, severity: Any, msg: str) -> None:
            raise NotImplementedError

    class IProgressMonitor:
        def __init__(self) -> None:
            pass

    class DataType(IntEnum):
        FLOAT = 0
        HALF = 1
        INT64 = 2
        UINT8 = 3

    class LayerInformationFormat(IntEnum):
        ONELINE = 0
        JSON = 1

    class ProfilingVerbosity(IntEnum):
        LAYER_NAMES_ONLY = 0
        NONE = 1
        DETAILED = 2

    class TensorIOMode(IntEnum):
        NONE = 0
        INPUT = 1
        OUTPUT = 2

    class MemoryPoolType(IntEnum):
        WORKSPACE = 0

    BuilderFlag = IntEnum("BuilderFlag", ["TF32"], start=0)  # noqa: N806
    flags = ["EXPLICIT_BATCH"] if major < 11 else []
    NetworkDefinitionCreationFlag = IntEnum(  # noqa: N806
        "NetworkDefinitionCreationFlag", [*flags, "STRONGLY_TYPED"], start=0
    )

    class INetworkDefinition:
        def __init__(self, flags: int) -> None:
            self.flags = flags
            self._model = b""

    class ParserError:
        def __init__(self, text: str) -> None:
            self._text = text

        def desc(self) -> str:
            return self._text

    class OnnxParser:
        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self._network = network
            self._errors: list[ParserError] = []

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> ParserError:
            return self._errors[index]

        def parse(self, model: bytes) -> bool:
            try:
                onnx.checker.check_model(onnx.load_model_from_string(model))
            except Exception as error:
                self._errors.append(ParserError(f"cannot parse:\n{type(error).__name__}"))
                return False
            self._network._model = model
            return True

    class IOptimizationProfile:
        def __init__(self) -> None:
            self._shapes: dict[str, list[list[int]]] = {}

        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
            self._shapes[input] = [list(min), list(opt), list(max)]

    class ITimingCache:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def serialize(self) -> bytes:
            return self._content

    class IBuilderConfig:
        def __init__(self) -> None:
            self.progress_monitor: Any = None
            self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
            self._flags = {"TF32"}
            self._profile: IOptimizationProfile | None = None
            self._cache: ITimingCache | None = None
            self._pools: dict[int, int] = {}

        def clear_flag(self, flag: Any) -> None:
            self._flags.discard(flag.name)

        def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
            self._pools[pool] = pool_size

        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            self._profile = profile
            return 0

        def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
            return ITimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            if cache._content and not cache._content.startswith(version.encode()):
                return False
            self._cache = cache
            return True

        def get_timing_cache(self) -> ITimingCache | None:
            return self._cache

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
            if fails:
                self._logger.log(ILogger.ERROR, fails)
                return None
            monitor = config.progress_monitor
            if monitor is not None:
                monitor.phase_start("Building", None, 2)
                for step in range(2):
                    monitor.phase_start("Tactics", "Building", 4)
                    for inner in range(4):
                        if not monitor.step_complete("Tactics", inner):
                            return None
                    monitor.phase_finish("Tactics")
                    monitor.step_complete("Building", step)
                monitor.phase_finish("Building")
            assert config._profile is not None
            assert config._cache is not None
            config._cache._content = f"{version} timing".encode()
            facts = {
                "version": version,
                "shapes": config._profile._shapes,
                "detailed": config.profiling_verbosity == ProfilingVerbosity.DETAILED,
                "network": network.flags,
                "pools": list(config._pools.values()),
                "tf32": "TF32" in config._flags,
            }
            return b"PLAN" + json.dumps(facts).encode() + b"\0" + network._model

    class IExecutionContext:
        def __init__(self, session: ort.InferenceSession) -> None:
            self._session = session
            self._addresses: dict[str, int] = {}
            self._shape: tuple[int, ...] = ()

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return True

        def set_input_shape(self, name: str, shape: Any) -> bool:
            self._shape = tuple(shape)
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            shape = self._shape
            cuda.enqueue(stream_handle, lambda: self._compute(shape))
            return True

        def _compute(self, shape: tuple[int, ...]) -> None:
            (source,) = self._session.get_inputs()
            kind = np.uint8 if source.type == "tensor(uint8)" else np.float32
            given = as_array(self._addresses[source.name], shape, kind).copy()
            for target, answer in zip(
                self._session.get_outputs(), self._session.run(None, {source.name: given}), strict=True
            ):
                as_array(self._addresses[target.name], answer.shape)[:] = np.asarray(answer, np.float32)

    class EngineInspector:
        def __init__(self, facts: dict[str, Any], model: bytes) -> None:
            self._facts = facts
            self._model = model

        def get_engine_information(self, format: LayerInformationFormat) -> str:
            graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(self._model)).graph
            kinds = {item.name: item.type.tensor_type.elem_type for item in (*graph.value_info, *graph.output)}
            if not self._facts["detailed"]:
                return json.dumps({"Layers": [node.name for node in graph.node]})
            names = {10: "Float" if widens else "Half"}
            layers = [
                {
                    "Name": node.name,
                    "Inputs": [],
                    "Outputs": [
                        {"Name": f"FP16 {name}", "Format/Datatype": names.get(kinds.get(name, 0), "Float")}
                        for name in node.output
                    ],
                }
                for node in graph.node
            ]
            return json.dumps({"Layers": layers})

    class ICudaEngine:
        def __init__(self, facts: dict[str, Any], model: bytes) -> None:
            self._model = model
            self._session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
            self._facts = facts
            self._inputs = {item.name: item for item in self._session.get_inputs()}
            self._all = {**self._inputs, **{item.name: item for item in self._session.get_outputs()}}

        @property
        def num_io_tensors(self) -> int:
            return len(self._all)

        def get_tensor_name(self, index: int) -> str:
            return list(self._all)[index]

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> DataType:
            kinds = {"tensor(float)": DataType.FLOAT, "tensor(uint8)": DataType.UINT8}
            return kinds.get(self._all[name].type, DataType.HALF)

        def get_tensor_shape(self, name: str) -> list[int]:
            return [size if isinstance(size, int) else -1 for size in self._all[name].shape]

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
            shapes: list[list[int]] = self._facts["shapes"][name]
            return shapes

        def create_engine_inspector(self) -> EngineInspector:
            return EngineInspector(self._facts, self._model)

        def create_execution_context(self) -> IExecutionContext:
            return IExecutionContext(self._session)

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            head, _, model = serialized_engine.partition(b"\0")
            facts = json.loads(head[4:]) if head[:4] == b"PLAN" else {"version": "nothing known"}
            if facts["version"] != version:
                self._logger.log(ILogger.ERROR, f"the plan is of {facts['version']}, this is {version}")
                return None
            return ICudaEngine(facts, model)

    names = dict(locals())
    return SimpleNamespace(
        __version__=version,
        **{name: value for name, value in names.items() if isinstance(value, type)},
    )


def facts_of(plan: bytes) -> dict[str, Any]:
    """The settings that a fake plan was built with."""
    facts: dict[str, Any] = json.loads(plan.partition(b"\0")[0][4:])
    return facts
