"""docs/extending.md: each recipe is applied to a copy of the tree, literally, and its commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RECIPES = [
    recipe
    for recipe in (ROOT / "docs" / "extending.md").read_text().split("\n## ")[1:]
    if not recipe.startswith("A language")  # a language has no code: test_ui_language.py
]
COMMANDS = {"edgeemo": "edgeemo.cli", "edgeemo-train": "trainer.cli"}
EXPECTED = {
    "A sink": r"0\.00 s: \w+\n0\.04 s: \w+",
    "A source": r'"frame": 2, "time": 0\.08',
    "A network": r"tiny[\s\S]*epoch 1: .*accuracy",
    "A data set": r"pictures +10 +2",
    "A backend": r"\"emotion\": \"neutral\"[\s\S]*OpenCV [0-9.]+, CPU, FP32",
}


def copy_of_the_tree(folder: Path) -> Path:
    """The packages' sources; large files are linked."""
    for package in ("edgeemo", "engines", "trainer"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.onnx", "*.mp4")
        )
        for path in [*(ROOT / package).rglob("*.onnx"), *(ROOT / package).rglob("*.mp4")]:
            (folder / path.relative_to(ROOT)).symlink_to(path)
    return folder


def make_pictures(folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(12):
        name = ("happiness", "sadness")[number % 2]
        (folder / name).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name / f"{number}.png"), random.integers(0, 256, (96, 96, 3), np.uint8))
        rows.append(f"{name}/{number}.png {3 + number % 2}\n")
    (folder / "list.txt").write_text("".join(rows))


def apply(recipe: str, tree: Path) -> list[str]:
    """Apply a recipe's code to the tree; returns its commands."""
    for path, code in re.findall(r"New file `(.+?)`:\n\n```python\n(.*?)```", recipe, re.DOTALL):
        assert not (tree / path).exists(), path
        (tree / path).write_text(code)
    for path, line, code in re.findall(r"In `(.+?)`, after `(.+?)`:\n\n```python\n(.*?)```", recipe, re.DOTALL):
        text = (tree / path).read_text()
        assert text.count(line + "\n") == 1, f"{path} has no single line {line!r}"
        (tree / path).write_text(text.replace(line + "\n", line + "\n" + code))
    return [line for block in re.findall(r"```sh\n(.*?)```", recipe, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("recipe", RECIPES, ids=[text.split("\n")[0] for text in RECIPES])
def test_a_recipe_works_as_it_is_written(recipe, tmp_path):
    tree = copy_of_the_tree(tmp_path)
    make_pictures(tree / "pictures")
    commands = apply(recipe, tree)
    assert commands
    output = ""
    environment = os.environ | {"PYTHONPATH": str(tree), "HOME": str(tree)}
    for command in commands:
        name, *arguments = command.split()
        run = [sys.executable, "-c", f"import sys, {COMMANDS[name]} as cli; sys.exit(cli.main())", *arguments]
        done = subprocess.run(run, cwd=tree, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        output += done.stdout + done.stderr
    assert re.search(EXPECTED[recipe.split("\n")[0]], output), output
