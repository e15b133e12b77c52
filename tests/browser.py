"""Chromium for tests of pages, which are skipped if it is not installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from servers import serving


def find_chromium() -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed (scripts/test installs it)")
    return browser


def measured(page: Path, expression: str, *, width: int = 320) -> str:
    """The value of a JavaScript expression on a page, as text.

    Args:
        expression: JavaScript about `page`, the document.
        width: of the frame that shows the page, in pixels.
    """
    browser = find_chromium()
    frame = page.with_name("frame.html")
    frame.write_text(
        f"<body><iframe src={page.name} style='width:{width}px;height:900px;border:0'></iframe><script>onload=()=>{{"
        "const page=document.querySelector('iframe').contentDocument;"
        f"document.title='measured '+({expression})}}</script>"
    )
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(page.parent)}, check=True,
    )  # fmt: skip
    return done.stdout.partition("<title>measured ")[2].partition("</title>")[0]


def overflow_at_320_px(page: Path) -> str:
    """How many pixels a page is wider than a telephone's screen."""
    return measured(page, "page.documentElement.scrollWidth - page.documentElement.clientWidth")


def axe_script() -> str:
    """The axe-core file that EDGEEMO_AXE names (npm has the newest), else that of the test dependencies."""
    named = os.environ.get("EDGEEMO_AXE")
    if named:
        return Path(named).read_text(encoding="utf-8")
    package = pytest.importorskip("axe_core_python", reason="axe-core is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class _Posted(SimpleHTTPRequestHandler):
    """Serves a folder and stores posted data."""

    def __init__(self, posted: Queue[bytes], *arguments: Any, **more: Any) -> None:
        self._posted = posted
        super().__init__(*arguments, **more)

    def do_POST(self) -> None:
        self._posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        return


def axe_violations(pages: Mapping[str, tuple[str, int]], folder: Path) -> dict[str, list[str]]:
    """axe-core's findings, one per line, for pages shown side by side in one browser.

    Args:
        pages: name -> HTML and the width in pixels at which it is shown.
        folder: for files.
    """
    browser = find_chromium()
    (folder / "axe.js").write_text(axe_script(), encoding="utf-8")
    frames = ""
    for number, (text, width) in enumerate(pages.values()):
        # the page's own policy would refuse the script
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        run = (
            "<script src=axe.js></script><script>axe.run().then(r=>parent.done(name,r),e=>parent.done(name,e))</script>"
        )
        (folder / f"{number}.html").write_text(text.replace("</body>", f"{run}</body>"), encoding="utf-8")
        frames += f"<iframe name={number} src={number}.html style='width:{width}px;height:900px'></iframe>"
    (folder / "all.html").write_text(
        "<body><script>const all={};function done(name,r){all[name]=r.violations?r.violations.map(v=>v.id+' '+"
        "v.nodes.map(n=>n.html.slice(0,120)).join(' ')):[String(r)];"
        f"if(Object.keys(all).length=={len(pages)})fetch('/',{{method:'POST',body:JSON.stringify(all)}})}}</script>{frames}"
    )
    posted: Queue[bytes] = Queue()
    with serving(partial(_Posted, posted, directory=str(folder))) as port:
        shown = subprocess.Popen(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
                "--remote-debugging-port=0", f"http://127.0.0.1:{port}/all.html",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        try:
            found = json.loads(posted.get(timeout=180))
        finally:
            shown.terminate()
            shown.wait(30)
    return {name: found[str(number)] for number, name in enumerate(pages)}
