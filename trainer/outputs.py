"""The kinds of file that edgeemo-train writes; its commands check them before they begin.

`engines.outputs` has the rules. edgeemo-train has no --overwrite: another file must be deleted first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engines import outputs
from engines.outputs import OutputKind
from engines.spec import LABELS


def _is_predictions(head: bytes, tail: bytes) -> bool:
    names = head.partition(b"\n")[0].decode(errors="replace").strip().split(",")
    return names[0] == "image" and len(names) > 1 and set(names[1:]) <= set(LABELS)


OUTPUTS = {
    "predictions": OutputKind("a table of predictions", _is_predictions),
    "scores": OutputKind("the scores of a report", lambda head, tail: b'"risk_at_coverage":' in head),
    "groups": OutputKind(
        "a table of picture groups", lambda head, tail: head.startswith(b"image,colour,tone,ita,light,face_px")
    ),
    "crops": OutputKind(
        "a file of face crops", lambda head, tail: head.startswith(b"PK") and b"faces.npy" in head[:200]
    ),
    "page": OutputKind("a saliency page", lambda head, tail: b"<title>Where " in head and b"<p>Grad-CAM on " in head),
    "checkpoint": OutputKind(
        "an averaged checkpoint", lambda head, tail: head.startswith(b"PK") and b"Weights averaged:" in head
    ),
    "weights": OutputKind(
        "weights written by edgeemo-train", lambda head, tail: b'"arch":' in head and b'"labels":' in head
    ),
}


def check_output(path: Path, kind: str, inputs: Iterable[Path | str] = ()) -> None:
    """Check that a file may be written.

    Args:
        kind: a key of `OUTPUTS`.
        inputs: files and folders that the same command reads; also KIND:PATH.

    Raises:
        OutputError: it may not; the message is one line.
    """
    if not path.parent.exists():  # the writer creates the folder, or says why it cannot
        return
    read = [str(each) for each in inputs]
    read += [each.partition(":")[2].partition(",")[0] for each in read if ":" in each]
    outputs.check_output(
        path, OUTPUTS[kind], inputs=[each for each in read if each], known=OUTPUTS.values(), otherwise="or delete it"
    )
