"""What can go wrong while exporting.

EngineError
└── ExportError             an input is missing or unusable, or a tool gave up; nothing was written
"""

from __future__ import annotations

from engines.errors import EngineError


class ExportError(EngineError):
    pass
