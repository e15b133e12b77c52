"""Crop the faces of a data set once, with the runtime's detector and geometry, and keep them in a cache.

Called by training, evaluation, `trainer.export` and `edgeemo-train data`. A cache folder holds faces.npy
(memory-mapped), rows.npy (their pictures' numbers) and skipped.csv. While the cache is made, faces are appended in the
data set's order to files named *.part and progress.json stores the state, so that a killed run continues. Finished
files are replaced, never changed: other processes may have them mapped.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import multiprocessing
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.face_detector import FaceDetector, largest, resolve_runtime
from engines.files import atomic_path, atomic_write, replace_file
from engines.lock import hold_lock
from engines.preprocess import F32, U8, crop
from engines.spec import EXPRESSIONS, ModelSpec
from trainer.data.dataset import Dataset, Skipped, crop_key
from trainer.data.ferplus import TYPICAL_BOX
from trainer.errors import DataError, PictureError

CHUNK = 128  # pictures that a process crops at once; 6 MB of faces at 128 px
CACHE_VERSION = 3  # increment it when crops change: older caches are then ignored
SMALL = 2000  # fewer pictures are cropped in this process, because starting others would take longer
HEADER = 128  # bytes of a .npy header, enough for every shape that occurs
NO_FACE = "no face found"
WHOLE_PICTURE = "no face found: the whole picture is used"
BOX_OUTSIDE = "the data set's box is outside the picture"
# up to this size and aspect ratio, a picture without a detection counts as a tight face crop
CROP_SIDE, CROP_RATIO = 256, 1.5
BLANK = 4.0  # a picture with a smaller standard deviation of grey levels is blank
LARGEST_BOX = 4  # times the picture's longer side; a crop of a larger box takes memory without limit
MIN_IOU = 0.3  # a detection with a smaller overlap with the data set's box is another face


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces ready for a network: (N, S, S, C) uint8, their pictures' numbers in the data set, and the targets.

    `scored`: (N,) which of them the protocol scores; `classes`: those that it distinguishes; `whole_pictures`: number
    of tight crops without a detection, used as a whole.
    """

    faces: U8
    rows: npt.NDArray[np.int64]
    targets: F32
    scored: npt.NDArray[np.bool_]
    classes: tuple[str, ...] = EXPRESSIONS
    whole_pictures: int = 0

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,) index into `EXPRESSIONS`, or -1 for a face that is not scored or shows none of them."""
        top = self.targets.argmax(axis=1)
        return np.asarray(np.where(self.scored & (top < len(EXPRESSIONS)), top, -1), np.int64)


def expect_pictures(data: Dataset) -> None:
    """Raises: DataError: the data set has only finished crops, in which no face can be detected."""
    if data.cropped:
        raise DataError(f"{data.name} holds only crops of faces, but whole pictures are needed: name the original data")


def find_face(
    image: U8, detector: FaceDetector, enlarge: float = 1.0, near: F32 | None = None
) -> tuple[F32, F32] | None:
    """The largest face of a picture, or the one at the box `near`.

    Args:
        enlarge: factor by which the picture is enlarged for the detector (tiny pictures that a face fills).

    Returns:
        Box (4,) and keypoints (6, 2) in the picture's pixels, or None.
    """
    if enlarge != 1:
        boxes, keypoints, _ = detector.detect_in_crop(image, enlarge=enlarge)
    else:
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        boxes, keypoints, _ = detector.detect(image)
    if not len(boxes):
        return None
    if near is None:
        best = largest(boxes)
    else:
        overlaps = _iou(boxes, near)
        best = int(np.argmax(overlaps))
        if overlaps[best] < MIN_IOU:
            return None
    return boxes[best], keypoints[best]


def crop_faces(
    data: Dataset, rows: Iterable[int], spec: ModelSpec, skipped: list[Skipped] | None = None
) -> Iterator[tuple[int, U8]]:
    """Yield row and (S, S, C) crop of each picture with a known, detected or default face box.

    If the data set gives box and keypoints, they are used; if only a box, the detector looks for the face there. A
    tight crop without a detection is used as a whole and also added to `skipped`, with the reason `WHOLE_PICTURE`.
    Pictures that are unreadable, show no face or have their box outside are added to `skipped` and left out.
    """
    reported = [] if skipped is None else skipped
    with contextlib.ExitStack() as stack:
        detector: FaceDetector | None = None
        for row in rows:
            try:
                image = data.read(row)
            except PictureError as error:
                reported.append(Skipped(data.images[row], error.reason))
                continue
            if data.cropped:
                yield row, finished_crop(image, spec)
                continue
            box = _known(data.boxes, row)
            if box is not None and not _is_inside(box, image):
                reported.append(Skipped(data.images[row], BOX_OUTSIDE))
                continue
            keypoints = _known(data.keypoints, row)
            if box is None or keypoints is None:
                if detector is None:
                    detector = _detector() if multiprocessing.parent_process() else FaceDetector()
                    if not multiprocessing.parent_process():
                        stack.callback(detector.close)
                found = find_face(image, detector, data.enlarge, near=box)
                if found is not None:
                    box, keypoints = found
                elif box is None and data.default_box is not None:
                    box = np.asarray(data.default_box, np.float32)
                elif box is None and _is_tight_crop(image):
                    box = _whole_box(image)
                    reported.append(Skipped(data.images[row], WHOLE_PICTURE))
            if box is not None:
                yield row, crop(image, box, keypoints, spec)
            else:
                reported.append(Skipped(data.images[row], NO_FACE))


def finished_crop(image: U8, spec: ModelSpec) -> U8:
    """A stored BGR crop in the size and colour order of the spec."""
    if image.shape[:2] != (spec.size, spec.size):
        image = np.asarray(cv2.resize(image, (spec.size, spec.size), interpolation=cv2.INTER_AREA), np.uint8)
    if spec.channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)[:, :, None]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _is_inside(box: F32, image: U8) -> bool:
    """Whether the box's centre is in the picture, and the box is not a mistake of another order of magnitude."""
    height, width = image.shape[:2]
    x, y = (box[:2] + box[2:]) / 2
    small = (box[2:] - box[:2]).max() <= LARGEST_BOX * max(height, width)
    return bool(0 <= x < width and 0 <= y < height and small)


