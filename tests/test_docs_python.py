"""The Python examples of README.md and docs/ run unchanged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [  # test_extending.py tests the recipes of extending.md
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "extending.md"),
]
NOTEBOOK = ROOT / "docs" / "analyse-a-video.ipynb"


def examples(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_clip: Path) -> Path:
    """The files that the examples name: photo.jpg, clip.mp4 and pictures/."""
    monkeypatch.chdir(tmp_path)
    capture = cv2.VideoCapture(str(demo_clip))
    images = [np.asarray(capture.read()[1], np.uint8) for _ in range(36)]
    capture.release()
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter("clip.mp4", cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    Path("pictures").mkdir()
    for path in ("photo.jpg", "pictures/one.jpg", "pictures/two.jpg"):
        cv2.imwrite(path, images[0])
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_every_example_runs(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    names: dict[str, Any] = {}
    for example in examples(page):
        exec(compile(example, page.name, "exec"), names)
    shown = capsys.readouterr().out
    assert "neutral" in shown or "happiness" in shown


def test_the_examples_are_found() -> None:
    counts = {page.name: len(examples(page)) for page in PAGES}
    assert counts["README.md"] >= 1
    assert counts["api.md"] >= 8


def test_the_page_of_the_examples_leaves_what_it_says(folder: Path) -> None:
    pytest.importorskip("pandas")
    names: dict[str, Any] = {}
    for example in examples(ROOT / "docs" / "api.md"):
        exec(compile(example, "api.md", "exec"), names)
    assert {"overlay.png", "faces.csv", "overlay.mp4"} <= {path.name for path in folder.iterdir()}
    assert len(names["table"]) > 0


def test_the_reference_is_what_the_docstrings_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "api-docs"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_notebook_was_stored_after_a_full_run_and_is_small() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] in ("error", "stream")]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a plot"
    assert any("text/html" in output.get("data", {}) for output in outputs), "a table"
    assert NOTEBOOK.stat().st_size < 350_000


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for name in ("ipykernel", "pandas", "matplotlib"):
        pytest.importorskip(name)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = [cell.source for cell in notebook.cells]
    client = nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert [cell.source for cell in notebook.cells] == stored
    tables = [
        output["data"]["text/html"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert any("neutral" in table for table in tables)
