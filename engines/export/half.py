"""Convert a graph to typed FP16 with float32 input and output; critical nodes stay float32.

First the float32 graph runs on real faces and stress inputs; a node stays float32 if one of its values, or the sum
inside a reduction, comes near FP16's range. Then the converted graph is compared with the model, with FP16's rounding
emulated; until its error is below half the tolerance, the most sensitive node is restored to FP32. Called by
`engines.export.exporter`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto
from onnxconverter_common.float16 import convert_float_to_float16
from tqdm import tqdm

from engines.export.emulate import LARGEST, emulate_half
from engines.export.errors import ExportError
from engines.export.graph import constants, predict, producers, try_predict, watch
from engines.preprocess import F32
from engines.terminal import first_line

SMALLEST = 5.96e-8  # smallest number of FP16, a subnormal
HEADROOM = 4.0  # safety factor, because other data may have larger values
TARGET = 0.01  # largest error: half the budget, because other data may have larger errors
MOST_FLIPS = 0.0025  # largest share of probes whose top class may change
PROBES, FEWEST = 64, 4  # largest and smallest number of probes for ranking the nodes
RANKING_S = 300  # approximate time limit of the ranking
MADE_BY = "onnxconverter-common"


@dataclass(frozen=True, eq=False)
class Converted:
    """Attributes: kept: node -> why it stays float32. difference: largest difference of a probability on the probes."""

    model: ModelProto
    kept: dict[str, str]
    difference: float
    made_by: str


def to_half(model: ModelProto, probes: F32) -> Converted:
    """Convert a model to FP16.

    Args:
        model: from `graph.parse`.
        probes: (N, C, S, S) float32 in 0..255, faces and stress inputs for the two measurements.

    Raises:
        ExportError: the converter fails.
    """
    expected = predict(model, probes)
    kept = overflowing(model, probes)
    half = convert(model, list(kept))
    found = cost(expected, half, probes)
    if not found.acceptable:
        for name, alone in ranked(model, expected, probes, set(kept)):
            kept[name] = f"alone it {alone}"
            half = convert(model, list(kept))
            found = cost(expected, half, probes)
            if found.acceptable:
                break
    return Converted(half, kept, found.difference, f"{MADE_BY} {version(MADE_BY)}")


@dataclass(frozen=True, order=True)
class Cost:
    """Error of FP16 on the probes.

    Attributes:
        difference: largest difference of a probability.
        flips: share of probes whose top class changes.
    """

    difference: float
    flips: float

    @property
    def acceptable(self) -> bool:
        return self.difference <= TARGET and self.flips <= MOST_FLIPS

    @property
    def rank(self) -> float:
        return max(self.difference / TARGET, self.flips / MOST_FLIPS)

    def __str__(self) -> str:
        return f"changes a probability by {self.difference:.3g} and the top class of {self.flips:.1%} of the probes"


def cost(expected: F32, half: ModelProto, probes: F32) -> Cost:
    """Error with emulated FP16 rounding; infinite if the model fails or returns NaN or infinity."""
    answered = try_predict(emulate_half(half), probes)
    if answered is None:
        return Cost(float("inf"), 1.0)
    flips = (answered.argmax(axis=1) != expected.argmax(axis=1)).mean()
    return Cost(float(np.abs(answered - expected).max()), float(flips))


def overflowing(model: ModelProto, probes: F32) -> dict[str, str]:
    """Node -> why it must stay float32, from the range of its values."""
    largest: dict[str, float] = {}
    sums: dict[str, float] = {}
    values = constants(model)
    reductions = [node for node in model.graph.node if node.op_type in ("ReduceMean", "ReduceSum", "GlobalAveragePool")]
    squares = [node for node in model.graph.node if node.op_type in ("ReduceSumSquare", "ReduceL2")]
    for tensors in watch(model, probes):
        for name, tensor in tensors.items():
            largest[name] = max(largest.get(name, 0.0), float(np.abs(tensor).max(initial=0)))
        for node in (*reductions, *squares):
            taken = np.abs(tensors[node.input[0]].astype(np.float64))
            taken = taken**2 if node in squares else taken
            total = taken.sum(axis=_axes(node, values, taken.ndim))
            sums[node.name] = max(sums.get(node.name, 0.0), float(total.max(initial=0)))
    for name, value in values.items():
        if value.dtype == np.float32:
            largest[name] = float(np.abs(value).max(initial=0))
    limit = LARGEST / HEADROOM
    kept: dict[str, str] = {}
    for node in model.graph.node:
        met = max((largest.get(name, 0.0) for name in (*node.input, *node.output)), default=0.0)
        if not met <= limit:
            kept[node.name] = f"a value reaches {met:.6g}"
        elif sums.get(node.name, 0.0) > limit:
            kept[node.name] = f"it sums up to {sums[node.name]:.6g}"
    return {**kept, **_between(model, kept)}


def ranked(model: ModelProto, expected: F32, probes: F32, kept: set[str]) -> list[tuple[str, Cost]]:
    """Each node that is not in `kept`, with the cost of converting only this node to FP16; largest first."""
    names = [node.name for node in model.graph.node if node.name not in kept and node.op_type != "Constant"]
    began = perf_counter()
    try_predict(emulate_half(convert(model, [])), probes[:4])
    each = (perf_counter() - began) / 4
    count = int(np.clip(RANKING_S / max(each * len(names), 1e-9), FEWEST, min(PROBES, len(probes))))
    few = np.linspace(0, len(probes) - 1, count).round().astype(int)
    found = []
    for name in tqdm(names, desc="ranking nodes", unit="node", disable=None, leave=False):
        alone = convert(model, [node.name for node in model.graph.node if node.name != name])
        found.append((name, cost(expected[few], alone, probes[few])))
    return sorted(found, key=lambda item: -item[1].rank)


def convert(model: ModelProto, kept: list[str]) -> ModelProto:
    """Convert all nodes but `kept` to FP16; inputs and outputs of the graph stay float32.

    Raises:
        ExportError: the converter fails.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns about every weight that rounds to the smallest FP16 number
            half: Any = convert_float_to_float16(
                copy,
                min_positive_val=SMALLEST,
                max_finite_val=LARGEST,
                keep_io_types=True,
                # no operators are excluded by default: the nodes to keep were found by measurement
                op_block_list=[],
                node_block_list=list(kept),
            )
        _restore_float_outputs(half)
        onnx.checker.check_model(half, full_check=True)
    except Exception as error:  # converter and checker raise exceptions of many types
        raise ExportError(f"the model cannot be converted to FP16: {first_line(error)}") from error
    assert isinstance(half, ModelProto)
    return half