def _is_tight_crop(image: U8) -> bool:
    short, long = sorted(image.shape[:2])
    return bool(long <= CROP_SIDE and long <= CROP_RATIO * short and image.std() > BLANK)


def _whole_box(image: U8) -> F32:
    """The detector's box, assuming that the picture is framed like those of FER+."""
    height, width = image.shape[:2]
    return np.asarray(np.array([width, height, width, height]) * TYPICAL_BOX / 48, np.float32)


def load_faces(data: Dataset, spec: ModelSpec, cache: Path | None = None, *, num_workers: int = 1) -> FaceSet:
    """All faces of a split; with a cache folder they are cropped once and memory-mapped afterwards.

    Args:
        num_workers: processes that crop faces, only with a cache. More than 1 starts new interpreters, so the main
            program must be importable (an `if __name__ == "__main__"` guard).

    Raises:
        DataError: no picture of the split has a face, the cache cannot be written, or the pictures are crops of
            another geometry.
    """
    if data.cropped and data.cropped != crop_key(spec.colour, asdict(spec.crop)):
        raise DataError(
            f"{data.name} holds crops of another colour or geometry than {spec.name} takes ({spec.colour}): write them "
            f"with edgeemo-train data shard --network {spec.name}"
        )
    if cache is None:
        skipped: list[Skipped] = []
        crops = list(crop_faces(data, range(len(data)), spec, skipped))
        rows = np.array([row for row, _ in crops], np.int64)
        if not crops:
            raise _nothing(data, skipped)
        faces = np.stack([face for _, face in crops])
    else:
        folder = cache_folder(data, spec, cache)
        try:
            if not _is_complete(data, folder):
                _prepare(data, spec, folder, num_workers)
            faces = np.load(folder / "faces.npy", mmap_mode="r")
            rows = np.load(folder / "rows.npy")
        except OSError as error:
            raise DataError(f"cannot keep faces in {folder}: {error.strerror or error}") from error
        except (ValueError, EOFError) as error:  # for example after a power cut
            raise DataError(f"the faces in {folder} are damaged ({error}): delete this folder") from error
        skipped = _read_skipped(folder / "skipped.csv")
    whole = sum(item.reason == WHOLE_PICTURE for item in skipped)
    return FaceSet(faces, rows, data.targets[rows], data.scored[rows], data.classes, whole)


