"""MediaPipe's face detector, with its telemetry blocked. Called by `engines.face_detector`.

Since 0.10.31 MediaPipe's library sends usage metrics to Google when a task closes; no option disables this. It
resolves hosts with the C library's `getaddrinfo`, so the library's reference to that function is replaced by one that
always fails. Nothing else in the process is affected: proxies, streams and brokers can still resolve hosts.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import mmap
import platform
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.deferred_import import deferred
from engines.errors import BackendUnavailable
from engines.installation import pip_install
from engines.native_noise import native_noise_dropped
from engines.preprocess import F32, U8

# (version, system, machine) that made no look-up and no connection in tests/test_silence.py
SILENT = {("1.2.2", "Linux", "x86_64")}
# modules that MediaPipe imports for drawing and recording sound: half of its start-up time and 40 MB of memory
UNUSED = ("matplotlib", "matplotlib.pyplot", "sounddevice")
WARNING, MOST_BLANK = b"memory is not aligned", 12  # maximum number of blank pictures, 2 ms each
LOOK_UPS = (b"getaddrinfo", b"gethostbyname", b"gethostbyname2", b"gethostbyname_r", b"gethostbyname2_r", b"res_query")

_has_warned = False


class MediaPipeModel:
    """One of the two models in MediaPipe's runtime.

    Raises:
        BackendUnavailable: MediaPipe is not installed.
    """

    def __init__(self, path: Path, *, min_score: float) -> None:
        if reason := missing():
            raise BackendUnavailable("mediapipe", hint=reason)
        block_look_ups()
        try:
            with deferred(*UNUSED):
                import mediapipe as mp
                from mediapipe.tasks.python import vision
                from mediapipe.tasks.python.core.base_options import BaseOptions
        except (ImportError, OSError) as error:
            raise BackendUnavailable("mediapipe", hint=f"{error}; use the runtime onnx") from error

        self._mp = mp
        self._lock = threading.Lock()
        options = vision.FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=path.read_bytes()), min_detection_confidence=min_score
        )
        with native_noise_dropped() as logged:
            self._detector: Any = vision.FaceDetector.create_from_options(options)
            _call_in_callers_thread(self._detector)
            _provoke_warning(self._detect_blank, logged)
        self.description = f"MediaPipe {version()}"

    def _detect_blank(self, size: int) -> None:
        self.detect(np.zeros((size, size, 3), np.uint8))

    def detect(self, image: U8) -> tuple[F32, F32, F32]:
        # cvtColor also makes a contiguous copy: MediaPipe silently misreads views
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        picture = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=rgb)
        with self._lock:
            found = self._detector.detect(picture).detections
        boxes = np.empty((len(found), 4), np.float32)
        keypoints = np.empty((len(found), 6, 2), np.float32)
        scores = np.empty(len(found), np.float32)
        size = (image.shape[1], image.shape[0])
        for row, face in enumerate(found):
            box = face.bounding_box
            boxes[row] = box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height
            keypoints[row] = [(point.x * size[0], point.y * size[1]) for point in face.keypoints]
            scores[row] = face.categories[0].score
        return boxes, keypoints, scores

    def close(self) -> None:
        with self._lock, native_noise_dropped():
            self._detector.close()


def _provoke_warning(detect_blank: Callable[[int], object], logged: Callable[[], bytes]) -> None:
    """Detect in blank pictures until MediaPipe has logged its once-per-process warning about unaligned memory.

    Otherwise the warning would come in the middle of a run, at the first picture with unaligned memory.
    """
    global _has_warned
    kept = []
    for attempt in range(1 if _has_warned else MOST_BLANK):
        detect_blank(64 + 16 * attempt)
        kept.append(np.empty(1000 + 336 * attempt, np.uint8))  # changes the address of the next picture
        if WARNING in logged():
            _has_warned = True
            return


class _Finished:
    """The result of a call that is already done, with the interface of a future."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self, timeout: float | None = None) -> Any:
        return self._value


def _call_in_callers_thread(detector: Any) -> None:
    """Let a task call MediaPipe's library in the caller's thread.

    MediaPipe's Python package makes these calls in a separate thread for each task. Changing threads twice per
    picture costs up to a third of the time of a frame; a lock is enough.
    """
    executor: Any = getattr(getattr(detector, "_lib", None), "_executor", None)
    if hasattr(executor, "submit"):
        executor.shutdown()
        executor.submit = lambda call, *values, **named: _Finished(call(*values, **named))


