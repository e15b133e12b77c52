"""The sink `video`: a video with the overlay. Called by `open_sink` and the recorder."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.output import writable
from edgeemo.sinks.presence import Presence
from edgeemo.sinks.sound import Sound
from edgeemo.system.outputs import VIDEO_MARK
from edgeemo.types import U8, Result, Sink
from engines.files import replace_file

try:
    import av
    from av.video.reformatter import VideoReformatter

    MISSING = ""
except ImportError as error:
    MISSING = f"videos need the package av (PyAV), which cannot be loaded ({error}): pip install av"

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
H264, VP9, MJPEG = "libx264", "libvpx-vp9", "mjpeg"
# no look-ahead and no B-frames: every frame is in the file at once, in case of a crash
OPTIONS = {
    H264: {"preset": "superfast", "tune": "zerolatency", "crf": "21"},
    VP9: {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "30", "b": "0"},
    MJPEG: {"qmin": "3", "qmax": "3", "color_range": "pc"},
}
TICKS = 90000  # per second: exact for 24, 25, 30, 50 and 60 frames per second
AVI_TICKS = 600  # AVI has a fixed rate: each tick without a frame costs 24 bytes
# ticks between two pictures that a container can store; a longer gap (a camera was away) repeats the picture
LONGEST_STEP = {"avi": 60_000, "mp4": 1 << 30, "mov": 1 << 30}
FIRST_STEP_S = 0.04  # duration of the frame of a video that has only one
# an MP4 of a service is a series of fragments: an index of months would take gigabytes of memory, and moving it to the
# beginning longer than a service has for its end
FRAGMENTS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "10000000",  # microseconds
    "flush_packets": "1",
}
CLUSTERS = {"cluster_time_limit": "1000", "flush_packets": "1"}
SPARE_BYTES = 4 << 20
ENTRY_BYTES = 32
# readable videos of this process; a service that opens one again (after a full disk, at a reload) keeps it
_finished: set[Path] = set()
# H.264 user data (SEI type 5) before the first picture marks the file as ours. An MP4 has its comment at its end, which
# is missing after a crash; a service would then refuse to overwrite the file.
MARK = bytes.fromhex("00000001 0605") + bytes([16 + len(VIDEO_MARK)]) + b"edgeemo-video-01" + VIDEO_MARK + b"\x80"


class VideoSink(Sink):
    """`video:PATH`: H.264 in .mp4, .m4v, .mov or .mkv (VP9 if PyAV lacks x264), VP9 in .webm, motion JPEG in .avi.

    Every frame has its own time, so the video is as long as its source. Later pictures of another size are fitted into
    the first size. Renaming or deleting the file is an error, because a video cannot be continued in a new file. The
    sound of a source file is copied if the container supports it. After a crash, .mkv is readable up to the last
    second, .mp4, .m4v and .mov of a service up to the last ten seconds.
    """

    pictures = True

    def __init__(self, target: str, context: SinkContext) -> None:
        if MISSING:
            raise SinkError(MISSING)
        suffix = Path(target).suffix.lower()
        if suffix not in FORMATS:
            raise SinkError(f"cannot write a video to {target}: its name must end in {', '.join(FORMATS)}")
        self._path = writable(target, "video", context)
        self._format = FORMATS[suffix]
        self._ticks = AVI_TICKS if self._format == "avi" else TICKS
        self._draw = context.draw
        self._lasting = context.lasting
        self._fragmented = context.lasting and self._format in ("mp4", "mov")
        self._needs_end = self._format != "matroska" and not self._fragmented  # unreadable without its end
        config = context.config
        self._sound_of = "" if config.sources or config.capture.loop else config.source
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._sound: Sound | None = None
        self._converter = VideoReformatter()
        self._size = (0, 0)
        self._shown: U8 = np.zeros((2, 2, 3), np.uint8)
        self._zero = 0.0
        self._last = -1
        self._step = round(FIRST_STEP_S * self._ticks)
        self._checked = -1.0
        self._presence: Presence | None = None
        self._pictures = self._lost = 0
        self._is_marked = False

    @property
    def lost(self) -> int:
        """Number of pictures lost with a deleted video, or with a video that is unreadable without its end."""
        return self._lost

    def tick(self) -> None:
        presence = self._presence
        if presence is None or not presence.has_moved():
            return
        what = "deleted" if presence.is_deleted() else "renamed"
        raise SinkError(f"cannot continue writing {self._path}: it was {what}")

    def write(self, result: Result) -> None:
        self.tick()
        picture = self._draw(result)
        self._expect_space()
        if self._container is None:
            self._begin(picture, result.frame.time)
        at = round((result.frame.time - self._zero) * self._ticks)
        if at <= self._last:  # an older frame: several sources write to the same video
            return
        longest = LONGEST_STEP.get(self._format, at)
        while self._last >= 0 and at - self._last > longest:
            self._append(self._shown, self._last + longest)
        self._append(picture, at)
        self._pictures += 1

    def _append(self, picture: U8, at: int) -> None:
        if self._last >= 0:
            self._step = at - self._last
        self._guarded(lambda: self._encode(picture, at))
        self._last, self._shown = at, picture

    def close(self) -> None:
        container, self._container = self._container, None
        if container is None:
            return
        finished = False
        try:
            self._guarded(lambda: self._finish(container))
            finished = True
        finally:
            presence, self._presence = self._presence, None
            assert presence is not None
            deleted = presence.has_moved(now=True) and presence.is_deleted()
            if deleted or (self._needs_end and not finished):
                self._lost += self._pictures
            elif self._pictures and self._lasting:
                _finished.add(self._path)
            presence.close()
            if self._sound is not None:
                self._sound.close()
            # after an error the end cannot be written
            with contextlib.suppress(Exception):
                container.close()

    def _begin(self, picture: U8, time: float) -> None:
        # 4:2:0 needs even sides
        self._size = (max(2, picture.shape[1] // 2 * 2), max(2, picture.shape[0] // 2 * 2))
        self._zero = time
        options = {"movflags": "faststart"} if self._format in ("mp4", "mov") else {}
        if not self._needs_end:
            options = FRAGMENTS if self._fragmented else CLUSTERS
        try:
            if self._path in _finished:
                _set_aside(self._path)
            # FFmpeg would take the text before a colon for a protocol
            container = av.open(os.path.abspath(self._path), "w", format=self._format, options=options)
            container.metadata["comment"] = VIDEO_MARK.decode()
            self._stream = self._add_stream(container)
            self._sound = Sound.of(self._sound_of, container, self._path.suffix.lower()) if self._sound_of else None
            container.start_encoding()
            self._presence = Presence(self._path)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SinkError(
                f"cannot encode a video of {self._size[0]}x{self._size[1]} pixels into {self._path} "
                f"({_reason(error)}); choose another path or a smaller source"
            ) from error
        self._container = container

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        codec = _codec(self._format)
        stream: Any = container.add_stream(codec, rate=30)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuvj420p" if codec == MJPEG else "yuv420p"
        stream.options = OPTIONS[codec]
        coder = stream.codec_context
        coder.time_base = Fraction(1, self._ticks)
        coder.thread_count = 1  # the other stages need the CPUs
        # BT.709; a motion JPEG is always BT.601
        coder.colorspace, coder.color_primaries, coder.color_trc = (5, 5, 6) if codec == MJPEG else (1, 1, 1)
        coder.color_range = 2 if codec == MJPEG else 1
        return stream  # type: ignore[no-any-return]

    def _encode(self, picture: U8, at: int) -> None:
        assert self._stream is not None
        full = self._stream.codec_context.name == MJPEG
        frame = self._converter.reformat(
            av.VideoFrame.from_numpy_buffer(fitted(picture, self._size), "bgr24"),
            format="yuvj420p" if full else "yuv420p",
            dst_colorspace="ITU601" if full else "ITU709",  # type: ignore[arg-type]
            dst_color_range="JPEG" if full else "MPEG",
            threads=1,
        )
        frame.pts, frame.time_base = at, Fraction(1, self._ticks)
        self._mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.copy_up_to(at / self._ticks)

    def _finish(self, container: OutputContainer) -> None:
        assert self._stream is not None
        if self._last >= 0:
            self._mux(self._stream.encode(None), container)
        if self._sound is not None:
            self._sound.copy_up_to((self._last + self._step) / self._ticks)
        container.close()

    def _mux(self, packets: list[Any], container: OutputContainer | None = None) -> None:
        for packet in packets:
            if not self._is_marked and self._format in ("mp4", "mov"):
                packet = _marked(packet)
            self._is_marked = True
            # the duration matters only for the last frame, because every other frame ends when the next one begins
            packet.duration = self._step
            (container or self._container).mux(packet)  # type: ignore[union-attr]

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (av.error.FFmpegError, OSError) as error:
            if not self._needs_end:
                why = f"cannot continue writing {self._path} ({_reason(error)}); earlier frames are kept"
            else:
                why = (
                    f"{self._path} could not be finished ({_reason(error)}), perhaps because the disk was full; "
                    "an .mkv file would be readable up to this point"
                )
            raise SinkError(why) from error

    def _expect_space(self) -> None:
        # stop in time: without its end an mp4 is unreadable
        now = monotonic()
        if self._container is not None and now - self._checked < 1:
            return
        self._checked = now
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise SinkError(f"cannot continue writing {self._path}: its folder was moved or deleted") from error
        # the index at the end: 12 bytes per picture of an MP4, 24 per tick of an AVI, and the sound's entries
        entries = max(0, self._last) if self._format == "avi" else self._pictures if self._needs_end else 0
        if free < SPARE_BYTES + ENTRY_BYTES * entries:
            self.close()
            raise SinkError(f"cannot continue writing {self._path}: the disk is full; earlier frames are kept")


def _set_aside(path: Path) -> None:
    """Rename a finished video: out.mp4 to out.1.mp4, or to the next free number. An empty file is left to be replaced:
    a disk that stays full would get one per second.
    """
    if path.exists() and path.stat().st_size:
        names = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(1))
        target = next(name for name in names if not name.exists())
        replace_file(path, target)
        log.warning("%s continues in a new file; the earlier video is %s", path, target)
    _finished.discard(path)


def _marked(packet: Any) -> Any:
    """Insert `MARK` into an H.264 packet; other packets are unchanged."""
    if packet.stream.codec_context.name != H264:
        return packet
    marked: Any = av.Packet(MARK + bytes(packet))
    marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
    marked.stream, marked.is_keyframe = packet.stream, packet.is_keyframe
    return marked


def _codec(container: str) -> str:
    if container == "avi":
        return MJPEG
    return H264 if container != "webm" and H264 in av.codecs_available else VP9


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error).partition("\n")[0]


def fitted(picture: U8, size: tuple[int, int]) -> U8:
    """Scale a picture to fit (width, height) pixels; black borders keep its aspect ratio."""
    width, height = size
    have_height, have_width = picture.shape[:2]
    if (have_width, have_height) == size:
        return np.ascontiguousarray(picture)
    if 0 <= have_width - width <= 1 and 0 <= have_height - height <= 1:
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(width / have_width, height / have_height)
    inner = (max(1, min(width, round(have_width * scale))), max(1, min(height, round(have_height * scale))))
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return canvas
