"""Translate messages of engines, sources, sinks and recordings to the window's language when they are shown.

The library says everything in English. A message consists of clauses joined by "; ". Each clause that fits a template
below is translated; others stay English. A field named `reason` is a clause itself. The tests compare the templates
with the texts of the library.
"""

from __future__ import annotations

import re
from functools import lru_cache

from PyQt6.QtCore import QLocale

from edgeemo.ui.language import tr, translatable
from edgeemo.ui.settings import PRESETS

BETWEEN_CLAUSES = "; "
REASON = "reason"
FIELD = re.compile(r"\{(\w+)\}")
THOUSANDS, DECIMAL = re.compile(r"\d{1,3}(,\d{3})+"), re.compile(r"(\d+:)*\d+\.\d+")

# texts of the operating system and of SQLite
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
)
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
    translatable("{path} cannot be read after frame {frame} of {count}: {reason}"),
    translatable("{path} cannot be read after frame {frame}: {reason}"),
    translatable("{path} cannot be read: {reason}"),
    translatable("check its disk or network, then try again"),
    translatable("no data arrived in time"),
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
    translatable("{path} has {width} x {height} pixels"),
    translatable("{path} has frames of {width} x {height} pixels"),
    translatable("the limit is {count} million"),
    translatable("the limit is {count} million, so make it smaller"),
    translatable("{path} consists of tiles"),
    translatable("to read it: {command}"),
    translatable("{path} cannot be read to its end: {reason}"),
    translatable("the path {name} is too long"),
    translatable("a name has at most {count} bytes"),
    translatable("videos need the package av (PyAV), which cannot be loaded ({reason}): pip install av"),
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
    translatable("{scheme}:// is not a kind of source"),
    translatable("{name}: user, password or path contain a reserved character"),
    translatable("write @ as %40, / as %2F, ? as %3F and # as %23 there"),
    translatable(
        "{name} cannot be read: {host}:{port} does not support byte ranges, and this file has its index at its end"
    ),
    translatable("copy it to this machine, or write it with its index first (ffmpeg -movflags faststart)"),
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
    translatable("{path} is not a valid {name} ({reason})"),
    translatable("engine {name} returned values that are not finite numbers ({reason})"),
    translatable("export it again in a higher precision"),
    translatable("{path} was changed after the bundle was made"),
    translatable("{path} did not pass its parity report"),
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
    translatable("{name} is not the video that was analysed"),
    translatable("{name} is the video that was analysed"),
    translatable("choose {name}"),
    translatable("cannot read {path} ({reason})"),
    translatable("{file} line {number} has {count} columns instead of {wanted}"),
    translatable("{path} is damaged ({reason})"),
    translatable("delete it to get the persons as recorded"),
    translatable("{path} is a symbolic link"),
    translatable("delete its target by hand"),
    translatable("the video was not finished within {seconds} s"),
    translatable("{name} has no frames to show"),
    translatable("another window has changed the persons of this session"),
    translatable("replay it again"),
    translatable("cannot save the plot as {name}: give a name that ends in .png or .svg"),
    translatable("cannot save the snapshot to {path} ({reason})"),
    translatable("cannot save the snapshot in {path} ({reason})"),
    translatable("cannot save the snapshot: {path} is a file, not a folder"),
    translatable("free some space or permit writing"),
    translatable("Parquet needs pyarrow, which is not installed: {command}, or export as .csv"),
)
OUTPUTS = (
    translatable("cannot write {path}: {reason}"),
    translatable("cannot write {path} ({reason})"),
    translatable("cannot write {path}"),
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
    translatable("{path} exists and is not {kind}"),
    translatable("{path} is a database of another program"),
    translatable("{path} has no reader"),
    translatable("standard output is closed"),
    translatable("cannot listen on {address} for sink {name}: {reason}"),
    translatable("choose another port"),
    translatable("sink {name} needs {package}, which is not installed: {command}"),
    translatable("sink {name} would overwrite the source"),
    translatable("sinks {first} and {second} write to the same place"),
)
TEMPLATES = (*SYSTEM, *FILES, *CAMERAS, *STREAMS, *ENGINES, *RECORDINGS, *OUTPUTS)
# findings of the self-test (`doctor`)
FINDINGS = (
    translatable("{version} on {system}"),
    translatable("cannot import {names}"),
    translatable("{names} overwrite each other's files"),
    translatable("not from a wheel"),
    translatable("{description} (asked for)"),
    translatable("{description} (installed, and tested to send nothing)"),
    translatable("MediaPipe is not installed: {command}, or use the runtime onnx"),
    translatable("{name}: {description}, {ms} ms per face"),
    translatable("see edgeemo engines for the available ones"),
    translatable("{faces} faces in {frames} frames of the demo clip, {ms} ms each"),
    translatable("no face found in {frames} frames of the demo clip"),
    translatable("fix the faults above first"),
    translatable("none found"),
    translatable("plug one in, or use a file, a stream or the demo clip as source"),
    translatable("no permission for {devices}"),
    translatable("sudo usermod -aG video $USER, then log in again"),
    translatable("cameras and pictures work without it"),
    translatable("H.264: {reason}"),
    translatable("H.265: {reason}"),
    translatable("others: {reason}"),
    translatable("FFmpeg, on the CPU"),
    translatable("not installed"),
    translatable("only lsl: needs it ({command})"),
    translatable("pylsl is missing: {command}"),
    translatable(
        "liblsl is not installed (pylsl has it for x86-64 only): install a package from github.com/sccn/liblsl"
    ),
    translatable("install it, and name its file in PYLSL_LIB if it is not found"),
    translatable("only the app needs it"),
    translatable("edgeemo run works without"),
    translatable("PyQt6 {version}, display found"),
    translatable("no NVIDIA GPU found"),
    translatable("nvidia-smi does not answer"),
    translatable("tensorrt: {reason}"),
    translatable("onnx-cuda: {reason}"),
    translatable("can be used"),
    translatable("{command}, on a Jetson both come with JetPack ({package} is not installed)"),
    translatable("{command} in place of onnxruntime (this build of ONNX Runtime has only {names})"),
    translatable("no NVIDIA GPU can be used (none was found)"),
    translatable("onnxruntime-gpu cannot run on a Jetson"),
    translatable("JetPack 6.2 or later with TensorRT 10.3: docs/jetson.md"),
    translatable("reinstall edgeemo in a fresh environment: {command}"),
)
# names of its checks; "python" and "opencv" are not translated
CHECKS = (
    translatable("packages"),
    translatable("detector"),
    translatable("engine"),
    translatable("main job"),
    translatable("cameras"),
    translatable("decoders"),
    translatable("lab streaming"),
    translatable("window"),
    translatable("accelerator"),
)
# labels that the window itself gives to markers
MARKERS = (
    translatable("mark {number}"),
    translatable("no signal"),
)
LIMIT = (translatable("unsure below {percent} %"),)


