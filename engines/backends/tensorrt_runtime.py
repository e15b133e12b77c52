"""Run a plan. The module `tensorrt` and the CUDA runtime are arguments, so that this can be tested without a GPU.

The names of TensorRT's API that are used here exist in 10.3 to 11; tests/test_trt_contract.py checks them against the
real bindings. Called by `engines.backends.tensorrt`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from engines.backends.cuda import TO_DEVICE, TO_HOST, Cuda, CudaError, as_array
from engines.backends.onnxruntime import check_graph
from engines.errors import ModelError
from engines.preprocess import F32
from engines.spec import ModelSpec

log = logging.getLogger(__name__)

GRAPHS = 6  # number of batch sizes with a CUDA graph; each needs a context and its memory
# first version with strongly typed networks as used here; checked against its bindings
OLDEST = (10, 3)
FLOAT = np.dtype(np.float32).itemsize
_LOGS: list[tuple[Any, Any]] = []  # module -> logger; more than one module only in tests


@dataclass
class _Execution:
    """Execution state of one batch size; `graph` is 0 if none was recorded."""

    context: Any
    graph: int = 0


class PlanRunner:
    """A deserialised plan with its buffers: pinned on the host, one stream, CUDA graphs for the first batch sizes.

    Raises:
        ModelError: TensorRT rejects the plan.
        SpecError: it does not fit its spec.
        CudaError: the GPU has no memory left, or failed.
    """

    def __init__(self, api: Any, cuda: Cuda, plan: bytes, spec: ModelSpec, *, description: str) -> None:
        self.description = description
        self._cuda = cuda
        self._spec = spec
        self._messages = message_log(api)
        runtime = api.Runtime(self._messages)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ModelError(f"TensorRT rejects the plan ({last_error(self._messages)}); build it again")
        self._runtime, self._engine = runtime, engine
        _check(api, engine, spec)
        least, _, most = engine.get_tensor_profile_shape(spec.input, 0)
        self._least, self._most = int(least[0]), int(most[0])
        self._executions: dict[int, _Execution] = {}
        self._records = True
        self._lock = threading.Lock()
        self._row_in = spec.channels * spec.size * spec.size
        self._row_out = len(spec.labels)
        self._host: list[int] = []
        self._device: list[int] = []
        self._stream = 0
        self._shared: Any = None
        try:
            self._stream = cuda.stream()
            for row in (self._row_in, self._row_out):
                self._host.append(cuda.allocate_pinned(self._most * row * FLOAT))
                self._device.append(cuda.allocate(self._most * row * FLOAT))
        except CudaError:
            self.close()
            raise
        self._input = as_array(self._host[0], (self._most, spec.channels, spec.size, spec.size))
        self._output = as_array(self._host[1], (self._most, self._row_out))

    def infer(self, faces: F32) -> F32:
        """Run faces; more than the plan's maximum are split over several calls."""
        with self._lock:
            if self._engine is None:
                raise ModelError("this engine is closed")
            parts = [self._run(faces[row : row + self._most]) for row in range(0, len(faces), self._most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Free everything, even after errors; may be called twice."""
        with self._lock:
            cuda = self._cuda
            steps = [
                partial(cuda.close_graph, execution.graph) for execution in self._executions.values() if execution.graph
            ]
            self._executions.clear()
            self._shared = None
            steps += [partial(cuda.free_pinned, address) for address in self._host]
            steps += [partial(cuda.free, address) for address in self._device]
            if self._stream:
                steps.append(partial(cuda.close_stream, self._stream))
            self._host, self._device, self._stream = [], [], 0
            for step in steps:
                try:
                    step()
                except CudaError as error:
                    log.warning("while closing the plan: %s", error)
            # release contexts before their engine, and the engine before its runtime
            self._engine = None
            self._runtime = None

    def _run(self, faces: F32) -> F32:
        count = len(faces)
        size = max(count, self._least)
        self._input[:count] = faces
        self._input[count:size] = 0
        execution = self._executions.get(size)
        if execution is None:
            execution = self._first(size)
        elif execution.graph:
            self._cuda.launch(execution.graph, self._stream)
        else:
            self._enqueue(execution.context, size)
        self._cuda.wait(self._stream)
        return self._output[:count].copy()

    def _first(self, size: int) -> _Execution:
        """Run a batch size for the first time; its execution state is kept if there is room for another graph."""
        recorded = self._records and len(self._executions) < GRAPHS
        if recorded:
            context = self._context()
        else:
            self._shared = self._shared or self._context()
            context = self._shared
        if not context.set_input_shape(self._spec.input, (size, self._spec.channels, self._spec.size, self._spec.size)):
            raise ModelError(f"the plan does not take {size} faces ({last_error(self._messages)})")
        # run once before recording, because TensorRT prepares a shape during its first run
        self._enqueue(context, size)
        execution = _Execution(context)
        if recorded:
            self._cuda.wait(self._stream)
            execution.graph = self._record(context, size)
            if execution.graph:
                self._executions[size] = execution
        return execution

    def _record(self, context: Any, size: int) -> int:
        try:
            self._cuda.begin_capture(self._stream)
            try:
                self._enqueue(context, size)
            finally:
                graph = self._cuda.end_capture(self._stream)
            return graph
        except (CudaError, ModelError):
            # some layers cannot be recorded; every call is then enqueued
            self._records = False
            return 0

    def _context(self) -> Any:
        engine = self._engine
        context = engine.create_execution_context()
        if context is None:
            raise ModelError(f"TensorRT has no memory for the plan ({last_error(self._messages)})")
        context.set_tensor_address(self._spec.input, self._device[0])
        context.set_tensor_address(self._spec.output, self._device[1])
        return context

    def _enqueue(self, context: Any, size: int) -> None:
        cuda, stream = self._cuda, self._stream
        cuda.copy(self._device[0], self._host[0], size * self._row_in * FLOAT, TO_DEVICE, stream)
        if not context.execute_async_v3(stream):
            raise ModelError(f"TensorRT could not run the plan ({last_error(self._messages)})")
        cuda.copy(self._host[1], self._device[1], size * self._row_out * FLOAT, TO_HOST, stream)


def too_old(api: Any) -> str:
    """Why this TensorRT cannot be used, in one clause; empty if it can."""
    version = tuple(int(part) for part in str(api.__version__).split(".")[:2])
    if version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        return f"TensorRT {api.__version__} is too old: {needed} or later is needed (JetPack 6.2 has it)"
    return ""


def message_log(api: Any) -> Any:
    """The process's only logger for TensorRT, which stores the last errors instead of printing them.

    TensorRT keeps the first logger and warns about any other.
    """
    for known, messages in _LOGS:
        if known is api:
            return messages

    class Messages(api.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (api.ILogger.ERROR, api.ILogger.INTERNAL_ERROR):
                self.errors.append(" ".join(msg.split()))

    _LOGS.append((api, Messages()))
    return _LOGS[-1][1]


def last_error(messages: Any) -> str:
    return messages.errors[-1][:200] if messages.errors else "no reason given"


def _check(api: Any, engine: Any, spec: ModelSpec) -> None:
    inputs: dict[str, tuple[str, list[Any]]] = {}
    outputs: dict[str, tuple[str, list[Any]]] = {}
    for row in range(engine.num_io_tensors):
        name = engine.get_tensor_name(row)
        side = inputs if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else outputs
        kind = "tensor(float)" if engine.get_tensor_dtype(name) == api.DataType.FLOAT else "another type"
        side[name] = (kind, list(engine.get_tensor_shape(name)))
    check_graph(spec, inputs, outputs)