def _restore_float_outputs(model: ModelProto) -> None:
    """Undo a cast to FP16 that the converter (1.16) appends despite keep_io_types if the last node is kept."""
    made_by = producers(model)
    for output in model.graph.output:
        node = made_by[output.name]
        if output.type.tensor_type.elem_type == TensorProto.FLOAT16 and node.op_type == "Cast":
            node.attribute[0].i = TensorProto.FLOAT
            output.type.tensor_type.elem_type = TensorProto.FLOAT


def _between(model: ModelProto, kept: dict[str, str]) -> dict[str, str]:
    """Nodes between float32 nodes, where FP16 would only add two casts."""
    made_by = producers(model)
    initial = set(constants(model)) | {item.name for item in model.graph.input}
    needed = {name for node in model.graph.node if node.name in kept for name in node.input}
    found: dict[str, str] = {}
    for node in model.graph.node:
        sources = [made_by[name] for name in node.input if name in made_by and name not in initial]
        if (
            node.name not in kept
            and set(node.output) & needed
            and all(source.name in kept or source.name in found for source in sources)
        ):
            found[node.name] = "between float32 nodes"
    return found


def _axes(node: NodeProto, values: dict[str, Any], dimensions: int) -> tuple[int, ...]:
    if node.op_type == "GlobalAveragePool":
        return tuple(range(2, dimensions))
    for attribute in node.attribute:
        if attribute.name == "axes":
            return tuple(int(axis) for axis in attribute.ints)
    if len(node.input) > 1 and node.input[1] in values:
        return tuple(int(axis) for axis in np.asarray(values[node.input[1]]).ravel())
    return tuple(range(dimensions))
