"""Training and the running program crop the same face in the same way."""

import cv2
import numpy as np
import pytest

from edgeemo.capture import open_source
from edgeemo.stages.detect import BlazeFaceDetector
from engines.face_detector import FaceDetector
from engines.preprocess import crop, roll
from engines.spec import ModelSpec
from trainer.data import open_data
from trainer.data.faces import find_face
from trainer.data.ferplus import TYPICAL_BOX

SPEC = ModelSpec("test", size=48)


@pytest.fixture
def detector():
    detector = FaceDetector()
    yield detector
    detector.close()


def likeness(one, two):
    """Correlation of two crops' grey levels; 1 if they are equal."""
    return float(np.corrcoef(one.ravel().astype(float), two.ravel().astype(float))[0, 1])


def test_the_runtimes_crop_of_a_face_is_the_trainings_crop_of_the_same_face(demo_clip, detector):
    runtime = BlazeFaceDetector()
    compared = []
    for frame in open_source(str(demo_clip)).frames():
        faces = runtime.detect(frame)
        if frame.index % 20 or not len(faces):
            continue
        box = faces.boxes[0]
        shown = crop(frame.image, box, faces.keypoints[0], SPEC)
        # the same face as in a data set: a separate picture with some surroundings
        margin = box[2:] - box[:2]
        x1, y1 = np.maximum(box[:2] - margin * 0.6, 0).astype(int)
        x2, y2 = (box[2:] + margin * 0.6).astype(int)
        picture = np.ascontiguousarray(frame.image[y1:y2, x1:x2])
        found = find_face(picture, detector)
        assert found is not None
        compared.append(likeness(shown, crop(picture, *found, SPEC)))
    runtime.close()
    assert len(compared) >= 5
    assert np.median(compared) > 0.96  # 0.966 over every fourth frame, with or without the grid of search windows
    assert min(compared) > 0.9


def test_a_tiny_training_picture_is_cut_like_the_frame_it_came_from(demo_clip, detector):
    """FER+ pictures are 48 pixels wide; they are enlarged only for the detector, not for the crop."""
    runtime = BlazeFaceDetector()
    alike, leaning, boxes = [], [], []
    for frame in open_source(str(demo_clip)).frames():
        faces = runtime.detect(frame)
        if frame.index % 20 or not len(faces):
            continue
        box, keypoints = faces.boxes[0], faces.keypoints[0]
        side = SPEC.crop.scale * (box[2] - box[0])
        x, y = ((box[:2] + box[2:]) / 2 - side / 2 - [0, SPEC.crop.rise * (box[3] - box[1])]).astype(int)
        seen = frame.image[y : y + int(side), x : x + int(side)]
        tiny = cv2.resize(seen, (48, 48), interpolation=cv2.INTER_AREA)
        found = find_face(tiny, detector, enlarge=4)
        assert found is not None
        alike.append(likeness(crop(tiny, *found, SPEC), crop(frame.image, box, keypoints, SPEC)))
        leaning.append(np.degrees(roll(found[1]) - roll(keypoints)))
        boxes.append(found[0])
    runtime.close()
    assert len(alike) >= 5
    assert np.median(alike) > 0.93
    assert np.abs(leaning).max() < 6
    assert np.median(boxes, axis=0) == pytest.approx(TYPICAL_BOX, abs=1.5)


def test_real_training_pictures_lie_where_the_crop_expects_them(ferplus_zip, detector):
    """The crop of a FER+ picture is the whole picture, turned upright; this determines the crop's geometry."""
    data = open_data(f"ferplus:{ferplus_zip}", "valid")
    found = [find_face(data.read(row), detector, data.enlarge) for row in range(0, 1000, 5)]
    boxes = np.array([face[0] for face in found if face is not None])
    assert len(boxes) >= 0.97 * len(found)
    assert np.median(boxes, axis=0) == pytest.approx(TYPICAL_BOX, abs=1)
    x1, y1, x2, y2 = TYPICAL_BOX
    assert SPEC.crop.scale * (x2 - x1) == pytest.approx(48, abs=2)
    assert (y1 + y2) / 2 - SPEC.crop.rise * (y2 - y1) == pytest.approx(24, abs=1)
