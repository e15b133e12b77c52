"""Decode video files and network streams with FFmpeg through PyAV. Called by `file`, `stream` and the app's replay."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeemo.capture.damage import Damage
from edgeemo.capture.display import Display
from edgeemo.errors import SourceError
from edgeemo.types import U8

try:
    import av

    MISSING = ""
except ImportError as error:  # no wheel for this machine; cameras and pictures do not need it
    MISSING = f"videos need the package av (PyAV), which cannot be loaded ({error}): pip install av"

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

FALLBACK_RATE = 25.0  # frames per second of a stream that states none
RAW = ("h264", "hevc", "vvc", "m4v", "mjpeg", "mpegvideo", "cavsvideo", "vc1", "obu")  # elementary streams: no times
UNSTATED = Fraction(25001, 1000)  # rate given to a raw demuxer, which keeps it if the stream states none
JOINT_S = 10.0  # a longer jump in a transport stream is a boundary of two recordings, not a pause
LARGE_PX = 1920 * 1088  # pixels; decoding larger pictures takes longer than all of their processing
MAX_PIXELS = 100_000_000  # per frame: 300 MB as BGR, and several are in flight
MOST_ODD = 2  # packets at the end of an intact file that may contain no picture


@dataclass(frozen=True, eq=False)
class Ahead:
    """The decoder's next output: a frame, the end (no frame) or an error; and the damage noticed until then."""

    frame: Any
    damage: int
    error: OSError | None