def missing() -> str:
    """Why MediaPipe cannot be used, in one clause; empty if it is installed. Does not import it."""
    if version():
        return ""
    return f"MediaPipe is not installed: {pip_install('app')}, or use the runtime onnx"


def version() -> str:
    """MediaPipe's installed version, or ""."""
    try:
        return metadata.version("mediapipe") if importlib.util.find_spec("mediapipe") else ""
    except (ImportError, metadata.PackageNotFoundError):
        return ""


def not_silent() -> str:
    """Why MediaPipe may send data on this machine, in one clause; empty if it was tested to send nothing."""
    if reason := missing():
        return reason
    here = (version(), platform.system(), platform.machine())
    if here not in SILENT:
        return (
            f"MediaPipe {here[0]} on {here[1]} {here[2]} was not tested for silence; "
            "it may send usage metrics to Google"
        )
    return _fault()


@lru_cache(maxsize=1)
def _fault() -> str:
    """Why an installed MediaPipe cannot be loaded with blocked telemetry; empty if it is loaded."""
    if not block_look_ups():
        return "MediaPipe's look-ups of host names cannot be blocked"
    try:
        with deferred(*UNUSED):
            importlib.import_module("mediapipe.tasks.python.vision")
    except Exception as error:  # a broken installation may raise anything
        return f"MediaPipe cannot be imported ({' '.join(str(error).split())})"
    return ""


@lru_cache(maxsize=1)
def block_look_ups() -> bool:
    """Make every look-up of a host name by MediaPipe's library fail; call it before the library is used.

    Returns:
        Whether that was possible; on Linux it is.
    """
    folder = importlib.util.find_spec("mediapipe")
    if folder is None or not folder.submodule_search_locations or sys.platform != "linux":
        return False
    path = Path(folder.submodule_search_locations[0]) / "tasks" / "c" / "libmediapipe.so"
    try:
        library = ctypes.CDLL(str(path))  # MediaPipe later loads the same copy
    except OSError:
        return False
    # getpid takes no arguments, has no effect and never returns 0, which callers of getaddrinfo take for an error. A
    # Python function would fail in a thread that outlives the interpreter.
    refuse = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value or 0
    slots = [slot for name, slot in _imports(library) if name in LOOK_UPS]
    for slot in slots:
        _write_pointer(slot, refuse)
    return bool(slots)


class _LinkMap(ctypes.Structure):
    """The first fields of struct link_map of <link.h>."""

    _fields_ = (("base", ctypes.c_size_t), ("name", ctypes.c_char_p), ("dynamic", ctypes.c_size_t))


def _imports(library: ctypes.CDLL) -> list[tuple[bytes, int]]:
    """(name, address of the pointer) of every function that a loaded ELF64 library calls in others.

    Layout: the System V ABI's dynamic section, and Elf64_Rela and Elf64_Sym of <elf.h>.
    """
    found = ctypes.POINTER(_LinkMap)()
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    if dlinfo(library._handle, 2, ctypes.byref(found)):  # 2: RTLD_DI_LINKMAP
        return []
    base = found.contents.base
    tags: dict[int, int] = {}
    address = found.contents.dynamic
    while (tag := _words(address, 2)[0]) != 0:
        tags[tag] = _words(address, 2)[1]
        address += 16

    def pointer(tag: int) -> int:
        return tags[tag] if tags[tag] >= base else base + tags[tag]

    strings, symbols = pointer(5), pointer(6)  # DT_STRTAB, DT_SYMTAB
    # DT_JMPREL with DT_PLTRELSZ: functions, bound when first called; DT_RELA with DT_RELASZ: all others
    names = []
    for table, size in ((23, 2), (7, 8)):
        if table not in tags:
            continue
        words = np.frombuffer(ctypes.string_at(pointer(table), tags[size]), "<u8").reshape(-1, 3)
        for offset, info in words[words[:, 1] >> 32 != 0, :2].tolist():
            name = ctypes.string_at(strings + (_words(symbols + 24 * (info >> 32), 1)[0] & 0xFFFFFFFF))
            names.append((name, base + offset))
    return names


def _words(address: int, count: int) -> list[int]:
    return list((ctypes.c_uint64 * count).from_address(address))


def _write_pointer(address: int, value: int) -> None:
    if sys.platform == "win32":
        raise OSError("only for the ELF libraries of Linux")
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    start = address - address % mmap.PAGESIZE
    if protect(start, address + 8 - start, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "cannot change MediaPipe's imports")
    ctypes.c_uint64.from_address(address).value = value
