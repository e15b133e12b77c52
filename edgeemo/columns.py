"""The names of a table's columns, one scheme for CSV, Parquet and Python: a row per face and frame.

origin      what the frame is of: a file's name, "camera 0", an address; in a table of several sources `file`, the path
frame       number of the frame, from 0
time        media time in seconds
wall        when it was captured, seconds since the epoch; only where that was asked for
markers     labels of the markers that begin at this frame or last over it; only in exports of sessions, with ";"
face_id     number of the face, from 1
person      what somebody called the person in a session, else "Person 1" by the face's number
x1 y1 x2 y2 box in pixels
score       the detector's confidence, 0..1
emotion     the expression shown
confidence  its calibrated probability, 0..1
...         one per class of the engine: its probability, 0..1
doubts      codes of why the expression is unsure, separated by ";"; empty where it is not
face_px     width of the box in pixels
yaw_deg     turned to its own left (positive) or right, from six keypoints: good to about ten degrees
roll_deg    leaning clockwise on the screen (positive)
sharpness   standard deviation of the Laplacian of the face at 48 pixels, over its contrast
light       mean grey level of the face, 0..255
contrast    standard deviation of its grey levels
turned      how far the head is turned in a still picture, 90, 180 or 270 degrees clockwise; 0: upright, and in videos
"""

from __future__ import annotations

import re

BOX = ("x1", "y1", "x2", "y2")
INTEGERS = ("frame", "face_id", "turned")
SECONDS = ("time", "wall")  # double precision: seconds since the epoch need it
TEXTS = ("origin", "person", "emotion", "doubts")
QUALITY = ("face_px", "yaw_deg", "roll_deg", "sharpness", "light", "contrast")  # the fields of `types.Quality`
BEFORE_CLASSES = (
    "origin",
    "frame",
    "time",
    "wall",
    "markers",
    "face_id",
    "person",
    *BOX,
    "score",
    "emotion",
    "confidence",
)
AFTER_CLASSES = ("doubts", *QUALITY, "turned")


# what older recordings keep: a doubt in words -> its code
_CODES = (
    (r"face \d+ px", "small_face"),
    (r"turned \d+ degrees", "turned_head"),
    (r"leaning \d+ degrees", "leaning_head"),
    (r"\d+ % sure", "low_confidence"),
    (r"hardly any contrast", "low_contrast"),
    (r"damaged picture", "damaged_picture"),
    (r"between .+ and .+", "undecided"),
)
# a spreadsheet would run a text that begins like this as a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def codes_of(reasons: str) -> str:
    """ "face 31 px; too dark" -> "small_face;too_dark": doubts in words, as databases keep them, to codes."""
    return ";".join(_code_of(reason) for reason in reasons.split("; ") if reason)


def cell(text: str) -> str:
    """A text as a cell of a CSV file: one that a spreadsheet would run as a formula is put behind an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _code_of(words: str) -> str:
    return next((code for pattern, code in _CODES if re.fullmatch(pattern, words)), words.replace(" ", "_"))


def person_name(face_id: int) -> str:
    """What a person is called to whom nobody gave a name; -1 are faces that were not tracked."""
    return "Faces" if face_id < 0 else f"Person {face_id}"


def decimals(name: str) -> int:
    """With how many decimals a figure is recorded."""
    return 1 if name in BOX or (name in QUALITY and name != "sharpness") else 4


def column_names(labels: tuple[str, ...], *, wall: bool = False, session: bool = False) -> tuple[str, ...]:
    """All columns in their order.

    Args:
        labels: the engine's classes.
        wall: with the time of capture. session: with what only a session has: markers.
    """
    wanted = {"wall": wall, "markers": session}
    return (*(name for name in BEFORE_CLASSES if wanted.get(name, True)), *labels, *AFTER_CLASSES)
