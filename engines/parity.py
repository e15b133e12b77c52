"""parity.json: the exports of a bundle's FP32 model and their parity reports.

Written by `edgeemo-export` and by `edgeemo-train bundle`; `Bundle.at` loads only accepted files.
`engines.export.compare` makes the comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from engines.json_record import load_record, save_record
from engines.layout import FILES, PARITY

EMULATED = "emulated"  # name of the emulated FP16 arithmetic among the backends of a report


class ExportRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported file.

    Attributes:
        file: its name in the bundle's folder.
        precision: a key of `FILES`.
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
    kept_float32: dict[str, str] = {}
    reports: dict[str, dict[str, Any]] = {}

    def __post_init__(self) -> None:
        # a record may only name files of its own folder
        if FILES.get(self.precision) != self.file:
            raise ValueError(f"unknown file {self.file!r} of precision {self.precision!r}")

    @property
    def accepted(self) -> bool:
        """Whether at least one runtime passed, and also the emulated arithmetic if there is a report of it."""
        if EMULATED in self.reports and not self.accepted_on(EMULATED):
            return False
        return any(self.accepted_on(backend) for backend in self.reports if backend != EMULATED)

    def accepted_on(self, backend: str) -> bool:
        return self.reports.get(backend, {}).get("accepted") is True


class ParityRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All exports of one FP32 model, which `source_sha256` names.

    Attributes:
        saliency: SHA-256 of saliency.onnx; empty if the network has no class activation.
    """

    source_sha256: str
    exports: tuple[ExportRecord, ...] = ()
    saliency: str = ""
    format: Literal[1] = 1

    def of(self, precision: str) -> ExportRecord | None:
        return next((item for item in self.exports if item.precision == precision), None)

    def with_export(self, export: ExportRecord) -> ParityRecord:
        """A copy with one export added; reports of the same file on other backends are kept."""
        before = self.of(export.precision)
        if before is not None and before.sha256 == export.sha256:
            export = msgspec.structs.replace(export, reports={**before.reports, **export.reports})
        others = tuple(item for item in self.exports if item.precision != export.precision)
        return msgspec.structs.replace(self, exports=(*others, export))

    def with_saliency(self, sha256: str) -> ParityRecord:
        return msgspec.structs.replace(self, saliency=sha256)

    def save(self, folder: Path) -> None:
        """Raises: ModelError: the folder cannot be written to."""
        save_record(folder / PARITY, self)

    @classmethod
    def about(cls, folder: Path, source: str) -> ParityRecord:
        """The record of a bundle if it is of the FP32 model with this SHA-256, else an empty record of that model.

        Raises:
            ModelError: as `load`.
        """
        there = cls.load(folder)
        return there if there is not None and there.source_sha256 == source else cls(source)

    @classmethod
    def load(cls, folder: Path) -> ParityRecord | None:
        """The record of a bundle, or None if nothing was exported.

        Raises:
            ModelError: it is unreadable or malformed.
        """
        path = folder / PARITY
        if not path.is_file():
            return None
        return load_record(path, cls, name="parity record", remedy="export the bundle again")


def summary(export: ExportRecord) -> list[str]:
    """One line for each stored report of a file: backend, data, agreement and accuracy."""
    lines = []
    for backend, report in export.reports.items():
        faces, stress, accuracy = (report.get(key) or {} for key in ("faces", "stress", "accuracy"))
        parts = [
            f"{report.get('candidate', backend)}: {'accepted' if report.get('accepted') is True else 'REJECTED'}",
            f"compared with {report.get('reference', 'FP32')} on {report.get('data', 'unknown data')}",
        ]
        if "top1" in faces:
            largest = max(faces.get("largest", 0.0), stress.get("largest", 0.0))
            parts.append(f"same top class {faces['top1']:.2%}, largest difference of a probability {largest:.2g}")
        if "candidate" in accuracy:
            parts.append(
                f"accuracy {accuracy['candidate']['accuracy']:.2%} (was {accuracy['reference']['accuracy']:.2%})"
            )
        lines.append("; ".join(parts))
    return lines