def _is_complete(data: Dataset, folder: Path) -> bool:
    """Whether the cache is finished, and no picture can be read that was unreadable when it was made."""
    if not (folder / "rows.npy").is_file():
        return False
    known = set(data.images)
    for failed in _read_skipped(folder / "skipped.csv"):
        if failed.reason in (NO_FACE, WHOLE_PICTURE, BOX_OUTSIDE) or failed.where not in known:
            continue
        try:
            data.pictures(failed.where)
        except PictureError:
            continue
        return False
    return True


def cache_folder(data: Dataset, spec: ModelSpec, cache: Path) -> Path:
    """Cache folder of the faces of a split, cropped for a network's size, colour and geometry."""
    return cache / f"{data.name}-{data.split}-{_key(data, spec)}"


def is_cached(data: Dataset, spec: ModelSpec, cache: Path) -> bool:
    """Whether all faces of a split are in the cache."""
    return (cache_folder(data, spec, cache) / "rows.npy").is_file()


@dataclass(frozen=True)
class _Progress:
    """State of an unfinished cache: pictures done, faces written, bytes of the list of skipped ones."""

    done: int = 0
    faces: int = 0
    skipped_bytes: int = 0

    def sizes(self, face_bytes: int) -> tuple[int, int, int]:
        """Bytes of the files with the faces, their rows and the skipped pictures."""
        return HEADER + self.faces * face_bytes, self.faces * 8, self.skipped_bytes

    @classmethod
    def load(cls, path: Path) -> _Progress:
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        atomic_write(path, json.dumps(asdict(self)))


