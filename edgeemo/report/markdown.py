"""Convert the Markdown of engine cards to HTML; anything else stays text. Called by `page` and the app."""

from __future__ import annotations

import re
from html import escape


def to_html(text: str, *, level: int = 3) -> str:
    """Convert headings, paragraphs, lists, tables, code and emphasis. HTML tags in the text are escaped.

    Args:
        level: level of the largest heading.
    """
    out: list[str] = []
    blocks = re.split(r"\n\s*\n", text.strip())
    for block in blocks:
        lines = block.splitlines()
        if not lines:
            continue
        if heading := re.match(r"(#{1,6})\s+(.*)", lines[0]):
            size = min(level + len(heading[1]) - 1, 6)
            out.append(f"<h{size}>{_inline(heading[2])}</h{size}>")
            lines = lines[1:]
        if not lines:
            continue
        if len(lines) > 1 and lines[0].startswith("|") and re.fullmatch(r"[|\s:-]+", lines[1]):
            head = "".join(f"<th>{_inline(cell)}</th>" for cell in _cells(lines[0]))
            body = "".join(
                "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in _cells(line)) + "</tr>" for line in lines[2:]
            )
            out.append(
                '<div class="scroll" role="group" tabindex="0" aria-label="Table">'
                f"<table><tr>{head}</tr>{body}</table></div>"
            )
        elif re.match(r"\s*[-*]\s", lines[0]):
            items: list[str] = []
            for line in lines:
                if item := re.match(r"\s*[-*]\s+(.*)", line):
                    items.append(item[1])
                elif items:
                    items[-1] += " " + line.strip()
            out.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
        elif lines[0].startswith("```"):
            out.append(f"<pre>{escape(chr(10).join(lines[1:]).removesuffix('```').rstrip())}</pre>")
        else:
            out.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")
    return "\n".join(out)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _inline(text: str) -> str:
    safe = escape(text, quote=False)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    # the page works offline, so only the text of a link is kept
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", safe)
