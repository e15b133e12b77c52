from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import make_bundle

from edgeemo.bench import measure
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.errors import ConfigError, SourceError


@pytest.fixture
def engine(tmp_path: Path) -> str:
    return str(make_bundle(tmp_path / "tiny"))


def test_every_stage_and_the_whole_are_measured(engine: str) -> None:
    done = measure(Config(source="demo", engine=engine, frames=20))
    assert list(done.stages) == ["decode", "detect", "track", "classify", "smooth", "sink", "total"]
    for taken in done.stages.values():
        assert 0 <= taken.p50 <= taken.p95 <= taken.p99
    assert done.stages["total"].p50 > done.stages["decode"].p50
    assert done.frames == 20
    assert done.faces > 0
    assert done.fps > 0
    assert len(done.runs) == 3
    assert done.peak_memory_mb > 50
    assert json.loads(json.dumps(done.to_mapping()))["stages"]["total"]["p50"] > 0


def test_the_figures_are_printed_as_a_table(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--source", "demo", "--engine", engine, "--frames", "12"]) == 0
    shown = capsys.readouterr().out
    assert "ms per frame" in shown
    assert "frames per second end to end" in shown
    assert "MiB of peak memory" in shown


def test_without_a_source_it_says_what_to_give(engine: str) -> None:
    with pytest.raises(ConfigError, match="give --source"):
        measure(Config(engine=engine))


def test_a_live_source_is_refused(engine: str) -> None:
    with pytest.raises(ConfigError, match="is live"):
        measure(Config(source="rtsp://127.0.0.1:1/x", engine=engine))


def test_too_few_frames_are_refused(engine: str) -> None:
    with pytest.raises(SourceError, match="has only 3 frames"):
        measure(Config(source="demo", engine=engine, frames=3))
