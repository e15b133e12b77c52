"""A trained model as a folder: spec.json, model.onnx, CARD.md."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engines.errors import BundleNotFound, ModelError
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
