"""Decode H.264 and H.265 in hardware: FFmpeg reads the file or stream, a GStreamer element decodes.

On a Jetson the element is nvv4l2decoder. FFmpeg always does the reading, so addresses, passwords, time-outs, containers
and presentation times are the same with either decoder. Called by `file` and `stream`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeemo.capture.display import display_matrix, turned
from edgeemo.capture.ffmpeg import Video
from edgeemo.capture.gstreamer import APPSINK, GStreamerError, Pipeline, Sample, has_element
from edgeemo.types import U8

if TYPE_CHECKING:
    from av.container import InputContainer

log = logging.getLogger(__name__)

CHOICE = "EDGEEMO_DECODER"  # the name of a GStreamer element, or "ffmpeg"
AUTOMATIC = "nvv4l2decoder"
# the element's plugin; if the file is missing, GStreamer (8 MB, 30 ms) need not be loaded
PLUGINS = (Path("/usr/lib"), "*/gstreamer-1.0/**/libgstnvvideo4linux2.so")
# FFmpeg's codec name -> media type, parser, bitstream filter that makes packets self-contained
CODECS = {
    "h264": ("video/x-h264", "h264parse", "h264_mp4toannexb"),
    "hevc": ("video/x-h265", "h265parse", "hevc_mp4toannexb"),
}
PIXELS = ("yuv420p", "yuvj420p", "yuv420p10le")  # pixel formats that hardware decodes; the last one only in H.265
IN_FLIGHT = 24  # packets inside a decoder: up to 16 for reordering and a few being decoded
LINGER_S = 0.02  # how long to wait for a live packet's own picture
STUCK_S = 5.0
MOST_SILENT = 2  # waits of STUCK_S without a picture until live video is opened again
DRAIN_S = 0.25
PICTURES = 4  # decoded pictures in the queue
START_US = 3_600_000_000  # offset, so that times before the first frame's stay positive


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded picture with the attributes that `Video` reads from a frame."""

    picture: U8
    pts: int | None
    duration: int
    key_frame: bool
    is_corrupt: bool = False  # GStreamer's elements do not report it
    interlaced_frame: bool = False

    @property
    def width(self) -> int:
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        return int(self.picture.shape[0])


def element_for(codec: str) -> str:
    """The element that decodes a codec on this machine; empty: FFmpeg decodes it.

    Args:
        codec: FFmpeg's name; only "h264" and "hevc" have elements.
    """
    chosen = os.environ.get(CHOICE, AUTOMATIC)
    if chosen == "ffmpeg" or codec not in CODECS:
        return ""
    if chosen == AUTOMATIC and not any(PLUGINS[0].glob(PLUGINS[1])):
        return ""
    media, parser, _ = CODECS[codec]
    return chosen if has_element(chosen, media) and has_element(parser) and has_element("appsrc") else ""


def open_decoder(container: InputContainer, number: int | None = None) -> Video:
    """A `Video` that decodes in hardware if possible, else on the CPU; for `open_video`."""
    video = Video(container, number)
    context = video.codec_context
    fits = context.pix_fmt in PIXELS[: 3 if context.name == "hevc" else 2] and video.format != "avi"
    element = element_for(context.name) if fits else ""
    return HardwareVideo(container, number, element) if element else video


