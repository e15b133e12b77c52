"""INT8 as a typed ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto

from engines.build.faces import FaceData
from engines.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Quantised:
    model: ModelProto
    kept: dict[str, str]
    made_by: str


def to_int8(model: ModelProto, calibration: FaceData, spec: ModelSpec) -> Quantised:
    raise NotImplementedError
