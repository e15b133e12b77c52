"""Chromium for tests of pages; they are skipped where it is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def find_chromium() -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed (scripts/test installs it)")
    return browser


def overflow_at_320_px(page: Path) -> str:
    """By how many pixels a page of a file is wider than a telephone, as the browser's own text."""
    browser = find_chromium()
    frame = page.with_name("frame.html")
    frame.write_text(
        f"<body><iframe src={page.name} style='width:320px;height:900px;border:0'></iframe><script>onload=()=>{{"
        "const d=document.querySelector('iframe').contentDocument.documentElement;"
        "document.title='overflow '+(d.scrollWidth-d.clientWidth)}</script>"
    )
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(page.parent)}, check=True,
    )  # fmt: skip
    return done.stdout.partition("<title>overflow ")[2].partition("</title>")[0]
