"""The error tree of exporting.

EngineError
└── ExportError             an input is missing or unusable, or a tool failed; nothing was written
"""

from __future__ import annotations

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.layout import FILES


class ExportError(EngineError):
    pass


def missing_fp32(bundle: Bundle) -> str:
    """What to do if an export needs the FP32 model and the bundle ships without it."""
    name = bundle.spec.name
    return (
        f"{name} ships without the FP32 model, which this export needs: copy it to {bundle.folder / FILES['fp32']} "
        f"(SHA-256 {bundle.source_sha256[:16]}...), or train it: edgeemo-train fit --network {name} --data KIND:PATH, "
        f"then edgeemo-export --checkpoint runs/{name} --data KIND:PATH"
    )
