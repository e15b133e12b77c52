"""Translate messages of engines, sources, sinks and recordings to the window's language when they are shown.

The library says everything in English. A message consists of clauses joined by "; ". Each clause that fits a template
below is translated; others stay English. A field named `reason` is a clause itself. The tests compare the templates
with the texts of the library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from PyQt6.QtCore import QLocale

from edgeemo.ui.language import tr, translatable
from edgeemo.ui.settings import PRESETS

BETWEEN_CLAUSES = "; "
REASON = "reason"
FIELD = re.compile(r"\{(\w+)\}")
THOUSANDS, DECIMAL = re.compile(r"\d{1,3}(,\d{3})+"), re.compile(r"(\d+:)*\d+\.\d+")

SYSTEM = (
    translatable("No such file or directory"),
    translatable("Permission denied"),
    translatable("No space left on device"),
    translatable("Read-only file system"),
    translatable("Input/output error"),
    translatable("Is a directory"),
    translatable("Not a directory"),
    translatable("Network is unreachable"),
    translatable("No route to host"),
    translatable("database or disk is full"),
    translatable("attempt to write a readonly database"),
    translatable("disk I/O error"),
    translatable("unable to open database file"),
    translatable("file is not a database"),
    translatable("database disk image is malformed"),
)  # texts of the operating system and of SQLite
FILES = (
    translatable("there is no file or folder {name}"),
    translatable(
        "a source is a camera number, a video file, a folder of pictures, an rtsp:// or http:// address, or demo"
    ),
    translatable("{name} is not a regular file"),
    translatable("{path} is not a file"),
    translatable("check the path"),
    translatable("check the file's permissions"),
    translatable("check the path and its permissions"),
    translatable("check its permissions"),
    translatable("cannot read {path}: {reason}"),
    translatable("cannot read the folder {path}: {reason}"),
    translatable("{path} is empty"),
    translatable("copy or record it again"),
    translatable("{path} is not a video that FFmpeg can read"),
    translatable("{path} is not a video"),
    translatable("give a video file such as .mp4, .mkv or .avi"),
    translatable("{path} has no frame that can be decoded"),
    translatable("{path} is not complete: it ends before its first frame can be read"),
    translatable("{path} is cut off after frame {frame} of {count}: the file is not complete ({reason})"),
    translatable("{path} is cut off after frame {frame}: the file is not complete ({reason})"),
    translatable("the rest cannot be decoded"),
    translatable("its last frame is not complete"),
    translatable("its index lists frames beyond the file's end"),
    translatable("it should last {seconds} s"),
    translatable("reading failed"),
    translatable("{path} is not a readable picture"),
    translatable("no pictures in the folder {path}"),
    translatable("it needs .jpg, .png or other picture files, not subfolders"),
    translatable("none of the {count} pictures in {path} can be read"),
    translatable("give another folder"),
)
CAMERAS = (
    translatable("there is no {name}"),
    translatable("{name}: {device} does not exist"),
    translatable("no camera is connected"),
    translatable("connect one, or try the source demo"),
    translatable("connected: {cameras}"),
    translatable("{device} is not a camera"),
    translatable("cannot open {name}: {reason}"),
    translatable("permission denied"),
    translatable("add yourself to the group video and log in again"),
    translatable("another program uses it"),
    translatable("another program may be using it"),
    translatable("close that first"),
    translatable("{name} stopped after {count} frames"),
    translatable("{name} ended after {count} frames"),
    translatable("check its cable, then start again"),
    translatable("check its cable"),
    translatable("{name} delivers no picture"),
    translatable("close other programs that use it, or reconnect it"),
)
STREAMS = (
    translatable("{name} ended after {count} frames: {reason}"),
    translatable("check the camera, then start again"),
    translatable("the connection failed"),
    translatable("the server closed the connection"),
    translatable("no data for {seconds} s"),
    translatable("there is no host {host}"),
    translatable("check the address"),
    translatable("{host} refuses the connection"),
    translatable("check the port, and whether the camera is on"),
    translatable("{host} does not answer"),
    translatable("check the address and the network"),
    translatable("{host} cannot be reached ({reason})"),
    translatable("check the network"),
    translatable("{host} answers, but not with a video"),
    translatable("check path, user name and password"),
    translatable("give the address of a video"),
    translatable("{name} names no host"),
    translatable("{name} is not a valid address"),
    translatable("write it as rtsp://host:port/path"),
)
ENGINES = (
    translatable("no engine folder at {path}"),
    translatable("no engine named {name}"),
    translatable("there are: {names} (or give the path of a bundle folder)"),
    translatable("cannot load {path}: {reason}"),
    translatable("export or download the bundle again"),
    translatable("export or download it again"),
    translatable("copy or make the bundle again"),
    translatable(
        "copy or make the bundle again, or, if you edited it on purpose, run: edgeemo-export --write-manifest {path}"
    ),
    translatable("reinstall edgeemo, or, if you edited it on purpose, add --allow-modified"),
    translatable("make the bundle again"),
    translatable("make it again"),
    translatable("it is damaged or cut off"),
    translatable("it is damaged or cut off ({length} bytes announced, {rest} present)"),
    translatable("it is not an ONNX model"),
    translatable("it is cut off"),
    translatable("{path} is missing"),
    translatable("{path} has {size} bytes, {manifest} lists {listed}"),
    translatable("{path} differs from its entry in {manifest}"),
    translatable("{path} has no {model}, and no {manifest} lists an export to use instead"),
    translatable("{name} has no {precision} model"),
    translatable("{path} is not a bundle: it has no {name}"),
    translatable("{name} cannot be used ({backend}): {reason}"),
    translatable("backend {name} is not available: {reason}"),
    translatable("the classes of {name} differ from those of the open outputs"),
    translatable("stop the outputs first"),
)
RECORDINGS = (
    translatable("cannot record into {path} ({reason})"),
    translatable("cannot record into {path}: {reason}"),
    translatable("choose another folder or free some space"),
    translatable("cannot record: {path} is a file, not a folder"),
    translatable("move it away"),
    translatable("the folder {path} was moved or deleted"),
    translatable("recording could not continue after {time}: {reason}"),
    translatable("the video could not continue after {time}: {reason}"),
    translatable("a note could not be stored at {time}: {reason}"),
    translatable("{space} of disk space left, enough for about {minutes} minutes"),
    translatable("{space} of disk space left"),
    translatable("the data continue"),
    translatable("{count} pictures of the video: the encoder was too slow"),
    translatable("The end of the file: {reason}"),
    translatable("{lost} of the {count} frames of {name} could not be read"),
    translatable("the file is damaged"),
    translatable("1 picture of the source, lost or decoded with errors (the first at {time})"),
    translatable("{count} pictures of the source, lost or decoded with errors (the first at {time})"),
    translatable("The end: the recording was not closed (a crash or a full disk), so up to one second is missing."),
    translatable("{path} is not a recorded session: {file} is missing or damaged"),
    translatable("{path} has no events"),
    translatable("the session ended within its first second"),
    translatable("{path} is not a database of results ({reason})"),
    translatable("a session needs a name"),
    translatable("type one"),
    translatable("cannot delete {path} ({reason})"),
    translatable("cannot move {path} to {folder} ({reason})"),
    translatable("{first} and {second} are visible together (at {time}), so they cannot be merged"),
    translatable("{person} cannot be split there: choose a moment while that face is visible"),
    translatable("{file} needs a first line with the columns onset, duration and trial_type (or label)"),
    translatable("{file} line {number}: {name} {text} is not a number of seconds"),
    translatable("{file} line {number}: a duration is 0 or more seconds"),
)
OUTPUTS = (
    translatable("cannot write {path}: {reason}"),
    translatable("cannot write {path} ({reason})"),
    translatable("cannot write {path}: it is a folder"),
    translatable("cannot write {path}: the folder {folder} does not exist"),
    translatable("create it first"),
    translatable("give the name of a file"),
    translatable("choose another path"),
    translatable("choose another folder"),
    translatable("cannot continue writing {path}: the disk is full"),
    translatable("cannot continue writing {path}: its folder was moved or deleted"),
    translatable("cannot continue writing {path}: {reason}"),
    translatable("cannot continue writing {path} ({reason})"),
    translatable("earlier results are kept"),
    translatable("earlier frames are kept"),
    translatable("results before the last second are kept"),
    translatable("{path} is being written by another run"),
    translatable("cannot export to {file}: give a name that ends in {endings} or {last}"),
    translatable("cannot export {count} sessions to {file}: an .eaf file contains one session"),
)
TEMPLATES = (*SYSTEM, *FILES, *CAMERAS, *STREAMS, *ENGINES, *RECORDINGS, *OUTPUTS)

MARKERS = (
    translatable("mark {number}"),
    translatable("no signal"),
)  # labels that the window itself gives
LIMIT = (translatable("unsure below {percent} %"),)


def error_words(error: BaseException) -> str:
    """The message of an error in one line, beginning with a capital letter."""
    text = message_words(" ".join(str(error).split()))
    return text[:1].upper() + text[1:]


def message_words(message: str) -> str:
    """A message of the library in the window's language."""
    return BETWEEN_CLAUSES.join(_first_that_fits(clause, _by_detail()) for clause in message.split(BETWEEN_CLAUSES))


