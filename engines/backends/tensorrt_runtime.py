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
Tensors = dict[str, tuple[str, list[Any]]]  # name -> type, shape
_LOGS: list[tuple[Any, Any]] = []  # module -> logger; more than one module only in tests


@dataclass
class _Execution:
    """Execution state of one batch size; `graph` is 0 if none was recorded."""

    context: Any
    graph: int = 0


@dataclass(frozen=True)
class Signature:
    """A graph's input and outputs, as name -> shape of one row. Outputs are float32.

    Attributes:
        kind: type of the input's elements, np.float32 or np.uint8.
    """

    input: str
    row: tuple[int, ...]
    outputs: dict[str, tuple[int, ...]]
    kind: type[np.generic] = np.float32

    @classmethod
    def of(cls, spec: ModelSpec) -> Signature:
        return cls(spec.input, (spec.channels, spec.size, spec.size), {spec.output: (len(spec.labels),)})

    def bytes_per_row(self) -> list[int]:
        """Of the input and of each output."""
        sizes = [int(np.prod(self.row)) * np.dtype(self.kind).itemsize]
        return sizes + [int(np.prod(shape)) * FLOAT for shape in self.outputs.values()]


class PlanNetwork:
    """A deserialised plan with its buffers: pinned on the host, one stream, CUDA graphs for the first batch sizes.

    Raises:
        ModelError: TensorRT rejects the plan, or it does not have these inputs and outputs.
        CudaError: the GPU has no memory left, or failed.
    """

    def __init__(self, api: Any, cuda: Cuda, plan: bytes, signature: Signature, *, description: str) -> None:
        self.description = description
        self._cuda = cuda
        self._signature = signature
        self._messages = message_log(api)
        runtime = api.Runtime(self._messages)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ModelError(f"TensorRT rejects the plan ({last_error(self._messages)}); build it again")
        self._runtime, self._engine = runtime, engine
        self._expect_fits(*_graph(api, engine))
        least, _, most = engine.get_tensor_profile_shape(signature.input, 0)
        self._least, self._most = int(least[0]), int(most[0])
        self._executions: dict[int, _Execution] = {}
        self._records = True
        self._lock = threading.Lock()
        self._host: list[int] = []
        self._device: list[int] = []
        self._stream = 0
        self._shared: Any = None
        try:
            self._stream = cuda.stream()
            for size in signature.bytes_per_row():
                self._host.append(cuda.allocate_pinned(self._most * size))
                self._device.append(cuda.allocate(self._most * size))
        except CudaError:
            self.close()
            raise
        self._input = as_array(self._host[0], (self._most, *signature.row), signature.kind)
        shapes = signature.outputs.values()
        self._outputs = [
            as_array(host, (self._most, *shape)) for host, shape in zip(self._host[1:], shapes, strict=True)
        ]

    def run(self, rows: np.ndarray) -> list[F32]:
        """(N, *row), N >= 1 -> (N, *shape) for each output; more rows than the plan's maximum take several calls."""
        with self._lock:
            if self._engine is None:
                raise ModelError("this engine is closed")
            parts = [self._run(rows[row : row + self._most]) for row in range(0, len(rows), self._most)]
        return parts[0] if len(parts) == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]

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

    def _expect_fits(self, inputs: Tensors, outputs: Tensors) -> None:
        wanted = self._signature
        kind = "tensor(uint8)" if wanted.kind is np.uint8 else "tensor(float)"
        right = {wanted.input: kind, **dict.fromkeys(wanted.outputs, "tensor(float)")}
        if {name: kind for name, (kind, _) in (inputs | outputs).items()} != right:
            raise ModelError(f"the plan does not have the inputs and outputs {', '.join(right)}; build it again")

    def _run(self, rows: np.ndarray) -> list[F32]:
        count = len(rows)
        size = max(count, self._least)
        self._input[:count] = rows
        self._input[count:size] = 0
        execution = self._executions.get(size)
        if execution is None:
            execution = self._first(size)
        elif execution.graph:
            self._cuda.launch(execution.graph, self._stream)
        else:
            self._enqueue(execution.context, size)
        self._cuda.wait(self._stream)
        return [output[:count].copy() for output in self._outputs]

    def _first(self, size: int) -> _Execution:
        """Run a batch size for the first time; its execution state is kept if there is room for another graph."""
        recorded = self._records and len(self._executions) < GRAPHS
        if recorded:
            context = self._context()
        else:
            self._shared = self._shared or self._context()
            context = self._shared
        if not context.set_input_shape(self._signature.input, (size, *self._signature.row)):
            raise ModelError(f"the plan does not take {size} rows ({last_error(self._messages)})")
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
        for name, address in zip((self._signature.input, *self._signature.outputs), self._device, strict=True):
            context.set_tensor_address(name, address)
        return context

    def _enqueue(self, context: Any, size: int) -> None:
        cuda, stream = self._cuda, self._stream
        into, *out_of = zip(self._device, self._host, self._signature.bytes_per_row(), strict=True)
        device, host, row = into
        cuda.copy(device, host, size * row, TO_DEVICE, stream)
        if not context.execute_async_v3(stream):
            raise ModelError(f"TensorRT could not run the plan ({last_error(self._messages)})")
        for device, host, row in out_of:
            cuda.copy(host, device, size * row, TO_HOST, stream)


class PlanRunner(PlanNetwork):
    """The plan of a bundle.

    Raises:
        ModelError, CudaError: as for every plan.
        SpecError: it does not fit its spec.
    """

    def __init__(self, api: Any, cuda: Cuda, plan: bytes, spec: ModelSpec, *, description: str) -> None:
        self._spec = spec
        super().__init__(api, cuda, plan, Signature.of(spec), description=description)

    def infer(self, faces: F32) -> F32:
        """(N, C, S, S) -> (N, K)."""
        return self.run(faces)[0]

    def _expect_fits(self, inputs: Tensors, outputs: Tensors) -> None:
        check_graph(self._spec, inputs, outputs)


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


def _graph(api: Any, engine: Any) -> tuple[Tensors, Tensors]:
    """Inputs and outputs of a plan."""
    kinds = {api.DataType.FLOAT: "tensor(float)", api.DataType.UINT8: "tensor(uint8)"}
    inputs: Tensors = {}
    outputs: Tensors = {}
    for row in range(engine.num_io_tensors):
        name = engine.get_tensor_name(row)
        side = inputs if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else outputs
        side[name] = (kinds.get(engine.get_tensor_dtype(name), "another type"), list(engine.get_tensor_shape(name)))
    return inputs, outputs
