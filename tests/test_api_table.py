"""`edgeemo.table` in each library."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from fakes import result

import edgeemo
from edgeemo.api.tables import to_table
from edgeemo.columns import column_names
from edgeemo.types import U8
from engines import LABELS

Rows = list[dict[str, Any]]
LIBRARIES = ["pandas", "polars", "pyarrow"]


def rows_of(table: Any) -> Rows:
    if type(table).__module__.startswith("pandas"):
        return list(table.to_dict("records"))
    return list(table.to_pylist() if hasattr(table, "to_pylist") else table.to_dicts())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_has_the_rows_that_the_command_writes(
    library: str, recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str]
) -> None:
    pytest.importorskip(library)
    table = recogniser.table(clip, to=library)  # type: ignore[arg-type]
    assert type(table).__module__.startswith(library)
    rows = rows_of(table)
    assert tuple(rows[0]) == column_names(recogniser.labels)
    events = [(event, face) for event in written[0] for face in event["faces"]]
    assert len(rows) == len(events)
    for row, (event, face) in zip(rows, events, strict=True):
        assert (row["origin"], row["frame"], row["face_id"]) == (event["origin"], event["frame"], face["id"])
        assert row["time"] == pytest.approx(event["time"], abs=5.1e-5)
        assert [row[name] for name in ("x1", "y1", "x2", "y2")] == pytest.approx(face["box"], abs=0.051)
        assert row["emotion"] == face["emotion"]
        for name in ("score", "confidence"):
            assert row[name] == pytest.approx(face[name], abs=5.1e-5)
        assert {label: row[label] for label in recogniser.labels} == pytest.approx(face["probabilities"], abs=5.1e-5)
        assert row["person"] == face["person"]
        for name, value in face["quality"].items():
            assert row[name] == pytest.approx(value, abs=0.051 if name != "sharpness" else 5.1e-5)
        assert row["doubts"] == ";".join(doubt["code"] for doubt in face.get("doubts", []))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_without_faces_has_all_columns_with_their_types(library: str, recogniser: edgeemo.Recogniser) -> None:
    pytest.importorskip(library)
    some = recogniser.table("demo", end=0.05, to=library)  # type: ignore[arg-type]
    none = recogniser.table(np.full((2, 48, 64, 3), 90, np.uint8), to=library)  # type: ignore[arg-type]
    assert len(none) == 0
    assert len(some) > 0
    if library == "pyarrow":
        assert none.schema == some.schema
    else:
        assert list(none.columns) == list(some.columns)
        if library == "polars":
            assert none.dtypes == some.dtypes


def test_a_table_of_several_sources_names_the_file(
    recogniser: edgeemo.Recogniser, clip: Path, pictures_of_clip: list[U8], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "face.png"), pictures_of_clip[0])
    table = recogniser.table([clip, str(folder), folder / "face.png"], end=0.08, to="pyarrow")
    assert table["file"].to_pylist() == [str(clip), str(clip), str(folder / "face.png"), str(folder / "face.png")]
    assert "origin" not in table.column_names
    with pytest.raises(edgeemo.ConfigError, match="one source"):
        recogniser.table([clip, clip], sinks=["jsonl:a"])


def test_a_file_that_is_missing_is_named_before_the_work_begins(recogniser: edgeemo.Recogniser, clip: Path) -> None:
    told: list[int] = []
    with pytest.raises(edgeemo.SourceError, match=r"none\.mp4"):
        recogniser.table([clip, "none.mp4"], to="pyarrow", on_progress=lambda done, total: told.append(done))
    assert told == []


def test_a_result_is_a_table_too(recogniser: edgeemo.Recogniser, pictures_of_clip: list[U8]) -> None:
    pytest.importorskip("pyarrow")
    result = recogniser.recognise(pictures_of_clip[0])
    table = result.to_df("pyarrow")
    assert len(table) == len(result)
    assert table["emotion"].to_pylist() == [face.emotion for face in result]


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_a_name_that_is_not_utf_8_is_in_the_table(library: Literal["pandas", "pyarrow"]) -> None:
    pytest.importorskip(library)
    table = to_table([result(1, origin="c\udcff.mp4")], LABELS, to=library)
    assert list(map(str, table["origin"])) == ["c?.mp4"]


def test_a_library_that_is_not_known_or_not_installed_is_named(
    recogniser: edgeemo.Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(edgeemo.ConfigError, match="pandas, polars, pyarrow"):
        recogniser.table("demo", to="dask")  # type: ignore[arg-type]
    with pytest.raises(edgeemo.ConfigError, match="columns must be one of"):
        recogniser.table("demo", columns="own")  # type: ignore[arg-type]
    monkeypatch.setattr("edgeemo.api.tables.find_spec", lambda name: None)
    with pytest.raises(edgeemo.ConfigError, match="pip install polars"):
        recogniser.table("demo", to="polars")
    with pytest.raises(edgeemo.ConfigError, match="pip install pandas"):
        recogniser.table("demo")
