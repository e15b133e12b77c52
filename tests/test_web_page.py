"""The page of `web:`: it fits a telephone and follows the reader's preference for light or dark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeemo.report.colours import contrast

PAGE = Path(__file__).parents[1] / "edgeemo" / "sinks" / "page.html"


def test_the_page_fits_a_telephone(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed (scripts/test installs it)")
    text = PAGE.read_text(encoding="utf-8")
    # as the script fills it: a card per source
    card = "<section><div class=top><h2>A source with a name</h2><span class=state>live</span></div><p>x</p></section>"
    (tmp_path / "page.html").write_text(
        re.sub(r"<script>.*?</script>", "", text, flags=re.S).replace("</main>", f"{card}</main>")
    )
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<body><iframe src=page.html style='width:320px;height:900px;border:0'></iframe><script>onload=()=>{"
        "const d=document.querySelector('iframe').contentDocument.documentElement;"
        "document.title='overflow '+(d.scrollWidth-d.clientWidth)}</script>"
    )
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert "<title>overflow 0</title>" in done.stdout


def test_both_preferences_have_readable_texts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    dark, light = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", each)) for each in re.findall(r":root \{(.*?)\}", text, re.S)
    )
    assert "@media (prefers-color-scheme: light)" in text
    assert dark.keys() == light.keys()
    for colours in (dark, light):
        full = {
            name: colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
            for name, colour in colours.items()
        }
        for name in ("text", "quiet", "good", "wait", "bad"):
            assert contrast(full[name], full["card"]) >= 4.5, name
