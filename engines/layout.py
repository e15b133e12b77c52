"""The files of a bundle by name, and the folders that bundles lie in."""

from __future__ import annotations

import os
from pathlib import Path

SPEC = "spec.json"
MANIFEST = "manifest.json"
PARITY = "parity.json"
CARD = "CARD.md"
SCORES = "scores.json"
SALIENCY = "saliency.onnx"

# int8_tensorrt is signed and symmetric: the form that TensorRT takes; int8 is the form for processors
PRECISIONS = ("fp32", "fp16", "int8", "int8_tensorrt")
FILES = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "int8": "model.int8.onnx",
    "int8_tensorrt": "model.int8_tensorrt.onnx",
}
# what a manifest has the hashes of: everything that decides what an engine answers
HASHED = (SPEC, *FILES.values(), SALIENCY, PARITY)

ZOO = Path(__file__).parent / "zoo"


def user_folder() -> Path:
    """Where a user's own bundles live: $EDGEEMO_ENGINES, else the data folder of the XDG base directory standard."""
    chosen = os.environ.get("EDGEEMO_ENGINES")
    if chosen:
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "edgeemo" / "engines"
