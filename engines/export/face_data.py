"""Load real faces for comparison and calibration, cropped with the runtime's detector and geometry.

PATH          a folder or zip of pictures. Optional labels: a labels.csv with the columns `image` and `emotion` (others
              are ignored), or folders named after the expressions.
PATH.npz      cropped faces: `faces` (N, S, S, C) uint8, and `truth` (N,), see `FaceData`
KIND:PATH     a data set that edgeemo-train reads, for example ferplus:data/ferplus.zip; no torch is needed
(no source)   variations of the portrait that ships with this package

Called by `engines.export.cli`.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.export.errors import ExportError
from engines.face_detector import FaceDetector, largest
from engines.files import user_path
from engines.preprocess import F32, U8, crop, decode
from engines.spec import EXPRESSIONS, ModelSpec

log = logging.getLogger(__name__)

I64 = npt.NDArray[np.int64]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LARGEST_PICTURE = 64 << 20
TINY = 96  # pixels; below it the detector needs the picture enlarged
PORTRAIT = Path(__file__).parent / "face.jpg"
PORTRAIT_FACE = (52.0, 52.0, 147.0, 147.0)


@dataclass(frozen=True, eq=False)
class FaceData:
    """Faces ready for a network.

    Attributes:
        name: for reports; not a path.
        faces: (N, S, S, C) uint8.
        truth: (N,) indices into `EXPRESSIONS`, or -1 for a face that has no label or is not scored.
        pictures: number of pictures searched; those missing from `faces` have no detected face.
    """

    name: str
    faces: U8
    truth: I64
    pictures: int

    def __post_init__(self) -> None:
        if self.faces.ndim != 4 or self.faces.dtype != np.uint8 or self.truth.shape != (len(self.faces),):
            raise ValueError(
                f"faces must be (N, S, S, C) uint8 with N truths, got {self.faces.shape} {self.truth.shape}"
            )

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def labelled(self) -> int:
        return int((self.truth >= 0).sum())

    def spread(self, count: int) -> FaceData:
        """At most `count` of the faces, evenly spread over all."""
        if len(self) <= count:
            return self
        rows = np.linspace(0, len(self) - 1, count).round().astype(np.int64)
        return FaceData(self.name, self.faces[rows], self.truth[rows], self.pictures)

    def halves(self, count: int) -> tuple[FaceData, FaceData]:
        """Two disjoint sets: up to `count` faces, at most half of all, evenly spread; and the others."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self) // 2)).round().astype(np.int64)
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        first, second = (
            FaceData(self.name, self.faces[mask], self.truth[mask], self.pictures) for mask in (chosen, ~chosen)
        )
        return first, second


def load_faces(source: str | None, spec: ModelSpec, *, split: str = "valid", limit: int = 0) -> FaceData:
    """Read pictures, detect faces and crop them.

    Args:
        source: see the module; None: the shipped portrait.
        split: of a KIND:PATH data set.
        limit: largest number of pictures, evenly spread; 0: all.

    Raises:
        ExportError: the source is missing, is unreadable, or shows no face.
    """
    if not source:
        return portrait(spec)
    kind, colon, rest = source.partition(":")
    path = user_path(source)
    if colon and rest and not path.exists() and len(kind) > 1:
        return _from_trainer(source, spec, split, limit)
    if path.suffix == ".npz":
        return _from_npz(path, path.name, spec, limit)
    if path.is_dir():
        files = {item.relative_to(path).as_posix(): item for item in sorted(path.rglob("*")) if item.is_file()}

        def read(name: str) -> bytes:
            if files[name].stat().st_size > LARGEST_PICTURE:
                raise ExportError(f"{files[name]} is too large: a picture has at most 64 MiB")
            return files[name].read_bytes()

        return _crop_pictures(path.name, list(files), read, spec, limit)
    if not path.is_file():
        raise ExportError(f"no faces at {source}: give a folder or zip of pictures, an .npz, or KIND:PATH")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {item.filename: item.file_size for item in archive.infolist() if not item.is_dir()}

            def read_member(name: str) -> bytes:
                if sizes[name] > LARGEST_PICTURE:
                    raise ExportError(f"{name} in {path} is too large: a picture has at most 64 MiB")
                return archive.read(name)

            return _crop_pictures(path.name, list(sizes), read_member, spec, limit)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise ExportError(f"{path} cannot be read as a zip of pictures ({error})") from error


