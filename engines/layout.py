"""Names of a bundle's files, folders of bundles, and the user's cache. Called by the modules of all packages.

A bundle is the folder of one trained network: specification, model files, card, parity report, manifest.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from engines.files import user_path

SPEC = "spec.json"
MANIFEST = "manifest.json"
PARITY = "parity.json"
CARD = "CARD.md"
SCORES = "scores.json"
SALIENCY = "saliency.onnx"
UNTRAINED = "UNTRAINED.txt"  # marks a bundle with random weights, for timing only

# int8_tensorrt has signed, symmetric values, as TensorRT requires; int8 is for CPUs
PRECISIONS = ("fp32", "fp16", "int8", "int8_tensorrt")
FILES = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "int8": "model.int8.onnx",
    "int8_tensorrt": "model.int8_tensorrt.onnx",
}
# the files whose hashes are in the manifest: all that determine an engine's output
HASHED = (SPEC, *FILES.values(), SALIENCY, PARITY)

ZOO = Path(__file__).parent / "zoo"


def user_folder() -> Path:
    """Folder of a user's own bundles: $EDGEEMO_ENGINES, else in the user's data folder (Linux: $XDG_DATA_HOME)."""
    chosen = os.environ.get("EDGEEMO_ENGINES")
    if chosen:
        return user_path(chosen)
    return platformdirs.user_data_path("edgeemo", appauthor=False) / "engines"


def cache_folder() -> Path:
    """Folder of data that can be made again: TensorRT plans, measured speeds, face crops.

    Linux: $XDG_CACHE_HOME/edgeemo or ~/.cache/edgeemo.
    """
    return platformdirs.user_cache_path("edgeemo", appauthor=False)
