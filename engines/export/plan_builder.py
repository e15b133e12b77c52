"""Compiles a typed ONNX file into a TensorRT plan, with both generations of its API.

    TensorRT 8.5 to 10    weakly typed: builder flags allow FP16 and INT8, and layers that are float32 in the file are
                          held at float32
    TensorRT 11           strongly typed: the file's own types are the precision

TensorRT's module is handed in; tests/test_trt_contract.py holds the names that are used against the real bindings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from engines.backends.tensorrt_runtime import last_error, message_log
from engines.export.errors import ExportError
from engines.spec import ModelSpec

# fraction done 0..1, seconds left or None while unknown; False stops the build
Progress = Callable[[float, float | None], bool]


@dataclass(frozen=True)
class PlanOptions:
    """Attributes: batch: faces a call, least, usual and most. workspace: bytes. timing: what `Built.timing` was."""

    precision: str = "fp16"
    batch: tuple[int, int, int] = (1, 4, 16)
    workspace: int = 1 << 30
    timing: bytes = b""


@dataclass(frozen=True, eq=False)
class Built:
    plan: bytes
    timing: bytes
    seconds: float


def generation(api: Any) -> int:
    """TensorRT's major version.

    Raises:
        ExportError: it is older than 8.5, whose tensors have no names.
    """
    parts = [int(part) for part in str(api.__version__).split(".")[:2]]
    if parts < [8, 5]:
        raise ExportError(f"TensorRT {api.__version__} is too old: 8.5 or later is needed (JetPack 5.1)")
    return parts[0]


def build_plan(
    api: Any, model: bytes, spec: ModelSpec, options: PlanOptions, progress: Progress | None = None
) -> Built:
    """Compile for the GPU of this machine. Takes minutes.

    Args:
        model: the ONNX file of that precision.

    Raises:
        ExportError: TensorRT cannot read or compile it, or `progress` stopped it.
    """
    began = perf_counter()
    major = generation(api)
    messages = message_log(api)
    builder = api.Builder(messages)
    network = builder.create_network(_network_flags(api, major))
    parser = api.OnnxParser(network, messages)
    if not parser.parse(model):
        raise ExportError(f"TensorRT {api.__version__} cannot read the model: {_parser_error(parser, messages)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace)
    # FP32 shall mean FP32: its ten bits would be FP16's
    config.clear_flag(api.BuilderFlag.TF32)
    if major < 11:
        _allow_precision(api, network, config, options.precision)
    profile = builder.create_optimization_profile()
    least, usual, most = ((size, spec.channels, spec.size, spec.size) for size in options.batch)
    profile.set_shape(spec.input, least, usual, most)
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(options.timing)
    if cache is None or not config.set_timing_cache(cache, False):
        # one of another device or version: begin an empty one
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    monitor = _monitor(api, progress, began) if progress is not None and hasattr(api, "IProgressMonitor") else None
    if monitor is not None:
        config.progress_monitor = monitor
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        if monitor is not None and monitor.stopped:
            raise ExportError("the build was stopped")
        raise ExportError(f"TensorRT {api.__version__} cannot compile the model: {last_error(messages)}")
    cache = config.get_timing_cache()
    timing = bytes(cache.serialize()) if cache is not None else b""
    return Built(bytes(serialized), timing, perf_counter() - began)


def _network_flags(api: Any, major: int) -> int:
    if major >= 11:
        return _strongly_typed(api)
    return _explicit_batch(api) if major < 10 else 0


def _strongly_typed(api: Any) -> int:
    return 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _explicit_batch(api: Any) -> int:
    # the only way from 10 on, where naming it is deprecated
    return 1 << int(api.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)


def _allow_precision(api: Any, network: Any, config: Any, precision: str) -> None:
    """TensorRT 8.5 to 10: what the file's types say, said once more with flags."""
    if precision == "int8s":
        # what has no Q/DQ stays float32, as in the file
        config.set_flag(api.BuilderFlag.INT8)
    elif precision == "fp16":
        config.set_flag(api.BuilderFlag.FP16)
        config.set_flag(api.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        for row in range(network.num_layers):
            layer = network.get_layer(row)
            if layer.type in (api.LayerType.CONSTANT, api.LayerType.SHAPE, api.LayerType.CAST):
                continue
            kinds = {layer.get_output(output).dtype for output in range(layer.num_outputs)}
            if kinds == {api.DataType.FLOAT}:
                layer.precision = api.DataType.FLOAT


def _parser_error(parser: Any, messages: Any) -> str:
    if not parser.num_errors:
        return last_error(messages)
    return " ".join(str(parser.get_error(0).desc()).split())[:200]


def _monitor(api: Any, progress: Progress, began: float) -> Any:
    """TensorRT reports nested phases of so many steps; they become one fraction and a time left."""

    class Monitor(api.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self.stopped = False
            self._phases: dict[str, tuple[str | None, int, int]] = {}
            self._furthest = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = (parent_phase, max(num_steps, 1), 0)

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                parent, steps, _ = self._phases[phase_name]
                self._phases[phase_name] = (parent, steps, min(step + 1, steps))
            # never back: phases that were not announced would make it jump
            self._furthest = max(self._furthest, min(fraction(self._phases), 0.999))
            taken = perf_counter() - began
            left = taken * (1 - self._furthest) / self._furthest if self._furthest > 0.02 else None
            if not progress(self._furthest, left):
                self.stopped = True
            return not self.stopped

    return Monitor()


def fraction(phases: dict[str, tuple[str | None, int, int]]) -> float:
    """Phase -> (parent, steps, steps done) as one share: a phase's own steps, and in the next one its children."""

    def share(name: str, depth: int) -> float:
        _, steps, done = phases[name]
        inside = [share(child, depth + 1) for child, (parent, _, _) in phases.items() if parent == name and depth < 16]
        return min((done + max(inside, default=0.0)) / steps, 1.0)

    roots = [name for name, (parent, _, _) in phases.items() if parent is None or parent not in phases]
    return max((share(name, 0) for name in roots), default=0.0)
