"""The ONNX files of the face detectors, compared with MediaPipe, and the steps around the networks."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import EngineError
from engines.blazeface import FULL_RANGE, SHORT_RANGE, centres, letterbox, overlap, suppress
from engines.export.face_data import PORTRAIT
from engines.face_detector import FOLDER, FaceDetector, Range, Runtime, model_path, resolve_runtime
from engines.preprocess import U8, crop
from engines.spec import ModelSpec

MODELS: tuple[Range, ...] = ("short_range", "full_range")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[FaceDetector, FaceDetector]]:
    """The same model in MediaPipe and in ONNX Runtime."""
    pytest.importorskip("mediapipe")
    detectors = tuple(FaceDetector(request.param, runtime=runtime) for runtime in ("mediapipe", "onnx"))
    yield detectors
    for detector in detectors:
        detector.close()


@pytest.fixture(scope="session")
def photographs() -> list[U8]:
    """200 photographs, evenly spread over facial_expressions; not part of the repository."""
    path = ROOT.parent / "shared" / "data" / "facial_expressions.zip"
    if not path.is_file():
        pytest.skip("shared/data/facial_expressions.zip is not laid beside this checkout")
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
        chosen = [names[row] for row in np.linspace(0, len(names) - 1, 200).astype(int)]
        pictures = [cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR) for name in chosen]
    return [np.asarray(picture, np.uint8) for picture in pictures]


def read(path: Path, step: int) -> Iterator[U8]:
    clip = cv2.VideoCapture(str(path))
    while True:
        there, picture = clip.read()
        if not there:
            clip.release()
            return
        yield np.asarray(picture, np.uint8)
        for _ in range(step - 1):
            clip.grab()


def expect_parity(pair: tuple[FaceDetector, FaceDetector], pictures: Iterator[U8] | list[U8], at_least: int) -> None:
    """Expect the same faces: boxes within a pixel (MediaPipe rounds them), keypoints within 0.5 % of the face."""
    theirs, ours = pair
    compared = 0
    for picture in pictures:
        boxes, keypoints, scores = theirs.detect(picture)
        mine, my_keypoints, my_scores = ours.detect(picture)
        assert len(mine) == len(boxes)
        order = [int(np.abs(mine - box).sum(axis=1).argmin()) for box in boxes]
        assert len(set(order)) == len(boxes)
        for row, same in enumerate(order):
            side = float(boxes[row, 2] - boxes[row, 0])
            np.testing.assert_allclose(mine[same, :2], boxes[row, :2], atol=1)
            np.testing.assert_allclose(mine[same, 2:] - mine[same, :2], boxes[row, 2:] - boxes[row, :2], atol=1)
            np.testing.assert_allclose(my_keypoints[same], keypoints[row], atol=0.005 * side)
            assert my_scores[same] == pytest.approx(scores[row], abs=0.01)
            compared += 1
    assert compared >= at_least


def test_the_demo_clip_gives_mediapipes_faces(pair: tuple[FaceDetector, FaceDetector], demo_clip: Path) -> None:
    expect_parity(pair, read(demo_clip, 8), 30)


@pytest.mark.parametrize("size", [(360, 640), (97, 131), (300, 300), (720, 405), (128, 128), (1, 1), (1000, 3)])
def test_pictures_of_any_shape_give_mediapipes_faces(
    pair: tuple[FaceDetector, FaceDetector], size: tuple[int, int]
) -> None:
    """The pictures are the portrait of the export step, mirrored, turned and in other shapes."""
    portrait = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    views = [portrait, portrait[:, ::-1], np.rot90(portrait), np.hstack([portrait, portrait])]
    expect_parity(pair, [np.asarray(cv2.resize(view, size[::-1]), np.uint8) for view in views], 0)


def test_clips_of_several_faces_give_mediapipes_faces(pair: tuple[FaceDetector, FaceDetector], media: Path) -> None:
    expect_parity(
        pair, (picture for name in ("two_faces", "three_faces") for picture in read(media / f"{name}.mp4", 3)), 30
    )


def test_photographs_give_mediapipes_faces(pair: tuple[FaceDetector, FaceDetector], photographs: list[U8]) -> None:
    expect_parity(pair, photographs, 170)


def test_the_crops_of_both_runtimes_hardly_differ(pair: tuple[FaceDetector, FaceDetector], demo_clip: Path) -> None:
    """Training data may be prepared with either runtime; only MediaPipe's boxes are whole pixels."""
    spec = ModelSpec("test", size=48)
    differences, likeness = [], []
    for picture in islice(read(demo_clip, 25), 12):
        one, other = (detector.detect(picture) for detector in pair)
        if len(one[0]) == len(other[0]) == 1:
            crops = [crop(picture, boxes[0], points[0], spec).astype(float) for boxes, points, _ in (one, other)]
            differences.append(float(np.abs(crops[0] - crops[1]).mean()))
            likeness.append(float(np.corrcoef(crops[0].ravel(), crops[1].ravel())[0, 1]))
    assert len(differences) >= 8
    assert max(differences) < 10  # of 255 grey levels
    assert min(likeness) > 0.98