def marker_words(label: str) -> str:
    """The label of a marker: translated if the window created it, unchanged if the user typed it."""
    engine, comma, change = label.partition(", ")
    preset, _, limit = change.partition(", ")
    if preset in PRESETS:
        return engine + comma + ", ".join([tr(preset), *([_first_that_fits(limit, LIMIT)] if limit else [])])
    return _first_that_fits(label, MARKERS)


def _first_that_fits(text: str, templates: Sequence[str]) -> str:
    for template in templates:
        if (found := _pattern(template).fullmatch(text)) is not None:
            return tr(template, **{name: _field(name, value) for name, value in found.groupdict().items()})
    return text


def _field(name: str, value: str) -> str:
    """A field of a message: a reason is a clause, numbers get the decimal separator of the language."""
    if name == REASON:
        return message_words(value)
    if THOUSANDS.fullmatch(value):
        return value.replace(",", "")
    return value.replace(".", QLocale().decimalPoint()) if DECIMAL.fullmatch(value) else value


@lru_cache(maxsize=1)
def _by_detail() -> tuple[str, ...]:
    """The templates, those with the most fixed text first: "there is no host {host}" before "there is no {name}"."""
    return tuple(sorted(TEMPLATES, key=lambda template: -len(FIELD.sub("", template))))


@lru_cache(maxsize=512)
def _pattern(template: str) -> re.Pattern[str]:
    fixed = FIELD.split(template)  # every second part is the name of a field
    # only a reason may contain a colon and a space
    kinds = {part: ".+" if part == REASON else "(?:(?!: ).)+" for part in fixed[1::2]}
    return re.compile(
        "".join(f"(?P<{part}>{kinds[part]})" if place % 2 else re.escape(part) for place, part in enumerate(fixed))
    )
