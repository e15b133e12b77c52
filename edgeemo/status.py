"""How a service is doing, as its sinks and the log tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class State(str, Enum):
    """Where a source is in its life: connecting -> live <-> stalled -> lost -> back-off -> connecting -> live again."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"  # connected, but no frame has come for a while
    LOST = "lost"  # the connection has just ended
    BACK_OFF = "back-off"  # waiting before the next attempt
    ENDED = "ended"  # a file has come to its end


@dataclass(frozen=True)
class SourceStatus:
    """One source.

    Attributes:
        captured: frames the source has given, those left out by a late file player included.
        processed: frames recognised.
        dropped: frames that a newer one replaced before they were looked at.
        waiting: frames captured and not taken yet: 0 or 1. captured = processed + dropped + waiting.
        camera_fps, process_fps: frames a second of late.
        faces: faces in the newest frame.
        connects: how often the source was opened with success.
        since_s: seconds in the present state.
        error: why the connection ended last; empty while it is live.
    """

    name: str
    state: State
    since_s: float = 0.0
    captured: int = 0
    processed: int = 0
    dropped: int = 0
    waiting: int = 0
    camera_fps: float = 0.0
    process_fps: float = 0.0
    faces: int = 0
    connects: int = 0
    error: str = ""


@dataclass(frozen=True)
class SinkStatus:
    """One sink.

    Attributes:
        written: results it has taken.
        dropped: results it never got, because it was too slow or could not be written to.
        waiting: results in its queue.
        error: why it cannot be written to at present; empty while it can.
    """

    name: str
    written: int = 0
    dropped: int = 0
    waiting: int = 0
    error: str = ""


@dataclass(frozen=True)
class Status:
    """A whole service.

    Attributes:
        engine: what really runs.
        started: when, in seconds since the epoch.
    """

    engine: str = ""
    started: float = 0.0
    uptime_s: float = 0.0
    sources: tuple[SourceStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = field(default_factory=tuple)

    def to_mapping(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self) | {"sources": [asdict(each) | {"state": each.state.value} for each in self.sources]}
