"""The kinds of file that edgeemo writes; sinks, reports and exports check them before they open a file.

`engines.outputs` has the rules.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from edgeemo.errors import OutputError, SinkError
from engines import outputs
from engines.outputs import OutputKind

VIDEO_MARK = b"made by edgeemo"  # the comment in every video that edgeemo writes


def _is_jsonl(head: bytes, tail: bytes) -> bool:
    line = head.split(b"\n", 1)[0]
    if line.startswith(b'{"frame": '):  # also a line cut by a crash, or longer than the bytes read
        return True
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and "faces" in event


def _is_csv(head: bytes, tail: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").startswith(
        (b"frame,", b"origin,frame,", b"session,origin,frame,", b"file,frame,", b"file,", b"row,title,group,")
    )


OUTPUTS = {
    "jsonl": OutputKind("JSON lines of edgeemo", _is_jsonl, streams=True),
    "elan": OutputKind("annotations for ELAN", lambda head, tail: b"<ANNOTATION_DOCUMENT" in head),
    "csv": OutputKind("a table of edgeemo", _is_csv, streams=True),
    # the sink itself refuses databases of other programs
    "sqlite": OutputKind("a database of edgeemo", lambda head, tail: head.startswith(b"SQLite format 3\0")),
    "video": OutputKind(
        "a video that edgeemo has written", lambda head, tail: VIDEO_MARK in head or VIDEO_MARK in tail
    ),
    "report": OutputKind("a report of edgeemo", lambda head, tail: b"edgeemo report</title>" in head),
    "parquet": OutputKind("a table of edgeemo", lambda head, tail: head.startswith(b"PAR1") and b"edgeemo." in tail),
    "device report": OutputKind(
        "a device report of edgeemo",
        lambda head, tail: (
            head in (b"{}\n",) or head.startswith(b'{\n  "format": ') or b"<title>edgeemo device report" in head
        ),
    ),
}


def check_output(
    target: str | os.PathLike[str], kind: str, *, inputs: Iterable[str | os.PathLike[str]] = (), overwrite: bool = False
) -> Path:
    """The path to write, with symbolic links resolved, as `engines.outputs.check_output`.

    Args:
        kind: a key of `OUTPUTS`.

    Raises:
        SinkError: the path may not be written; the message is one line.
    """
    try:
        return outputs.check_output(target, OUTPUTS[kind], inputs=inputs, known=OUTPUTS.values(), overwrite=overwrite)
    except OutputError as error:
        raise SinkError(str(error)) from error


def refusal(path: Path, error: OSError) -> SinkError:
    """The error for a target that cannot be opened, in one line."""
    return SinkError(str(outputs.refusal(path, error)))
