"""Copy a bundle with its accepted exports and their reports. Needs no onnx package.

Called by `engines.export.cli` and `engines.export.shipped`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from engines.bundle import Bundle, load_bundle, user_folder
from engines.errors import ModelError
from engines.files import can_write
from engines.layout import CARD, FILES, PARITY, SALIENCY, SCORES, SPEC, UNTRAINED
from engines.manifest import write_manifest
from engines.model_file import sha256_of
from engines.parity import ParityRecord


def prepare_output(bundle: Bundle, output: Path | None) -> tuple[Bundle, Path]:
    """Prepare the output folder with the bundle's files; returns the bundle in it and the folder.

    Without `output` it is the bundle's own folder, or, if that is not writable, a folder of the same name among the
    user's engines, which takes precedence.

    Raises:
        ModelError: the folder cannot be made or written to.
    """
    if output is None:
        writable = can_write(bundle.folder)
        output = bundle.folder if writable else user_folder() / bundle.folder.name
    return copy_bundle(bundle, output), output


def copy_bundle(bundle: Bundle, output: Path) -> Bundle:
    """Copy a bundle. Exports of the same FP32 model that the folder already has stay there.

    Raises:
        ModelError: the folder cannot be made or written to, or a file cannot be read.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        if not can_write(output):
            raise PermissionError(13, "it is read-only")
        if output.resolve() == bundle.folder.resolve():
            return bundle
        _copy_files(bundle, output)
    except OSError as error:
        raise ModelError(f"cannot write to {output}: {error.strerror or error}; choose another --output") from error
    return load_bundle(output)


def _copy_files(bundle: Bundle, output: Path) -> None:
    source = bundle.source_sha256
    theirs = ParityRecord.about(bundle.folder, source)
    try:
        record = ParityRecord.about(output, source)
    except ModelError:
        record = ParityRecord(source)
    names = [UNTRAINED, SPEC, FILES["fp32"], CARD, SCORES]
    for export in theirs.exports:
        if export.accepted and not (record.of(export.precision) and (output / export.file).is_file()):
            record = record.with_export(export)
            names.append(export.file)
    if bundle.saliency is not None:
        record = record.with_saliency(theirs.saliency)
        names.append(SALIENCY)
    for name in names:
        there = output / name
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, there)
        elif name != FILES["fp32"] or (there.is_file() and sha256_of(there) != source):
            there.unlink(missing_ok=True)  # of a former bundle
    if record.exports or record.saliency or (output / PARITY).is_file():
        record.save(output)
    write_manifest(output, source_sha256=source)
