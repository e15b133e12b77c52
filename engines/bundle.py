"""A trained model as a folder: spec.json, models in one or more precisions, CARD.md, parity.json and manifest.json.

`Engine`, the backends, `edgeemo-export` and `edgeemo-train` open bundles here, and read a model's bytes with
`Bundle.read`, which checks them against the manifest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from engines.errors import BundleNotFound, ModelError
from engines.files import read_file, user_path
from engines.layout import (
    CARD,
    FILES,
    MANIFEST,
    PARITY,
    PRECISIONS,
    SALIENCY,
    SCORES,
    SPEC,
    UNTRAINED,
    ZOO,
    user_folder,
)
from engines.manifest import Manifest, remedy
from engines.model_file import DamagedModel, check_model, read_model, sha256_of
from engines.parity import ParityRecord
from engines.spec import ModelSpec
from engines.widen import widen

__all__ = ["ZOO", "Accuracy", "Bundle", "bundle_names", "find_bundle", "load_bundle", "user_folder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accuracy:
    """A bundle's accuracy from scores.json: top-1 and its 95 % interval, all 0..1."""

    data: str
    split: str
    faces: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Bundle:
    """A folder with a model and its spec; the model is not loaded.

    Attributes:
        model: the file that runs.
        precision: precision at which the model runs.
        manifest: None if the folder has none.
        sha256: hash of `model` in its parity record; empty if only the manifest has it.
        expanded: `model` is the FP16 file and runs at FP32, because the bundle ships without its FP32 model.
        allow_modified: files that differ from the manifest are used, with a warning.
    """

    folder: Path
    spec: ModelSpec
    model: Path
    precision: str = "FP32"
    manifest: Manifest | None = None
    sha256: str = ""
    expanded: bool = False
    allow_modified: bool = False

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def card(self) -> Path:
        return self.folder / CARD

    @property
    def untrained(self) -> bool:
        """The weights are random: the bundle can be exported and timed, but `Engine.open` refuses it."""
        return (self.folder / UNTRAINED).is_file()

    @property
    def precision_name(self) -> str:
        """The precision for messages, for example "FP16" or "FP32 from FP16"."""
        return f"{self.precision} from FP16" if self.expanded else self.precision

    @property
    def source_sha256(self) -> str:
        """SHA-256 of the FP32 model, which need not be in the folder.

        Raises:
            ModelError: there is no manifest and model.onnx cannot be read.
        """
        if self.manifest is not None:
            return self.manifest.source_sha256
        return sha256_of(self.folder / FILES["fp32"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what determines the outputs, except for rounding: the FP32 model and the spec.

        Raises:
            ModelError: the model cannot be read.
        """
        # a modified model differs from the manifest's hash
        source = sha256_of(self.model) if self.allow_modified else self.source_sha256
        return hashlib.sha256(f"{source} {self.spec}".encode()).hexdigest()

    @property
    def accuracy(self) -> Accuracy | None:
        """The accuracy in scores.json; None if the file is missing or malformed."""
        try:
            found = json.loads(read_file(self.folder / SCORES))
            low, high = found["interval_95"]
            return Accuracy(
                str(found["data"]),
                str(found["split"]),
                int(found["faces"]),
                float(found["accuracy"]),
                float(low),
                float(high),
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def read(self) -> bytes:
        """The bytes of the ONNX file that runs, checked by `read_model` and against manifest and parity record.

        Raises:
            ModelError: it is missing, damaged, or not the listed file.
        """
        content = read_model(self.model)
        self._check(self.model, content)
        if not self.expanded:
            return content
        try:
            widened = widen(content)
            check_model(widened)
        except DamagedModel as error:
            raise ModelError(f"{self.model} cannot be expanded to FP32: {error}; use onnx:fp16") from error
        return widened

    def at(self, precision: str) -> Bundle:
        """The same bundle with the file of another precision; `read` checks the file.

        Raises:
            ModelError: it was not exported, was exported from another FP32 model, or did not pass parity.
        """
        if precision not in PRECISIONS:
            raise ModelError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
        if precision == self.precision.lower():
            return self
        if precision == "fp32":
            return self._at_fp32()
        again = f"run: edgeemo-export --bundle {self.folder} --{precision.replace('_', '-')}"
        record = self._record()
        export = record.of(precision) if record is not None else None
        path = self.folder / FILES[precision]
        if record is None or export is None or not path.is_file():
            raise ModelError(f"{self.spec.name} has no {precision.upper()} model; {again}")
        if record.source_sha256 != self.source_sha256:
            raise ModelError(f"{path} was made from another {FILES['fp32']} than the bundle's; {again}")
        if not export.accepted:
            raise ModelError(f"{path} did not pass its parity report; {again}")
        return replace(self, model=path, precision=precision.upper(), sha256=export.sha256, expanded=False)

    @property
    def saliency(self) -> Path | None:
        """The file that computes class-activation maps, for every precision; None if there is none.

        Raises:
            ModelError: it was made from another FP32 model, or was changed.
        """
        record = self._record()
        path = self.folder / SALIENCY
        if record is None or not record.saliency or not path.is_file():
            return None
        again = "copy the bundle again, or delete the file to do without it"
        if record.source_sha256 != self.source_sha256:
            raise ModelError(f"{path} was made for another {FILES['fp32']} than the bundle's; {again}")
        if record.saliency != sha256_of(path):
            raise ModelError(f"{path} was changed after the bundle was made; {again}")
        return path

    def precisions(self) -> tuple[str, ...]:
        """Precisions that `at` has a file for; the files are not checked."""
        try:
            record = ParityRecord.load(self.folder)
        except ModelError:
            record = None
        accepted = {item.precision for item in record.exports if item.accepted} if record is not None else set()
        exported = {name for name in accepted if (self.folder / FILES[name]).is_file()}
        if (self.folder / FILES["fp32"]).is_file() or "fp16" in exported:
            exported.add("fp32")
        return tuple(name for name in PRECISIONS if name in exported)

    def sizes(self) -> dict[str, int]:
        """Precision -> bytes of its file; FP32 only if model.onnx is in the folder."""
        files = {name: self.folder / FILES[name] for name in self.precisions()}
        return {name: path.stat().st_size for name, path in files.items() if path.is_file()}

    @property
    def has_fp32(self) -> bool:
        """Whether model.onnx is in the folder."""
        return (self.folder / FILES["fp32"]).is_file()

    def _at_fp32(self) -> Bundle:
        path = self.folder / FILES["fp32"]
        if path.is_file():
            return replace(self, model=path, precision="FP32", sha256="", expanded=False)
        try:
            return replace(self.at("fp16"), precision="FP32", expanded=True)
        except ModelError as error:
            raise ModelError(
                f"{self.spec.name} ships without its FP32 model and without an FP16 file to expand; "
                f"it runs at {', '.join(self.precisions())}"
            ) from error

    def _record(self) -> ParityRecord | None:
        path = self.folder / PARITY
        if self.manifest is not None and path.is_file():
            self._check(path, _bytes_of(path))
        return ParityRecord.load(self.folder)

    def _check(self, path: Path, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        listed = self.manifest.files.get(path.name) if self.manifest is not None else None
        fault, fix = "", remedy(self.folder)
        if listed is not None and listed.sha256 != digest:
            fault = f"{path} differs from its entry in {MANIFEST}"
        elif self.manifest is not None and listed is None and path.name == FILES["fp32"]:
            # the user added the FP32 model to a bundle that ships without it
            fault = "" if digest == self.manifest.source_sha256 else f"{path} is not the model that {MANIFEST} names"
        elif path == self.model and self.sha256 and self.sha256 != digest:
            fault = f"{path} is not the file that its parity report describes"
            fix = f"run: edgeemo-export --bundle {self.folder} --{self.precision.lower().replace('_', '-')} --force"
        if fault and not self.allow_modified:
            raise ModelError(f"{fault}; {fix}")
        if fault:
            log.warning("%s; it is used because of allow_modified", fault)


def bundle_names() -> list[str]:
    """Names that `find_bundle` knows: the user's own bundles, then those of the zoo."""
    return list(_bundle_folders())


def find_bundle(name: str, *, allow_modified: bool = False) -> Bundle:
    """Open a bundle by path, or by name in the user's folder, then in the zoo.

    Raises:
        BundleNotFound: there is none; the message lists those that exist.
        SpecError, ModelError: files of the bundle are missing or wrong.
    """
    if os.sep in name or (os.altsep and os.altsep in name) or name in (".", ".."):
        folder = user_path(name)
        if not folder.is_dir():
            raise BundleNotFound(f"no engine folder at {name}")
        return load_bundle(folder, allow_modified=allow_modified)
    known = _bundle_folders()
    if name in known:
        return load_bundle(known[name], allow_modified=allow_modified)
    names = ", ".join(known) or "none"
    raise BundleNotFound(f"no engine named {name!r}; there are: {names} (or give the path of a bundle folder)")


def load_bundle(folder: Path, *, allow_modified: bool = False) -> Bundle:
    """Open a folder at FP32, or at the best available precision if FP32 is not available.

    spec.json, parity.json and the sizes of all listed files are checked against the manifest here; a model's hash is
    checked when it is read.

    Raises:
        SpecError: spec.json is missing or malformed.
        ModelError: there is no model, or a file differs from the manifest.
    """
    spec = ModelSpec.load(folder / SPEC)
    manifest = Manifest.load(folder)
    bundle = Bundle(folder, spec, folder / FILES["fp32"], manifest=manifest, allow_modified=allow_modified)
    if manifest is None:
        _warn_unchecked(folder)
    else:
        bundle._check(folder / SPEC, _bytes_of(folder / SPEC))
        if not allow_modified and (fault := manifest.incomplete(folder)):
            raise ModelError(f"{fault}; {remedy(folder)}")
    if bundle.has_fp32:
        return bundle
    precisions = bundle.precisions() if manifest is not None else ()
    if not precisions:
        raise ModelError(
            f"{folder} has no {FILES['fp32']}, and no {MANIFEST} lists an export to use instead; make it again"
        )
    return bundle._at_fp32() if "fp32" in precisions else bundle.at(precisions[0])


@cache
def _warn_unchecked(folder: Path) -> None:
    log.warning(
        "%s has no %s, so its files are not checked; to add one: edgeemo-export --write-manifest %s",
        folder,
        MANIFEST,
        folder,
    )


def _bundle_folders() -> dict[str, Path]:
    """Name -> folder. A user's bundle replaces the shipped one of the same name, unless it is incomplete."""
    found: dict[str, Path] = {}
    for root in (user_folder(), ZOO):
        if not root.is_dir():
            continue
        for folder in sorted(root.iterdir()):
            if not (folder / SPEC).is_file():
                continue
            own = found.setdefault(folder.name, folder)
            if own != folder and (reason := _lacks(own, folder)):
                log.warning("%s is skipped and the shipped %s used: %s", own, folder.name, reason)
                found[folder.name] = folder
    return found


def _lacks(own: Path, shipped: Path) -> str:
    """What a user's folder lacks compared with the shipped bundle of the same name, in one clause; else empty."""
    try:
        mine, theirs = (Bundle(folder, ModelSpec("any"), folder / FILES["fp32"]) for folder in (own, shipped))
        mine, theirs = (replace(one, manifest=Manifest.load(one.folder)) for one in (mine, theirs))
        missing = mine.manifest.missing(own) if mine.manifest is not None else [] if mine.has_fp32 else [FILES["fp32"]]
        if missing:
            return f"it lacks {missing[0]}"
        fewer = set(theirs.precisions()) - set(mine.precisions())
        if fewer and mine.source_sha256 == theirs.source_sha256:
            return f"it lacks {', '.join(sorted(fewer))}"
    except ModelError:
        # opening the bundle reports the reason
        return ""
    return ""


def _bytes_of(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
