"""Rates and running totals of a run; kept by the runner and its source workers, read by any thread."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from dataclasses import replace
from time import perf_counter

from edgeemo.stages.pipeline import STAGES
from edgeemo.types import Counters, Result

RECENT_S = 5.0  # window for rates
RECENT_RESULTS = 120  # window for frame rate, latency and timings


class Rate:
    """Events per second over the last `RECENT_S`."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=600)

    def add(self, now: float) -> None:
        self._times.append(now)

    def at(self, now: float) -> float:
        while self._times and now - self._times[0] > RECENT_S:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(now - self._times[0], 1e-6)


class Tally:
    """Totals over all sources; written by the runner's thread."""

    def __init__(self) -> None:
        self.frames = 0
        self._faces = 0
        self._began = 0.0
        self._ended = 0.0
        self._emotions: dict[str, int] = {}
        self._recent: deque[tuple[float, float, dict[str, float]]] = deque(maxlen=RECENT_RESULTS)
        self._lock = threading.Lock()

    def add(self, result: Result, captured_at: float) -> None:
        """Count a result.

        Args:
            captured_at: capture time of its frame, by `perf_counter`.
        """
        now = perf_counter()
        with self._lock:
            self.frames += 1
            self._began = self._began or captured_at
            self._ended = now
            self._faces += len(result.faces)
            for emotion in result.emotions:
                self._emotions[emotion] = self._emotions.get(emotion, 0) + 1
            self._recent.append((now, (now - captured_at) * 1e3, result.timings))

    def finish(self) -> None:
        """End the run's duration: the sinks have written everything."""
        with self._lock:
            if self.frames:
                self._ended = perf_counter()

    def counters(self, *, dropped: int, damaged: int, sink_ms: float) -> Counters:
        with self._lock:
            recent = list(self._recent)
            total = Counters(
                self.frames,
                self._faces,
                dropped,
                self._ended - self._began,
                emotions=dict(self._emotions),
                damaged=damaged,
            )
        if not recent:
            return total
        span = recent[-1][0] - recent[0][0]
        latencies = sorted(latency for _, latency, _ in recent)
        return replace(
            total,
            fps=(len(recent) - 1) / span if span > 0 else 0.0,
            latency_ms=statistics.median(latencies),
            latency_p95_ms=latencies[round(0.95 * (len(latencies) - 1))],
            timings={stage: statistics.median(timings.get(stage, 0.0) for *_, timings in recent) for stage in STAGES}
            | {"sink": sink_ms},
        )
