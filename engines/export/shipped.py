"""Show accepted exports with their stored parity instead of repeating them. Needs neither onnx nor faces.

Called by `engines.export.cli`.
"""

from __future__ import annotations

from pathlib import Path

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.export.bundle_copy import copy_bundle
from engines.export.errors import missing_fp32
from engines.parity import ParityRecord, summary


def is_accepted(bundle: Bundle, precision: str) -> bool:
    try:
        bundle.at(precision)
    except EngineError:
        return False
    return True


def show_accepted(bundle: Bundle, precisions: list[str], output: Path | None) -> list[str]:
    """Print path and stored parity of accepted exports; with `output` the bundle is copied there first.

    Returns:
        The precisions that still have to be made.

    Raises:
        EngineError: a file is not the accepted one, or a missing precision cannot be made from this bundle.
    """
    name = bundle.spec.name
    accepted = [precision for precision in precisions if is_accepted(bundle, precision)]
    missing = [precision for precision in precisions if precision not in accepted]
    if missing and not bundle.has_fp32:
        has = ", ".join(precision.upper() for precision in bundle.precisions() if precision != "fp32")
        raise EngineError(f"{name} has {has}, no {missing[0].upper()}: {missing_fp32(bundle)}")
    if accepted and any(precision.startswith("int8") for precision in missing):
        option = missing[0].replace("_", "-")
        raise EngineError(
            f"{name} has an accepted {accepted[0].upper()}, but no {missing[0].upper()}: to make it, add "
            f"--calibration PATH with labelled faces; to see the other, omit --{option}"
        )
    if accepted and not missing and output is not None:
        bundle = copy_bundle(bundle, output)
    record = ParityRecord.load(bundle.folder)
    for precision in accepted:
        chosen = bundle.at(precision)
        chosen.read()
        export = record.of(precision) if record is not None else None
        assert export is not None
        print(f"{chosen.model}: {precision.upper()} of {name}, {export.bytes / 1e6:.2f} MB, accepted")
        for line in summary(export):
            print(f"  {line}")
    return missing
