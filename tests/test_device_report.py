"""The device report: one JSON file and one page with measurements, without personal data."""

import getpass
import json
import socket
from pathlib import Path

import pytest

from edgeemo import device_report
from edgeemo.config import Config
from edgeemo.device_report import page, without_person, write_report
from edgeemo.errors import EdgeemoError
from edgeemo.system.outputs import check_output


def test_it_measures_engines_path_and_machine_and_writes_both_files(tmp_path, monkeypatch):
    monkeypatch.setattr(device_report, "CALLS_S", 0.01)
    said = []
    files = write_report(Config(), tmp_path / "made" / "orin.json", path_s=1.0, say=said.append)
    assert [file.name for file in files] == ["orin.json", "orin.html"]
    for file in files:
        assert check_output(file, "device report") == file  # a second report may replace it
    text = files[0].read_text()
    report = json.loads(text)
    rows = {row["choice"]: row for row in report["engines"][0]["rows"]}
    assert rows["onnx:fp32"]["largest_difference"] == 0
    assert rows["onnx:int8"]["same_top_class"] > 0.8
    assert all(rows["onnx:int8"]["ms"][count]["p50"] > 0 for count in ("1", "2", "4", "8"))
    assert report["path"]["frames"] > 0
    assert report["path"]["faces"] > 0
    assert {check["name"] for check in report["checks"]} >= {"python", "engine", "main job"}
    assert report["machine"]["packages"]["numpy"]
    shown = files[1].read_text()
    assert "hybrid_lite" in shown
    assert "onnxruntime" in shown
    for file in (text, shown):
        assert str(Path.home()) + "/" not in file
        assert socket.gethostname() not in file


def test_home_host_and_user_are_left_out_wherever_they_stand(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "adas-orin")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    given = {"a": ["cannot read /home/ada/faces of ada@adas-orin", ("/home/bob/x", 3)], "adapter": "ada's adapter"}
    assert without_person(given) == {"a": ["cannot read ~/faces of USER@HOST", ["~/x", 3]], "adapter": "USER's adapter"}


def test_a_part_that_fails_is_told_and_the_page_is_still_made(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("the <GPU> fell\noff")

    for name in ("engine", "whole_path", "cameras", "machine"):
        monkeypatch.setattr(device_report, name, broken)
    report = device_report.measure(Config(), path_s=0.1, say=lambda line: None)
    assert report["path"] == {"error": "RuntimeError: the <GPU> fell off"}
    assert "the &lt;GPU&gt; fell off" in page(report)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeemoError, match="choose another path"):
        write_report(Config(), tmp_path / "file" / "x.json", say=lambda line: pytest.fail("it measured"))
