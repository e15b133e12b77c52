"""Count the pictures of a video that are lost or damaged. Called by `ffmpeg` for every packet and picture."""

from __future__ import annotations

import math
from typing import Any

MOST_REORDERED = 64  # packets whose picture has not come yet; decoders reorder up to 16
# For codecs whose decoders skip unparsable data without an error: types of NAL units that contain a picture, and types
# that reset the decoder (ITU-T H.264 table 7-1, H.265 table 7-1). A packet has one picture, or one field of it.
PICTURES = {"h264": range(1, 6), "hevc": range(32)}
FRESH_STARTS = {"h264": (5,), "hevc": (19, 20)}


class Damage:
    """Pictures that were lost or decoded with errors.

    A decoder reports an error, marks a picture as corrupt (errors were concealed: H.264, MPEG-1, -2 and -4, ProRes), or
    silently omits a picture (H.264, HEVC). An omission is noticed when a later picture comes, or at the end. In an
    elementary stream, whose packets have no times, it is noticed only at the end, and only if the stream starts with a
    picture that depends on no earlier one. Errors inside a picture of HEVC, motion JPEG, VP8, VP9, FFV1 and GIF are not
    reported. Data missing at the end of a transport or elementary stream cannot be detected.

    Args:
        codec: FFmpeg's name.

    Attributes:
        count: damaged pictures so far.
        first: number of pictures decoded before the first damage.
    """

    def __init__(self, codec: str) -> None:
        self.count = 0
        self.first = 0
        self._codec = codec
        self._given = 0
        self._taken = 0
        self._began = False
        self._follows = codec in PICTURES
        self._waiting: dict[int, Any] = {}  # presentation time -> packet whose picture has not come
        # `_waiting` of the recording before a joint, until its pictures have come
        self._before: dict[int, Any] | None = None
        self._sent = self._shown = -math.inf  # decoding time of the last packet, presentation time of the last picture
        self._untimed: int | None = None  # packets without a time whose pictures have not come

    def take(self) -> int:
        """Damaged pictures since the last call, for `Frame.damage` of the next picture."""
        new, self._taken = self.count - self._taken, self.count
        return new

    def add(self, pictures: int = 1) -> None:
        if pictures and not self.count:
            self.first = self._given
        self.count += pictures

    def sent(self, packet: Any) -> None:
        """Record that the decoder accepted a packet."""
        if not self._follows or packet.is_discard:
            return
        if packet.pts is None:
            self._sent_untimed(packet)
            return
        decoding = packet.pts if packet.dts is None else packet.dts
        if decoding < self._sent and packet.pts < self._shown:  # times restart: another recording was appended
            self._before, self._waiting, self._shown = {**(self._before or {}), **self._waiting}, {}, -math.inf
        self._sent = decoding
        self._waiting[packet.pts] = packet
        if len(self._waiting) > MOST_REORDERED:
            self.end()

    def given(self, frame: Any) -> None:
        """Record that the decoder returned a picture; pictures due before it are lost."""
        if frame.is_corrupt:
            self.add()
        if frame.interlaced_frame:  # a packet may contain only one of two fields
            self._follows, self._untimed = False, None
            self._waiting, self._before = {}, None
        if frame.pts is not None:
            self._answered(frame.pts)
        elif self._untimed is not None:
            self._untimed -= 1
        self._given, self._began = self._given + 1, True

    def end(self) -> int:
        """Count the packets whose picture has not come as lost, at the end of the stream; return their number."""
        waiting = [*(self._before or {}).values(), *self._waiting.values()]
        lost = self._pictures(waiting) + max(0, self._untimed or 0) if self._began else 0
        self.add(lost)
        self.restart()
        return lost

    def restart(self) -> None:
        """Forget packets without a picture: decoding continues at another position, or has ended."""
        self._began = False
        self._waiting, self._before, self._untimed = {}, None, None
        self._sent = self._shown = -math.inf

    def _answered(self, pts: int) -> None:
        """Remove the packet of a picture; the pictures of earlier packets are lost."""
        waiting = self._waiting
        if self._before is not None and pts in self._before:
            waiting = self._before
        else:
            self._shown = pts
            if self._before is not None:  # no more pictures come from before the joint
                self.add(self._pictures(list(self._before.values())) if self._began else 0)
                self._before, self._began = None, False
        due = [waiting.pop(each) for each in [each for each in waiting if each < pts]]
        waiting.pop(pts, None)
        # pictures lost before the first one do not count: they depend on pictures before the start
        self.add(self._pictures(due) if self._began else 0)

    def _sent_untimed(self, packet: Any) -> None:
        kinds = nal_types(bytes(packet), self._codec)
        if self._untimed is None and not self._began and any(kind in FRESH_STARTS[self._codec] for kind in kinds):
            self._untimed = 0
        if self._untimed is not None:
            self._untimed += self._pictures([packet])

    def _pictures(self, packets: list[Any]) -> int:
        """Number of packets that contain a picture, including damaged packets that cannot be parsed."""
        found = [nal_types(bytes(packet), self._codec) for packet in packets]
        return sum(not kinds or any(kind in PICTURES[self._codec] for kind in kinds) for kinds in found)


def nal_types(data: bytes, codec: str) -> list[int]:
    """The types of the NAL units in a packet of H.264 or HEVC; [] unless they are separated by start codes or 4-byte
    lengths.
    """
    starts = []
    at = data.find(b"\0\0\1")
    if 0 <= at <= 1:
        while at >= 0 and at + 3 < len(data):
            starts.append(at + 3)
            at = data.find(b"\0\0\1", at + 3)
    else:
        at = 0
        while at + 4 < len(data):
            starts.append(at + 4)
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        if at != len(data):
            return []
    return [data[start] & 0x1F if codec == "h264" else data[start] >> 1 & 0x3F for start in starts]
