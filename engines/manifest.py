"""parity.json: what was exported from a bundle's model, and how it compared; the runtime checks files against it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engines.errors import ModelError

FILE = "parity.json"
FORMAT = 1
EMULATED = "emulated"  # among the backends of a report: what a GPU would compute
# int8s is signed and symmetric: the form that TensorRT takes; int8 is the form for processors
PRECISIONS = ("fp32", "fp16", "int8", "int8s")
FILES = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "int8": "model.int8.onnx",
    "int8s": "model.int8s.onnx",
}
SALIENCY = "saliency.onnx"


@dataclass(frozen=True)
class Export:
    """One exported file.

    Attributes:
        file: its name in the bundle's folder.
        precision: one of `PRECISIONS`.
        sha256: of the file.
        bytes: its size.
        made_by: tool and version.
        kept_float32: node -> why it was not converted.
        reports: backend -> parity report with at least the key `accepted`.
    """

    file: str
    precision: str
    sha256: str
    bytes: int
    made_by: str = ""
    kept_float32: dict[str, str] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Some runtime gave answers within the budget, and so did the file's own arithmetic where it was emulated."""
        if EMULATED in self.reports and not self.accepted_on(EMULATED):
            return False
        return any(self.accepted_on(backend) for backend in self.reports if backend != EMULATED)

    def accepted_on(self, backend: str) -> bool:
        return self.reports.get(backend, {}).get("accepted") is True


@dataclass(frozen=True)
class Manifest:
    """All exports of one model.onnx, which `source_sha256` names.

    Attributes:
        saliency: SHA-256 of saliency.onnx, which was made with it; empty where the network has no class activation.
    """

    source_sha256: str
    exports: tuple[Export, ...] = ()
    saliency: str = ""

    def of(self, precision: str) -> Export | None:
        return next((item for item in self.exports if item.precision == precision), None)

    def with_export(self, export: Export) -> Manifest:
        """The same with one export added; reports of the same file on other backends are kept."""
        before = self.of(export.precision)
        if before is not None and before.sha256 == export.sha256:
            export = replace(export, reports={**before.reports, **export.reports})
        others = tuple(item for item in self.exports if item.precision != export.precision)
        return replace(self, exports=(*others, export))

    def save(self, folder: Path) -> None:
        data = {"format": FORMAT, **asdict(self)}
        write_whole(folder / FILE, (json.dumps(data, indent=2) + "\n").encode())

    @classmethod
    def about(cls, folder: Path, source: str) -> Manifest:
        """The manifest of a bundle if it is about the model.onnx with this SHA-256, else an empty one that is.

        Raises:
            ModelError: as `load`.
        """
        there = cls.load(folder)
        return there if there is not None and there.source_sha256 == source else cls(source)

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """The manifest of a bundle, or None where nothing was exported.

        Raises:
            ModelError: there is one, but it cannot be read or is malformed.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            manifest = cls(_string(data, "source_sha256"), tuple(_export(item) for item in data["exports"]))
            if "saliency" in data:
                manifest = replace(manifest, saliency=_string(data, "saliency"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{path} is no export manifest ({error}); export the bundle again") from error
        return manifest


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it.

    Raises:
        ModelError: the folder cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}; choose another --output") from error


def _export(data: Any) -> Export:
    if not isinstance(data, dict):
        raise ValueError("an export is no object")
    unknown = set(data) - {item.name for item in fields(Export)}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]}")
    precision = _string(data, "precision")
    # a manifest names files of its own folder, and never one elsewhere
    if precision not in PRECISIONS or _string(data, "file") != FILES[precision]:
        raise ValueError(f"unknown file {data['file']!r} of precision {precision!r}")
    _string(data, "sha256")
    if not isinstance(data.get("bytes"), int):
        raise ValueError("bytes must be a number")
    reports = data.get("reports", {})
    if not isinstance(reports, dict) or not all(isinstance(report, dict) for report in reports.values()):
        raise ValueError("reports must be objects")
    return Export(**data)


def _string(data: dict[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string")
    return value
