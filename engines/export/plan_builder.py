"""Compile a typed ONNX file into a strongly typed TensorRT plan: the file's types set the precision.

TensorRT 10.3 or later (https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html, section
"Strongly-Typed Networks"); TensorRT 11 has no other kind. `plan_exporter` calls this with the module `tensorrt`, and
tests/test_trt_contract.py checks the names used here against the real bindings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from engines.backends.tensorrt_runtime import Signature, last_error, message_log, too_old
from engines.export.errors import ExportError

# fraction done 0..1, seconds left or None while unknown; False stops the build
Progress = Callable[[float, float | None], bool]


@dataclass(frozen=True)
class PlanOptions:
    """Attributes: batch: least, typical, most faces per call. workspace: bytes. timing: an earlier `Built.timing`."""

    precision: str = "fp16"
    batch: tuple[int, int, int] = (1, 4, 16)
    workspace: int = 1 << 30
    timing: bytes = b""


@dataclass(frozen=True, eq=False)
class Built:
    """Attributes: layers: number in the plan; half_layers: number in half precision."""

    plan: bytes
    timing: bytes
    seconds: float
    layers: int
    half_layers: int


def build_plan(
    api: Any, model: bytes, inputs: Signature, options: PlanOptions, progress: Progress | None = None
) -> Built:
    """Compile for the GPU of this machine, which takes minutes.

    Args:
        model: the ONNX file of that precision.

    Raises:
        ExportError: TensorRT cannot read or compile it, or `progress` stopped it.
    """
    began = perf_counter()
    if reason := too_old(api):
        raise ExportError(reason)
    messages = message_log(api)
    builder = api.Builder(messages)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, messages)
    if not parser.parse(model):
        raise ExportError(f"TensorRT {api.__version__} cannot read the model: {_parser_error(parser, messages)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace)
    # TF32 would round FP32 to the precision of FP16
    config.clear_flag(api.BuilderFlag.TF32)
    # store in the plan the details of layers that the inspector reports
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    least, usual, most = ((size, *inputs.row) for size in options.batch)
    profile.set_shape(inputs.input, least, usual, most)
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(options.timing)
    if cache is None or not config.set_timing_cache(cache, False):
        # the cache is of another device or version: start with an empty one
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    monitor = _monitor(api, progress, began) if progress is not None else None
    if monitor is not None:
        config.progress_monitor = monitor
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        if monitor is not None and monitor.stopped:
            raise ExportError("the build was stopped")
        raise ExportError(f"TensorRT {api.__version__} cannot compile the model: {last_error(messages)}")
    cache = config.get_timing_cache()
    timing = bytes(cache.serialize()) if cache is not None else b""
    plan = bytes(serialized)
    layers, half = count_layers(api, plan)
    if options.precision == "fp16" and not half:
        raise ExportError(
            f"TensorRT {api.__version__} compiled {layers} layers and none in half precision: the plan would be FP32"
        )
    return Built(plan, timing, perf_counter() - began, layers, half)


def count_layers(api: Any, plan: bytes) -> tuple[int, int]:
    """Number of layers, and of those with half-precision inputs or outputs, from TensorRT's inspector.

    Raises:
        ExportError: TensorRT cannot read its own plan.
    """
    messages = message_log(api)
    runtime = api.Runtime(messages)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ExportError(f"TensorRT {api.__version__} cannot read its own plan: {last_error(messages)}")
    inspector = engine.create_engine_inspector()
    layers = json.loads(inspector.get_engine_information(api.LayerInformationFormat.JSON)).get("Layers", [])
    return len(layers), sum(_is_half(layer) for layer in layers)


def _is_half(layer: Any) -> bool:
    """Whether inputs or outputs are "Half" or "... FP16 format ..."; the key differs by TensorRT version."""
    if not isinstance(layer, dict):
        return False
    tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
    kinds = [str(value) for tensor in tensors for key, value in tensor.items() if key != "Name"]
    return any("FP16" in kind or "Half" in kind for kind in kinds)


def _parser_error(parser: Any, messages: Any) -> str:
    if not parser.num_errors:
        return last_error(messages)
    return " ".join(str(parser.get_error(0).desc()).split())[:200]


def _monitor(api: Any, progress: Progress, began: float) -> Any:
    """Convert TensorRT's nested phases and steps to one fraction and a remaining time."""

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
            # monotonic, because unannounced phases would make the progress jump back
            self._furthest = max(self._furthest, min(fraction(self._phases), 0.999))
            taken = perf_counter() - began
            left = taken * (1 - self._furthest) / self._furthest if self._furthest > 0.02 else None
            if not progress(self._furthest, left):
                self.stopped = True
            return not self.stopped

    return Monitor()


def fraction(phases: dict[str, tuple[str | None, int, int]]) -> float:
    """Phase -> (parent, steps, steps done) as one share: done steps, plus the share of the running child phases."""

    def share(name: str, depth: int) -> float:
        _, steps, done = phases[name]
        inside = [share(child, depth + 1) for child, (parent, _, _) in phases.items() if parent == name and depth < 16]
        return min((done + max(inside, default=0.0)) / steps, 1.0)

    roots = [name for name, (parent, _, _) in phases.items() if parent is None or parent not in phases]
    return max((share(name, 0) for name in roots), default=0.0)
