"""Markers that other programs send over the Lab Streaming Layer: `lsl:NAME`, a stream of type Markers."""

from __future__ import annotations

import logging
import threading
from collections import deque
from time import monotonic, perf_counter
from typing import Any

from edgeemo.system.lsl import library
from edgeemo.types import MarkerSource
from edgeemo.values import marker_label

log = logging.getLogger(__name__)

RESOLVE_S = 0.5  # of one search for the stream
PULL_S = 0.2  # for one marker; also how soon closing is noticed
TOLD_AFTER_S = 5.0  # a stream that is not there so long after the start is told
CLOSE_S = 3.0
MOST_WAITING = 10_000  # markers that nobody takes; then the oldest goes


def open_markers(text: str) -> MarkerSource | None:
    """Listen to a stream of markers as `Config.markers` names it, for example "lsl:PsychoPy"; None for "".

    Raises:
        ConfigError: pylsl or liblsl is missing.
    """
    if not text:
        return None
    return LslMarkers(text.partition(":")[2])


class LslMarkers(MarkerSource):
    """Listens in a thread of its own from the moment the stream is there, and again when it comes back.

    A stamp is that of the sender, corrected by liblsl for the difference of two computers' clocks. Of several channels
    the values are joined by spaces; numbers become texts.

    Args:
        name: of the stream; its type is Markers.

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
                    log.warning("markers: no stream %s of type Markers is there; waiting for it", self._name)
                continue
            try:
                self._receive(found[0])
            except (RuntimeError, OSError) as error:  # pylsl's LostError and TimeoutError are of these
                log.warning("markers: the stream %s has gone (%s); waiting for it", self._name, error)
                began, told = monotonic(), True

    def _receive(self, info: Any) -> None:
        # found again by its name here: liblsl would wait for the same source_id
        inlet = self._lsl.StreamInlet(info, recover=False, processing_flags=self._lsl.proc_clocksync)
        try:
            inlet.open_stream(RESOLVE_S * 10)
            log.info("markers come from %s on %s", self._name, info.hostname())
            while not self._stop.is_set():
                sample, stamp = inlet.pull_sample(timeout=PULL_S)
                if sample is not None:
                    moment = perf_counter() - self._lsl.local_clock() + stamp
                    self._came.append((moment, marker_label(" ".join(map(str, sample)))))
        finally:
            inlet.close_stream()
