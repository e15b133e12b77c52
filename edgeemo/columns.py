"""Column names of tables: one scheme for CSV, Parquet and Python, with one row per face and frame.

origin      name of the source: a file name, "camera 0", an address; `file` (the path) in a table of several sources
frame       number of the frame, from 0
time        media time in seconds
wall        capture time, seconds since the epoch; only on request
markers     labels of markers that start at or span this frame, separated by ";"; only in exports of sessions
face_id     number of the face, from 1
person      name given in a session, else "Person 1" for face 1
x1 y1 x2 y2 box in pixels
score       the detector's confidence, 0..1
emotion     the expression shown
confidence  its calibrated probability, 0..1
...         one column per class of the engine: its probability, 0..1
doubts      codes of why the expression is unsure, separated by ";"; empty if it is not unsure
face_px     width of the box in pixels
yaw_deg     yaw to the person's left (positive) or right, from nose and ears, accurate to about ten degrees
roll_deg    roll, clockwise on the screen positive
sharpness   standard deviation of the Laplacian of the face at 48 pixels, divided by its contrast
light       mean grey level of the face, 0..255
contrast    standard deviation of the face's grey levels
turned      rotation of the head in a still picture: 90, 180 or 270 degrees clockwise; 0 if upright and in videos
"""

from __future__ import annotations

import re

BOX = ("x1", "y1", "x2", "y2")
INTEGERS = ("frame", "face_id", "turned")
SECONDS = ("time", "wall")  # columns in double precision: seconds since the epoch need it
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


# older recordings store doubts in words: pattern -> code
_CODES = (
    (r"face \d+ px", "small_face"),
    (r"turned \d+ degrees", "turned_head"),
    (r"leaning \d+ degrees", "leaning_head"),
    (r"\d+ % sure", "low_confidence"),
    (r"hardly any contrast", "low_contrast"),
    (r"damaged picture", "damaged_picture"),
    (r"between .+ and .+", "undecided"),
)
# first characters by which spreadsheets recognise a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def codes_of(reasons: str) -> str:
    """ "face 31 px; too dark" -> "small_face;too_dark": doubts in words, as in databases, to codes."""
    return ";".join(_code_of(reason) for reason in reasons.split("; ") if reason)


def cell(text: str) -> str:
    """A text as a cell of a CSV file; an apostrophe is prefixed if a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _code_of(words: str) -> str:
    return next((code for pattern, code in _CODES if re.fullmatch(pattern, words)), words.replace(" ", "_"))


def person_name(face_id: int) -> str:
    """The default name of a person; `face_id` -1 means a face that was not tracked."""
    return "Faces" if face_id < 0 else f"Person {face_id}"


def decimals(name: str) -> int:
    """Number of decimals with which a figure is recorded."""
    return 1 if name in BOX or (name in QUALITY and name != "sharpness") else 4


def column_names(labels: tuple[str, ...], *, wall: bool = False, session: bool = False) -> tuple[str, ...]:
    """All columns in their order.

    Args:
        labels: the engine's classes.
        wall: include the capture time.
        session: include `markers`, which only sessions have.
    """
    wanted = {"wall": wall, "markers": session}
    return (*(name for name in BEFORE_CLASSES if wanted.get(name, True)), *labels, *AFTER_CLASSES)
