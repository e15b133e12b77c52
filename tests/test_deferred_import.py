"""Modules that MediaPipe imports without using them are loaded only on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engines.deferred_import import deferred

MEDIAPIPE = """
import sys
from engines.face_detector import model_path
from engines.mediapipe_detector import UNUSED, MediaPipeModel
MediaPipeModel(model_path("short_range", "mediapipe"), min_score=0.5).close()
loaded = [name for name in UNUSED if name in sys.modules]
from mediapipe.tasks.python.vision import drawing_utils
drawn = drawing_utils.plt.Figure.__module__
import matplotlib.pyplot
print(loaded, drawn, matplotlib.pyplot.Figure.__name__)
"""


def test_mediapipe_does_not_load_what_it_draws_with_until_that_is_used() -> None:
    pytest.importorskip("mediapipe")
    done = subprocess.run([sys.executable, "-c", MEDIAPIPE], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[] matplotlib.figure Figure", done.stderr


def test_a_module_is_imported_when_it_is_first_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_package").mkdir()
    (tmp_path / "heavy_package" / "__init__.py").write_text("weight = 3")
    (tmp_path / "heavy_package" / "part.py").write_text("size = 4")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        with deferred("heavy_package", "heavy_package.part"):
            import heavy_package.part as part  # type: ignore[import-not-found]

            placeholder = sys.modules["heavy_package"]
        assert "heavy_package" not in sys.modules
        assert part.size == 4
        assert placeholder.weight == 3
        with pytest.raises(AttributeError):
            _ = part.missing
        with deferred("heavy_package"):  # already loaded, so it is not replaced
            import heavy_package

            assert heavy_package.weight == 3
            assert heavy_package is sys.modules["heavy_package"]
    finally:
        for name in ("heavy_package", "heavy_package.part"):
            sys.modules.pop(name, None)


def test_a_module_that_is_used_within_the_block_is_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "early_module.py").write_text("value = 5")
    monkeypatch.syspath_prepend(str(tmp_path))
    with deferred("early_module"):
        import early_module  # type: ignore[import-not-found]

        assert early_module.value == 5
        assert sys.modules.pop("early_module").value == 5