class Video:
    """One opened video.

    Attributes:
        fps: mean frames per second from the container, or 25.
        count: number of frames from the container; 0 if it states none.
        damage: pictures that were lost or decoded with errors so far.
        format: FFmpeg's name of the container, for example "matroska,webm".
        finite: the container states its duration.
        reads_ahead: decode one frame ahead, so that the damage of the last frame includes pictures lost after it; not
            for live video.
        streams: number of video streams.
        decoder: name of the decoder.
    """

    decoder = "FFmpeg"
    reads_ahead = False

    def __init__(self, container: InputContainer, number: int | None = None) -> None:
        self._container = container
        self._stream = _chosen(container, number)
        _expect_size(self._stream.codec_context)
        self.format = container.format.name
        self.streams = len(container.streams.video)
        base = self._stream.time_base or Fraction(1, 1_000_000)
        self._ticks = (base.numerator, base.denominator)  # seconds per unit of the stream's times
        rate = self._stream.average_rate
        self._raw = self.format in RAW
        if self._raw:
            stated = self._stream.codec_context.framerate
            self.rate_is_stated = bool(stated) and stated != UNSTATED
            rate = stated if self.rate_is_stated else None
        else:
            self.rate_is_stated = True
        self.fps = float(rate) if rate and 1e-3 <= rate <= 1000 else FALLBACK_RATE
        self.finite = bool(container.duration and container.duration > 0)
        # decoding two frames at a time delays live pictures; CPU time rises by a third for small pictures, not at 4K
        large = self.finite and self.codec_context.width * self.codec_context.height > LARGE_PX
        self._stream.thread_type = "FRAME" if large else "NONE"
        self.codec_context.thread_count = 2 if large else 1
        length = self._stated_length() or (container.duration or 0) / 1e6
        self.count = self._stream.frames or (round(length * self.fps) if 0 < length < 1e7 else 0)
        # AVI packets have no presentation times, so omitted pictures cannot be noticed
        self.damage = Damage("" if self.format == "avi" else self._stream.codec_context.name)
        self._failed_tail = False  # nothing was decoded after the last damaged packet
        self._cut_packet = False  # the last packet is shorter than the container states
        self._end = 0.0  # end of the last packet in the stream's time
        self._longest_step = 1 / self.fps
        self._timeline = Timeline(joins=any(name in self.format for name in ("mpegts", "mpeg", "hls")))
        # AVI has only decoding times: the n-th frame shown has the n-th decoding time
        self._slots: deque[float] | None = deque() if self.format == "avi" else None
        self._broken: OSError | None = None
        self._frames = self._decode(self._demux())
        self._frame: Any = None
        self._ahead: Ahead | None = None
        self._lost = 0
        self.time = 0.0
        self._display = Display(self._stream)

    @property
    def codec_context(self) -> VideoCodecContext:
        return self._stream.codec_context

    def grab(self) -> bool:
        """Decode the next frame; False at the end.

        Raises:
            OSError: the file or the network failed; earlier frames are intact.
        """
        here, self._ahead = self._ahead or self._next(), None
        self._frame = here.frame
        self._lost += here.damage
        if here.error is not None:
            raise here.error
        if here.frame is None:
            return False
        self.time = self._timeline.tick(*self._stamp(here.frame))
        if self.reads_ahead:
            self._ahead = self._next()
            if self._ahead.frame is None:  # pictures lost at the end belong to the last frame
                self._lost += self._ahead.damage
                self._ahead = replace(self._ahead, damage=0)
        return True

    def take_damage(self) -> int:
        """Damaged pictures since the last call, for `Frame.damage` of the grabbed frame."""
        lost, self._lost = self._lost, 0
        return lost

    def _next(self) -> Ahead:
        frame, error = None, None
        try:
            frame = next(self._frames, None)
        except OSError as raised:
            error = raised
        return Ahead(frame, self.damage.take(), error)

    def image(self) -> U8 | None:
        """The grabbed frame as a player shows it: upright, square pixels, (H, W, 3) BGR."""
        return None if self._frame is None else self._display.image(self._frame)

    def read(self) -> U8 | None:
        return self.image() if self.grab() else None

    @property
    def can_seek(self) -> bool:
        """Whether the frames have timestamps and the container a duration."""
        return self.finite and not self._raw

    def seek(self, at: float) -> None:
        """Continue at the last key frame before `at`, in seconds since the first frame."""
        start = self._stream.start_time or 0
        base = self._stream.time_base or Fraction(1, 1_000_000)
        # transport streams are searched by decoding times, which begin before the first presentation time
        earliest = -1.0 if "mpeg" in self.format else 0.0
        self._container.seek(start + round((at if at > 0 else earliest) / base), stream=self._stream)
        self._timeline = Timeline(zero=float(start * base))
        self.damage.restart()
        self._ahead = None
        if self._slots is not None:
            self._slots.clear()
        self._frames = self._decode(self._demux())

    def index(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Media time of every frame and the numbers of the key frames, read from packets alone. Afterwards only `close`
        may be called.

        Both are empty if packets are not enough: missing or repeated presentation times, frames that a player skips, an
        error.
        """
        stamps: list[int] = []
        keys: list[bool] = []
        nothing = np.zeros(0), np.zeros(0, np.int64)
        for packet in self._demux():
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return nothing
            stamps.append(packet.pts)
            keys.append(packet.is_keyframe)
        order = np.argsort(stamps, kind="stable")
        ordered = np.array(stamps, np.int64)[order]
        starts_there = bool(len(ordered)) and self._stream.start_time == ordered[0]
        if self._broken is not None or not starts_there or (np.diff(ordered) <= 0).any():
            return nothing
        numerator, denominator = self._ticks
        times = np.array([stamp * numerator / denominator for stamp in ordered.tolist()])
        return times - times[0], np.flatnonzero(np.array(keys)[order])

    def missing(self) -> str:
        """Why the file seems cut off; "" if it is complete. Valid at the end of decoding."""
        if self._failed_tail:
            return "the rest cannot be decoded"
        if self._cut_packet:
            return "its last frame is not complete"
        size = int(getattr(self._container, "size", 0) or 0)
        if (
            size
            and self.format.startswith("mov")
            and any(entry.pos + entry.size > size for entry in reversed(self._stream.index_entries[-64:]))
        ):
            return "its index lists frames beyond the file's end"
        length = self._stated_length()
        if length and self._end < length - 1.5 * self._longest_step:
            return f"it should last {length:.1f} s"
        return ""

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    def _demux(self) -> Iterator[Any]:
        """The stream's packets; an error of the file or network ends them and is stored for `_raise_broken`."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except av.error.FFmpegError as error:
                timed_out = isinstance(error, av.error.ExitError)
                said = "no data arrived in time" if timed_out else str(getattr(error, "strerror", "") or error)
                self._broken = (TimeoutError if timed_out else OSError)(said)
                self._broken.__cause__ = error
                return
            if packet is None:
                return
            if packet.size:  # PyAV's last packet is empty; so are those of pictures that a recorder left out
                yield packet

    def _decode(self, packets: Iterator[Any]) -> Generator[Any, None, None]:
        for packet in chain(packets, (None,)):  # None flushes the decoder
            try:
                frames = self.codec_context.decode(None) if packet is None else packet.decode()
            except av.error.EOFError:
                break
            except MemoryError:
                raise
            except av.error.FFmpegError:
                self._count_damage()
                continue
            if packet is not None:
                self._failed_tail = False
                self._follow(packet)
                self.damage.sent(packet)
            for frame in frames:
                self.damage.given(frame)
                yield frame
        self._failed_tail |= self.damage.end() > MOST_ODD
        self._raise_broken()

    def _raise_broken(self) -> None:
        # called after the decoder's last frames, which precede the error
        if self._broken is not None:
            raise self._broken

    def _follow(self, packet: Any) -> None:
        self._cut_packet = packet.is_corrupt
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            self._end = max(self._end, (stamp + (packet.duration or 0)) * self._ticks[0] / self._ticks[1])
        if self._slots is not None and packet.dts is not None:
            self._slots.append(packet.dts * self._ticks[0] / self._ticks[1])

    def _count_damage(self) -> None:
        self.damage.add()
        self._failed_tail = True

    def _stamp(self, frame: VideoFrame) -> tuple[float | None, float]:
        """The frame's presentation time (None if the stream has none) and its duration, in seconds."""
        period = frame.duration * self._ticks[0] / self._ticks[1] if frame.duration else 0.0
        if not 0 < period <= 60:
            period = 1 / self.fps
        self._longest_step = max(self._longest_step, period)
        if self._slots is not None:
            return (self._slots.popleft() if self._slots else None), period
        if self._raw:
            return None, period if self.rate_is_stated else 1 / FALLBACK_RATE
        if frame.pts is None:  # the duration is rounded to the container's clock; errors would accumulate
            return None, 1 / self.fps
        return frame.pts * self._ticks[0] / self._ticks[1], period

    def _stated_length(self) -> float:
        """End of the video track from the header, in the track's time; 0 if unknown."""
        stream = self._stream
        if self.format == "avi":
            return stream.frames / self.fps if stream.frames else 0.0
        if not self.format.startswith("matroska"):
            return 0.0
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        tags = [value for key, value in stream.metadata.items() if key.startswith("DURATION")]
        if tags and (stated := _seconds(tags[0])):
            return min(stated, start + stated)
        length = self._container.duration if len(self._container.streams) == 1 else None
        return (length or 0) / 1e6


class Timeline:
    """Media time from presentation times: 0 at the first frame, strictly increasing.

    A frame without a presentation time gets the previous time plus one period. If presentation times restart, as in
    joined transport streams, media time continues.

    Args:
        joins: the container may contain several recordings, so a forward jump of more than `JOINT_S` also restarts.
        zero: the presentation time of media time 0, needed after seeking; None: that of the first frame.
    """

    def __init__(self, *, joins: bool = False, zero: float | None = None) -> None:
        self._joins = joins
        self._zero = zero
        self._last: float | None = None
        self._period = 0.0

    def tick(self, stamp: float | None, period: float) -> float:
        """The media time of the next frame, whose presentation time is `stamp` and which is shown for `period`."""
        expected = 0.0 if self._last is None else self._last + self._period
        at = expected
        if stamp is not None and math.isfinite(stamp):
            if self._zero is None:
                self._zero = stamp - expected
            at = stamp - self._zero
            if self._last is not None:
                restarted = at < self._last - 1.5 * self._period
                if restarted or (self._joins and at > self._last + JOINT_S):
                    self._zero, at = stamp - expected, expected
                elif at <= self._last:
                    at = expected
        self._last, self._period = at, period
        return at


def expect_pyav() -> None:
    """Raise SourceError if PyAV cannot be loaded on this machine."""
    if MISSING:
        raise SourceError(MISSING)


def open_video(
    address: str,
    *,
    stream: int | None = None,
    open_timeout: float = 0,
    read_timeout: float = 0,
    options: Mapping[str, str] | None = None,
    make: Callable[[InputContainer, int | None], Video] = Video,
) -> Video | None:
    """Open a video with FFmpeg; None if FFmpeg cannot read it.

    Args:
        address: a path or URL.
        stream: number of the video stream, from 0; None: the default one.
        open_timeout, read_timeout: seconds, for network streams; 0: no limit.
        options: passed to FFmpeg.
        make: makes the `Video` of an opened container; `hardware_video` has an alternative.

    Raises:
        SourceError: it contains no video or no such stream, or PyAV is missing.
    """
    expect_pyav()
    waits = (open_timeout or None, read_timeout or None)
    every = {"framerate": f"{UNSTATED.numerator}/{UNSTATED.denominator}", **(options or {})}
    try:
        container = av.open(
            address, "r", options=every, timeout=waits if any(waits) else None, metadata_errors="replace"
        )
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        log.debug("%s: %s", address if not options else "stream", error)
        return None
    try:
        return make(container, stream)
    except BaseException:
        container.close()
        raise


def _chosen(container: InputContainer, number: int | None) -> VideoStream:
    """The stream to play: the default one or the requested one. A cover picture is not a video stream."""
    streams = [each for each in container.streams.video if not _is_cover(each) and each.codec_context is not None]
    if not streams or (container.format.name == "tty"):
        raise SourceError("is not a video")
    if number is not None:
        if number >= len(streams):
            known = ", ".join(f"#stream={each}" for each in range(len(streams)))
            raise SourceError(f"has no video stream {number}; it has {known}")
        return streams[number]
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def _expect_size(context: VideoCodecContext) -> None:
    if context.width * context.height > MAX_PIXELS:
        most = f"{MAX_PIXELS // 1_000_000} million"
        raise SourceError(f"has frames of {context.width} x {context.height} pixels; the limit is {most}")
    # a frame that becomes larger later is an error of the decoder
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}


def _is_cover(stream: VideoStream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _seconds(text: str) -> float:
    """Matroska's "00:00:12.400000000" -> 12.4; 0 for anything else."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def since(began: float, last: float) -> float:
    """The time stamp of a live frame: seconds since `began` by the monotonic clock, always above `last`."""
    return max(time.monotonic() - began, last + 1e-6)