def portrait(spec: ModelSpec, count: int = 256) -> FaceData:
    """One real face (NASA's portrait of Eileen Collins, in the public domain) with varied crop and light.

    It has one person and no labels, so real data is better.
    """
    image = cv2.imread(str(PORTRAIT))
    if image is None:
        raise ExportError(f"{PORTRAIT} is missing: reinstall edgeemo")
    random = np.random.default_rng(0)
    faces = []
    for _ in range(count):
        box = np.asarray(PORTRAIT_FACE, np.float32)
        side = box[2] - box[0]
        box = box + np.tile(random.normal(0, 0.06, 2), 2).astype(np.float32) * side
        grow = random.uniform(-0.12, 0.12) * side
        box = box + np.asarray([-grow, -grow, grow, grow], np.float32)
        lean = random.uniform(-0.4, 0.4)
        keypoints = np.zeros((6, 2), np.float32)
        keypoints[1] = np.cos(lean), np.sin(lean)
        picture = image if random.random() < 0.5 else image[:, ::-1]
        lit = picture.astype(np.float32) * random.uniform(0.3, 1.5) + random.uniform(-60, 60)
        lit += random.normal(0, random.uniform(0, 20), lit.shape)
        dim = random.random() < 0.3
        if dim:
            lit *= np.linspace(0.3, 1, lit.shape[1], dtype=np.float32)[None, :, None]
        varied = np.ascontiguousarray(lit.clip(0, 255).astype(np.uint8))
        if random.random() < 0.4:
            varied = np.asarray(cv2.GaussianBlur(varied, (0, 0), float(random.uniform(0.5, 4))), np.uint8)
        faces.append(crop(varied, box.astype(np.float32), keypoints, spec))
    name = f"{count} variations of one portrait (use --data for a real test)"
    return FaceData(name, np.stack(faces), np.full(count, -1, np.int64), 1)


def _crop_pictures(name: str, names: list[str], read: Callable[[str], bytes], spec: ModelSpec, limit: int) -> FaceData:
    pictures = sorted(item for item in names if item.lower().endswith(PICTURES) and "__MACOSX" not in item)
    if not pictures:
        raise ExportError(f"{name} holds no pictures ({', '.join(PICTURES)})")
    labels = _labels(names, pictures, read)
    if limit and len(pictures) > limit:
        pictures = [pictures[row] for row in np.linspace(0, len(pictures) - 1, limit).round().astype(int)]
    faces, truth = [], []
    with ExitStack() as stack:
        terminal = stack.enter_context(_native_noise_muted())
        detector = FaceDetector()
        stack.callback(detector.close)
        bar = tqdm(pictures, desc=f"faces of {name}", unit="face", disable=None, leave=False, file=terminal)
        for picture in bar:
            image = decode(read(picture))
            if image is None:
                log.warning("%s in %s cannot be decoded and is skipped", picture, name)
                continue
            found = _largest_face(image, detector)
            if found is not None:
                faces.append(crop(image, *found, spec))
                truth.append(labels.get(picture, -1))
    if not faces:
        raise ExportError(f"no face was found in the {len(pictures)} pictures of {name}")
    return FaceData(name, np.stack(faces), np.asarray(truth, np.int64), len(pictures))


