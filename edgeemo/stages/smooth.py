"""Temporal smoothing: an exponential average of each face's probabilities, and hysteresis for the emotion shown.

All time constants are seconds of media time, independent of the frame rate and of dropped frames. Called by
`edgeemo.stages.pipeline`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeemo.config import SmoothConfig
from edgeemo.types import F32, UNTRACKED, Faces, Frame

SETTLE_S = 0.25  # a new face has no hysteresis yet, because its first frame may be an outlier
FORGET_S = 1.0  # an average restarts after this long without the face
LONG_S = 3.0  # time constant of the long average
MAX_SHARE = 0.5  # a frame with a larger weight in the average cannot change the label alone
# if the long averages of two emotions differ by less than UNDECIDED, noise alone could change the leading one, so a
# change of the label needs UNDECIDED_MARGIN; a clear change is shown without extra delay
UNDECIDED = 0.25
UNDECIDED_MARGIN = 0.35


@dataclass
class _Shown:
    """The smoothing state of one face.

    Attributes:
        average, long: averages over `time_constant_s` and over up to `LONG_S`.
        emotion: index of the class shown.
        met: when the face was first seen.
        time: when the face was last seen.
        behind_since: since when the shown emotion has been behind the leading one by the margin; None if it is not.
    """

    average: F32
    long: F32
    emotion: int
    met: float
    time: float
    behind_since: float | None = None


class Smoother:
    """The smooth stage: one average and one shown emotion per track id.

    Args:
        labels: the K class names, in the engine's order.
        config: see `SmoothConfig`.
    """

    def __init__(self, labels: tuple[str, ...], config: SmoothConfig | None = None) -> None:
        self._labels = labels
        self._config = config or SmoothConfig()
        self._shown: dict[int, _Shown] = {}

    def smooth(self, frame: Frame, faces: Faces, raw: F32) -> tuple[F32, tuple[str, ...]]:
        """Average each face's probabilities in time.

        Args:
            raw: (N, K) probabilities from the engine, N >= 0. Stills and faces without an id are passed through.

        Returns:
            (N, K) averaged probabilities, which sum to 1 if the raw ones do, and N emotions to show.

        Raises:
            ValueError: raw has another shape.
        """
        if raw.shape != (len(faces), len(self._labels)):
            raise ValueError(f"raw must be ({len(faces)}, {len(self._labels)}), got {raw.shape}")
        if frame.still:
            self.reset()
            return raw, tuple(self._labels[row.argmax()] for row in raw)
        averages = np.empty_like(raw, dtype=np.float32)
        emotions: list[str] = []
        for row, (number, probabilities) in enumerate(zip(faces.ids.tolist(), raw, strict=True)):
            shown = self._next(number, probabilities, frame.time)
            if number != UNTRACKED:
                self._shown[number] = shown
            averages[row] = shown.average
            emotions.append(self._labels[shown.emotion])
        self._shown = {
            number: shown for number, shown in self._shown.items() if 0 <= frame.time - shown.time <= FORGET_S
        }
        return averages, tuple(emotions)

    def reset(self) -> None:
        """Forget every face."""
        self._shown = {}

    def _next(self, number: int, probabilities: F32, now: float) -> _Shown:
        config = self._config
        before = self._shown.get(number)
        if before is None or not 0 <= now - before.time <= FORGET_S:
            return _Shown(probabilities, probabilities, int(probabilities.argmax()), met=now, time=now)
        passed = now - before.time
        share = np.float32(-np.expm1(-passed / config.time_constant_s) if config.time_constant_s else 1.0)
        # in a slow source one frame would outweigh all earlier ones: a single outlier must not change the label
        confirm = config.time_constant_s > 0 and share > MAX_SHARE
        average = before.average + share * (probabilities - before.average)
        # the plain mean while the face is new, so that all of its frames have the same weight
        share = np.float32(max(-np.expm1(-passed / LONG_S), passed / max(now - before.met, 1e-6)))
        long = before.long + share * (probabilities - before.long)
        ahead, emotion, since = int(average.argmax()), before.emotion, None
        undecided = abs(long[ahead] - long[emotion]) < UNDECIDED
        margin = max(config.margin, UNDECIDED_MARGIN) if undecided and config.margin else config.margin
        if now - before.met <= SETTLE_S:
            emotion = ahead
        elif ahead != emotion and average[ahead] - average[emotion] >= margin:
            since = now if before.behind_since is None else before.behind_since
            # 1 ms: frame times are rounded
            if now - since >= config.hold_s - 1e-3 and not (confirm and since == now):
                emotion, since = ahead, None
        return _Shown(average, long, emotion, before.met, now, since)
