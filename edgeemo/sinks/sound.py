"""Copy the sound of a source file into the output video. Called by `VideoSink`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgeemo.system.file_url import path_of_source

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

log = logging.getLogger(__name__)

# codecs that players expect in a container; Matroska accepts all
ACCEPTED = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".m4v": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"),
    ".webm": ("opus", "vorbis"),
    ".avi": ("mp3", "ac3", "pcm_s16le"),
}


class Sound:
    """Copies the audio packets of a file, from its first video frame on.

    Args:
        source: an opened file, not yet read.
        output: the container to write to.
        zero: time of the first video frame in seconds.
    """

    def __init__(self, source: InputContainer, output: OutputContainer, zero: float) -> None:
        self._source = source
        self._output = output
        self._zero = zero
        self._stream = source.streams.audio[0]
        self._copy: Any = output.add_stream_from_template(self._stream)
        self._packets: Iterator[Packet[Any]] = source.demux(self._stream)
        self._next: Packet[Any] | None = None
        self._last = float("-inf")
        self._told = False

    @classmethod
    def of(cls, path: str, output: OutputContainer, suffix: str) -> Sound | None:
        """The sound of a file; None if it has none, or none that the output's container supports.

        Args:
            path: the source, as in the configuration.
            suffix: suffix of the output.
        """
        import av

        path = path_of_source(path)
        if not os.path.isfile(path):
            return None
        try:
            source = av.open(os.path.abspath(path), metadata_errors="replace")
        except (av.error.FFmpegError, ValueError):
            return None
        try:
            if not source.streams.audio or not source.streams.video:
                source.close()
                return None
            codec = source.streams.audio[0].codec_context.name
            if codec not in ACCEPTED.get(suffix, (codec,)):
                log.warning("the sound of %s (%s) cannot be copied into %s; the video has none", path, codec, suffix)
                source.close()
                return None
            with av.open(os.path.abspath(path), metadata_errors="replace") as again:
                first: Any = next(again.decode(again.streams.best("video")), None)
            zero = float(first.pts * first.time_base) if first is not None and first.pts is not None else 0.0
            return cls(source, output, zero)
        except (av.error.FFmpegError, ValueError) as error:
            log.warning("the sound of %s cannot be copied (%s); the video has none", path, error)
            source.close()
            return None

    def copy_up_to(self, time: float) -> None:
        """Write the packets before a time in seconds since the first frame, without damaged ones."""
        from av.error import InvalidDataError

        while (packet := self._next or self._read()) is not None:
            self._next = None
            if packet.pts is None or not packet.size:
                continue
            at = float(packet.pts * packet.time_base) - self._zero
            if at >= time:
                self._next = packet
                return
            if at < 0 or at <= self._last:  # before the first frame, or times restart (joined recordings)
                continue
            self._last = at
            shift = round(self._zero / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._copy
            try:
                self._output.mux(packet)
            except InvalidDataError as error:
                self._tell(error)

    def _read(self) -> Packet[Any] | None:
        from av.error import FFmpegError

        try:
            return next(self._packets, None)
        except FFmpegError as error:
            self._packets = iter(())
            self._tell(error)
            return None

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            why = getattr(error, "strerror", None) or error
            log.warning("the sound of %s is damaged (%s) and copied only in part", self._source.name, why)

    def close(self) -> None:
        self._source.close()
