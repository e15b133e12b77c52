"""A trained model as a folder: spec.json, model.onnx, CARD.md, and what was exported from it: parity.json says what."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from engines.errors import BundleNotFound, ModelError
from engines.manifest import FILES, PRECISIONS, SALIENCY, Manifest
from engines.model_file import sha256_of
from engines.spec import ModelSpec

ZOO = Path(__file__).parent / "zoo"


@dataclass(frozen=True)
class Bundle:
    """A folder that holds a model and its spec; nothing is loaded yet."""

    folder: Path
    spec: ModelSpec
    model: Path
    precision: str = "FP32"

    @property
    def card(self) -> Path:
        return self.folder / "CARD.md"

    def at(self, precision: str) -> Bundle:
        """The same bundle with the file of another precision.

        Raises:
            ModelError: it was not exported, was exported from another model.onnx, is not the file that was compared
                with the model, or did not pass that comparison.
        """
        if precision not in PRECISIONS:
            raise ModelError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
        if precision == "fp32":
            return self if self.precision == "FP32" else load_bundle(self.folder)
        again = f"run: edgeemo-export --bundle {self.folder} --{precision.removesuffix('s')}"
        manifest = Manifest.load(self.folder)
        export = manifest.of(precision) if manifest is not None else None
        path = self.folder / FILES[precision]
        if manifest is None or export is None or not path.is_file():
            raise ModelError(f"{self.spec.name} has no {precision.upper()} model; {again}")
        if manifest.source_sha256 != sha256_of(self.folder / FILES["fp32"]):
            raise ModelError(f"{path} was made from another model.onnx than the one beside it; {again}")
        if export.sha256 != sha256_of(path):
            raise ModelError(f"{path} is not the file that its parity report is about; {again}")
        if not export.accepted:
            raise ModelError(f"{path} did not pass its parity report; {again}")
        return replace(self, model=path, precision=precision.upper())

    @property
    def saliency(self) -> Path | None:
        """The file that answers with class-activation maps, whatever the precision; None where there is none.

        Raises:
            ModelError: it was made with another model.onnx, or is not the file that was made.
        """
        manifest = Manifest.load(self.folder)
        if manifest is None or not manifest.saliency:
            return None
        path = self.folder / SALIENCY
        remedy = "copy the bundle again, or delete the file to do without it"
        if not path.is_file():
            return None
        if manifest.source_sha256 != sha256_of(self.folder / FILES["fp32"]):
            raise ModelError(f"{path} was made with another model.onnx than the one beside it; {remedy}")
        if manifest.saliency != sha256_of(path):
            raise ModelError(f"{path} is not the file that the bundle was made with; {remedy}")
        return path

    def precisions(self) -> tuple[str, ...]:
        """What `at` has a file for, without checking the files."""
        try:
            manifest = Manifest.load(self.folder)
        except ModelError:
            manifest = None
        exported = () if manifest is None else tuple(item.precision for item in manifest.exports if item.accepted)
        return ("fp32", *(name for name in PRECISIONS[1:] if name in exported))


def user_folder() -> Path:
    """Where a user's own bundles live: $EDGEEMO_ENGINES, else the data folder of the XDG base directory standard."""
    chosen = os.environ.get("EDGEEMO_ENGINES")
    if chosen:
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "edgeemo" / "engines"


def bundle_names() -> list[str]:
    """Names that `find_bundle` knows: the user's own bundles, then those of the zoo."""
    return [folder.name for folder in _bundle_folders()]


def find_bundle(name: str) -> Bundle:
    """Look a bundle up by name in the user's folder, then in the zoo; a path is taken as it is.

    Raises:
        BundleNotFound: there is none; the message lists those that exist.
        SpecError, ModelError: the folder is there but its files are missing or wrong.
    """
    if os.sep in name or (os.altsep and os.altsep in name) or name in (".", ".."):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise BundleNotFound(f"no engine folder at {name}")
        return load_bundle(folder)
    for folder in _bundle_folders():
        if folder.name == name:
            return load_bundle(folder)
    known = ", ".join(bundle_names()) or "none"
    raise BundleNotFound(f"no engine named {name!r}; there are: {known} (or give the path of a bundle folder)")


def load_bundle(folder: Path) -> Bundle:
    spec = ModelSpec.load(folder / "spec.json")
    model = folder / "model.onnx"
    if not model.is_file():
        raise ModelError(f"{folder} has no model.onnx; export it again")
    return Bundle(folder, spec, model)


def _bundle_folders() -> list[Path]:
    found: dict[str, Path] = {}
    for root in (user_folder(), ZOO):
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if (folder / "spec.json").is_file():
                    found.setdefault(folder.name, folder)
    return list(found.values())