@contextmanager
def _native_noise_muted() -> Iterator[TextIO]:
    """Silence descriptor 2, where MediaPipe logs dozens of lines; the yielded stream still writes to it."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield sys.stderr
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8", errors="replace") as terminal:
            yield terminal
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _largest_face(image: U8, detector: FaceDetector) -> tuple[F32, F32] | None:
    if min(image.shape[:2]) < TINY:
        boxes, keypoints, _ = detector.detect_in_crop(image, enlarge=4)
    else:
        boxes, keypoints, _ = detector.detect(image)
    if not len(boxes):
        return None
    row = largest(boxes)
    return boxes[row], keypoints[row]


def _labels(names: list[str], pictures: list[str], read: Callable[[str], bytes]) -> dict[str, int]:
    """Picture -> index into `EXPRESSIONS`, for labelled pictures."""
    found = {}
    # the innermost table last: it decides, and a table says nothing of pictures outside its folder
    for table in sorted((name for name in names if Path(name).name == "labels.csv"), key=len):
        by_name = dict(_rows(table, read(table)))
        root = table.removesuffix("labels.csv")
        for picture in (picture for picture in pictures if picture.startswith(root)):
            inside = picture.removeprefix(root)
            label = by_name.get(inside, by_name.get(Path(picture).name, ""))
            if label in EXPRESSIONS:
                found[picture] = EXPRESSIONS.index(label)
    for picture in pictures:
        folder = Path(picture).parent.name.lower()
        if picture not in found and folder in EXPRESSIONS:
            found[picture] = EXPRESSIONS.index(folder)
    return found


def _rows(table: str, content: bytes) -> Iterator[tuple[str, str]]:
    try:
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True):
            yield row["image"], row["emotion"]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{table} must be CSV with the columns image and emotion ({error})") from error


def _from_npz(path: Path, name: str, spec: ModelSpec, limit: int) -> FaceData:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            faces = arrays["faces"]
            truth = arrays["truth"].astype(np.int64) if "truth" in arrays else np.full(len(faces), -1, np.int64)
            pictures = int(arrays["pictures"]) if "pictures" in arrays else len(faces)
        data = FaceData(name, faces, truth, pictures)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} holds no face crops ({error}); expected `faces` (N, S, S, C) uint8") from error
    if not len(faces) or faces.shape[1:] != (spec.size, spec.size, spec.channels):
        raise ExportError(
            f"{path} holds faces of {faces.shape}, {spec.name} needs (N, {spec.size}, {spec.size}, {spec.channels})"
        )
    if truth.size and (truth.max() >= len(EXPRESSIONS) or truth.min() < -1):
        raise ExportError(f"{path}: truth must be -1 to {len(EXPRESSIONS) - 1}")
    return data.spread(limit) if limit else data


def _from_trainer(source: str, spec: ModelSpec, split: str, limit: int) -> FaceData:
    """Read a data set with edgeemo-train in a child process, because this package must not import the trainer."""
    kind = source.partition(":")[0]
    with tempfile.TemporaryDirectory(prefix="edgeemo-faces-") as scratch:
        wanted, cut = Path(scratch) / "spec.json", Path(scratch) / "faces.npz"
        wanted.write_text(spec.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "trainer.cli", "data", "crops", source, "--split", split]
        command += ["--spec", str(wanted), "--output", str(cut)]
        if limit:
            command += ["--limit", str(limit)]
        code, last = _watched(command)
        if code or not cut.is_file():
            raise ExportError(f"no faces from {source}: {last or f'edgeemo-train ended with code {code}'}")
        return _from_npz(cut, f"{kind} {split}", spec, 0)


def _watched(command: list[str]) -> tuple[int, str]:
    """Run a command, show its progress bar, hide log lines of native libraries; returns its code and last line."""
    last = ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        held = b""
        while chunk := os.read(running.stderr.fileno(), 4096):
            *whole, held = re.split(rb"[\r\n]", held + chunk)
            for line in whole:
                if line.startswith(b"faces of") and sys.stderr.isatty():
                    print(f"\r{line.decode(errors='replace')}", end="", file=sys.stderr, flush=True)
                elif line.startswith(b"edgeemo-train: "):
                    last = line.removeprefix(b"edgeemo-train: ").decode(errors="replace")
        code = running.wait()
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return code, last
