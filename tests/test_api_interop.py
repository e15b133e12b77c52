"""Results in the formats of py-feat, OpenFace and supervision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes import result

import edgeemo
from edgeemo.api.interop import FEX_EMOTIONS, as_fex, as_openface
from edgeemo.api.tables import arrays, to_table
from edgeemo.types import UNTRACKED
from engines import LABELS

COLUMNS = arrays([result(2, index=0), result(0, index=1), result(1, index=2)], LABELS)
BOX = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"]


def test_the_columns_of_pyfeat() -> None:
    fex = as_fex(COLUMNS, LABELS)
    names = list(fex)
    assert names[:8] == ["input", "frame", "time", *BOX, "FaceScore"]
    assert tuple(names[8:15]) == FEX_EMOTIONS
    assert set(names[15:-1]) == set(LABELS) - set(FEX_EMOTIONS)
    assert names[-1] == "Identity"
    assert [fex[name][1] for name in BOX] == [28, 6, 20, 22]
    assert fex["FaceScore"].tolist() == COLUMNS["score"].tolist()
    assert fex["happiness"].tolist() == COLUMNS["happiness"].tolist()
    assert fex["Identity"].tolist() == ["Person_1", "Person_2", "Person_1"]
    assert fex["input"].tolist() == ["clip.mp4"] * 3
    assert fex["frame"].tolist() == [0, 0, 2]


def test_an_engine_without_one_of_the_emotions_leaves_it_out() -> None:
    labels = ("neutral", "happiness")
    columns = {name: values for name, values in COLUMNS.items() if name not in LABELS or name in labels}
    assert [name for name in as_fex(columns, labels) if name in LABELS] == ["happiness", "neutral"]


def test_the_columns_of_openface() -> None:
    openface = as_openface(COLUMNS, LABELS)
    assert list(openface)[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    assert openface["frame"].tolist() == [1, 1, 3]
    assert openface["face_id"].tolist() == [0, 1, 0]
    assert openface["timestamp"].tolist() == COLUMNS["time"].tolist()
    assert openface["confidence"].tolist() == COLUMNS["score"].tolist()
    assert openface["success"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("columns", ["fex", "openface"])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_they_become_tables(columns: Any, library: Any) -> None:
    pytest.importorskip(library)
    full = to_table([result(2)], LABELS, to=library, columns=columns)
    none = to_table([], LABELS, to=library, columns=columns)
    assert (len(full), len(none)) == (2, 0)
    names = (full.column_names, none.column_names) if library == "pyarrow" else (full.columns, none.columns)
    assert list(names[0]) == list(names[1])


def test_the_real_fex_takes_them() -> None:
    pytest.importorskip("feat")
    pandas = pytest.importorskip("pandas")
    from feat.data import Fex  # type: ignore[import-not-found,unused-ignore]

    rows = [result(2, index=index) for index in range(8)]
    table = to_table(rows, LABELS, to="pandas", columns="fex")
    table["happiness"] += np.linspace(0, 0.1, len(table))
    fex = Fex(table, emotion_columns=list(FEX_EMOTIONS), facebox_columns=[*BOX, "FaceScore"])
    assert fex.emotions.shape == (16, 7)
    _, p = fex.emotions[["happiness"]].ttest_1samp(0.5)
    assert p[0] < 0.01
    twice = pandas.concat([fex, fex.assign(input="other.mp4")])
    assert fex.__class__(twice).isc("happiness").to_numpy() == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 2])
def test_supervision_takes_them(count: int) -> None:
    supervision = pytest.importorskip("supervision")
    given = edgeemo.Result.of(result(count))
    detections = given.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert len(detections) == count
    assert detections.xyxy.shape == (count, 4)
    assert detections.class_id.tolist() == [1] * count
    assert detections.confidence.tolist() == pytest.approx([0.9] * count)
    assert detections["emotion"].tolist() == [LABELS[1]] * count
    assert (detections.tracker_id is None) == (count == 0)
    drawn = supervision.LabelAnnotator().annotate(given.frame.image.copy(), detections)
    assert (drawn != given.frame.image).any() == bool(count)
    assert len(supervision.Detections.merge([detections, detections])) == 2 * count


def test_faces_that_are_not_tracked_have_no_tracker_id() -> None:
    pytest.importorskip("supervision")
    from dataclasses import replace

    some = result(2)
    untracked = replace(some, faces=replace(some.faces, ids=np.full(2, UNTRACKED, np.int64)))
    assert edgeemo.Result.of(untracked).to_supervision().tracker_id is None


def test_without_supervision_it_says_what_to_install() -> None:
    try:
        import supervision  # noqa: F401
    except ImportError:
        with pytest.raises(edgeemo.ConfigError, match="pip install supervision"):
            edgeemo.Result.of(result(1)).to_supervision()
    else:
        pytest.skip("supervision is installed")
