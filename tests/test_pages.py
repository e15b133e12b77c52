"""All pages that edgeemo writes or serves: axe-core and the Nu validator find nothing, in both themes, narrow and wide.

axe-core comes with the test dependencies; EDGEEMO_AXE names a newer one. The test of the Nu validator runs with --all,
needs Java, and gets npm's package vnu-jar (30 MB) unless EDGEEMO_VNU names a vnu.jar.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from browser import axe_violations, measured
from test_report import HAPPY, NEUTRAL, SAD, recording, track

from edgeemo.recording import Marker, Recording
from edgeemo.report import page
from edgeemo.report.inference import Groups, analyse

SINKS = Path(__file__).parents[1] / "edgeemo" / "sinks"
DARK, LIGHT = "prefers-color-scheme:dark", "prefers-color-scheme: light"
VNU = "vnu-jar@26.9.27"
LABELS = [
    {"name": "happiness", "display": "Happiness", "colour": "#f9c543", "light": "#b67e00"},
    {"name": "neutral", "display": "Neutral", "colour": "#9ba3ae", "light": "#818d99"},
]
FACE = {"id": 1, "box": [0.2, 0.2, 0.2, 0.3], "emotion": "happiness", "name": "Happiness", "confidence": 0.8}


def sessions() -> Groups:
    """Two groups of sessions with every part of a report."""
    markers = (Marker(0.0, "rest", 5.0), Marker(5.0, "a film with a long name", 5.0), Marker(6.0, "joke"))
    first = recording(
        track([NEUTRAL] * 50 + [HAPPY] * 50), track([SAD] * 30, number=2), markers=markers, name="A long name " * 3
    )
    card = "# Card\n\nText.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one"
    first = replace(first, card=card, engine="one", missing=("the video",))

    def group(letter: str, happy: int) -> list[Recording]:
        numbers = (0, 4, 9, 12, 20)
        tracks = [track([HAPPY] * (happy + each) + [NEUTRAL] * (60 - each)) for each in numbers]
        return [
            replace(first, tracks=(one,), path=Path(f"{letter}{each}"))
            for one, each in zip(tracks, numbers, strict=True)
        ]

    return [("control", [first, *group("a", 10)]), ("treated", group("b", 30))]


def report() -> str:
    """A report with all comparisons and a session of each group."""
    return page([(name, members[:1]) for name, members in sessions()], analyse(sessions()))


def served(name: str, answer: object) -> str:
    """The page of `web:` as its script fills it from one response; the second request is never answered."""
    answered = f"{{ok: {json.dumps(answer is not None)}, status: {200 if answer is not None else 401}, "
    first = f"({answered}json: async () => ({json.dumps(answer)})}})"
    stub = f"<script>let asked = 0; window.fetch = async () => asked++ ? new Promise(() => {{}}) : {first};</script>"
    return (SINKS / name).read_text(encoding="utf-8").replace("<head>", f"<head>{stub}", 1)


def status() -> object:
    states = (("door", "live", ""), ("hall", "lost", "no answer"), ("yard", "stalled", ""), ("clip", "ended", ""))
    figures = {"captured": 5, "camera_fps": 25.0, "process_fps": 24.0, "dropped": 1}
    sink = {"written": 1, "waiting": 2, "dropped": 0}
    return {
        "labels": LABELS,
        "now": 100,
        "preview": False,
        "history": {"door": {"faces": [FACE], "seconds": [[90, [0.5, 0.5]]]}},
        "status": {
            "engine": "hybrid_lite",
            "uptime_s": 100,
            "sources": [{"name": name, "state": state, "error": error, **figures} for name, state, error in states],
            "sinks": [{"name": "web:8080", "error": "", **sink}, {"name": "csv:a.csv", "error": "disk full", **sink}],
        },
    }


def in_theme(text: str, dark: bool) -> str:
    """The page as shown to a reader who prefers this theme."""
    text = text.replace(f"({DARK})", "all" if dark else "not all")
    return text.replace(f"({LIGHT})", "not all" if dark else "all")


def test_axe_finds_nothing_in_any_page(tmp_path: Path) -> None:
    pages = {
        "report": report(),
        "nobody": page([("", [recording()])]),
        "live": served("page.html", status()),
        "login": served("page.html", None),
        "overlay": served("overlay.html", [{**FACE, "colour": "#f9c543", "unsure": False}]),
    }
    shown = {
        f"{name}, {'dark' if dark else 'light'}, {width} px": (in_theme(text, dark), width)
        for name, text in pages.items()
        for dark, width in ((False, 320), (True, 1200))
    }
    found = axe_violations(shown, tmp_path)
    assert {name: violations for name, violations in found.items() if violations} == {}


def nu_validator(folder: Path) -> str:
    """Path of vnu.jar, fetched into `folder` unless EDGEEMO_VNU names one."""
    jar = os.environ.get("EDGEEMO_VNU")
    if jar:
        return jar
    npm = shutil.which("npm")
    if npm is None or shutil.which("java") is None:
        pytest.skip("java or npm is not installed")
    fetched = subprocess.run([npm, "pack", VNU], cwd=folder, capture_output=True, text=True, timeout=300)
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch {VNU}: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("vnu-jar-*.tgz"))) as package:
        package.extract("package/build/dist/vnu.jar", folder)
    return str(folder / "package" / "build" / "dist" / "vnu.jar")


@pytest.mark.slow
def test_the_nu_validator_finds_nothing_in_any_page(tmp_path: Path) -> None:
    jar = nu_validator(tmp_path)
    (tmp_path / "report.html").write_text(report(), encoding="utf-8")
    (tmp_path / "nobody.html").write_text(page([("", [recording()])]), encoding="utf-8")
    files = [tmp_path / "report.html", tmp_path / "nobody.html", SINKS / "page.html", SINKS / "overlay.html"]
    done = subprocess.run(["java", "-jar", jar, "--stdout", *map(str, files)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("width", [320, 800, 1400])
def test_the_colour_key_stands_above_the_charts(tmp_path: Path, width: int) -> None:
    live = tmp_path / "live.html"
    live.write_text(served("page.html", status()), encoding="utf-8")
    key, chart = "page.getElementById('legend')", "page.querySelector('canvas')"
    above = f"{key}.getBoundingClientRect().bottom <= {chart}.getBoundingClientRect().top"
    too_wide = "page.documentElement.scrollWidth - page.documentElement.clientWidth"
    assert measured(live, f"[{key}.childElementCount, {above}, {too_wide}]", width=width) == "2,true,0"


def test_every_page_has_an_icon_of_its_own() -> None:
    """Otherwise browsers ask the server for one, and the Nu validator refuses spaces in its address."""
    for text in (page([("", [recording()])]), *(path.read_text(encoding="utf-8") for path in SINKS.glob("*.html"))):
        icon = re.search(r'<link rel="icon" href="(data:image/svg\+xml,[^"\s]+)">', text)
        assert icon is not None
