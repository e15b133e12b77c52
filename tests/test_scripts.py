"""Developers' scripts are not type-checked: what they import from the project exists under that name."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SHEBANG = b"#!/usr/bin/env python3"
PYTHON = sorted(path for path in SCRIPTS.iterdir() if path.is_file() and path.read_bytes().startswith(SHEBANG))


def test_there_are_scripts() -> None:
    assert len(PYTHON) > 10


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_what_a_script_imports_from_the_project_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in (
            "engines",
            "edgeemo",
            "trainer",
        ):
            continue
        module = import_module(node.module or "")
        for name in node.names:
            try:
                found = hasattr(module, name.name) or import_module(f"{node.module}.{name.name}")
            except ModuleNotFoundError:
                found = False
            assert found, f"{path.name}, line {node.lineno}: {node.module} has no {name.name}"
