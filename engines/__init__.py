"""Engines: trained models as files, and how to run them. The ground floor: knows neither `edgeemo` nor `trainer`."""

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
