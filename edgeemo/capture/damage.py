"""Counts the pictures of a video that decoding errors spoiled; `ffmpeg` asks it about every packet and picture."""

from __future__ import annotations

from typing import Any

# their decoders pass over what they cannot parse and report no error; each packet has one picture, except of fields
PICTURE_PER_PACKET = ("h264", "hevc")
MOST_REORDERED = 64  # packets without a picture of their own; decoders reorder 16


class Damage:
    """Pictures that were lost or decoded with errors.

    A decoder reports an error, marks a picture as corrupt (errors were concealed: H.264, MPEG-1, -2 and -4, ProRes), or
    leaves a picture out without a word (H.264, HEVC), which shows when a later one comes. Of motion JPEG, VP8,
    VP9, FFV1 and GIF errors inside a picture are not reported.

    Attributes:
        count: so far.
        first: pictures that had been decoded before the first of them.
    """

    def __init__(self, codec: str) -> None:
        self.count = 0
        self.first = 0
        self._given = 0
        self._taken = 0
        self._began = False
        self._waiting: set[int] | None = set() if codec in PICTURE_PER_PACKET else None  # presentation times

    def take(self) -> int:
        """How many were added since the last call: for `Frame.damage` of the picture that is handed out."""
        new, self._taken = self.count - self._taken, self.count
        return new

    def add(self, pictures: int = 1) -> None:
        if pictures and not self.count:
            self.first = self._given
        self.count += pictures

    def sent(self, packet: Any) -> None:
        """A packet was taken by the decoder."""
        if self._waiting is None or packet.pts is None or packet.is_discard:
            return
        self._waiting.add(packet.pts)
        if len(self._waiting) > MOST_REORDERED:
            self.end()

    def given(self, frame: Any) -> None:
        """The decoder gave a picture; those due before it will not come."""
        if frame.is_corrupt:
            self.add()
        if self._waiting is not None and frame.interlaced_frame:
            self._waiting = None  # a packet may hold one of two fields
        if self._waiting is not None and frame.pts is not None:
            due = {pts for pts in self._waiting if pts <= frame.pts}
            self._waiting -= due
            # those due before the first picture need pictures from before the beginning
            self.add(len(due - {frame.pts}) if self._began else 0)
        self._given, self._began = self._given + 1, True

    def end(self) -> int:
        """No picture comes for what waits; returns how many are lost by that."""
        lost = len(self._waiting or ()) if self._began else 0
        self.add(lost)
        if self._waiting:
            self._waiting.clear()
        return lost

    def restart(self) -> None:
        """Decoding continues at another place of the video."""
        self._began = False
        if self._waiting:
            self._waiting.clear()