def test_mediapipe_starts_no_thread_of_python_and_may_be_called_from_several(media: Path) -> None:
    pytest.importorskip("mediapipe")
    pictures = list(islice(read(media / "three_faces.mp4", 5), 6))
    before = set(threading.enumerate())
    detector = FaceDetector("full_range", runtime="mediapipe")
    expected = [detector.detect(picture)[0] for picture in pictures]
    # without `_call_in_callers_thread`, MediaPipe's package would start a thread
    assert set(threading.enumerate()) == before
    assert any(len(boxes) for boxes in expected)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda picture: detector.detect(picture)[0], pictures * 5))
    detector.close()
    for row, boxes in enumerate(found):
        np.testing.assert_array_equal(boxes, expected[row % len(pictures)])


@pytest.mark.parametrize("runtime", ["mediapipe", "onnx"])
def test_a_large_picture_is_searched_for_small_faces_in_its_own_size(runtime: Runtime) -> None:
    if runtime == "mediapipe":
        pytest.importorskip("mediapipe")
    portrait = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    detector = FaceDetector(runtime=runtime)
    (box,), (points,), _ = detector.detect(portrait)
    scale = 40 / (box[2] - box[0])
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    wide = np.full((333, 1001, 3), 90, np.uint8)
    corners = np.array([[20, 50], [900, 200]])
    for x, y in corners.tolist():
        wide[y : y + len(small), x : x + small.shape[1]] = small[:, : 1001 - x]
    assert len(detector.detect(wide)[0]) == 0
    boxes, keypoints, scores = detector.search(wide, 0.5)
    order = np.argsort(boxes[:, 0])
    assert len(boxes) == 2
    assert scores.min() > 0.8
    for corner, row in zip(corners, order.tolist(), strict=True):
        np.testing.assert_allclose(boxes[row], box * scale + np.tile(corner, 2), atol=4)
        np.testing.assert_allclose(keypoints[row], points * scale + corner, atol=4)
    detector.close()


def test_anchors_lie_where_the_networks_expect_them() -> None:
    short, full = centres(SHORT_RANGE, 128, 128), centres(FULL_RANGE, 192, 192)
    assert short.shape == (896, 2)
    assert full.shape == (2304, 2)
    assert short[:3].tolist() == [[4, 4], [4, 4], [12, 4]]
    assert short[512:519].tolist() == [[8, 8]] * 6 + [[24, 8]]
    assert full[[0, 1, 48]].tolist() == [[2, 2], [6, 2], [2, 6]]
    wide = centres(SHORT_RANGE, 32, 64)
    assert wide[[14, 16, -1]].tolist() == [[60, 4], [4, 12], [56, 24]]


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (200, 200), (128, 128), (5, 7)])
def test_a_letterbox_can_be_undone(size: tuple[int, int]) -> None:
    box = letterbox(*size, 128)
    corners = np.array([[0, 0], [size[1], size[0]]], np.float32)
    inside = corners / np.float32(box.scale) + box.offset
    np.testing.assert_allclose(box.restore(inside), corners, atol=1e-3)
    assert inside.min() >= -1e-3
    assert inside.max() <= 128 + 1e-3
    assert box.apply(np.full((*size, 3), 200, np.uint8)).shape == (128, 128, 3)


def test_suppression_averages_by_score_and_keeps_the_best_score() -> None:
    points = np.zeros((3, 8, 2), np.float32)
    points[:, 1] = 100
    points[1] += 10
    points[2] += 500
    merged, scores = suppress(points, np.array([0.6, 0.9, 0.7], np.float32))
    np.testing.assert_allclose(scores, [0.9, 0.7])
    np.testing.assert_allclose(merged[0, 0], [6, 6])
    np.testing.assert_allclose(merged[1, 0], [500, 500])
    assert [len(each) for each in suppress(points[:0], np.zeros(0, np.float32))] == [0, 0]
    np.testing.assert_allclose(
        overlap(np.array([[0, 0, 10, 10], [20, 20, 30, 30]]), np.array([5, 0, 15, 10])), [1 / 3, 0]
    )


def test_the_shipped_files_are_what_the_script_makes(tmp_path: Path) -> None:
    pytest.importorskip("tflite")
    subprocess.run([sys.executable, ROOT / "scripts" / "convert-detectors", "--output", tmp_path], check=True)
    for model in MODELS:
        shipped = model_path(model, "onnx")
        assert (tmp_path / shipped.name).read_bytes() == shipped.read_bytes()


def test_openvino_gives_the_same_faces(demo_clip: Path) -> None:
    pytest.importorskip("openvino")
    detectors = [FaceDetector(runtime="onnx", backend=backend) for backend in ("onnx", "openvino")]
    for picture in islice(read(demo_clip, 40), 4):
        one, other = (detector.detect(picture) for detector in detectors)
        np.testing.assert_allclose(one[0], other[0], atol=0.1)
        np.testing.assert_allclose(one[2], other[2], atol=1e-3)
        one, other = (detector.search(picture[:, :-7], 0.3) for detector in detectors)
        assert len(one[0]) >= 1
        np.testing.assert_allclose(one[0], other[0], atol=0.1)
        np.testing.assert_allclose(one[2], other[2], atol=1e-3)
    assert [detector.description.split()[0] for detector in detectors] == ["ONNX", "OpenVINO"]
    for detector in detectors:
        detector.close()


def test_a_runtime_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(EngineError, match="detected with"):
        FaceDetector(runtime="onnx", backend="abacus")
    assert resolve_runtime("onnx") == ("onnx", "asked for")
    assert (FOLDER / "NOTICE").is_file()