def error_words(error: BaseException) -> str:
    """The message of an error in one line, beginning with a capital letter."""
    text = message_words(" ".join(str(error).split()))
    return text[:1].upper() + text[1:]


def message_words(message: str, templates: tuple[str, ...] = TEMPLATES) -> str:
    """A message of the library in the window's language."""
    clauses = message.split(BETWEEN_CLAUSES)
    return BETWEEN_CLAUSES.join(_first_that_fits(clause, _by_detail(templates)) for clause in clauses)


def finding_words(text: str) -> str:
    """A name, detail or remedy of the self-test in the window's language."""
    return tr(text) if text in CHECKS else message_words(text, (*FINDINGS, *TEMPLATES))


def marker_words(label: str) -> str:
    """The label of a marker: translated if the window created it, unchanged if the user typed it."""
    engine, comma, change = label.partition(", ")
    preset, _, limit = change.partition(", ")
    if preset in PRESETS:
        return engine + comma + ", ".join([tr(preset), *([_first_that_fits(limit, LIMIT)] if limit else [])])
    return _first_that_fits(label, MARKERS)


def _first_that_fits(text: str, templates: tuple[str, ...]) -> str:
    for template in templates:
        if (found := _pattern(template).fullmatch(text)) is not None:
            fields = found.groupdict().items()
            return tr(template, **{name: _field(name, value, templates) for name, value in fields})
    return text


def _field(name: str, value: str, templates: tuple[str, ...]) -> str:
    """Translate a field of a message: a reason like a message, a number to the decimal separator of the language."""
    if name == REASON:
        return message_words(value, templates)
    if THOUSANDS.fullmatch(value):
        return value.replace(",", "")
    return value.replace(".", QLocale().decimalPoint()) if DECIMAL.fullmatch(value) else value


@lru_cache(maxsize=8)
def _by_detail(templates: tuple[str, ...]) -> tuple[str, ...]:
    """Sort templates by the length of their fixed text: "there is no host {host}" before "there is no {name}"."""
    return tuple(sorted(templates, key=lambda template: -len(FIELD.sub("", template))))


@lru_cache(maxsize=512)
def _pattern(template: str) -> re.Pattern[str]:
    fixed = FIELD.split(template)  # every second part is the name of a field
    # only a reason may contain a colon and a space
    kinds = {part: ".+" if part == REASON else "(?:(?!: ).)+" for part in fixed[1::2]}
    return re.compile(
        "".join(f"(?P<{part}>{kinds[part]})" if place % 2 else re.escape(part) for place, part in enumerate(fixed))
    )
