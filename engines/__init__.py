"""Engines: trained models as files, and how to run them. The ground floor: knows neither `edgeemo` nor `trainer`."""

import os

# ONNX Runtime reads it once, when it is imported: without it version 1.29 and later send usage data and keep a database
# in the user's cache. Every import of ONNX Runtime in the three packages comes after this line.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from engines.bundle import Bundle, bundle_names, find_bundle
from engines.engine import Engine
from engines.errors import EngineError
from engines.spec import EXPRESSIONS, LABELS, CropGeometry, Emotion, ModelSpec

__all__ = [
    "EXPRESSIONS",
    "LABELS",
    "Bundle",
    "CropGeometry",
    "Emotion",
    "Engine",
    "EngineError",
    "ModelSpec",
    "bundle_names",
    "find_bundle",
]