class HardwareVideo(Video):
    """A video decoded by a GStreamer element. If that fails before its first picture, FFmpeg decodes, with a
    warning.
    """

    def __init__(self, container: InputContainer, number: int | None, element: str) -> None:
        super().__init__(container, number)
        self.decoder = element
        self._matrix: tuple[int, ...] = (1, 0, 0, 1)
        self._pipeline: Pipeline | None = None

    def image(self) -> U8 | None:
        frame: Any = self._frame
        if not isinstance(frame, Decoded):
            return super().image()
        picture: Any = frame.picture
        size = self._display.size(frame)
        if size != (frame.width, frame.height):
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(turned(picture, self._matrix), np.uint8)

    def close(self) -> None:
        super().close()
        if self._pipeline is not None:
            self._pipeline.close()

    def _decode(self, packets: Iterator[Any]) -> Generator[Any, None, None]:
        unanswered: list[Any] = []
        given = False
        try:
            for frame in self._pictures(packets, unanswered):
                given = True
                yield frame
        except GStreamerError as error:
            if given:
                raise OSError(f"{self.decoder} failed: {error}") from error
            log.warning("%s does not decode this video (%s); FFmpeg does", self.decoder, error)
            self.decoder = Video.decoder
            self.damage.restart()
            yield from super()._decode(chain(unanswered, packets))

    def _pictures(self, packets: Iterator[Any], unanswered: list[Any]) -> Iterator[Decoded]:
        """Pictures in the order of presentation.

        Args:
            unanswered: receives the packets read before the first picture.

        Raises:
            GStreamerError: an element is missing or has failed.
        """
        pipeline = self._start()
        waiting: dict[int, Any] = {}  # microseconds -> packet whose picture has not come yet
        linger = 0.0 if self.finite else LINGER_S
        given, pushed, silent = False, 0, 0
        for packet, units in self._units(packets):
            if not given:
                unanswered.append(packet)
            for unit in units:
                at = self._microseconds(unit.pts)
                pushed += 1
                waiting[-pushed if at is None else at] = packet
                pipeline.push(bytes(unit), at)
            for decoded in self._available(pipeline, waiting, STUCK_S if len(waiting) >= IN_FLIGHT else linger):
                given, silent = True, 0
                unanswered.clear()
                yield decoded
            if len(waiting) >= IN_FLIGHT:
                silent += 1
                # a file may have a damaged part; in live video the packets would pile up in a decoder that hangs
                if not given or (silent >= MOST_SILENT and not self.finite):
                    raise GStreamerError(f"no picture after {silent * len(waiting)} packets")
                waiting.clear()
        pipeline.end()
        silent_since = monotonic()
        while not pipeline.has_ended() and monotonic() - silent_since < STUCK_S:
            for decoded in self._available(pipeline, waiting, DRAIN_S):
                silent_since, given = monotonic(), True
                yield decoded
        if not given and pushed:
            raise GStreamerError("no picture in the whole video")
        self.damage.end()
        self._raise_broken()

    def _start(self) -> Pipeline:
        media, parser, _ = CODECS[self.codec_context.name]
        # NVIDIA's decoder returns pictures in NVMM memory, which only nvvidconv can read
        convert = "nvvidconv ! video/x-raw,format=BGRx ! " if self.decoder.startswith("nv") else ""
        self._pipeline = Pipeline(
            f"appsrc name=packets format=time caps={media},stream-format=byte-stream,alignment=au ! {parser} "
            f"! {self.decoder} ! {convert}videoconvert ! video/x-raw,format=BGR ! {APPSINK} max-buffers={PICTURES}"
        )
        self._pipeline.play()
        return self._pipeline

    def _available(self, pipeline: Pipeline, waiting: dict[int, Any], wait_s: float) -> Iterator[Decoded]:
        while (sample := pipeline.pull(wait_s)) is not None:
            wait_s = 0.0
            if (decoded := self._of_sample(sample, waiting)) is not None:
                self.damage.given(decoded)
                yield decoded
        pipeline.has_ended()

    def _of_sample(self, sample: Sample, waiting: dict[int, Any]) -> Decoded | None:
        """None for a picture that an edit list hides."""
        at = sample.time_us
        packet = waiting.get(at) if at is not None else None
        # earlier pictures are no longer expected
        answered = [time for time in waiting if time <= at] if at is not None else list(waiting)[:1]
        for time in answered:
            del waiting[time]
        self._failed_tail = False
        if packet is not None and packet.is_discard:
            return None
        is_key = packet is not None and packet.is_keyframe
        if at is None or self._raw:
            return Decoded(sample.image, None, 0, is_key)
        numerator, denominator = self._ticks
        pts = round((at - START_US) * denominator / (numerator * 1_000_000)) + self._first_tick
        return Decoded(sample.image, pts, (packet.duration or 0) if packet else 0, is_key)

    def _microseconds(self, pts: int | None) -> int | None:
        if pts is None:
            return None
        numerator, denominator = self._ticks
        return START_US + round((pts - self._first_tick) * numerator * 1_000_000 / denominator)

    @property
    def _first_tick(self) -> int:
        return self._stream.start_time or 0

    def _units(self, packets: Iterator[Any]) -> Iterator[tuple[Any, list[Any]]]:
        """Each packet, and its data for the decoder: with start codes, and parameter sets before each key frame."""
        import av

        names = f"{CODECS[self.codec_context.name][2]},dump_extra=freq=keyframe"
        try:
            complete = av.bitstream.BitStreamFilterContext(names, self._stream)
        except av.error.FFmpegError as error:  # stricter than FFmpeg's decoder
            raise GStreamerError(f"its header is not valid: {error.strerror}") from error
        for number, packet in enumerate(packets):
            self._follow(packet)
            if not number:
                self._read_matrix(packet)
            copy = av.Packet(bytes(packet))  # the filter empties its input
            copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
            try:
                units = complete.filter(copy)
            except av.error.FFmpegError:
                self._count_damage()
                units = []
            else:
                self.damage.sent(packet)
            yield packet, units

    def _read_matrix(self, packet: Any) -> None:
        """Read the display matrix: FFmpeg reports it with the first picture, so FFmpeg decodes that one."""
        import av

        context = self.codec_context
        try:
            frames = context.decode(packet) or context.decode(None)
        except av.error.FFmpegError:
            return
        finally:
            context.flush_buffers()
        if frames:
            self._matrix = display_matrix(frames[0])
