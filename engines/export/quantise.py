"""Quantise a graph to INT8 with ONNX Runtime's tool: Q/DQ pairs, weights per channel, ranges from real faces.

There are two kinds, because x86 processors and TensorRT need different integer formats:

    int8            unsigned activations with a zero point: fastest on x86 processors
    int8_tensorrt   signed and symmetric, float32 biases: the only form that TensorRT accepts

The method of setting ranges, and the layers that stay float32, are chosen on faces held out from the calibration.
Called by `engines.export.exporter`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from tqdm import tqdm

from engines.export.compare import compare_probs
from engines.export.errors import ExportError
from engines.export.face_data import FaceData
from engines.export.graph import Loaded, layers, predict, watch
from engines.preprocess import F32, batch
from engines.spec import ModelSpec
from engines.terminal import first_line

QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Split", "Relu")
WEIGHTED = ("Conv", "Gemm", "MatMul")
TARGET = 0.005  # largest mean KL on held-out faces; a network that quantises well is below a tenth of it
HELD_OUT = 4  # every fourth face is held out, the others calibrate
FEWEST = 32  # smallest number of faces for calibration, and number of faces for ranking layers
BATCH = 16
HISTOGRAM_MEMORY = 1 << 30  # memory limit of Percentile calibration, which stores every activation of every face


@dataclass(frozen=True, eq=False)
class Quantised:
    """Attributes: kept: layer -> why it stays float32. divergence: mean KL on held-out faces."""

    model: ModelProto
    kept: dict[str, str]
    divergence: float
    made_by: str


class _Faces(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, faces: F32) -> None:
        self._name = name
        # Percentile calibration needs batches of equal size
        self._faces = faces[: max(len(faces) // BATCH, 1) * BATCH]
        self._next = 0

    def get_next(self) -> dict[str, F32] | None:
        start, self._next = self._next, self._next + BATCH
        return {self._name: self._faces[start : self._next]} if start < len(self._faces) else None


@dataclass(frozen=True, eq=False)
class _Job:
    prepared: Path
    folder: Path
    input: str
    faces: F32
    judges: F32
    expected: F32
    signed: bool

    def make(self, method: str, faces: F32, excluded: list[str]) -> tuple[ModelProto, float]:
        """Quantise; returns the model and its mean KL on held-out faces."""
        path = self.folder / "quantised.onnx"
        options: dict[str, Any] = {"ActivationSymmetric": self.signed, "WeightSymmetric": True}
        if self.signed:
            # TensorRT needs float32 biases, and Q/DQ pairs at the weights
            options |= {"QuantizeBias": False, "AddQDQPairToWeight": True}
        try:
            with _quietly():
                quantize_static(
                    str(self.prepared),
                    str(path),
                    _Faces(self.input, faces),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(QUANTISED),
                    nodes_to_exclude=excluded,
                    per_channel=True,
                    activation_type=QuantType.QInt8 if self.signed else QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod[method],
                    extra_options=options,
                )
            model = onnx.load(str(path))
            answered = _predict(Loaded(model, ""), self.judges)
        except Exception as error:  # the tool raises plain exceptions of all kinds
            raise ExportError(f"the model cannot be quantised: {first_line(error)}") from error
        return model, compare_probs(self.expected, answered).kl_mean


def to_int8(model: ModelProto, calibration: FaceData, spec: ModelSpec, *, signed: bool = False) -> Quantised:
    """Quantise a model.

    Args:
        model: from `graph.parse`.
        calibration: real faces; labels are not used.
        signed: the form for TensorRT.

    Raises:
        ExportError: there are too few faces, or the tool fails.
    """
    if len(calibration) < 2 * FEWEST:
        raise ExportError(f"{len(calibration)} faces are too few for calibration; use {2 * FEWEST} or more, best 512")
    held = np.arange(len(calibration)) % HELD_OUT == 0
    faces = batch(list(calibration.faces[~held]), spec)
    judges = batch(list(calibration.faces[held]), spec)
    with tempfile.TemporaryDirectory(prefix="edgeemo-int8-") as scratch:
        folder = Path(scratch)
        prepared = folder / "prepared.onnx"
        onnx.save(model, str(folder / "float.onnx"))
        with _quietly():
            quant_pre_process(
                str(folder / "float.onnx"), str(prepared), skip_symbolic_shape=True, skip_optimization=True
            )
        job = _Job(prepared, folder, spec.input, faces, judges, predict(model, judges), signed)
        normalising = _before_weights(model)
        method, job, made, divergence = _best_method(job, model, list(normalising))
        kept = dict(normalising)
        if divergence > TARGET:
            for name, alone in _ranked(job, model, method, set(kept)):
                kept[name] = f"quantising only this layer gives a KL of {alone:.3g}"
                made, divergence = job.make(method, _few(job.faces), list(kept))
                if divergence <= TARGET:
                    break
            made, divergence = job.make(method, job.faces, list(kept))
    return Quantised(made, kept, divergence, f"onnxruntime {ort.__version__}, ranges by {method}")


def _best_method(job: _Job, model: ModelProto, excluded: list[str]) -> tuple[str, _Job, ModelProto, float]:
    """Quantise with ranges of all values (MinMax) and of 99.999 % of them (Percentile).

    Returns:
        The method with the lower divergence, the job with the faces that it has memory for, its model, that divergence.
    """
    bytes_per_face = sum(item.nbytes for item in next(watch(model, job.faces[:1])).values())
    fit = min(len(job.faces), HISTOGRAM_MEMORY // max(bytes_per_face, 1))
    methods = [("MinMax", job.faces)]
    if fit >= FEWEST:
        methods.append(("Percentile", job.faces[np.linspace(0, len(job.faces) - 1, fit).round().astype(int)]))
    tried = []
    for method, faces in tqdm(methods, desc="setting ranges", unit="method", disable=None, leave=False):
        made, divergence = job.make(method, faces, excluded)
        tried.append((method, replace(job, faces=faces), made, divergence))
    return min(tried, key=lambda one: one[3])


def _ranked(job: _Job, model: ModelProto, method: str, kept: set[str]) -> list[tuple[str, float]]:
    """Each layer with weights, with the divergence of quantising only this layer; largest first."""
    every = [node.name for node in model.graph.node]
    found = []
    names = [name for name in layers(model, WEIGHTED) if name not in kept]
    for name in tqdm(names, desc="ranking layers", unit="layer", disable=None, leave=False):
        _, divergence = job.make(method, _few(job.faces), [other for other in every if other != name])
        found.append((name, divergence))
    return sorted(found, key=lambda item: -item[1])


def _few(faces: F32) -> F32:
    return faces[:: max(len(faces) // FEWEST, 1)]


def _before_weights(model: ModelProto) -> dict[str, str]:
    """Nodes of the normalisation (before the first layer with weights), which needs more than 8 bits."""
    grown = {item.name for item in model.graph.input}
    weighted: set[str] = set()
    found = {}
    for node in model.graph.node:
        if any(name in weighted for name in node.input) or node.op_type in WEIGHTED:
            weighted.update(node.output)
        elif any(name in grown for name in node.input):
            grown.update(node.output)
            if node.op_type in QUANTISED:
                found[node.name] = "it belongs to the normalisation"
    return found


def _predict(loaded: Loaded, faces: F32) -> F32:
    return np.concatenate([loaded.infer(faces[row : row + BATCH]) for row in range(0, len(faces), BATCH)])


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the tool, which prints progress and logs to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        root.setLevel(level)
