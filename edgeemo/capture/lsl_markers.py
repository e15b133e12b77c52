"""Receive markers of other programs over the Lab Streaming Layer: `lsl:NAME`, a stream of type Markers.

Called by `edgeemo.run`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from time import monotonic
from typing import Any

from edgeemo.system.lsl import clock_offset, library
from edgeemo.types import MarkerSource
from edgeemo.values import marker_label

log = logging.getLogger(__name__)

RESOLVE_S = 0.5  # time-out of one search for the stream
PULL_S = 0.2  # time-out for one marker; also the delay of closing
TOLD_AFTER_S = 5.0  # log a stream that is missing for this long after the start
CLOSE_S = 3.0
MOST_WAITING = 10_000  # queue of markers; when it is full, the oldest is dropped


def open_markers(text: str) -> MarkerSource | None:
    """Listen to a stream of markers as in `Config.markers`, for example "lsl:PsychoPy"; None for "".

    Raises:
        ConfigError: pylsl or liblsl is missing.
    """
    if not text:
        return None
    return LslMarkers(text.partition(":")[2])


class LslMarkers(MarkerSource):
    """Listens to a stream in a separate thread; waits for the stream at the start and when it is lost.

    Time stamps are the sender's; liblsl corrects the offset of the computers' clocks. Values of several channels are
    joined by spaces; numbers become texts.

    Args:
        name: name of the stream, whose type is Markers.

    Raises:
        ConfigError: pylsl or liblsl is missing.
    """

    def __init__(self, name: str) -> None:
        self._lsl = library(f"markers lsl:{name}")
        self._name = name
        self._came: deque[tuple[float, str]] = deque(maxlen=MOST_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="edgeemo-markers", daemon=True)
        self._thread.start()

    def take(self) -> list[tuple[float, str]]:
        taken = []
        while self._came:
            taken.append(self._came.popleft())
        return taken

    def close(self) -> None:
        self._stop.set()
        self._thread.join(CLOSE_S)

    def _listen(self) -> None:
        began, told = monotonic(), False
        while not self._stop.is_set():
            found = self._lsl.resolve_bypred(f"name='{self._name}' and type='Markers'", 1, RESOLVE_S)
            if not found:
                if not told and monotonic() - began > TOLD_AFTER_S:
                    told = True
                    log.warning("markers: there is no stream %s of type Markers; waiting for it", self._name)
                continue
            try:
                self._receive(found[0])
            except (RuntimeError, OSError) as error:  # includes pylsl's LostError and TimeoutError
                log.warning("markers: lost the stream %s (%s); waiting for it", self._name, error)
                began, told = monotonic(), True

    def _receive(self, info: Any) -> None:
        # search again by name, because liblsl would wait for the same source_id
        inlet = self._lsl.StreamInlet(info, recover=False, processing_flags=self._lsl.proc_clocksync)
        try:
            inlet.open_stream(RESOLVE_S * 10)
            log.info("receiving markers from %s on %s", self._name, info.hostname())
            while not self._stop.is_set():
                sample, stamp = inlet.pull_sample(timeout=PULL_S)
                if sample is not None:
                    moment = stamp + clock_offset(self._lsl)
                    self._came.append((moment, marker_label(" ".join(map(str, sample)))))
        finally:
            inlet.close_stream()
