"""The page of `web:` fits a telephone's screen and follows the reader's theme, light or dark."""

from __future__ import annotations

import re
from pathlib import Path

from browser import measured, overflow_at_320_px

from edgeemo.report.colours import contrast
from engines import LABELS

PAGE = Path(__file__).parents[1] / "edgeemo" / "sinks" / "page.html"


def test_the_page_fits_a_telephone(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    # the content that the script adds: a card per source
    card = "<section><div class=top><h2>A source with a name</h2><span class=state>live</span></div><p>x</p></section>"
    (tmp_path / "page.html").write_text(
        re.sub(r"<script>.*?</script>", "", text, flags=re.S).replace("</main>", f"{card}</main>")
    )
    assert overflow_at_320_px(tmp_path / "page.html") == "0"


def test_the_words_of_the_table_are_whole_on_a_telephone(tmp_path: Path) -> None:
    text = re.sub(r"<script>.*?</script>", "", PAGE.read_text(encoding="utf-8"), flags=re.S)
    row = "<tr><td>web:127.0.0.1:8941</td><td class=number>123456</td><td class=number>12</td><td class=number>0</td>"
    text = text.replace('id="sinks" hidden', 'id="sinks"').replace(
        "<tbody>", f"<tbody>{row}<td class=live>works</td></tr>"
    )
    (tmp_path / "page.html").write_text(text)
    lines = "Math.round(cell.offsetHeight / parseFloat(page.defaultView.getComputedStyle(cell).lineHeight))"
    cells = f"[...page.querySelectorAll('th, td.live')].map(cell => {lines}).join(' ')"
    assert measured(tmp_path / "page.html", cells) == "1 1 1 1 1 1"
    assert overflow_at_320_px(tmp_path / "page.html") == "0"


def test_the_heading_beside_the_legend_stays_in_one_line(tmp_path: Path) -> None:
    text = re.sub(r"<script>.*?</script>", "", PAGE.read_text(encoding="utf-8"), flags=re.S)
    legend = "".join(f"<li>{label}</li>" for label in LABELS)
    text = text.replace('id="sinks" hidden', 'id="sinks"').replace('<ul id="legend">', f'<ul id="legend">{legend}')
    (tmp_path / "page.html").write_text(text)
    heading = "page.querySelector('#sinks h2')"
    line = f"parseFloat(page.defaultView.getComputedStyle({heading}).lineHeight)"
    assert measured(tmp_path / "page.html", f"Math.round({heading}.offsetHeight / {line})", width=700) == "1"


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