def _prepare(data: Dataset, spec: ModelSpec, folder: Path, num_workers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # another command may prepare the same faces
    with hold_lock(folder / "lock", wait=True, required=False):
        if _is_complete(data, folder):  # another process made it while this one waited
            return
        shape = (spec.size, spec.size, spec.channels)
        parts = [folder / f"{name}.part" for name in ("faces", "rows", "skipped")]
        progress = _Progress.load(folder / "progress.json")
        sizes = progress.sizes(int(np.prod(shape)))
        if any(not part.is_file() or part.stat().st_size < size for part, size in zip(parts, sizes, strict=True)):
            progress = _Progress()
            sizes = progress.sizes(0)
        with contextlib.ExitStack() as stack:
            faces, rows, skipped = (
                stack.enter_context(_append(part, size)) for part, size in zip(parts, sizes, strict=True)
            )
            bar = stack.enter_context(
                tqdm(
                    desc=f"faces of {data.name} {data.split}",
                    total=len(data),
                    initial=progress.done,
                    unit="face",
                    smoothing=0.05,
                    disable=None,
                )
            )
            for crops in _chunks(data, spec, progress.done, num_workers):
                faces.write(crops.faces.tobytes())
                rows.write(crops.rows.astype("<i8").tobytes())
                skipped.write(_as_csv(crops.skipped))
                for file in (faces, rows, skipped):
                    file.flush()
                progress = _Progress(crops.stop, progress.faces + len(crops.rows), skipped.tell())
                progress.save(folder / "progress.json")
                bar.update(crops.stop - crops.start)
            if not progress.faces:
                (folder / "progress.json").unlink(missing_ok=True)  # try all of them again
                raise _nothing(data, _read_skipped(parts[2]))
            faces.seek(0)
            faces.write(_header((progress.faces, *shape)))
        # rows.npy marks the cache as complete: a stale one goes first, the new one is written last
        (folder / "rows.npy").unlink(missing_ok=True)
        replace_file(parts[0], folder / "faces.npy")
        replace_file(parts[2], folder / "skipped.csv")
        with atomic_path(folder / "rows.npy") as draft:
            np.save(draft, np.fromfile(parts[1], "<i8"))
        for path in (parts[1], folder / "progress.json"):
            path.unlink(missing_ok=True)


def skipped_pictures(data: Dataset, folder: Path) -> list[Skipped]:
    """Rows that the reader rejected, then pictures that are unreadable or show no face."""
    found = _read_skipped(folder / "skipped.csv")
    return [*data.skipped, *(item for item in found if item.reason != WHOLE_PICTURE)]


def write_skipped(path: Path, skipped: Iterable[Skipped]) -> None:
    """Write a CSV file of place and reason.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.write_bytes(b"where,reason\r\n" + _as_csv(skipped))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def by_reason(skipped: Iterable[Skipped]) -> Counter[str]:
    """Count per reason, without the parts of a reason that vary by row."""
    return Counter(
        " ".join(word for word in item.reason.split(",")[0].split() if "'" not in word)[:60] for item in skipped
    )


@dataclass(frozen=True, eq=False)
class _Crops:
    """Faces of the pictures start to stop."""

    start: int
    stop: int
    rows: npt.NDArray[np.int64]
    faces: U8
    skipped: list[Skipped]


def _crop_chunk(part: Dataset, start: int, spec: ModelSpec) -> _Crops:
    skipped: list[Skipped] = []
    crops = list(crop_faces(part, range(len(part)), spec, skipped))
    faces = (
        np.stack([face for _, face in crops]) if crops else np.zeros((0, spec.size, spec.size, spec.channels), np.uint8)
    )
    rows = np.array([start + row for row, _ in crops], np.int64)
    return _Crops(start, start + len(part), rows, faces, skipped)


def _chunks(data: Dataset, spec: ModelSpec, first: int, num_workers: int) -> Iterator[_Crops]:
    """Chunks in the data set's order; the number in flight is bounded, so memory does not grow with the data set."""
    starts = range(first, len(data), CHUNK)
    if num_workers <= 1 or len(data) - first < SMALL:
        for start in starts:
            yield _crop_chunk(data.part(start, start + CHUNK), start, spec)
        return
    # new interpreters: a fork would copy locks that MediaPipe's and torch's threads hold
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
    waiting: deque[Future[_Crops]] = deque()
    try:
        for start in starts:
            waiting.append(pool.submit(_crop_chunk, data.part(start, start + CHUNK), start, spec))
            if len(waiting) >= 3 * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError("a worker that crops faces died (out of memory?); repeat the command to continue") from error
    finally:
        pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    """The detector of a worker process, created once."""
    return FaceDetector()


def _known(values: F32 | None, row: int) -> F32 | None:
    return None if values is None or not np.isfinite(values[row]).all() else np.asarray(values[row], np.float32)


def _iou(boxes: F32, box: F32) -> F32:
    """Intersection over union of (N, 4) boxes with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def _header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of fixed length, so that the shape can be filled in later."""
    described = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + described.ljust(HEADER - 11).encode() + b"\n"


@contextlib.contextmanager
def _append(path: Path, size: int) -> Iterator[BinaryIO]:
    """A file truncated to `size` bytes and opened for appending."""
    path.touch()
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(size)
        yield file


def _as_csv(skipped: Iterable[Skipped]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows((item.where, item.reason) for item in skipped)
    return text.getvalue().encode()


def _read_skipped(path: Path) -> list[Skipped]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Skipped(*row) for row in csv.reader(file) if len(row) == 2]


def _nothing(data: Dataset, skipped: list[Skipped]) -> DataError:
    reasons = ", ".join(f"{count} x {reason}" for reason, count in by_reason(skipped).most_common(3))
    return DataError(f"no picture of {data.name} {data.split} has a face ({reasons}): check the path of the pictures")


def save_crops(
    data: Dataset,
    spec: ModelSpec,
    path: Path,
    *,
    limit: int | None = None,
    cache: Path | None = None,
    num_workers: int = 1,
) -> int:
    """Write crops and labels in the form that edgeemo-export reads; returns their number.

    For the labels see `FaceSet.truth`.

    Raises:
        DataError: the file cannot be written.
    """
    if limit is None or limit >= len(data):
        found = load_faces(data, spec, cache, num_workers=num_workers)
    else:
        rows = np.linspace(0, len(data) - 1, limit).round().astype(int)
        crops = list(crop_faces(data, tqdm(rows, desc=f"faces of {data.name}", unit="face", disable=None), spec))
        kept = np.array([row for row, _ in crops], np.int64)
        shape = (0, spec.size, spec.size, spec.channels)
        faces = np.stack([face for _, face in crops]) if crops else np.zeros(shape, np.uint8)
        found = FaceSet(faces, kept, data.targets[kept], data.scored[kept])
    try:
        with path.open("wb") as file:
            np.savez(file, faces=found.faces, truth=found.truth, pictures=limit or len(data))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return len(found)


def _key(data: Dataset, spec: ModelSpec) -> str:
    facts: list[object] = [CACHE_VERSION, resolve_runtime()[0], spec.size, spec.colour, asdict(spec.crop), data.enlarge]
    if data.default_box is None:
        facts.append(WHOLE_PICTURE)  # older caches left out pictures without a detected face
    digest = hashlib.sha256(json.dumps(facts).encode() + data.content_key.encode())
    for known in (data.boxes, data.keypoints):
        if known is not None:
            digest.update(known.tobytes())
    return digest.hexdigest()[:12]
