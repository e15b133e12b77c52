"""Convert results for py-feat, OpenFace and supervision (all optional). Called by `tables` and `Result`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeemo.columns import AFTER_CLASSES, BOX
from edgeemo.errors import ConfigError
from edgeemo.types import UNTRACKED, Result

Column = npt.NDArray[Any]

FEX_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # py-feat's, in its order


def as_fex(columns: dict[str, Column], labels: tuple[str, ...]) -> dict[str, Column]:
    """Rename the columns to py-feat's Fex (py-feat 2.1, `feat.utils`), for `feat.data.Fex(table, ...)`.

    Columns: input, frame, time (seconds), FaceRectX, FaceRectY, FaceRectWidth, FaceRectHeight (pixels), FaceScore, the
    seven emotions in py-feat's order, the engine's other classes, Identity ("Person_1"). Probabilities are not
    renormalised to the seven emotions. Action units, landmarks, pose and gaze are missing.
    """
    x1, y1, x2, y2 = (columns[name] for name in BOX)
    first = [label for label in FEX_EMOTIONS if label in labels]
    emotions = {label: columns[label] for label in (*first, *(label for label in labels if label not in first))}
    return {
        "input": columns["origin"],
        "frame": columns["frame"],
        "time": columns["time"],
        "FaceRectX": x1,
        "FaceRectY": y1,
        "FaceRectWidth": x2 - x1,
        "FaceRectHeight": y2 - y1,
        "FaceScore": columns["score"],
        **emotions,
        "Identity": np.array([f"Person_{number}" for number in columns["face_id"].tolist()], object),
    }


def as_openface(columns: dict[str, Column], labels: tuple[str, ...]) -> dict[str, Column]:
    """Rename columns to the first five columns of OpenFace 2's CSV, followed by edgeemo's own.

    Columns: frame (from 1), face_id (from 0), timestamp (seconds), confidence (of the detection), success (always 1,
    because undetected faces have no row). Then x1, y1, x2, y2, emotion, one column per expression, doubts, the quality
    figures, turned, input.
    """
    return {
        "frame": columns["frame"] + 1,
        "face_id": columns["face_id"] - 1,
        "timestamp": columns["time"],
        "confidence": columns["score"],
        "success": np.ones_like(columns["frame"]),
        **{name: columns[name] for name in (*BOX, "emotion", *labels, *AFTER_CLASSES)},
        "input": columns["origin"],
    }


def to_supervision(result: Result) -> Any:
    """A `supervision.Detections` of N faces.

    xyxy (N, 4); class_id: index of the shown emotion in `labels`; confidence: its probability; tracker_id: the face's
    number, None if faces are not tracked; data: "emotion" (N,), and "class_name", which supervision's annotators show.

    Raises:
        ConfigError: supervision is not installed.
    """
    try:
        supervision = import_module("supervision")
    except ImportError as error:
        raise ConfigError(f"to_supervision needs supervision ({error}): pip install supervision") from error
    faces = result.faces
    emotions = np.array(result.emotions, dtype=str)
    tracked = bool(len(faces)) and bool((faces.ids != UNTRACKED).all())
    return supervision.Detections(
        xyxy=faces.boxes.copy(),
        class_id=np.array([result.labels.index(emotion) for emotion in result.emotions], np.int64),
        confidence=np.array([result.confidence(row) for row in range(len(faces))], np.float32),
        tracker_id=faces.ids.copy() if tracked else None,
        data={"emotion": emotions, "class_name": emotions.copy()},
    )
