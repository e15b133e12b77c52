"""Spelling, and phrases that a reader has to read twice; STYLE: plain technical English in the field's terms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("edgeemo", "engines", "trainer", "docs", "scripts", "packaging", "docker", "tests")
# phrase -> what to write instead
BANNED = {
    r"\bby turns\b": "interleaved, or alternately",
    r"\bat hand\b": "available, or current",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\banew\b": "again",
    r"\bthe surest\b": "at N % coverage, or most confident",
    r"\bproven\b": "passed parity",
    r"\bfaces that count\b": "scored faces",
    r"\bis no number\b": "is not a number, or NaN",
    r"\bof its own accord\b": "automatically",
    r"\b(frames|faces|images|rows?|ms|MB) an? (second|frame|face|picture|epoch|class)\b": "per second, per frame",
    r"\b(pictures|milliseconds|MiB|events?) an? (second|frame|face|picture|epoch|class)\b": "per second, per frame",
    r"\bholds the walls\b": "enforces the layering",
    r"\bthe house\b": "the repository layout",
    r"\btold to be (none|unsure)\b": "rejected, or labelled unsure",
    r"\b(breaks?|broke) off\b": "is cut off, or ends",
    r"\b(begins?|began|begun) again\b": "starts again, or is reopened",
    r"\bleft behind\b": "keeps running, or remains",
    r"\bstands? still\b": "does not move, or is blocked",
    r"\bto the (last )?bit\b|\bnot by a bit\b": "bit-identical",
    r"\bwho is who\b": "identity, or matching of tracks",
    r"\b(one|a (row|line)) an? (frame|face|source|class|second|file)\b": "one per frame, one row per face",
    r"\bfault of (ours|edgeemo)": "a bug in edgeemo",
    r"\bwhat really runs\b": "the engine in use",
    r"(?<!there )\bis no (file|folder|video|picture|camera|session|address|database)\b": "is not a file",
    r"\bat present\b": "now",
    r"\bwhere (known|missing|there (is|are)|it (is|does|finds) (no|not|none|missing|known))\b": "if known, if there is",
    r"\b(row|line|changes|faces|bytes) an? (minute|width|gallery|byte|cell|pixel)\b": "one row per width",
    r"\bof (its|their) own(?! (folder|spec))\b": "separate",
    r"\b(any more|shall)\b": "no longer; must or will",
    r"\bgo(es)? on\b": "continues",
    r"\bon the way\b": "in flight",
    r"\bwhat (is|was) (left|gained|shown|found|seen|made|there)\b": "name it: the label, the faces found",
    r"\b(ways?|kinds?) to look\b": "detection policy",
    r"# \.\.\. ": "a comment names its own quantity and does not continue the line before",
}


def texts() -> list[Path]:
    found = [*ROOT.glob("*.md")]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            script = folder == "scripts" and not path.suffix
            if path.is_file() and (
                script or path.suffix in (".py", ".md", ".toml", ".html", ".sh", ".xml", ".desktop")
            ):
                found.append(path)
    return found


def test_no_phrase_that_has_to_be_read_twice():
    offences = []
    for path in texts():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for phrase, instead in BANNED.items():
                if match := re.search(phrase, line, re.IGNORECASE):
                    offences.append(f"{path.relative_to(ROOT)}:{number}: {match[0]!r}; write {instead}")
    assert not offences, "\n".join(offences)


def test_spelling():
    # French and German words, and names that are misspelt on purpose in messages and tests
    command = [
        sys.executable,
        "-m",
        "codespell_lib",
        "--ignore-words-list",
        "resturn,te,nd,alls,fo",
        *(str(path) for path in texts() if path.parent.name != "tests"),  # which have German texts
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_table_has_a_header() -> None:
    """An empty line inside a table makes the rest of it plain text."""
    headless = []
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        before = ""
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True), 1):
            if line.startswith("|") and not before.startswith("|") and not re.fullmatch(r"\|[ :|-]+\|", after):
                headless.append(f"{path.name}:{number}")
            before = line
    assert not headless
