"""manifest.json: SHA-256 of every file that affects a bundle's predictions, checked on loading.

`edgeemo-train bundle` and `edgeemo-export` write it with `write_manifest`. It detects files that are damaged, partly
copied, mixed up or edited. It is not a signature: whoever can change a model can also change its manifest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from engines.errors import ModelError
from engines.files import sha256_of_file
from engines.json_record import load_record, save_record
from engines.layout import FILES, HASHED, MANIFEST, PARITY, SPEC, ZOO
from engines.model_file import sha256_of
from engines.parity import ParityRecord

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class HashedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: Sha256
    bytes: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of a bundle.

    Attributes:
        source_sha256: of the FP32 model, which need not ship with the bundle.
        files: name in the bundle's folder -> hash and size.
    """

    source_sha256: Sha256
    files: dict[str, HashedFile]
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        unknown = sorted(set(self.files) - set(HASHED))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a file of a bundle")

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """The manifest of a bundle, or None if it has none.

        Raises:
            ModelError: it is unreadable or malformed.
        """
        path = folder / MANIFEST
        # lexists: a folder, a pipe or a dangling link with this name must be an error, not skip the check
        return load_record(path, cls, name="manifest", remedy=remedy(folder)) if os.path.lexists(path) else None

    def missing(self, folder: Path) -> list[str]:
        """Listed files that are missing."""
        return [name for name in self.files if not (folder / name).is_file()]

    def incomplete(self, folder: Path) -> str:
        """Which listed file is missing or has another size, in one clause; else empty. Reads no file."""
        for name, listed in self.files.items():
            try:
                size = (folder / name).stat().st_size
            except OSError:
                return f"{folder / name} is missing"
            if size != listed.bytes:
                return f"{folder / name} has {size:,} bytes, {MANIFEST} lists {listed.bytes:,}"
        return ""


def write_manifest(folder: Path, *, source_sha256: str = "") -> Manifest:
    """Hash the files of a bundle's folder and write manifest.json; call it after the last file was written.

    Args:
        source_sha256: of an FP32 model that is not in the folder. Default: as in parity.json or the former manifest.

    Raises:
        ModelError: spec.json or every model is missing, the FP32 model is unknown, a file cannot be read, or the folder
            cannot be written to.
    """
    names = [name for name in HASHED if (folder / name).is_file()]
    if SPEC not in names or not set(names) & set(FILES.values()):
        missing = "model" if SPEC in names else SPEC
        raise ModelError(f"{folder} is not a bundle: it has no {missing}")
    try:
        files = {name: HashedFile(sha256_of_file(folder / name), (folder / name).stat().st_size) for name in names}
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror or error}") from error
    shipped = files.get(FILES["fp32"])
    source = shipped.sha256 if shipped is not None else source_sha256 or _known_source(folder)
    manifest = Manifest(source, files)
    save_record(folder / MANIFEST, manifest)
    return manifest


def drop_fp32(folder: Path) -> Manifest:
    """Remove model.onnx from a bundle whose FP16 or INT8 file was accepted; the manifest keeps its hash.

    Raises:
        ModelError: nothing accepted would be left, or as `write_manifest`.
    """
    path = folder / FILES["fp32"]
    source = sha256_of(path)
    record = ParityRecord.about(folder, source)
    # a report of FP32 on another runtime is of the file that would be removed
    others = [item for item in record.exports if item.file != path.name]
    if not any(item.accepted and (folder / item.file).is_file() for item in others):
        raise ModelError(f"{folder} has no accepted FP16 or INT8 file of this {path.name}: export one first")
    try:
        path.unlink()
    except OSError as error:
        raise ModelError(f"cannot remove {path}: {error.strerror or error}") from error
    return write_manifest(folder, source_sha256=source)


def remedy(folder: Path) -> str:
    """What to do about a bundle whose files differ from the manifest."""
    if folder.parent == ZOO:
        return "reinstall edgeemo, or, if you edited it on purpose, add --allow-modified"
    return (
        f"copy or make the bundle again, or, if you edited it on purpose, run: edgeemo-export --write-manifest {folder}"
    )


def _known_source(folder: Path) -> str:
    record = ParityRecord.load(folder) if (folder / PARITY).is_file() else None
    if record is not None:
        return record.source_sha256
    before = Manifest.load(folder)
    if before is not None:
        return before.source_sha256
    raise ModelError(
        f"{folder} lacks {FILES['fp32']}, and no {PARITY} or {MANIFEST} there has its hash: make the bundle again"
    )
